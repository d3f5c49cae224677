"""What the topic normalization builds on: gains of known stacks, distances of known distributions, steps to a target."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.normalization import gradients as normalization_gradients
from experiments.normalization import measurement as normalization
from experiments.normalization import shift as normalization_shift
from experiments.normalization import training as normalization_training
from jaxnotes.layers.activations import relu, sigmoid

pytestmark = pytest.mark.usefixtures("standard_promotion")


def test_the_gain_of_a_straight_line_is_its_slope():
    logs = -0.5 * np.log(1.5) * np.arange(11)[None]
    np.testing.assert_allclose(normalization_gradients.gain(logs, (2, 9)), 1.5)


def test_the_linear_network_with_batch_norm_has_its_exact_gain(key):
    keys = jax.random.split(key, 6)
    logs = normalization_gradients.log_norms("linear", 1.0, 128, 16, 12, keys)
    found = normalization_gradients.gain(logs, (4, 10))
    # (B − 2)/(B − 3) at infinite width, Yang et al. (2019)
    assert abs(found.mean() - 14 / 13) < 3 * found.std(ddof=1) / np.sqrt(6) + 0.03


def test_a_shared_program_gives_what_a_layer_of_its_own_gives(key):
    keys, among = jax.random.split(key, 2), ("relu", "residual", "plain-sigmoid")
    for layer in among:
        alone = normalization_gradients.log_norms(layer, 2.0, 16, 8, 4, keys)
        np.testing.assert_allclose(
            normalization_gradients.log_norms(layer, 2.0, 16, 8, 4, keys, among), alone, rtol=1e-4, atol=1e-5
        )


def test_the_gradient_s_norms_are_those_of_plain_differentiation(key):
    """Of a ReLU stack with batch normalisation whose only gain is known in closed form: layer 0 sees the Gaussian input."""
    logs = normalization_gradients.log_norms("relu", 2.0, 512, 256, 2, jax.random.split(key, 3))
    assert abs(normalization_gradients.gain(logs, (0, 1)).mean() / 0.5 - 1) < 0.05
    assert abs(normalization_gradients.gain(logs, (1, 2)).mean() / (np.pi / (np.pi - 1)) - 1) < 0.05


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


SMALL = normalization.Normalization.preset("quick", train_steps=20, points=2, train_width=8, train_batch=16)


@pytest.mark.parametrize(
    "activation, kind", [(relu, "plain"), (sigmoid, "plain"), (relu, "normalised"), (sigmoid, "normalised")]
)
def test_the_forward_pass_is_the_network_of_its_arm(key, activation, kind):
    arm = normalization_training.arm(activation, 1.5, kind)
    params = normalization_training.init(arm, key, 12, 8, 3)
    x = jax.random.normal(key, (16, 12))
    h, seen = x, []
    for layer in [params["input"], *(jax.tree.map(lambda p, i=i: p[i], params["hidden"]) for i in range(3))]:
        seen.append(h)
        z = h @ layer["weight"] + layer["bias"]
        if kind == "normalised":
            z = (z - z.mean(0, keepdims=True)) / jnp.sqrt(z.var(0, keepdims=True) + 1e-5)
        h = activation(z)
    passed = normalization_training.forward(arm, params, x, None)
    np.testing.assert_allclose(passed.logits, h @ params["output"]["weight"] + params["output"]["bias"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(passed.inputs, np.stack(seen[1:]), rtol=1e-4, atol=1e-5)


def test_plain_sgd_is_what_the_trainer_does(key):
    data = normalization_training.mnist_vectors()
    arm = normalization_training.arm(relu, 1.0, "normalised")
    train = normalization_training.trainer(SMALL, 2, lambda arm, moment: moment.passed.logits.sum())
    frozen, moving = (train(arm, jax.random.split(key, 1), [rate], data) for rate in (0.0, 0.1))
    assert frozen.losses.shape == (1, 20) and frozen.readings.shape == (1, 2)
    of_params, of_batches, _ = jax.random.split(jax.random.split(key, 1)[0], 3)
    indices = normalization_training.datasets.minibatch_indices(of_batches, len(data.train_labels), 16, 20)
    params = start = normalization_training.init(arm, of_params, 196, 8, 2)

    @jax.jit
    def step(params, chosen):
        batch = data.train_images[chosen], data.train_labels[chosen]
        loss, gradients = jax.value_and_grad(lambda p: normalization_training.loss_of(arm, p, batch, None)[0])(params)
        return loss, jax.tree.map(lambda p, g: p - 0.1 * g, params, gradients)

    expected = []
    for chosen in indices:
        loss, params = step(params, chosen)
        expected.append(loss)
    np.testing.assert_allclose(moving.losses[0], expected, rtol=1e-3)
    np.testing.assert_allclose(frozen.losses[0], [step(start, i)[0] for i in indices], rtol=1e-5)
    logits = normalization_training.forward(arm, start, data.train_images[indices[10]], None).logits
    np.testing.assert_allclose(frozen.readings[0, 1], logits.sum(), rtol=1e-4)


def test_noise_has_the_moments_it_is_said_to_have(key):
    z = jnp.ones((20_000, 6))
    found = normalization_training.noise(key, z)
    # s + m an example and unit: variance 0.1² of s and 0.2²/12 of m about means that are drawn a unit.
    np.testing.assert_allclose(found.var(0), 0.1**2 + 0.2**2 / 12, rtol=0.05)
    assert (found.mean(0) > 0.49).all() and (found.mean(0) < 1.76).all() and found.mean(0).std() > 0.05
    assert jnp.abs(normalization_training.noise(jax.random.fold_in(key, 1), z).mean(0) - found.mean(0)).max() > 0.05


def test_the_running_variances_settle_at_their_limits(key):
    normalising, biased, unbiased = normalization._running(2048, 8, 60, key)
    assert abs(np.mean(normalising) - 7 / 8) < 0.01 and abs(np.mean(biased[40:]) - 7 / 8) < 0.01
    assert abs(np.mean(unbiased[40:]) - 1) < 0.01
