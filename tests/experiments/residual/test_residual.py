"""How the deep networks of the topic residual are trained: by Optax's Adam from their own start at their own rates."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from experiments.residual import measurement as residual
from experiments.residual import training as residual_training
from jaxnotes import datasets, training
from jaxnotes.layers.activations import relu
from jaxnotes.models.mlp import mlp
from jaxnotes.models.residual_network import residual_network

pytestmark = pytest.mark.usefixtures("standard_promotion")


@pytest.mark.parametrize(
    ("arm", "model"),
    [
        ("plain", mlp),
        ("unscaled", residual_network),
        ("scaled", partial(residual_network, branch_scale=3**-0.5)),
    ],
)
def test_losses_are_those_of_optax_adam(key, arm, model):
    """Two runs side by side, each at a rate of its own, against a loop over steps of optax.adam with a cosine decay."""
    depth, steps, rates = 3, 5, np.asarray([1e-3, 1e-2])
    settings = residual.TOPIC.settings.preset("quick", train_width=8, train_batch=4, evaluated=10)
    of_images, of_labels, of_runs = jax.random.split(key, 3)
    images, labels = jax.random.normal(of_images, (20, 6)), jax.random.randint(of_labels, (20,), 0, 10)
    data = datasets.Dataset(images, labels, images, labels)
    keys = jax.random.split(of_runs)
    losses = residual_training.runner(settings, arm, depth, steps, data)(keys, rates)[0]
    apply = partial(model, activation=relu)
    for run, (run_key, rate) in enumerate(zip(keys, rates, strict=True)):
        of_params, of_batches = jax.random.split(run_key)
        params = residual_training.mlp_init(of_params, 6, 8, depth, 10, initializer=residual_training.he_normal)
        optimizer = optax.adam(optax.cosine_decay_schedule(rate, steps))
        state = optimizer.init(params)
        for step, chosen in enumerate(datasets.minibatch_indices(of_batches, 20, 4, steps)):
            of_batch = lambda p, chosen=chosen: training.cross_entropy(apply(p, images[chosen]), labels[chosen])  # noqa: E731
            loss, gradient = jax.value_and_grad(of_batch)(params)
            np.testing.assert_allclose(losses[run, step], loss, rtol=1e-5)
            updates, state = optimizer.update(gradient, state)
            params = optax.apply_updates(params, updates)
    assert jnp.all(jnp.isfinite(losses))
