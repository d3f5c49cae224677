"""The network whose choices are data against the library's own models; ranges, parameters and the adding problem."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.remedies import adaptive as remedies_adaptive
from experiments.remedies import clipping as remedies_clipping
from experiments.remedies import gains as remedies_gains
from experiments.remedies import measurement as remedies
from experiments.remedies import network
from experiments.remedies import training as remedies_training
from experiments.remedies.network import choice
from jaxnotes import datasets, meanfield, training
from jaxnotes.layers.activations import by_name, elu, relu, tanh
from jaxnotes.models.mlp import mlp_init
from jaxnotes.models.residual_network import residual_network

pytestmark = pytest.mark.usefixtures("standard_promotion")


@pytest.mark.parametrize("activation", network.ACTIVATIONS)
def test_the_residual_choice_is_the_residual_network(key, activation):
    params = mlp_init(key, 5, 8, 3, 4)
    x = jax.random.normal(key, (6, 5))
    chosen = choice(activation, 1.0, shortcut=True, branch_scale=0.5)
    expected = residual_network(params, x, activation=by_name(activation), branch_scale=0.5)
    np.testing.assert_allclose(jax.jit(network.classifier)(chosen, params, x), expected, rtol=1e-5, atol=1e-6)


def test_normalised_units_have_the_moments_asked_for(key):
    h = 3 + 2 * jax.random.normal(key, (64, 32))
    # The identity is not among the activations; leaky ReLU is undone exactly.
    for norm, axis in (("batch", 0), ("layer", 1)):
        units = network.units(choice("leaky_relu", 1.0, norm=norm), h)
        normalised = np.where(units > 0, units, units / 0.01)
        np.testing.assert_allclose(normalised.mean(axis), 0, atol=2e-5)
        np.testing.assert_allclose(normalised.var(axis), 1, rtol=1e-3)


def test_predicted_gains_are_the_known_ones():
    depth = 40
    gain = lambda *a, **k: network.predicted_gain(choice(*a, **k), depth)  # noqa: E731
    steps = np.diff(gain("relu", 2.0, norm="batch"))
    np.testing.assert_allclose(steps[1:], np.log(np.pi / (np.pi - 1)), rtol=1e-9)  # Yang et al. 2019
    np.testing.assert_allclose(np.diff(gain("relu", 7.0, norm="layer"))[1:], 0, atol=1e-9)
    np.testing.assert_allclose(gain("relu", 8.0, shortcut=True), np.log(5) * np.arange(depth + 1), rtol=1e-9)
    for name, shortcut in (("tanh", False), ("elu", True)):
        scale = 1.0 if shortcut else None
        expected = meanfield.log_gradient_gain(by_name(name), 1.0, 1.5, 0.0, depth, branch_scale=scale)
        np.testing.assert_allclose(gain(name, 1.5, shortcut=shortcut), expected, rtol=1e-9)
    beyond = network.predicted_gain(choice("elu", 8.0, shortcut=True), 80)  # a variance of 5^80, beyond the quadrature
    np.testing.assert_allclose(np.diff(beyond)[-1], np.log(5), rtol=1e-6)
    with pytest.raises(ValueError, match="too large"):
        meanfield.log_gradient_gain(elu, 1.0, 8.0, 0.0, 80, branch_scale=1.0)


def test_measured_gains_agree_with_the_prediction(key):
    choices = [choice("tanh", 1.5), choice("relu", 8.0, norm="layer"), choice("relu", 0.5, shortcut=True)]
    keys = jax.random.split(key, 6)
    logs = remedies_gains.log_gradients(keys, network.stacked(choices), width=96, depth=12, batch=32)
    slopes = remedies_gains.slopes(np.asarray(logs))
    for chosen, found in zip(choices, slopes, strict=True):
        margin = 4 * found.std(ddof=1) / np.sqrt(len(found)) + 2 / 96  # the correction of finite width is of order 1/width
        assert abs(found.mean() - remedies_gains.predicted_slope(chosen, 12)) < margin


def test_the_adding_problem_asks_for_the_sum_of_the_marked_numbers(key):
    x, answers = remedies_clipping.adding_problem(key, 2000, 10)
    marks = np.asarray(x[..., 1])
    np.testing.assert_array_equal(marks[:, :5].sum(1), 1)
    np.testing.assert_array_equal(marks[:, 5:].sum(1), 1)
    np.testing.assert_allclose(answers, (x[..., 0] * marks).sum(1), rtol=1e-6)
    assert abs(np.var(answers) - remedies_clipping.CHANCE) < 0.02


def test_the_recurrent_loss_is_the_loop(key):
    params = remedies_clipping.network_init(key, 6, jnp.asarray(2.0))
    weight = params["recurrent"]["recurrent"]["weight"]
    np.testing.assert_allclose(weight @ weight.T, 4 * np.eye(6), atol=1e-5)
    x, answers = remedies_clipping.adding_problem(key, 3, 7)
    h = np.zeros((3, 6))
    for t in range(7):
        h = np.tanh(x[:, t] @ params["recurrent"]["input"]["weight"] + h @ weight)
    expected = np.mean(((h @ params["output"]["weight"])[:, 0] - answers) ** 2)
    np.testing.assert_allclose(remedies_clipping.loss(params, (x, answers)), expected, rtol=1e-5)


def test_the_trained_range_is_the_unbroken_one_around_scale_one():
    exponents = np.arange(-3, 4)
    losses = np.asarray([1.0, 2.0, 1.05, 1.0, 1.0, np.inf, 1.0])
    assert remedies_adaptive.trained_range(losses, exponents) == (-1, 1)
    assert remedies_adaptive.trained_range(np.ones(7), exponents) == (-3, 3)


def test_equal_parameters_counts_what_the_model_has(key):
    width = remedies.equal_parameters(12, 10, 16, 9, 2)
    count = lambda w, depth: sum(leaf.size for leaf in jax.tree.leaves(mlp_init(key, 12, w, depth, 10)))  # noqa: E731
    assert remedies.parameters(12, 10, 16, 9) == count(16, 9)
    distance = [abs(count(w, 2) - count(16, 9)) for w in (width - 1, width, width + 1)]
    assert distance[1] == min(distance)


def test_the_phase_diagram_changes_sign_at_the_critical_line(key):
    settings = remedies.Remedies.preset("quick", phase_points=4, width=96, phase_depth=20)
    found = remedies_gains.phase_diagram(settings, key)
    for row, bias in enumerate(found["phase-biases"]):
        critical = meanfield.critical_weight_variance(tanh, bias)
        for column, variance in enumerate(found["phase-weights"]):
            if abs(variance - critical) > 0.5:
                assert (found["phase-slopes"][row, column] > 0) == (variance > critical)


def test_the_spread_of_he_networks_follows_depth_over_width(key):
    settings = remedies.Remedies.preset("quick", spread_groups=6, spread_networks=48)
    measured, _ = remedies_gains._spread(settings, "narrow", 32, key)
    assert measured.prediction == pytest.approx(5 / 4 * 20 / 32, rel=1e-9)  # Hanin and Nica 2020
    assert measured.low < measured.prediction < measured.high
    assert meanfield.log_norm_variance(relu, 2.0, 0.0, 20, 32) / 4 == pytest.approx(measured.prediction)


def test_a_run_starts_from_the_weights_that_its_choice_scales(key):
    """The loss before the first step, of the residual network with these weights, and a start of its own for each key."""
    of_images, of_labels, of_starts = jax.random.split(key, 3)
    images, labels = jax.random.normal(of_images, (12, 5)), jax.random.randint(of_labels, (12,), 0, 4)
    data = datasets.Dataset(images, labels, images, labels)
    init = lambda keys: network.classifier_draws(keys, n_in=5, width=8, depth=3, n_out=4)  # noqa: E731
    keys = jax.random.split(of_starts)
    starts = remedies_training.starts(init, keys, 12, 6, 10)
    for run_key, (drawn, indices) in zip(keys, starts, strict=True):
        of_params, of_batches = jax.random.split(run_key)
        np.testing.assert_array_equal(indices, datasets.minibatch_indices(of_batches, 12, 6, 10))
        jax.tree.map(np.testing.assert_array_equal, drawn, jax.tree.map(lambda p: np.asarray(p)[0], init(of_params[None])))
        chosen = choice("relu", 8.0, shortcut=True, branch_scale=0.5)
        _, losses = remedies_training.run(chosen, jnp.float32(1e-3), drawn, indices, data)
        large = jax.tree.map(jnp.asarray, drawn)
        large["hidden"]["weight"] *= 8.0**0.5
        logits = residual_network(large, images[indices[0]], activation=relu, branch_scale=0.5)
        np.testing.assert_allclose(losses[0], training.cross_entropy(logits, labels[indices[0]]), rtol=1e-5)
