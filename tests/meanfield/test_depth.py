"""Gains over depth against their sources, against networks drawn at random, and against their own layer-wise definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

from jaxnotes import meanfield
from jaxnotes.layers.activations import erf, identity, relu, sigmoid, tanh


def test_residual_gain():
    assert meanfield.residual_gain(0.5, 3) == pytest.approx(1.5**3, rel=1e-14)
    assert meanfield.residual_gain(4.0, 100, 0.1) == pytest.approx(1.04**100, rel=1e-13)
    assert meanfield.residual_gain(0.0, 10_000) == 1.0
    assert meanfield.residual_gain(1.0, 10_000) == np.inf
    assert meanfield.log_residual_gain(1.0, 10_000) == pytest.approx(10_000 * np.log(2), rel=1e-14)
    assert meanfield.log_residual_gain(1e-20, 10) == pytest.approx(1e-19, rel=1e-14)
    depths = np.array([1, 10, 100])
    np.testing.assert_allclose(
        meanfield.residual_gain(2.0, depths, 1 / np.sqrt(depths)), (1 + 2 / depths) ** depths, rtol=1e-13
    )


def test_trajectories_follow_the_maps():
    path = meanfield.variance_trajectory(erf, 3.0, 1.4, 0.1, 6)
    q = 3.0
    for found in path:
        assert found == pytest.approx(q, rel=1e-13)
        q = 1.4 * 2 / np.pi * np.arcsin(2 * q / (1 + 2 * q)) + 0.1
    logs = meanfield.log_gradient_gain(erf, 3.0, 1.4, 0.1, 6)
    assert logs.shape == (7,) and logs[0] == 0
    np.testing.assert_allclose(np.diff(logs), np.log(1.4 * 4 / np.pi / np.sqrt(1 + 4 * path[:-1])), rtol=1e-12)
    blocks = meanfield.variance_trajectory(identity, 1.0, 2.0, 0.0, 5, branch_scale=0.5)
    np.testing.assert_allclose(blocks, 1.5 ** np.arange(6), rtol=1e-13)


def test_deep_trajectories():
    assert meanfield.variance_trajectory(tanh, 1.0, 1.0, 0.05, 10_000)[-1] == pytest.approx(0.1935925202, abs=1e-9)
    logs = meanfield.log_gradient_gain(relu, 1.0, 4.0, 0.1, 10_000)  # q itself would overflow
    np.testing.assert_allclose(logs, np.arange(10_001) * np.log(2), rtol=1e-12)
    logs = meanfield.log_gradient_gain(relu, 1.0, 2.0, 0.0, 10_000, branch_scale=1.0)
    assert logs[-1] == pytest.approx(meanfield.log_residual_gain(1.0, 10_000), rel=1e-12)
    assert meanfield.log_gradient_gain(jnp.sign, 1.0, 1.0, 0.0, 2)[-1] == -np.inf


def test_log_norm_variance_in_closed_form():
    """2/n for a linear network, to leading order ψ'(n/2), and 5/n for ReLU (Hanin and Nica 2020)."""
    assert meanfield.log_norm_variance(identity, 1.0, 0.0, 7, 4000) == pytest.approx(7 * special.polygamma(1, 2000), rel=1e-3)
    assert meanfield.log_norm_variance(relu, 2.0, 0.0, 30, 600) == pytest.approx(5 * 30 / 600, rel=1e-12)
    assert meanfield.log_norm_variance(relu, 7.0, 0.3, 30, 600, q=5.0) == pytest.approx(5 * 30 / 600, rel=1e-12)
    assert meanfield.log_norm_variance(tanh, 0.5, 0.0, 9, 100) == pytest.approx(2 * 9 / 100, rel=1e-9)  # linear near q* = 0


def simulated_log_norms(activation, slope, weights, biases, depth, width, q, networks, seed):
    """ln ‖J u‖² of random networks, exact in law: given a layer, the units (h_i, v_i) of the next are independent Gaussians."""
    rng = np.random.default_rng(seed)
    h = rng.standard_normal((networks, width)) * np.sqrt(q)
    v = rng.standard_normal((networks, width))
    start = np.log((v**2).sum(1))
    for _ in range(depth):
        x, y = activation(h), slope(h) * v
        xx, xy, yy = (weights * (a * b).mean(1)[:, None] for a, b in ((x, x), (x, y), (y, y)))
        first, second, third = rng.standard_normal((3, networks, width))
        h = np.sqrt(xx) * first + np.sqrt(biases) * third
        v = xy / np.sqrt(xx) * first + np.sqrt(yy - xy**2 / xx) * second
    return np.log((v**2).sum(1)) - start


@pytest.mark.parametrize("activation, weights, biases", ((tanh, 2.25, 0.05), (sigmoid, 9.0, 0.0), (relu, 2.0, 0.0)))
def test_log_norm_variance_of_random_networks(activation, weights, biases):
    """tanh and sigmoid test the term that the forward fluctuations add: without it tanh's 0.110 would be 0.089."""
    functions = {
        tanh: (np.tanh, lambda h: 1 - np.tanh(h) ** 2),
        sigmoid: (special.expit, lambda h: special.expit(h) * special.expit(-h)),
        relu: (lambda h: np.maximum(h, 0), lambda h: (h > 0) * 1.0),
    }
    depth, width, networks = 10, 400, 1500
    q = meanfield.fixed_point(activation, weights, biases)
    logs = simulated_log_norms(*functions[activation], weights, biases, depth, width, q, networks, seed=3)
    expected = meanfield.log_norm_variance(activation, weights, biases, depth, width)
    assert logs.var(ddof=1) == pytest.approx(expected, rel=4 * np.sqrt(2 / networks))


def test_log_norm_variance_of_gradients(key):
    """Backward through drawn matrices, off the fixed point: tanh, width 128, 5 layers, from q = 3."""
    depth, width, networks, weights, biases, q = 5, 128, 1000, 2.0, 0.1, 3.0

    def run(key_network):
        key_h, key_w, key_b, key_g = jax.random.split(key_network, 4)
        w = jax.random.normal(key_w, (depth, width, width)) * np.float32(np.sqrt(weights / width))
        b = jax.random.normal(key_b, (depth, width)) * np.float32(np.sqrt(biases))

        def forward(h):
            return jax.lax.scan(lambda h, layer: (jnp.tanh(h) @ layer[0] + layer[1], None), h, (w, b))[0]

        _, pull = jax.vjp(forward, jax.random.normal(key_h, (width,)) * np.float32(np.sqrt(q)))
        g = jax.random.normal(key_g, (width,))
        return jnp.log(jnp.sum(pull(g)[0] ** 2) / jnp.sum(g**2))

    logs = np.asarray(jax.jit(lambda keys: jax.lax.map(run, keys))(jax.random.split(key, networks)), np.float64)
    expected = meanfield.log_norm_variance(tanh, weights, biases, depth, width, q=q)
    assert logs.var(ddof=1) == pytest.approx(expected, rel=4 * np.sqrt(2 / networks))
    mean = meanfield.log_gradient_gain(tanh, q, weights, biases, depth)[-1] - expected / 2  # E ln = ln E - variance / 2
    assert abs(logs.mean() - mean) < 4 * logs.std(ddof=1) / np.sqrt(networks) + depth / width
