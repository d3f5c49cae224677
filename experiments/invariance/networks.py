"""The networks that are compared, on images and on sequences: what each is made of, and how one is trained."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from experiments.study.tuning import adam
from jaxnotes import datasets, training
from jaxnotes.layers.activations import relu
from jaxnotes.layers.initializers import he_normal
from jaxnotes.models.convolutional import convolutional, convolutional_init
from jaxnotes.models.mlp import mlp, mlp_init

CLASSES = 10
TEST = "fraction of the test set"
FITTED = 1000  # training examples on which a trained network's accuracy is measured


class Arm(NamedTuple):
    """What the networks differ in; the names are those of `jaxnotes.models.convolutional`."""

    pool: str | None  # None: an MLP
    head: str | None


ARMS = {
    "mlp": Arm(None, None),
    "flatten": Arm("max", "flatten"),
    "global": Arm("max", "average"),
    "max-blur": Arm("max-blur", "average"),
    "polyphase": Arm("polyphase", "average"),
}


class Sizes(NamedTuple):
    """The sizes of a network."""

    shape: tuple[int, ...]  # of one input, its channel last
    channels: tuple[int, ...]  # of a convolutional network's blocks
    width: int = 0  # of an MLP's two hidden layers


class Run(NamedTuple):
    """A trained network."""

    params: Any
    losses: Array  # [steps]
    train_accuracy: Array
    validation_accuracy: Array


def network(arm: str, sizes: Sizes) -> tuple[Callable, Callable]:
    """Returns init(key) and apply(params, inputs); padding is circular, so that the border plays no part."""
    pool, head = ARMS[arm]
    if pool is None:
        size = {"n_in": sizes.shape[0] ** (len(sizes.shape) - 1), "width": sizes.width, "depth": 1, "n_out": CLASSES}
        init = partial(mlp_init, **size, initializer=he_normal)
        return init, lambda params, x: mlp(params, x.reshape(len(x), -1), activation=relu)
    init = partial(convolutional_init, image_shape=sizes.shape, channels=sizes.channels, n_out=CLASSES, pool=pool, head=head)
    return init, partial(convolutional, activation=relu, pool=pool, head=head, padding="CIRCULAR")


def train(
    arm: str,
    sizes: Sizes,
    data: tuple[tuple[Array, Array], tuple[Array, Array]],
    rate: Array,
    key: Array,
    *,
    steps: int,
    batch: int,
    examples: int | None = None,
) -> Run:
    """Trains one network; with the same key all arms see the same examples in the same order.

    Args:
      data: (inputs, labels) to train and to validate.
      examples: how many of those to train, drawn by the key; all where None.
    """
    key_params, key_batches, key_examples = jax.random.split(key, 3)
    available = len(data[0][1])
    indices = datasets.minibatch_indices(key_batches, examples or available, batch, steps)
    if examples is not None:
        indices = jax.random.permutation(key_examples, available)[indices]
    return _run(rate, key_params, indices, data, arm=arm, sizes=sizes)


@partial(jax.jit, static_argnames=("arm", "sizes"))
def _run(rate: Array, key: Array, indices: Array, data, *, arm: str, sizes: Sizes) -> Run:
    init, apply = network(arm, sizes)
    (inputs, labels), (held, held_labels) = data
    loss = lambda params, batch: training.cross_entropy(apply(params, batch[0]), batch[1])
    optimizer = adam(rate, len(indices))
    state, losses = training.train_on(loss, optimizer)(training.init_state(init(key), optimizer), (inputs, labels), indices)
    seen = indices.ravel()[:FITTED]
    return Run(
        params=state.params,
        losses=losses,
        train_accuracy=training.accuracy(apply(state.params, inputs[seen]), labels[seen]),
        validation_accuracy=training.accuracy(apply(state.params, held), held_labels),
    )


@partial(jax.jit, static_argnames=("arm", "sizes"))
def predictions(params: Any, inputs: Array, *, arm: str, sizes: Sizes) -> Array:
    """Returns [places, n] classes of inputs [places, n, ...], one place after the other."""
    apply = network(arm, sizes)[1]
    return jax.lax.map(lambda x: jnp.argmax(apply(params, x), 1), inputs)
