"""Random stacks of the topic causes, against NumPy, each activation by itself, and mean-field theory."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from experiments.causes import gradients, measurement, stacks, updates
from experiments.causes.settings import Causes
from experiments.causes.stacks import Arm
from experiments.study import profiles
from jaxnotes import meanfield
from jaxnotes.layers.activations import relu, sigmoid, tanh
from jaxnotes.models.mlp import hidden_layer

pytestmark = pytest.mark.usefixtures("standard_promotion")

TINY = Causes.preset("quick", width=6, depth=10, batch=2, seeds=2, forward_seeds=2)
SMALL = Causes.preset("quick", width=64, depth=30, seeds=6, batch=2)
BY_SCIPY = {relu: lambda z: np.maximum(z, 0), tanh: np.tanh, sigmoid: special.expit}
SLOPES = {relu: lambda z: z > 0, tanh: lambda z: 1 - np.tanh(z) ** 2, sigmoid: lambda z: special.expit(z) * special.expit(-z)}


def by_chain_rule(params, x, gradient, activation):
    """The gradient at each layer's input and at the output, [depth + 1, batch, width], in NumPy and float64."""
    weights, biases, h, gradient = (np.asarray(a, np.float64) for a in (params["weight"], params["bias"], x, gradient))
    sums = []
    for weight, bias in zip(weights, biases, strict=True):
        sums.append(h @ weight + bias)
        h = BY_SCIPY[activation](sums[-1])
    found = [gradient]
    for weight, z in zip(weights[::-1], sums[::-1], strict=True):
        found.append((found[-1] * SLOPES[activation](z)) @ weight.T)
    return np.stack(found[::-1])


@pytest.mark.parametrize("activation", stacks.ACTIVATIONS)
def test_gradients_are_those_of_the_activation_by_itself(key, activation):
    """One compiled program for all activations gives the norm at each layer, root mean square over examples."""
    numbers, shape = Arm(activation, 1.5, 0.1).numbers, (10, 2, 6)
    found = gradients.log_gradients(key[None], numbers, shape=shape)[0]
    expected = by_chain_rule(*gradients.drawn(key, numbers, shape, jnp.float32), activation)
    np.testing.assert_allclose(found, np.log(np.sqrt((expected**2).sum(-1).mean(-1))), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("activation", stacks.ACTIVATIONS)
def test_forward_statistics_are_those_of_the_activation_by_itself(key, activation):
    found = stacks.forward(TINY, key, Arm(activation, 2.0))  # weights drawn in float32, which compiled differ by a rounding
    key_params, key_input = jax.random.split(jax.random.split(key, 2)[0])
    with jax.enable_x64(True):
        params = stacks.random_stack(key_params, TINY.depth, TINY.width, 2.0, 0.0, jnp.float64)
        h = np.asarray(jax.random.normal(key_input, (2, TINY.width), jnp.float64))
    largest = {relu: 1.0, tanh: 1.0, sigmoid: 0.25}[activation]
    for layer, weight in enumerate(np.asarray(params["weight"])):
        z = h @ weight
        h = BY_SCIPY[activation](z)
        np.testing.assert_allclose(found["rms"][0, layer], 0.5 * np.log(np.mean(h**2)), atol=1e-6)
        np.testing.assert_allclose(found["distance"][0, layer], 0.5 * np.log(np.mean((h[0] - h[1]) ** 2)), atol=1e-6)
        np.testing.assert_allclose(found["saturated"][0, layer], np.mean(SLOPES[activation](z) < 0.05 * largest), atol=1e-12)


def test_layer_gradients_are_those_of_the_chain_rule(key):
    drawn = gradients.drawn(key, Arm(tanh, 1.5, 0.1).numbers, (3, 2, 5), jnp.float32)
    found = gradients.layer_gradients(hidden_layer(tanh), *drawn)
    np.testing.assert_allclose(found, by_chain_rule(*drawn, tanh)[:-1], rtol=2e-5, atol=1e-7)


def test_a_random_stack_has_the_variances_asked_for(key):
    params = stacks.random_stack(key, 20, 50, 2.5, 0.3)
    assert abs(params["weight"].var() * 50 / 2.5 - 1) < 5 * np.sqrt(2 / 50_000)
    assert abs(params["bias"].var() / 0.3 - 1) < 5 * np.sqrt(2 / 1000)


def test_the_input_is_past_the_transient(key):
    """After a layer the pre-activations of a wide stack still have the variance of the fixed point."""
    arm = Arm(tanh, 2.0, 0.1)
    params, x = stacks.draw(key, arm.numbers, (1, 4, 1000))
    z = np.asarray(x @ params["weight"][0] + params["bias"][0])
    assert z.var() == pytest.approx(arm.q, rel=5 * np.sqrt(2 / 1000))


def test_slopes_of_a_line():
    line = np.outer([1.0, 2.0], np.arange(11.0))
    np.testing.assert_allclose(stacks.forward_slope(line), [1, 2])
    np.testing.assert_allclose(profiles.slope(-line), [1, 2])


@pytest.mark.parametrize("weight_variance", (1.0, 2.0, 4.0))
def test_the_slope_of_relu_is_that_of_he(weight_variance):
    assert Arm(relu, weight_variance).predicted_slope == pytest.approx(0.5 * np.log(weight_variance / 2), abs=1e-12)


def test_measured_slopes_agree_with_mean_field_theory(key):
    (evidence,) = measurement.vanish(SMALL, key).values()
    for measured in evidence.measurements:
        if measured.prediction is not None:
            # At width 64 the finite-width correction to a slope is of the order of 1/64.
            assert abs(measured.value - measured.prediction) < 0.05, measured


def test_product_of_jacobians_is_the_gradient_to_rounding(key):
    evidence = measurement.product(SMALL, key)["causes.product"]
    assert evidence["error-float64"].high < 1e-13 < 1e-8 < evidence["error-float32"].low < 1e-4


def test_float32_overflows_where_its_largest_number_is_passed(key):
    """Of the float64 gradient of the same stack; a power of two over, an entry may hold out a layer longer than the norm."""
    shape, numbers = (260, 2, 64), measurement.OVERFLOW.numbers
    passed = int(gradients.finite_layers(key[None], numbers, shape=shape)[0])
    logs = np.asarray(gradients.log_gradients(key[None], numbers, shape=shape))[0][::-1]  # from the output on, in nats
    beyond = int(np.argmax(logs > 128 * np.log(2)))
    assert abs(passed - beyond) <= 5


def test_the_largest_entry_is_that_of_monte_carlo():
    samples = np.abs(np.random.default_rng(0).standard_normal((2000, 500))).max(1)
    error = samples.std() / np.sqrt(len(samples))
    assert measurement.largest_entry(500) == pytest.approx(samples.mean(), abs=4 * error)
    assert measurement.largest_entry(1) == pytest.approx(np.sqrt(2 / np.pi))


def test_the_slope_of_a_typical_relu_gradient_at_finite_width_is_that_of_monte_carlo():
    rng, width, layers = np.random.default_rng(1), 8, 40_000
    gradient, total = np.ones(width), []
    for _ in range(layers):  # the units are active independently of the gradient with probability ½
        passed = rng.standard_normal((width, width)) @ (gradient * (rng.random(width) < 0.5)) * np.sqrt(3.0 / width)
        norm = np.linalg.norm(passed)
        if norm == 0:  # all units off
            continue
        total.append(np.log(norm / np.linalg.norm(gradient)))
        gradient = passed / norm
    error = np.std(total) / np.sqrt(layers)
    # The next order, of 1/n², is not in the law; at width 8 it is below a fifth of the first.
    assert np.mean(total) == pytest.approx(Arm(relu, 3.0).relu_slope(width), abs=4 * error + 0.2 * 1.25 / width)


def test_powers_of_a_symmetric_matrix_grow_by_catalan_numbers(key):
    found = gradients.tied_growth(jax.random.split(key, 8), steps=4, width=256)
    np.testing.assert_allclose(found["symmetric"].mean(), 0.5 * np.log(14) / 4, atol=0.01)  # the fourth Catalan number is 14
    np.testing.assert_allclose(found["free"].mean(), 0.0, atol=0.01)


@pytest.mark.parametrize("chi", [0.8, 1.2])
@pytest.mark.parametrize("activation", [relu, tanh])
def test_weights_are_found_at_which_chi_has_a_value(activation, chi):
    variance = measurement._weight_variance(activation, chi)
    assert meanfield.chi(activation, variance, 0.0) == pytest.approx(chi, abs=1e-6)


def test_the_first_updates_are_those_of_optax_by_hand(key):
    """SGD's is the rate times the gradient; Adam's first is the rate at every weight."""
    size = dataclasses.replace(TINY, width=24)
    found = updates.first_updates(key[None], Arm(tanh, 1.5), size)
    assert found["sgd"].shape == (1, updates.UPDATES, TINY.depth)
    key_stack, _ = jax.random.split(key)
    params, _ = stacks.draw(key_stack, Arm(tanh, 1.5).numbers, (size.depth, 4 * size.batch, size.width // 2))
    weights = np.linalg.norm(np.asarray(params["weight"]), axis=(1, 2))
    expected = np.log10(1e-3 * (size.width // 2) / weights)  # n² weights, each changed by 1e-3
    np.testing.assert_allclose(found["adam"][0, 0, :-1], expected[:-1], atol=1e-3)  # the last has units of no class


def test_the_layers_to_overflow_are_those_of_an_independent_computation():
    """A reviewer's own quadrature and largest entry of 0.2225, for 8 examples of width 256."""
    assert measurement.predicted_overflow(Causes()) == pytest.approx(208.43, abs=0.06)
