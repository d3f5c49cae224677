"""Fixed points, chi, depth scales and the critical line against published values and closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from jaxnotes import meanfield
from jaxnotes.layers.activations import erf, gelu, identity, leaky_relu, relu, sigmoid, softplus, tanh


def hard_tanh(x):
    return jnp.clip(x, -1, 1)


@pytest.mark.parametrize(
    "bias_variance, weight_variance, q",
    ((0.01, 1.4242052905, 0.2733009135), (0.05, 1.7609546396, 0.5700478816), (0.1, 1.9860726411, 0.8057991819)),
)
def test_critical_line_of_tanh(bias_variance, weight_variance, q):
    """The edge of chaos of Schoenholz et al. (2017)."""
    found = meanfield.critical_weight_variance(tanh, bias_variance)
    assert found == pytest.approx(weight_variance, abs=1e-9)
    assert meanfield.fixed_point(tanh, found, bias_variance) == pytest.approx(q, abs=1e-9)
    assert meanfield.chi(tanh, found, bias_variance) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize(
    "activation, weight_variance, bias_variance, q, chi",
    (
        (tanh, 2.25, 0.0, 0.7933540426, 1.1393232250),
        (jnp.tanh, 2.25, 0.05, 0.8894249173, 1.0923379295),
        (tanh, 1.0, 0.05, 0.1935925202, 0.7590316472),
        (tanh, 4.0, 0.05, 2.1954939280, 1.3424024144),
        (sigmoid, 1.0, 0.0, 0.2646868752, 0.0557207068),
        (sigmoid, 4.0, 0.0, 1.1969143434, 0.1715813541),
        (erf, 2.25, 0.0, 1.0767521263, 1.2435628655),
    ),
)
def test_fixed_points_and_chi(activation, weight_variance, bias_variance, q, chi):
    assert meanfield.fixed_point(activation, weight_variance, bias_variance) == pytest.approx(q, abs=1e-9)
    assert meanfield.chi(activation, weight_variance, bias_variance) == pytest.approx(chi, abs=1e-9)


def test_critical_weights_in_closed_form():
    critical = meanfield.critical_weight_variance
    for biases in (0.0, 0.05, 3.0):
        assert critical(relu, biases) == pytest.approx(2.0, rel=1e-12)
        assert critical(leaky_relu, biases) == pytest.approx(2 / (1 + 0.01**2), rel=1e-12)
        assert critical(identity, biases) == pytest.approx(1.0, rel=1e-12)
    assert critical(tanh, 0.0) == pytest.approx(1.0, rel=1e-12)
    assert critical(gelu, 0.0) == pytest.approx(4.0, rel=1e-12)
    assert critical(erf, 0.0) == pytest.approx(np.pi / 4, rel=1e-12)
    with pytest.raises(ValueError, match="no critical weight variance"):
        critical(softplus, 0.1)


def test_critical_line_of_erf():
    """χ = σ_w² (4/π) / √(1 + 4q) and q = σ_w² (2/π) arcsin(2q / (1 + 2q)) + σ_b²."""

    def bias(q):
        return q - np.sqrt(1 + 4 * q) / 2 * np.arcsin(2 * q / (1 + 2 * q))

    q = optimize.brentq(lambda q: bias(q) - 0.05, 1e-3, 10, xtol=1e-15)
    assert meanfield.critical_weight_variance(erf, 0.05) == pytest.approx(np.pi / 4 * np.sqrt(1 + 4 * q), rel=1e-11)


def test_fixed_points_of_relu():
    assert meanfield.fixed_point(relu, 2.0, 0.0) == 1.0  # every q is fixed: the start
    assert meanfield.fixed_point(relu, 1.5, 0.0) == 0.0
    assert meanfield.fixed_point(relu, 1.0, 0.5) == pytest.approx(1.0, rel=1e-12)  # σ_b² / (1 - σ_w² / 2)
    assert meanfield.fixed_point(relu, 1.9, 5.0) == pytest.approx(100.0, rel=1e-11)
    assert meanfield.fixed_point(relu, 0.0, 1e-30) == pytest.approx(1e-30, rel=1e-12)
    for weights, biases in ((2.0, 0.1), (3.0, 0.0)):
        with pytest.raises(
            ValueError, match=f"variance of relu diverges at weight_variance={weights:g}, bias_variance={biases:g}"
        ):
            meanfield.fixed_point(relu, weights, biases)
        assert meanfield.chi(relu, weights, biases) == pytest.approx(weights / 2, rel=1e-13)
    with pytest.raises(ValueError, match="diverges at weight_variance=2.5"):
        meanfield.fixed_point(relu, np.array([1.0, 2.5]), 0.1)


def test_fixed_point_next_to_and_on_the_critical_line():
    assert meanfield.fixed_point(tanh, 1.0, 0.0) == 0.0
    assert meanfield.fixed_point(hard_tanh, 1.0, 0.0) == 0.0
    excess = 1e-5  # tanh² = x² - 2x⁴/3 + 17x⁶/45: 1/σ_w² = 1 - 2q + (17/3) q²
    q = (2 - np.sqrt(4 - 4 * 17 / 3 * excess / (1 + excess))) / (2 * 17 / 3)
    assert meanfield.fixed_point(tanh, 1 + excess, 0.0) == pytest.approx(q, rel=1e-7)


def test_arrays_of_networks():
    weights, biases = np.array([0.5, 1.0, 2.25, 4.0])[:, None], np.array([0.0, 0.05])
    found = meanfield.fixed_point(tanh, weights, biases)
    one = [[meanfield.fixed_point(tanh, w, b) for b in biases] for w in weights[:, 0]]
    assert found.shape == (4, 2)
    np.testing.assert_allclose(found, one, rtol=1e-12)
    np.testing.assert_allclose(meanfield.variance_map(tanh, found, weights, biases), found, atol=1e-13)
    assert meanfield.chi(tanh, weights, biases).shape == (4, 2)
    assert meanfield.critical_weight_variance(relu, biases).tolist() == [2.0, 2.0]


def test_fixed_point_is_the_limit_of_the_iteration():
    for activation, weights, biases in ((sigmoid, 9.0, 0.1), (softplus, 0.5, 0.5), (hard_tanh, 3.0, 0.0), (jnp.cos, 2.0, 0.0)):
        q = 1.0
        for _ in range(200):
            q = meanfield.variance_map(activation, q, weights, biases)
        assert meanfield.fixed_point(activation, weights, biases) == pytest.approx(q, rel=1e-10)


def test_correlation_fixed_point_of_erf():
    q = meanfield.fixed_point(erf, 2.25, 0.05)

    def excess(c):
        return (2.25 * 2 / np.pi * np.arcsin(2 * q * c / (1 + 2 * q)) + 0.05) / q - c

    c = optimize.brentq(excess, 0, 1 - 1e-6, xtol=1e-14)
    assert meanfield.correlation_fixed_point(erf, 2.25, 0.05) == pytest.approx(c, abs=1e-10)
    assert meanfield.correlation_fixed_point(erf, 2.25, 0.0) == 0.0  # odd, no biases
    assert meanfield.correlation_fixed_point(erf, 0.5, 0.05) == 1.0
    assert meanfield.correlation_fixed_point(relu, 2.0, 0.0) == 1.0
    u = 2 * q / (1 + 2 * q)
    of_c = 2.25 * 2 / np.pi * u / np.sqrt(1 - (u * c) ** 2) / q
    of_q = 2.25 * 2 / np.pi * 2 / (1 + 2 * q) ** 2 / np.sqrt(1 - u**2)
    expected = -1 / np.log(of_q), -1 / np.log(of_c)
    np.testing.assert_allclose(meanfield.depth_scales(erf, 2.25, 0.05), expected, rtol=1e-9)


def test_depth_scales():
    xi_q, xi_c = meanfield.depth_scales(tanh, 1.0, 0.05)
    assert xi_c == pytest.approx(-1 / np.log(0.7590316472), rel=1e-8)
    q, gaps = 1.0, []
    for _ in range(16):  # the iteration itself approaches at that rate
        q = meanfield.variance_map(tanh, q, 1.0, 0.05)
        gaps.append(q - meanfield.fixed_point(tanh, 1.0, 0.05))
    assert xi_q == pytest.approx(-1 / np.log(gaps[-1] / gaps[-2]), rel=1e-3)
    assert meanfield.depth_scales(tanh, 0.5, 0.0) == pytest.approx((1 / np.log(2),) * 2, rel=1e-10)
    assert meanfield.depth_scales(relu, 2.0, 0.0) == (np.inf, np.inf)
    assert meanfield.depth_scales(tanh, 0.0, 0.5) == (0.0, 0.0)
    critical = meanfield.critical_weight_variance(tanh, 0.05)
    assert meanfield.depth_scales(tanh, critical, 0.05)[1] > 1e9
    both = meanfield.depth_scales(tanh, np.array([1.0, 2.25]), 0.05)
    assert both[1][0] == pytest.approx(xi_c) and both[1].shape == (2,)


def test_unhashable_and_scalar_only_callables():
    class Shifted:
        __hash__ = None

        def __call__(self, x):
            return jax.lax.cond(x > 0, lambda y: y, lambda y: 0.1 * y, x)

    assert meanfield.chi(Shifted(), 2.0, 0.0, 1.0) == pytest.approx(1.01, rel=1e-12)


@pytest.mark.parametrize(
    "call, error, message",
    (
        (lambda: meanfield.variance_map("tanh", 1.0, 1.0, 0.0), TypeError, "must be a function .* got 'tanh'"),
        (lambda: meanfield.variance_map(np.tanh, 1.0, 1.0, 0.0), TypeError, "JAX cannot trace activation tanh"),
        (lambda: meanfield.variance_map(lambda x: jnp.ones(3) * x, 1.0, 1.0, 0.0), ValueError, r"got shape \[3\]"),
        (lambda: meanfield.variance_map(lambda x: x.astype(jnp.float32), 1.0, 1.0, 0.0), ValueError, "float64, got float32"),
        (lambda: meanfield.variance_map(jnp.log, 1.0, 1.0, 0.0), ValueError, "activation log is nan at x = -"),
        (lambda: meanfield.variance_map(jnp.exp, 30.0, 1.0, 0.0), ValueError, "exp outgrows the Gaussian"),
        (lambda: meanfield.variance_map(lambda x: jnp.sin(1e6 * x), 1.0, 1.0, 0.0), ValueError, "kinks or oscillations"),
        (lambda: meanfield.variance_map(relu, 1e30, 1.0, 0.0), ValueError, "too large, or diverges"),
        (lambda: meanfield.variance_map(relu, -1.0, 1.0, 0.0), ValueError, "q must be finite and not negative, got -1"),
        (lambda: meanfield.variance_map(relu, np.nan, 1.0, 0.0), ValueError, "q must be finite and not negative, got nan"),
        (lambda: meanfield.fixed_point(relu, -2.0, 0.0), ValueError, "weight_variance must be .* got -2"),
        (lambda: meanfield.critical_weight_variance(relu, np.inf), ValueError, "bias_variance must be .* got inf"),
        (lambda: meanfield.variance_map(relu, 1j, 1.0, 0.0), TypeError, "q must be a real number"),
        (lambda: meanfield.variance_map(relu, "1", 1.0, 0.0), TypeError, "q must be a real number"),
        (lambda: jax.jit(lambda q: meanfield.variance_map(relu, q, 1.0, 0.0))(1.0), TypeError, "q is traced"),
        (lambda: meanfield.variance_map(relu, np.ones(2), np.ones(3), 0.0), ValueError, r"q \[2\], weight_variance \[3\]"),
        (lambda: meanfield.correlation_map(relu, 1.5, 1.0, 1.0, 0.0), ValueError, r"c must be in \[-1, 1\], got 1.5"),
        (lambda: meanfield.correlation_map(relu, 0.5, 0.0, 1.0, 0.0), ValueError, "next layer's variance is 0"),
        (lambda: meanfield.variance_map_slope(sigmoid, 0.0, 1.0), ValueError, "slope at q = 0"),
        (lambda: meanfield.batch_norm_gain(lambda x: 0.0 * x + 3.0), ValueError, "constant over N"),
        (lambda: meanfield.batch_norm_gain(lambda x: 0.0 * x + 3.0, 8), ValueError, "constant over N"),
        (lambda: meanfield.batch_norm_gain(relu, 3), ValueError, "batch must be at least 4, got 3"),
        (lambda: meanfield.residual_gain(-1.0, 3), ValueError, "chi_branch must be .* got -1"),
        (lambda: meanfield.residual_gain(1.0, -3), ValueError, "depth must be .* got -3"),
        (lambda: meanfield.log_norm_variance(relu, 2.0, 0.0, 0, 10), ValueError, "depth must be at least 1, got 0"),
        (lambda: meanfield.log_norm_variance(relu, 2.0, 0.0, 2.5, 10), TypeError, "depth must be an integer, got 2.5"),
        (lambda: meanfield.log_norm_variance(jnp.sign, 2.0, 0.0, 5, 10), ValueError, "derivative of sign is 0"),
        (lambda: meanfield.variance_trajectory(relu, np.ones(2), 2.0, 0.0, 5), TypeError, "q must be one number"),
    ),
)
def test_messages(unchecked, call, error, message):
    with pytest.raises(error, match=message):
        call()
