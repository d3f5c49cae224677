"""Variance and correlation maps against closed forms, SciPy's adaptive quadrature and finite networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from scipy.special import erf as scipy_erf
from scipy.special import owens_t

from jaxnotes import meanfield
from jaxnotes.layers.activations import ACTIVATIONS, elu, erf, identity, leaky_relu, relu, tanh
from jaxnotes.meanfield._partition import partition

CORRELATIONS = (-1.0, -1 + 1e-9, -0.99, -0.5, 0.0, 1e-9, 0.3, 0.9, 0.999, 1 - 1e-8, 1.0)
VARIANCES = (1e-8, 0.3, 1.0, 1e4)


def hard_tanh(x):
    return jnp.clip(x, -1, 1)


def step(x):
    return jnp.where(x > 0.3, 1, 0)


def shifted_elu(x):
    return jnp.where(x > 0.317, x - 0.317, 2 * jnp.expm1(jnp.minimum(x - 0.317, 0)))


def arc_cosine(c):
    """ReLU's correlation map (Cho and Saul 2009)."""
    return (np.sqrt(1 - c * c) + c * (np.pi - np.arccos(c))) / np.pi


def both_above(a, b, c):
    """P(u > a, v > b) for standard normal u, v of correlation c (Owen 1956)."""
    if abs(c) == 1:
        return stats.norm.sf(max(a, b)) if c > 0 else max(0.0, stats.norm.sf(a) - stats.norm.cdf(b))
    slack = np.sqrt((1 - c) * (1 + c))
    below = (stats.norm.cdf(a) + stats.norm.cdf(b)) / 2 - (0.5 if a * b < 0 or (a * b == 0 and a + b < 0) else 0)
    # T(h, (b/a - c)/slack) with the limits at 0 written out.
    below -= owens_t(a, (b - c * a) / (a * slack)) + owens_t(b, (a - c * b) / (b * slack))
    return 1 - stats.norm.cdf(a) - stats.norm.cdf(b) + below


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
@pytest.mark.parametrize("q", (0.01, 1.0, 30.0))
def test_variance_map_and_chi_are_scipys_integrals(name, q):
    activation = ACTIVATIONS[name]
    with jax.enable_x64(True):
        value = jax.jit(activation)
        slope = jax.jit(jax.grad(activation))

        def mean(f):
            def density(x):
                return float(f(jnp.float64(x))) ** 2 * stats.norm.pdf(x, scale=np.sqrt(q))

            ends = 12 * np.sqrt(q)
            sides = [(-ends, -3.0), (-3.0, 0.0), (0.0, 3.0), (3.0, ends)] if ends > 3 else [(-ends, 0.0), (0.0, ends)]
            return sum(integrate.quad(density, *side, epsabs=1e-12, epsrel=1e-12, limit=200)[0] for side in sides)

        expected = 1.7 * mean(value) + 0.2, 1.7 * mean(slope)
    assert meanfield.variance_map(activation, q, 1.7, 0.2) == pytest.approx(expected[0], rel=1e-10)
    assert meanfield.chi(activation, 1.7, 0.2, q) == pytest.approx(expected[1], rel=1e-10)


def test_kinks_and_jumps_are_found_wherever_they_are():
    for q in (0.05, 1.0, 400.0):
        s = np.sqrt(q)
        inside = scipy_erf(1 / (s * np.sqrt(2)))
        clipped = q * (inside - 2 / s * stats.norm.pdf(1 / s)) + 1 - inside
        assert meanfield.variance_map(hard_tanh, q, 1.0, 0.0) == pytest.approx(clipped, rel=1e-12)
        assert meanfield.chi(hard_tanh, 1.0, 0.0, q) == pytest.approx(inside, rel=1e-12)
        assert meanfield.variance_map(step, q, 1.0, 0.0) == pytest.approx(stats.norm.sf(0.3 / s), rel=1e-11)

    def density(x, q):
        return (x - 0.317 if x > 0.317 else 2 * np.expm1(x - 0.317)) ** 2 * stats.norm.pdf(x, scale=np.sqrt(q))

    expected = sum(integrate.quad(density, *side, args=(1.0,), epsabs=1e-13)[0] for side in ((-12, 0.317), (0.317, 12)))
    assert meanfield.variance_map(shifted_elu, 1.0, 1.0, 0.0) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("activation, kinks", ((hard_tanh, (-1, 1)), (step, (0.3,)), (shifted_elu, (0.317,)), (tanh, ())))
def test_a_kink_costs_one_edge(activation, kinks):
    found = partition(activation, 16.0)
    np.testing.assert_allclose(found.kinks, kinks, rtol=0, atol=1e-13)
    assert found.edges.size < 20


def test_many_sharp_and_weak_singularities():
    levels = np.arange(0.5, 9)  # E round(z)² = Σ (2k - 1) P(|z| > k - 1/2)
    assert meanfield.variance_map(jnp.round, 1.0, 1.0, 0.0) == pytest.approx(
        np.sum(2 * levels * 2 * stats.norm.sf(levels)), rel=1e-12
    )
    root = lambda x: jnp.sign(x) * jnp.sqrt(jnp.abs(x))
    assert meanfield.variance_map(root, 1.0, 1.0, 0.0) == pytest.approx(np.sqrt(2 / np.pi), rel=1e-11)  # E |z|
    sharp = lambda x: jax.lax.erf(1e4 * x)
    assert meanfield.variance_map(sharp, 1.0, 1.0, 0.0) == pytest.approx(2 / np.pi * np.arcsin(2e8 / (1 + 2e8)), rel=1e-11)
    slope = 4e8 / np.pi / np.sqrt(1 + 4e8)  # E erf'(√q z)² = 4/π a² / √(1 + 4 a² q)
    assert meanfield.chi(sharp, 1.0, 0.0, 1.0) == pytest.approx(slope, rel=1e-11)


@pytest.mark.parametrize("q", VARIANCES)
def test_relu_correlations_are_the_arc_cosine_kernel(q):
    c = np.array(CORRELATIONS)
    np.testing.assert_allclose(meanfield.correlation_map(relu, c, q, 2.0, 0.0), arc_cosine(c), rtol=0, atol=1e-12)
    slopes = 1 - np.arccos(c) / np.pi
    np.testing.assert_allclose(meanfield.correlation_map_slope(relu, c, q, 2.0, 0.0), slopes, rtol=0, atol=1e-12)


def test_relu_correlation_of_the_literature():
    assert meanfield.correlation_map(relu, 0.5, 1.0, 2.0, 0.0) == pytest.approx(0.6089977810, abs=1e-10)


@pytest.mark.parametrize("q", VARIANCES)
def test_erf_correlations_are_williams_kernel(q):
    c = np.array(CORRELATIONS)
    covariance = 1.5 * 2 / np.pi * np.arcsin(2 * q * c / (1 + 2 * q)) + 0.2
    variance = 1.5 * 2 / np.pi * np.arcsin(2 * q / (1 + 2 * q)) + 0.2
    assert meanfield.variance_map(erf, q, 1.5, 0.2) == pytest.approx(variance, rel=1e-12)
    mapped = meanfield.correlation_map(erf, c, q, 1.5, 0.2)
    np.testing.assert_allclose(mapped, covariance / variance, rtol=0, atol=1e-12)


def test_leaky_relu_and_step_with_two_variances():
    def half(c):  # E relu(u) relu(v) at variance 1
        return arc_cosine(c) / 2

    for c in CORRELATIONS:
        expected = ((1 + 0.01**2) * half(c) - 2 * 0.01 * half(-c)) / ((1 + 0.01**2) / 2)
        assert meanfield.correlation_map(leaky_relu, c, 0.3, 1.0, 0.0, 7.0) == pytest.approx(expected, abs=1e-12)
        expected = both_above(0.3 / np.sqrt(0.5), 0.3 / np.sqrt(2.0), c)
        size = np.sqrt(stats.norm.sf(0.3 / np.sqrt(0.5)) * stats.norm.sf(0.3 / np.sqrt(2.0)))
        assert meanfield.correlation_map(step, c, 0.5, 1.0, 0.0, 2.0) == pytest.approx(expected / size, abs=1e-9)


def test_smooth_activations_with_two_variances():
    for c in CORRELATIONS:
        size = np.exp(-1.5) * np.sqrt(np.sinh(0.5) * np.sinh(2.5))  # √(E sin² E sin²), variances 0.5 and 2.5
        expected = np.exp(-1.5) * np.sinh(c * np.sqrt(1.25)) / size
        assert meanfield.correlation_map(jnp.sin, c, 0.5, 1.0, 0.0, 2.5) == pytest.approx(expected, abs=1e-12)
        assert meanfield.correlation_map(jnp.square, c, 3.0, 1.0, 0.0) == pytest.approx((1 + 2 * c * c) / 3, abs=1e-12)
        assert meanfield.correlation_map(jnp.exp, c, 1.0, 1.0, 0.0) == pytest.approx(np.exp(c - 1), abs=1e-12)


def test_hard_tanh_correlation_slope_is_a_probability():
    for c in (-0.99, -0.4, 0.2, 0.7, 0.9999):
        a = 1 / np.sqrt(1.7)
        tails = {(i, j): both_above(i * a, j * a, c) for i in (-1, 1) for j in (-1, 1)}
        inside = tails[-1, -1] - tails[-1, 1] - tails[1, -1] + tails[1, 1]
        q = 1.7 / meanfield.variance_map(hard_tanh, 1.7, 1.0, 0.0)
        assert meanfield.correlation_map_slope(hard_tanh, c, 1.7, 1.0, 0.0) == pytest.approx(q * inside, abs=1e-10)


@pytest.mark.parametrize("c", (0.35, 0.99))
def test_correlation_against_nested_scipy(c):
    """elu(alpha=2) has a kink in its slope and no closed form."""
    kinked = lambda x: elu(x, alpha=2.0)
    slack = np.sqrt(1 - c * c)

    def function(x):
        return np.where(x > 0, x, 2 * np.expm1(np.minimum(x, 0)))

    nodes, weights = np.polynomial.legendre.leggauss(60)

    def inner(u):
        """Two panels, split at the kink, within 9 standard deviations."""
        kink = min(max(-c * u / slack, -9.0), 9.0)
        total = 0.0
        for low, high in ((-9.0, kink), (kink, 9.0)):
            z = (low + high) / 2 + (high - low) / 2 * nodes
            total += (high - low) / 2 * np.sum(weights * function(c * u + slack * z) * stats.norm.pdf(z))
        return total

    def outer(u):
        return function(u) * inner(u) * stats.norm.pdf(u)

    parts = [integrate.quad(outer, a, b, epsabs=1e-12, limit=200)[0] for a, b in ((-9, -1), (-1, 0), (0, 1), (1, 9))]
    variance = meanfield.variance_map(kinked, 1.0, 1.0, 0.0)
    assert meanfield.correlation_map(kinked, c, 1.0, 1.0, 0.0) == pytest.approx(sum(parts) / variance, abs=1e-9)


@pytest.mark.parametrize("activation", (tanh, hard_tanh, step, shifted_elu), ids=lambda f: f.__name__)
def test_variance_map_slope_is_the_finite_difference(activation):
    q, h = 0.8, 1e-4
    low, high = (meanfield.variance_map(activation, v, 1.3, 0.1) for v in (q - h, q + h))
    assert meanfield.variance_map_slope(activation, q, 1.3) == pytest.approx((high - low) / (2 * h), rel=1e-6)


def test_limits_at_zero_variance():
    assert meanfield.variance_map(relu, 0.0, 2.0, 0.3) == pytest.approx(0.3, abs=0)
    assert meanfield.chi(relu, 2.0, 0.0, 0.0) == pytest.approx(1.0, rel=1e-14)  # half of the inputs are positive
    assert meanfield.variance_map_slope(tanh, 0.0, 1.5) == pytest.approx(1.5, rel=1e-12)
    assert meanfield.correlation_map(tanh, 0.2, 0.0, 1.0, 0.5) == pytest.approx(1.0, rel=1e-15)  # the biases alone


@settings(max_examples=8, deadline=None)
@given(st.floats(-1, 1), st.floats(1e-2, 1e2), st.floats(1e-2, 1e2))
def test_correlation_map_is_symmetric_and_bounded(c, q1, q2):
    for activation in (tanh, hard_tanh):
        forth = meanfield.correlation_map(activation, c, q1, 1.0, 0.1, q2)
        back = meanfield.correlation_map(activation, c, q2, 1.0, 0.1, q1)
        assert abs(forth) <= 1
        assert forth == pytest.approx(back, abs=1e-11)


def test_arrays_broadcast_and_agree_with_scalars():
    q, weights = np.array([0.1, 1.0, 9.0])[:, None], np.array([0.5, 2.0])
    for found, one in (
        (meanfield.variance_map(tanh, q, weights, 0.1), lambda a, w: meanfield.variance_map(tanh, a, w, 0.1)),
        (meanfield.chi(tanh, weights, 0.1, q), lambda a, w: meanfield.chi(tanh, w, 0.1, a)),
        (meanfield.correlation_map(tanh, 0.3, q, weights, 0.1), lambda a, w: meanfield.correlation_map(tanh, 0.3, a, w, 0.1)),
    ):
        assert found.shape == (3, 2) and found.dtype == np.float64
        np.testing.assert_allclose(found, [[one(a, w) for w in weights] for a in q[:, 0]], rtol=1e-13)
    assert isinstance(meanfield.variance_map(tanh, 1.0, 1.0, 0.1), float)
    assert meanfield.variance_map(tanh, np.zeros((0,)), 1.0, 0.1).shape == (0,)


def test_a_wide_network_follows_the_maps(key):
    """Variances and the correlation of two inputs after 3 tanh layers of 1,000 units, over 16 networks."""
    width, depth, networks, weights, biases = 1000, 3, 16, 2.25, 0.05

    def run(key_network):
        key_x, key_layers = jax.random.split(key_network)
        first, second = jax.random.normal(key_x, (2, width))
        h = jnp.stack([first, 0.6 * first + 0.8 * second])

        def layer(h, key_layer):
            key_w, key_b = jax.random.split(key_layer)
            w = jax.random.normal(key_w, (width, width)) * np.sqrt(weights / width).astype(np.float32)
            b = jax.random.normal(key_b, (1, width)) * np.sqrt(biases).astype(np.float32)
            return jnp.tanh(h) @ w + b, None

        h, _ = jax.lax.scan(layer, h, jax.random.split(key_layers, depth))
        return h @ h.T / width

    grams = np.asarray(jax.jit(lambda keys: jax.lax.map(run, keys))(jax.random.split(key, networks)), np.float64)
    q, c = 1.0, 0.6
    for _ in range(depth):
        c, q = meanfield.correlation_map(tanh, c, q, weights, biases), meanfield.variance_map(tanh, q, weights, biases)
    for measured, expected in ((grams[:, 0, 0], q), (grams[:, 0, 1], c * q)):
        error = measured.std(ddof=1) / np.sqrt(networks)
        assert abs(measured.mean() - expected) < 4 * error
        assert error < 0.02 * q


def test_theory_works_whatever_the_processs_precision_and_inside_a_trace():
    expected = meanfield.variance_map(tanh, 1.0, 1.5, 0.1)
    with jax.enable_x64(True):
        assert meanfield.variance_map(tanh, 1.0, 1.5, 0.1) == expected
    scaled = jax.jit(lambda x: x * meanfield.variance_map(tanh, 1.0, 1.5, 0.1))(jnp.ones(()))
    assert float(scaled) == pytest.approx(expected, rel=1e-6)


def test_an_activation_is_compiled_once():
    calls = []

    def counted(x):
        calls.append(x)
        return jnp.tanh(x)

    meanfield.variance_map(counted, 1.0, 1.0, 0.0)
    traced = len(calls)
    for q in np.linspace(0.5, 1.5, 20):
        meanfield.variance_map(counted, q, 1.0, 0.0)
    assert len(calls) == traced


def test_tiny_and_huge_arguments_stay_in_range():
    for c in (5e-324, 1e-200, -1e-17):
        for q1, q2 in ((1.0, 1.0), (1e-300, 1e20), (5e-324, 1.0)):
            mapped = meanfield.correlation_map(step, c, q1, 1.0, 0.1, q2)
            independent = stats.norm.sf(0.3 / np.sqrt([q1, q2]))
            size = np.sqrt(np.prod(independent + 0.1))
            assert mapped == pytest.approx((np.prod(independent) + 0.1) / size, rel=1e-12)


def test_identity_is_a_linear_network():
    assert meanfield.variance_map(identity, 2.0, 0.7, 0.1) == pytest.approx(1.5, rel=1e-13)
    assert meanfield.correlation_map(identity, -0.4, 2.0, 0.7, 0.0) == pytest.approx(-0.4, rel=1e-12)
