"""How the deep networks of the question residual are trained: by Optax's Adam, each arm as the library's layers compose it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.residual import training as residual_training
from experiments.residual.settings import Residual
from experiments.residual.training import ARMS
from experiments.study import digits
from jaxnotes import datasets, training
from jaxnotes.layers.activations import leaky_relu, relu
from jaxnotes.layers.linear import linear
from jaxnotes.layers.normalization import batch_norm, batch_norm_state
from jaxnotes.models.residual_network import residual_network

pytestmark = pytest.mark.usefixtures("standard_promotion")


def normalised(params, x, *, shortcut: float, slope: float = 0.0):
    """Returns the outputs of a network with batch normalisation before every activation, layer by layer."""

    def branch(params, h):
        z = batch_norm({name: params[name] for name in ("scale", "shift")}, batch_norm_state(h.shape[1]), h, train=True)[0]
        return linear({name: params[name] for name in ("weight", "bias")}, leaky_relu(z, slope))

    h = linear(params["input"], x)
    for layer in range(len(params["hidden"]["weight"])):
        one = {name: stacked[layer] for name, stacked in params["hidden"].items()}
        h = shortcut * h + branch(one, h)
    return branch(params["output"], h)


@pytest.mark.parametrize(
    ("arm", "model"),
    [
        ("unnormalised", partial(residual_network, activation=relu)),
        ("scaled", partial(residual_network, activation=relu, branch_scale=3**-0.5)),
        ("residual", partial(normalised, shortcut=1.0)),
        ("plain-leaky", partial(normalised, shortcut=0.0, slope=0.5)),
    ],
)
def test_a_run_is_that_of_optax_adam_with_a_cosine_decay(key, arm, model):
    depth, steps, rate = 3, 5, 1e-2
    settings = Residual.preset("quick", train_width=8, train_batch=4)
    key_images, key_labels, key_run = jax.random.split(key, 3)
    images, labels = jax.random.normal(key_images, (20, 6)), jax.random.randint(key_labels, (20,), 0, 10)
    data = digits.Digits((images, labels), (images[:9], labels[:9]), (images[9:], labels[9:]))
    options = {"normalised": ARMS[arm].normalised, "settings": settings, "depth": depth, "steps": steps}
    run = residual_training.train(ARMS[arm].numbers(depth), data, jnp.float32(rate), key_run, **options)

    key_params, key_batches = jax.random.split(key_run)
    params = residual_training.init(key_params, ARMS[arm].normalised, 6, 8, depth)
    optimizer = optax.adam(optax.cosine_decay_schedule(rate, steps))
    state = optimizer.init(params)
    step = jax.jit(jax.value_and_grad(lambda p, x, y: training.cross_entropy(model(p, x), y)))
    for number, chosen in enumerate(datasets.minibatch_indices(key_batches, 20, 4, steps)):
        value, gradient = step(params, images[chosen], labels[chosen])
        np.testing.assert_allclose(run.losses[number], value, rtol=1e-4)
        updates, state = optimizer.update(gradient, state)
        params = optax.apply_updates(params, updates)
    right = [np.mean(np.argmax(np.asarray(model(params, x)), 1) == np.asarray(y)) for x, y in data]
    np.testing.assert_allclose([1 - run.train_error, run.validation, run.test], right, atol=1e-6)
    assert run.gradients.shape == (2,) and np.isfinite(run.gradients).all() and run.share.size == 0


def test_training_reaches_what_the_architecture_allows(key):
    settings, depth = Residual.preset("quick"), 30
    options = {"normalised": True, "settings": settings, "depth": depth, "steps": 60, "paths": True}
    train = partial(residual_training.train, ARMS["residual"].numbers(depth), digits.load(side=28), **options)
    learned, frozen = (train(jnp.float32(rate), key) for rate in (1e-2, 0.0))
    assert learned.losses[-10:].mean() < 0.5 * learned.losses[0]
    assert learned.test > 0.7 and learned.train_error < 0.3
    assert learned.losses[0] == frozen.losses[0]  # the same key: the same network and first batch
    assert abs(frozen.losses[-10:].mean() / frozen.losses[:10].mean() - 1) < 0.2  # no learning at learning rate 0
    assert frozen.gradients[0] == frozen.gradients[1] != learned.gradients[1]
    np.testing.assert_allclose(learned.share.sum(), 1, rtol=1e-5)
    assert learned.share @ np.arange(depth + 1) < depth / 2
