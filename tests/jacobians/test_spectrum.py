"""Singular values in the log domain: against mpmath with 500 digits, closed forms, NumPy's SVD, and the reported error."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from jaxnotes import jacobians

DECADE = np.log(10)


def tanh_layer(weight, h):
    return jnp.tanh(h @ weight)


def residual_layer(weight, h):
    return h + jnp.tanh(h @ weight) / 10


def linear_layer(weight, h):
    return h @ weight


def weights(depth, width, variance=1.0, seed=0):
    return jax.random.normal(jax.random.key(seed), (depth, width, width)) * np.sqrt(variance / width)


def inputs(batch, width, seed=1):
    return jax.random.normal(jax.random.key(seed), (batch, width))


def by_mpmath(factors):
    """Natural logs of the singular values of factors[-1] … factors[0], from 500 digits, descending."""
    with mpmath.workdps(500):
        product = mpmath.matrix(factors[0].tolist())
        for factor in factors[1:]:
            product = mpmath.matrix(factor.tolist()) * product
        values = mpmath.svd_r(product, compute_uv=False)
        return np.array(sorted((float(mpmath.log(value)) for value in values), reverse=True))


def tanh_factors(weight, x):
    """J_l = diag(1 - tanh²) W^T along the float64 trajectory of one example, by NumPy."""
    h, factors = np.asarray(x, float), []
    for w in np.asarray(weight, float):
        h = np.tanh(h @ w)
        factors.append((1 - h**2)[:, None] * w.T)
    return factors


@pytest.fixture(scope="module")
def deep():
    """A tanh stack of depth 200 and its spectrum from 10^-3 down to beyond 10^-90, by mpmath."""
    weight, x = weights(200, 12), inputs(2, 12)
    return weight, x, np.stack([by_mpmath(tanh_factors(weight, row)) for row in x])


def test_whole_spectrum_at_depth_200_in_float64(deep):
    weight, x, expected = deep
    assert expected[0, -1] < -90 * DECADE
    found = jacobians.log_singular_values_with_error(tanh_layer, weight, x, dtype=jnp.float64)
    np.testing.assert_allclose(found.values, expected, rtol=0, atol=1e-10 * DECADE)
    assert found.values.dtype == np.float64 and found.converged.all()
    assert jnp.zeros(1).dtype == jnp.float32  # the process was not switched
    assert (np.abs(found.values - expected) <= 20 * found.error).all()


def test_whole_spectrum_at_depth_200_in_float32(deep):
    weight, x, expected = deep
    values = jacobians.log_singular_values(tanh_layer, weight, x)
    assert values.dtype == jnp.float32
    np.testing.assert_allclose(values, expected, rtol=0, atol=1e-3 * DECADE)


@pytest.mark.parametrize(("f", "depth"), [(linear_layer, 1), (linear_layer, 12), (residual_layer, 12)])
def test_small_gaps_of_shallow_nets(f, depth):
    """Where the spread allows it NumPy's SVD of the float64 product serves as the reference."""
    weight, x = weights(depth, 9, seed=3), inputs(2, 9)
    with jax.enable_x64(True):
        product = np.asarray(jacobians.end_to_end(f, weight.astype(jnp.float64), x.astype(jnp.float64))[0])
    expected = np.log(np.linalg.svd(product, compute_uv=False))
    found = jacobians.log_singular_values_with_error(f, weight, x, dtype=jnp.float64)
    spread = np.exp(expected[:, :1] - expected)  # NumPy's own error is eps times this
    assert (np.abs(found.values - expected) < 1e-13 + 1e-14 * spread).all()
    assert found.converged.all()


@pytest.mark.parametrize("gain", [1e-30, 1.0, 1e30])
def test_orthogonal_layers_of_any_gain(gain):
    orthogonal = jnp.linalg.qr(weights(50, 6))[0]
    values = jacobians.log_singular_values(linear_layer, jnp.float32(gain) * orthogonal, jnp.zeros((2, 6)))
    expected = 50 * np.log(float(np.float32(gain)))
    np.testing.assert_allclose(values, np.full((2, 6), expected), atol=2e-4, rtol=2e-7)


def test_repeated_and_known_values_at_depth_10_000():
    """Q_{l+1} D Q_l^T: exact singular values D^10000, two of them equal, the others 10^-1500 to 10^1500 apart."""
    depth, gains = 10_000, np.array([1.4, 1.1, 1.1, 1.0, 0.9, 0.5])
    with jax.enable_x64(True):
        basis = jnp.linalg.qr(jax.random.normal(jax.random.key(2), (depth + 1, 6, 6), jnp.float64))[0]
        weight = basis[:-1] @ jnp.diag(jnp.asarray(gains))[None] @ jnp.swapaxes(basis[1:], 1, 2)
        values = jacobians.log_singular_values(linear_layer, weight, jnp.zeros((1, 6), jnp.float64))
        np.testing.assert_allclose(values[0], depth * np.log(gains), atol=1e-9)


def test_saturated_units_keep_their_accuracy():
    """Rows scaled down to 1e-12 (as saturated units do): normwise rounding would lose them."""
    with jax.enable_x64(True):
        weight = np.array(weights(20, 6, seed=4), float)
        weight[::2] *= 10.0 ** -np.arange(0, 12, 2)
        expected = by_mpmath(list(np.swapaxes(weight, 1, 2)))
        x = jnp.zeros((1, 6), jnp.float64)
        found = jacobians.log_singular_values_with_error(linear_layer, jnp.asarray(weight), x)
        np.testing.assert_allclose(found.values[0], expected, atol=1e-11)
        assert found.converged.all()


def test_error_estimate_covers_the_error_of_float32():
    """Against float64 on the same linear layers: at least 95% of errors within 3 estimates, all within 20."""
    weight, x = weights(150, 24, seed=7), jnp.zeros((1, 24))
    exact = jacobians.log_singular_values(linear_layer, weight, x, dtype=jnp.float64)
    found = jacobians.log_singular_values_with_error(linear_layer, weight, x)
    ratio = np.abs(np.asarray(found.values, float) - exact) / np.asarray(found.error)
    assert np.mean(ratio < 3) >= 0.95 and ratio.max() < 20
