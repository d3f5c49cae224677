"""How the deep networks of the question residual are trained: by Optax's Adam, each arm as the library's model."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.residual import training as residual_training
from experiments.residual.settings import Residual
from experiments.study import digits
from jaxnotes import datasets, training
from jaxnotes.layers.activations import relu
from jaxnotes.layers.initializers import he_normal
from jaxnotes.models.mlp import mlp, mlp_init
from jaxnotes.models.residual_network import residual_network

pytestmark = pytest.mark.usefixtures("standard_promotion")


@pytest.mark.parametrize(
    ("arm", "model"),
    [("plain", mlp), ("unscaled", residual_network), ("scaled", partial(residual_network, branch_scale=3**-0.5))],
)
def test_a_run_is_that_of_optax_adam_with_a_cosine_decay(key, arm, model):
    depth, steps, rate = 3, 5, 1e-2
    settings = Residual.preset("quick", train_width=8, train_batch=4)
    key_images, key_labels, key_run = jax.random.split(key, 3)
    images, labels = jax.random.normal(key_images, (20, 6)), jax.random.randint(key_labels, (20,), 0, 10)
    data = digits.Digits((images, labels), (images[:9], labels[:9]), (images[9:], labels[9:]))
    budget = {"settings": settings, "depth": depth, "steps": steps, "evaluated": 20}
    run = residual_training.train(residual_training.scales(arm, depth), data, jnp.float32(rate), key_run, **budget)

    key_params, key_batches = jax.random.split(key_run)
    params, apply = mlp_init(key_params, 6, 8, depth, 10, initializer=he_normal), partial(model, activation=relu)
    optimizer = optax.adam(optax.cosine_decay_schedule(rate, steps))
    state = optimizer.init(params)
    for step, chosen in enumerate(datasets.minibatch_indices(key_batches, 20, 4, steps)):
        loss = lambda p, chosen=chosen: training.cross_entropy(apply(p, images[chosen]), labels[chosen])
        value, gradient = jax.value_and_grad(loss)(params)
        np.testing.assert_allclose(run.losses[step], value, rtol=1e-5)
        updates, state = optimizer.update(gradient, state)
        params = optax.apply_updates(params, updates)
    right = np.argmax(np.asarray(apply(params, images)), 1) == np.asarray(labels)
    assert run.train_error == pytest.approx(1 - right.mean())
    assert run.validation_accuracy == pytest.approx(right[:9].mean()) and run.test_accuracy == pytest.approx(right[9:].mean())


def test_training_reaches_what_the_architecture_allows(key):
    settings, depth = Residual.preset("quick"), 30
    train = partial(residual_training.train, residual_training.scales("scaled", depth), digits.load(side=28))
    budget = {"settings": settings, "depth": depth, "steps": 80, "evaluated": 500}
    learned, frozen = (train(jnp.float32(rate), key, **budget) for rate in (3e-3, 0.0))
    assert learned.losses[-10:].mean() < 0.5 * learned.losses[0]
    assert learned.test_accuracy > 0.7 and learned.train_error < 0.3
    assert learned.losses[0] == frozen.losses[0]  # the same key: the same network and first batch
    assert abs(frozen.losses[-10:].mean() / frozen.losses[:10].mean() - 1) < 0.2  # no learning at learning rate 0
