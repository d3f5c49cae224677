"""What the topic normalization builds on: gains of known stacks, distances of known distributions, steps to a target."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments import normalization, normalization_gradients, normalization_shift, normalization_training
from jaxnotes.layers.activations import identity


@pytest.fixture(autouse=True)
def scripts_promote():
    """Experiments run under JAX's standard promotion, as their users do."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def test_the_gain_of_a_straight_line_is_its_slope():
    logs = -0.5 * np.log(1.5) * np.arange(11)[None]
    np.testing.assert_allclose(normalization_gradients.gain(logs, (2, 9)), 1.5)


def test_the_linear_network_with_batch_norm_has_its_exact_gain(key):
    layer = normalization_gradients.batch_normalised(identity)
    keys = jax.random.split(key, 6)
    logs = normalization_gradients.log_norms(layer, 1.0, 128, 16, 12, keys)
    found = normalization_gradients.gain(logs, (4, 10))
    # (B − 2)/(B − 3) at infinite width, Yang et al. (2019)
    assert abs(found.mean() - 14 / 13) < 3 * found.std(ddof=1) / np.sqrt(6) + 0.03


def test_residual_gains_fall_towards_one():
    first, last = (normalization_gradients.residual_prediction(w) for w in ((0, 4), (60, 64)))
    assert 1 < last < 1.03 < first < 1.6


def test_input_drift_of_known_distributions(key):
    before = jax.random.normal(key, (2, 4000, 5))
    np.testing.assert_allclose(normalization_shift.input_drift(before, before), 0, atol=1e-6)
    np.testing.assert_allclose(normalization_shift.input_drift(before, before + 3.0), 3.0, rtol=0.05)
    # Wasserstein distance of N(0, 1) and N(0, 4) is 1.
    np.testing.assert_allclose(normalization_shift.input_drift(before, 2 * before), 1.0, rtol=0.05)


def test_steps_to_a_target():
    settings = normalization.Normalization.preset("quick", target_loss=1.0)
    losses = np.stack([np.linspace(3, 0, 61), np.full(61, 2.0), np.full(61, np.nan)])
    steps = normalization_training.steps_to(settings, losses)
    assert steps[1] == steps[2] == 61
    means = np.convolve(losses[0], np.ones(10) / 10, "valid")
    assert abs(steps[0] - (np.argmax(means < 1.0) + 10)) <= 1


def test_plain_sgd_is_what_the_trainer_does(key):
    settings = normalization.Normalization.preset("quick", train_steps=20, points=2, train_width=8, train_batch=16)
    data = normalization_training.mnist_vectors()
    arm = normalization_training.Arm(jnp.tanh, 1.0, normalised=True)
    train = normalization_training.trainer(settings, arm, 2, 2, lambda *_: ())
    run = train(jax.random.split(key, 1), [0.0], data)
    assert run.losses.shape == (1, 20)
    of_params, of_batches, of_noise = jax.random.split(jax.random.split(key, 1)[0], 3)
    indices = normalization_training.datasets.minibatch_indices(of_batches, len(data.train_labels), 16, 20)
    params = normalization_training.init(arm, of_params, 196, 8, 2)
    keys = jax.random.split(of_noise, 3)
    expected = [
        normalization_training.loss_of(arm, params, (data.train_images[i], data.train_labels[i]), keys) for i in indices
    ]
    np.testing.assert_allclose(run.losses[0], expected, rtol=1e-5)  # at learning rate 0 the network stays


def test_the_running_variances_settle_at_their_limits(key):
    normalising, biased, unbiased = normalization._running(8, 60, key)
    assert abs(np.mean(normalising) - 7 / 8) < 0.01 and abs(np.mean(biased[40:]) - 7 / 8) < 0.01
    assert abs(np.mean(unbiased[40:]) - 1) < 0.01
