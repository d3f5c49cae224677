"""What the question normalization builds on: gains of known stacks, distances of known distributions, steps to a target."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.normalization import formula, gradients, network, rates, saturation, shift, training
from experiments.normalization.drift import log_scales
from experiments.normalization.settings import Normalization
from experiments.study import digits, tuning
from experiments.study.measurement import Search
from jaxnotes import datasets
from jaxnotes.layers.activations import relu, sigmoid

pytestmark = pytest.mark.usefixtures("standard_promotion")

SMALL = Normalization.preset("quick", train_steps=20, points=2, train_width=8, train_batch=16, train_depth=2, rate_depth=1)


@pytest.fixture
def one_thread(monkeypatch):
    """The promotion that `standard_promotion` sets does not reach other threads."""
    for module in (rates, tuning):
        monkeypatch.setattr(module, "side_by_side", lambda run, items: [run(item) for item in items])


def test_the_scales_of_relu_stacks_drift_as_he_et_al_say(key):
    settings = Normalization.preset("quick", drift_width=256, drift_depth=20)
    keys, run = jax.random.split(key, 6), jax.jit(partial(log_scales, settings))
    for weight_variance in (1.0, 4.0):
        activations, gradient = map(np.asarray, run(jnp.float32(weight_variance), jnp.asarray(False), keys))
        expected = 19 / 2 * np.log(weight_variance / 2)
        assert abs((activations[:, -1] - activations[:, 0]).mean() - expected) < 0.5
        assert abs((gradient[:, 0] - gradient[:, -1]).mean() - expected) < 0.5
    activations, _ = map(np.asarray, run(jnp.float32(4.0), jnp.asarray(True), keys))
    np.testing.assert_allclose(activations, 0.5 * np.log(0.5), atol=0.02)  # E relu(z)² of a standard normal z


def test_the_gain_of_a_straight_line_is_its_slope():
    logs = -0.5 * np.log(1.5) * np.arange(11)[None]
    np.testing.assert_allclose(gradients.gain(logs, (2, 9)), 1.5)


def test_the_linear_network_with_batch_norm_has_its_exact_gain(key):
    keys = jax.random.split(key, 6)
    logs = gradients.log_norms("linear", 1.0, 128, 16, 12, keys)
    found = gradients.gain(logs, (4, 10))
    # (B − 2)/(B − 3) at infinite width, Yang et al. (2019)
    assert abs(found.mean() - 14 / 13) < 3 * found.std(ddof=1) / np.sqrt(6) + 0.03


def test_a_shared_program_gives_what_a_layer_of_its_own_gives(key):
    keys, among = jax.random.split(key, 2), ("relu", "residual", "plain-sigmoid")
    for layer in among:
        alone = gradients.log_norms(layer, 2.0, 16, 8, 4, keys)
        np.testing.assert_allclose(gradients.log_norms(layer, 2.0, 16, 8, 4, keys, among), alone, rtol=1e-4, atol=1e-5)


def test_the_gradient_s_norms_are_those_of_plain_differentiation(key):
    """Of a ReLU stack with batch normalisation whose only gain is known in closed form: layer 0 sees the Gaussian input."""
    logs = gradients.log_norms("relu", 2.0, 512, 256, 2, jax.random.split(key, 3))
    assert abs(gradients.gain(logs, (0, 1)).mean() / 0.5 - 1) < 0.05
    assert abs(gradients.gain(logs, (1, 2)).mean() / (np.pi / (np.pi - 1)) - 1) < 0.05


def test_residual_gains_fall_towards_one():
    first, last = (gradients.residual_prediction(w) for w in ((0, 4), (60, 64)))
    assert 1 < last < 1.03 < first < 1.6


def test_input_drift_of_known_distributions(key):
    before = jax.random.normal(key, (2, 4000, 5))
    np.testing.assert_allclose(shift.input_drift(before, before), 0, atol=1e-6)
    np.testing.assert_allclose(shift.input_drift(before, before + 3.0), 3.0, rtol=0.05)
    # Wasserstein distance of N(0, 1) and N(0, 4) is 1.
    np.testing.assert_allclose(shift.input_drift(before, 2 * before), 1.0, rtol=0.05)


def test_steps_to_a_target():
    settings = Normalization.preset("quick", target_loss=1.0)
    losses = np.stack([np.linspace(3, 0, 61), np.full(61, 2.0), np.full(61, np.nan)])
    steps = rates.steps_to(settings, losses)
    assert steps[1] == steps[2] == 61
    means = np.convolve(losses[0], np.ones(10) / 10, "valid")
    assert abs(steps[0] - (np.argmax(means < 1.0) + 10)) <= 1


def test_the_largest_rate_that_trains_and_the_steps_at_the_chosen_one():
    losses = np.array([[0.3, 0.2, np.inf], [0.3, 2.2, 2.3], [2.3, 2.3, np.inf]])
    search = Search(rate=1.0, rates=(0.1, 1.0, 10.0), scores=((-3.0,), (-2.0,), (-9.0,)), inside=True)
    swept = rates.Swept(losses, 10 * losses, search)
    np.testing.assert_array_equal(swept.largest_rate(), [1.0, 0.1, 0.1])
    np.testing.assert_array_equal(swept.fastest(), [2.0, 22.0, 23.0])


@pytest.mark.parametrize(
    "activation, kind", [(relu, "plain"), (sigmoid, "plain"), (relu, "normalised"), (sigmoid, "normalised")]
)
def test_the_forward_pass_is_the_network_of_its_arm(key, activation, kind):
    arm = network.arm(activation, 1.5, kind)
    params = network.init(arm, key, 12, 8, 3)
    x = jax.random.normal(key, (16, 12))
    h, seen = x, []
    for layer in [params["input"], *(jax.tree.map(lambda p, i=i: p[i], params["hidden"]) for i in range(3))]:
        seen.append(h)
        z = h @ layer["weight"] + layer["bias"]
        if kind == "normalised":
            z = (z - z.mean(0, keepdims=True)) / jnp.sqrt(z.var(0, keepdims=True) + 1e-5)
        h = activation(z)
    passed = network.forward(arm, params, x, None)
    np.testing.assert_allclose(passed.logits, h @ params["output"]["weight"] + params["output"]["bias"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(passed.inputs, np.stack(seen[1:]), rtol=1e-4, atol=1e-5)


def test_plain_sgd_is_what_the_training_does(key):
    data = images, labels = digits.load(0).train
    arm = network.arm(relu, 1.0, "normalised")

    def read(moment, _):
        return moment.passed.logits.sum(), moment.moved["output"]["bias"]

    frozen, moving = (
        training.train(arm, data, jnp.float32(rate), key, settings=SMALL, depth=2, read=read) for rate in (0.0, 0.1)
    )
    assert frozen.losses.shape == (20,) and frozen.readings[0].shape == (2,)
    key_params, key_batches, _ = jax.random.split(key, 3)
    indices = datasets.minibatch_indices(key_batches, len(labels), 16, 20)
    params = start = network.init(arm, key_params, 196, 8, 2)

    @jax.jit
    def step(params, chosen):
        batch = images[chosen], labels[chosen]
        loss, gradient = jax.value_and_grad(lambda p: network.loss(arm, p, batch, None)[0])(params)
        return loss, jax.tree.map(lambda p, g: p - 0.1 * g, params, gradient)

    expected, biases = [], []
    for chosen in indices:
        loss, params = step(params, chosen)
        expected.append(loss)
        biases.append(params["output"]["bias"])
    np.testing.assert_allclose(moving.losses, expected, rtol=1e-3)
    np.testing.assert_allclose(moving.readings[1], np.stack([biases[0], biases[10]]), rtol=1e-2, atol=1e-4)
    np.testing.assert_allclose(frozen.losses, [step(start, i)[0] for i in indices], rtol=1e-5)
    logits = network.forward(arm, start, images[indices[10]], None).logits
    np.testing.assert_allclose(frozen.readings[0][1], logits.sum(), rtol=1e-4)


def test_an_arm_at_another_rate_is_paired_with_itself(key, one_thread):
    """Runs of one key and rate are the same runs, however the rate was found."""
    data, arm = digits.load(0).train, network.arm(sigmoid, 1.0, "plain")
    options = {"seeds": 2, "read": saturation.read_saturation}
    found = training.train_arm(SMALL, arm, data, key, **options)
    again = training.train_arm(SMALL, arm, data, key, **options, rates=(found.rate,))
    np.testing.assert_array_equal(found.runs.losses, again.runs.losses)
    assert found.runs.losses.shape == (2, 20) and found.runs.readings.shape == (2, 2)
    assert (found.runs.losses[0] != found.runs.losses[1]).any()


def test_the_sweep_runs_every_seed_at_every_rate_and_chooses_on_the_tuning_seeds(key, one_thread):
    settings = Normalization.preset(
        "quick", train_steps=20, points=2, train_width=8, rate_depth=1, rate_grid=(1e-6, 0.3, 1e9), target_loss=2.2
    )
    swept = rates.sweep(settings, network.arm(relu, 2.0, "plain"), digits.load(0).train, key)
    assert swept.losses.shape == swept.steps.shape == (settings.train_seeds, 3)
    assert swept.search.rate == 0.3 and len(swept.search.scores[0]) == settings.tuning_seeds
    assert (swept.losses[:, 2] > 100).all() and (swept.steps[:, [0, 2]] == 20).all() and (swept.fastest() < 20).all()
    np.testing.assert_allclose(swept.losses[:, 0], np.log(10), rtol=0.5)  # untrained


def test_noise_has_the_moments_it_is_said_to_have(key):
    z = jnp.ones((20_000, 6))
    found = network.noise(key, z)
    # s + m per example and unit: variance 0.1² of s and 0.2²/12 of m about means that are drawn per unit.
    np.testing.assert_allclose(found.var(0), 0.1**2 + 0.2**2 / 12, rtol=0.05)
    assert (found.mean(0) > 0.49).all() and (found.mean(0) < 1.76).all() and found.mean(0).std() > 0.05
    assert jnp.abs(network.noise(jax.random.fold_in(key, 1), z).mean(0) - found.mean(0)).max() > 0.05


def test_the_running_variances_settle_at_their_limits(key):
    normalising, biased, unbiased = formula.running(2048, 8, 60, key)
    assert abs(np.mean(normalising) - 7 / 8) < 0.01 and abs(np.mean(biased[40:]) - 7 / 8) < 0.01
    assert abs(np.mean(unbiased[40:]) - 1) < 0.01
