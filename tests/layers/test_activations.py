"""Activations against SciPy and mpmath in value and derivative, at ordinary and extreme inputs."""

import chex
import flax.linen as nn
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from jaxnotes.layers import activations
from jaxnotes.layers.activations import ACTIVATIONS, by_name, derivative, saturated_fraction

SQRT_2, SQRT_PI = np.sqrt(2), np.sqrt(np.pi)


def normal_density(x):
    return np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


# Values and derivatives in float64 from SciPy's special functions, none of which this library uses.
REFERENCES = {
    "sigmoid": (special.expit, lambda x: special.expit(x) * special.expit(-x)),
    "tanh": (np.tanh, lambda x: 1 / np.cosh(x) ** 2),
    "relu": (lambda x: np.maximum(x, 0), lambda x: (x > 0) * 1.0),
    "leaky_relu": (lambda x: np.where(x >= 0, x, 0.01 * x), lambda x: np.where(x >= 0, 1, 0.01)),
    "elu": (lambda x: np.where(x > 0, x, special.expm1(np.minimum(x, 0))), lambda x: np.exp(np.minimum(x, 0))),
    "gelu": (lambda x: x * special.ndtr(x), lambda x: special.ndtr(x) + x * normal_density(x)),
    "silu": (lambda x: x * special.expit(x), lambda x: special.expit(x) * (1 + x * special.expit(-x))),
    "softplus": (lambda x: np.logaddexp(0, x), special.expit),
    "identity": (lambda x: x, np.ones_like),
    "erf": (special.erf, lambda x: 2 / SQRT_PI * np.exp(-(x**2))),
}
GRID = np.concatenate([np.linspace(-30, 30, 601), [-700.0, -100.0, -1e-9, 1e-9, 100.0, 700.0]])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_value_and_derivative_equal_scipys_in_float64(name):
    value, slope = REFERENCES[name]
    with jax.enable_x64(True), np.errstate(all="ignore"):
        x = jnp.asarray(GRID)
        np.testing.assert_allclose(ACTIVATIONS[name](x), value(GRID), rtol=2e-14, atol=1e-300)
        np.testing.assert_allclose(derivative(ACTIVATIONS[name])(x), slope(GRID), rtol=1e-13, atol=1e-300)


@pytest.mark.parametrize("name", sorted(set(ACTIVATIONS) - {"identity", "erf"}))
def test_forward_and_gradient_equal_flax(name):
    of_flax = {"gelu": lambda x: nn.gelu(x, approximate=False)}.get(name) or getattr(nn, name)
    x = jnp.linspace(-6.0, 6.0, 101)
    np.testing.assert_allclose(ACTIVATIONS[name](x), of_flax(x), rtol=3e-6, atol=3e-7)
    np.testing.assert_allclose(derivative(ACTIVATIONS[name])(x), derivative(of_flax)(x), rtol=3e-6, atol=1e-6)


@pytest.mark.parametrize("x", [-80.0, -30.0, 17.5, 50.0, 80.0])
def test_derivatives_keep_their_digits_in_float32_where_the_formula_cancels(x):
    with mpmath.workdps(60):
        s = 1 / (1 + mpmath.exp(-mpmath.mpf(x)))
        of_sigmoid, of_tanh = float(s * (1 - s)), float(mpmath.sech(mpmath.mpf(x) / 2) ** 2)
    np.testing.assert_allclose(jax.grad(activations.sigmoid)(jnp.float32(x)), of_sigmoid, rtol=1e-5)
    np.testing.assert_allclose(jax.grad(activations.tanh)(jnp.float32(x / 2)), of_tanh, rtol=1e-5)


# Limits at -∞ and ∞: of the value, then of the derivative. The second derivative's are all 0.
LIMITS = {
    "sigmoid": (0, 1, 0, 0),
    "tanh": (-1, 1, 0, 0),
    "relu": (0, np.inf, 0, 1),
    "leaky_relu": (-np.inf, np.inf, 0.01, 1),
    "elu": (-1, np.inf, 0, 1),
    "gelu": (0, np.inf, 0, 1),
    "silu": (0, np.inf, 0, 1),
    "softplus": (0, np.inf, 0, 1),
    "identity": (-np.inf, np.inf, 1, 1),
    "erf": (-1, 1, 0, 0),
}


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_limits_at_infinity_in_every_type(name, dtype):
    function, limits = ACTIVATIONS[name], np.asarray(LIMITS[name])
    slope_of = derivative(function)
    second_backward = jax.grad(lambda x: jnp.sum(slope_of(x)))
    with jax.enable_x64(True):
        largest = float(jnp.finfo(dtype).max)
        x = jnp.asarray([-jnp.inf, jnp.inf, -largest, largest], dtype)
        everything = jax.jit(lambda x: (function(x), *(d(x) for d in (slope_of, derivative(slope_of), second_backward))))
        value, slope, second, backward = everything(x)
        assert value.dtype == slope.dtype == jnp.dtype(dtype)
        as_float64 = lambda array: np.asarray(array, np.float64)
        np.testing.assert_allclose(as_float64(value[:2]), limits[:2], rtol=0)
        assert not np.isnan(as_float64(value)).any()
        np.testing.assert_allclose(as_float64(slope), np.tile(limits[2:], 2), rtol=float(jnp.finfo(dtype).eps))
        np.testing.assert_array_equal(as_float64(second), 0)
        np.testing.assert_array_equal(as_float64(backward), 0)
        assert np.isnan(as_float64(function(jnp.asarray(jnp.nan, dtype))))


@pytest.mark.parametrize("name", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_keeps_its_digits(name, dtype):
    value, slope = REFERENCES[name]
    x = jnp.asarray(np.linspace(-9, 9, 181), dtype)
    exact = np.asarray(x, np.float64)
    eps, tiny = float(jnp.finfo(dtype).eps), float(jnp.finfo(dtype).tiny)
    near_root = eps if name == "silu" else tiny  # SiLU's slope is a difference that crosses 0 at -1.28
    np.testing.assert_allclose(np.asarray(ACTIVATIONS[name](x), np.float64), value(exact), rtol=2 * eps, atol=tiny)
    np.testing.assert_allclose(
        np.asarray(derivative(ACTIVATIONS[name])(x), np.float64), slope(exact), rtol=3 * eps, atol=near_root
    )


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_gradient_through_a_scan_is_the_chain_rule(name):
    function, x = ACTIVATIONS[name], 0.4
    value, slope = REFERENCES[name]
    repeated = lambda x: jax.lax.scan(lambda h, _: (function(h), None), x, length=3)[0]
    first, second = value(x), value(value(x))
    expected = slope(np.float64(x)) * slope(np.float64(first)) * slope(np.float64(second))
    np.testing.assert_allclose(jax.jit(jax.grad(repeated))(jnp.float32(x)), expected, rtol=1e-5)


def test_relus_slope_at_zero_is_zero():
    assert jax.grad(activations.relu)(jnp.float32(0)) == 0.0 and jax.grad(activations.leaky_relu)(jnp.float32(0)) == 1.0


@settings(deadline=None, derandomize=True, max_examples=60)
@given(st.floats(-50, 50, width=32))
def test_identities_hold_at_any_input(x):
    value = x
    x = jnp.float32(x)
    s = float(activations.sigmoid(x))
    assert abs(s + float(activations.sigmoid(-x)) - 1) < 1e-6
    assert abs(float(activations.softplus(x)) - float(activations.softplus(-x)) - value) < 1e-5 * max(1, abs(value))
    assert abs(float(activations.tanh(x)) - (2 * float(activations.sigmoid(2 * x)) - 1)) < 1e-6


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_second_derivative_agrees_with_finite_differences(name):
    with jax.enable_x64(True):
        x, step = jnp.asarray([-3.0, -0.7, 0.4, 2.0]), 1e-6
        slope = derivative(ACTIVATIONS[name])
        np.testing.assert_allclose(derivative(slope)(x), (slope(x + step) - slope(x - step)) / (2 * step), atol=1e-8)


class Variants(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_jit_vmap_and_scalars_agree(self):
        x = jnp.linspace(-3, 3, 7)
        for function in ACTIVATIONS.values():
            expected = function(x)
            np.testing.assert_allclose(self.variant(function)(x), expected, rtol=1e-6)
            np.testing.assert_allclose(self.variant(jax.vmap(function))(x), expected, rtol=1e-6)
            np.testing.assert_allclose(self.variant(function)(x[2]), expected[2], rtol=1e-6)


def test_saturated_fraction_counts_units_below_the_threshold():
    # The largest σ' is 1/4, and σ(x) σ(-x) = 1 / (2 + 2 cosh x) is 0.05 of that at |x| = 4.357.
    edge = np.arccosh(1 / (2 * 0.0125) - 1)
    x = jnp.asarray([0.0, edge - 0.01, edge + 0.01, -edge - 0.01])
    assert saturated_fraction(activations.sigmoid, x) == 0.5
    assert saturated_fraction(activations.relu, jnp.asarray([-1.0, 2.0, 3.0, 4.0])) == 0.25
    assert saturated_fraction(activations.identity, x) == 0.0
    assert saturated_fraction(activations.sigmoid, jnp.zeros((0,))) == 0.0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_saturated_fraction_counts_more_units_than_half_precision_can(dtype):
    x = jnp.repeat(jnp.asarray([-1.0, 1.0], dtype), 70_000)
    fraction = saturated_fraction(activations.relu, x)
    assert fraction == 0.5 and fraction.dtype == jnp.dtype(dtype)


@pytest.mark.parametrize("threshold", [0.0, 1.0, -0.1, float("nan")])
def test_a_threshold_that_is_no_share_is_refused(threshold):
    with pytest.raises(ValueError, match="threshold is .* must lie between 0 and 1"):
        saturated_fraction(activations.sigmoid, jnp.zeros(3), threshold)


def test_an_unknown_name_lists_the_choices():
    with pytest.raises(ValueError, match="unknown activation 'rellu'; choose one of sigmoid, tanh, relu"):
        by_name("rellu")
