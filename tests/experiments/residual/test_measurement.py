"""The topic residual against what is known of it, at sizes that run in seconds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.residual import measurement as residual
from experiments.residual import training as residual_training
from experiments.study import rules
from jaxnotes import datasets

pytestmark = pytest.mark.usefixtures("standard_promotion")


def test_the_sum_of_paths_is_the_product_of_blocks(key):
    with jax.enable_x64(True):
        branches = jax.random.normal(key, (4, 3, 3), jnp.float64)
        product = np.eye(3)
        for branch in np.asarray(branches):
            product = (np.eye(3) + branch) @ product
        np.testing.assert_allclose(residual.sum_of_paths(branches), product, rtol=1e-12)


def test_residual_claims_at_initialisation(key):
    settings = residual.Residual.preset("quick", width=24, seeds=3, batch=2, depths=(5, 20), path_depth=6, branch_depth=40)
    for part in (residual.form, residual.identity, residual.path, residual.small_branch, residual.large_branch):
        for identifier, evidence in part(settings, key).items():
            verdict = rules.judge(rules.load_claims()[identifier], evidence.measurements).verdict
            if identifier != "residual.path":  # its path lengths need more width than this
                assert verdict == ("fails" if identifier == "residual.large-branch" else "holds"), identifier
            if identifier == "residual.path":
                assert evidence["shortcut-difference"].high == 0.0 and evidence["sum-error-float64"].high < 1e-13


def test_training_reaches_what_the_architecture_allows(key):
    settings = residual.Residual.preset("quick", train_steps=80, train_seeds=2, evaluated=500)
    images = datasets.mnist()
    data = images._replace(
        train_images=datasets.standardise(images.train_images), test_images=datasets.standardise(images.test_images)
    )
    run = residual_training.runner(settings, "scaled", 30, 80, data)
    (losses, frozen), error, accuracy = run(jnp.stack([key, key]), np.asarray([3e-3, 0.0]))
    assert losses.shape == (80,) and losses[-10:].mean() < 0.5 * losses[0]
    assert accuracy[0] > 0.7 and error[0] < 0.3
    assert losses[0] == frozen[0]  # the same key: the same network and first batch
    assert abs(frozen[-10:].mean() / frozen[:10].mean() - 1) < 0.2  # no learning at learning rate 0


def test_pairs_of_runs_come_back_in_order():
    keys, rates = jax.random.split(jax.random.key(0), 5), np.arange(5.0)
    found = residual_training.run_pairs(lambda keys, rates: (2 * rates, rates.astype(int)), keys, rates)
    np.testing.assert_array_equal(found[0], 2 * np.arange(5))
    np.testing.assert_array_equal(found[1], np.arange(5))


def test_the_learning_rate_falls_as_a_cosine():
    optimizer = residual_training.adam(10)
    params = jnp.zeros(())
    state = optimizer.init(params)
    state[-1].hyperparams["step_size"] = jnp.float32(-0.1)
    sizes = []
    for _ in range(10):
        update, state = optimizer.update(jnp.ones(()), state, params)
        sizes.append(-float(update))
    np.testing.assert_allclose(sizes, 0.1 * 0.5 * (1 + np.cos(np.pi * np.arange(10) / 10)), rtol=1e-4)
