"""The first updates of a deep network, over the weights that they change."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.causes.settings import Causes
from experiments.causes.stacks import Arm, Numbers, Shape, activation_at, draw
from jaxnotes import training
from jaxnotes.models.mlp import hidden_layer

RATES = {"sgd": 0.1, "adam": 1e-3}
UPDATES, CLASSES = 5, 10


def first_updates(keys: Array, arm: Arm, settings: Causes) -> dict[str, np.ndarray]:
    """Returns, per optimiser, [seeds, steps, layers] log10 of the norm of a layer's update over that of its weights.

    The network classifies random examples by the cross-entropy of its first units.
    """
    shape = (settings.depth, 4 * settings.batch, settings.width // 2)
    return {name: np.asarray(_of_optimizer(keys, arm.numbers, name=name, shape=shape)) for name in RATES}


@partial(jax.jit, static_argnames=("name", "shape"))
def _of_optimizer(keys: Array, numbers: Numbers, *, name: str, shape: Shape) -> Array:
    optimizer = {"sgd": optax.sgd, "adam": optax.adam}[name](RATES[name])
    layer = hidden_layer(activation_at(numbers.activation))

    def of_seed(key: Array) -> Array:
        key_stack, key_labels = jax.random.split(key)
        params, x = draw(key_stack, numbers, shape)
        labels = jax.random.randint(key_labels, (len(x),), 0, CLASSES)

        def loss(params: dict[str, Array]) -> Array:
            h = jax.lax.scan(lambda h, p: (layer(p, h), None), x, params)[0]
            return training.cross_entropy(h[:, :CLASSES], labels)

        def step(state, _):
            params, inner = state
            updates, inner = optimizer.update(jax.grad(loss)(params), inner, params)
            sizes = [jnp.linalg.norm(tree["weight"], axis=(1, 2)) for tree in (updates, params)]
            return (optax.apply_updates(params, updates), inner), jnp.log10(jnp.maximum(sizes[0], 1e-30) / sizes[1])

        return jax.lax.scan(step, (params, optimizer.init(params)), None, UPDATES)[1]

    return jax.lax.map(of_seed, keys)
