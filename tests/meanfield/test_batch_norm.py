"""The gain behind batch normalisation: published closed forms, one layer drawn at random, and networks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnotes import meanfield
from jaxnotes.layers.activations import erf, identity, relu, sigmoid, tanh


def test_batch_norm_gain():
    assert meanfield.batch_norm_gain(relu) == pytest.approx(np.pi / (np.pi - 1), rel=1e-13)  # Yang et al. (2019)
    assert meanfield.batch_norm_gain(identity) == pytest.approx(1.0, rel=1e-13)
    assert meanfield.batch_norm_gain(lambda x: 1e3 + 0.1 * x) == pytest.approx(1.0, rel=1e-9)  # centred, rescaled
    ratio = 4 / np.pi / np.sqrt(5) / (2 / np.pi * np.arcsin(2 / 3))  # Williams (1997)
    assert meanfield.batch_norm_gain(erf) == pytest.approx(ratio, rel=1e-13)


def test_batch_norm_gain_of_a_network(key):
    """Linear, normalisation, ReLU: 3 layers of width 512, batch 256; finite batches lower or raise the gain by O(1/batch)."""
    depth, width, batch, networks = 3, 512, 256, 8

    def normalise(h):
        centred = h - h.mean(0, keepdims=True)
        return centred * jax.lax.rsqrt((centred**2).mean(0, keepdims=True))

    def run(key_network):
        key_x, key_w, key_g = jax.random.split(key_network, 3)
        weights = jax.random.normal(key_w, (depth, width, width)) / np.float32(np.sqrt(width))

        def forward(h):
            return jax.lax.scan(lambda h, w: (relu(normalise(h)) @ w, None), h, weights)[0]

        x = jax.random.normal(key_x, (batch, width))
        # The first normalisation sees an input of variance 1, and every later one Var(Wφ) = (π - 1) / 2π.
        out, pull = jax.vjp(forward, x)
        g = jax.random.normal(key_g, out.shape)
        return jnp.log(jnp.sum(pull(g)[0] ** 2) / jnp.sum(g**2))

    logs = np.asarray(jax.jit(lambda keys: jax.lax.map(run, keys))(jax.random.split(key, networks)), np.float64)
    expected = depth * np.log(np.pi / (np.pi - 1)) + np.log((np.pi - 1) / (2 * np.pi))
    error = logs.std(ddof=1) / np.sqrt(networks)
    assert abs(logs.mean() - expected) < 4 * error + depth * 2 / batch
    assert error < 0.03


def yang_relu(batch):
    """The theorem for ReLU of Yang et al. (2019), from the arc-cosine kernel J₁ at correlation -1/(B − 1)."""
    c = -1 / (batch - 1)
    kernel = (np.sqrt(1 - c**2) + (np.pi - np.arccos(c)) * c) / np.pi
    slope = 1 - np.arccos(c) / np.pi
    return ((batch - 1 + slope) / (1 - kernel) - 1) / (batch - 3)


@pytest.mark.parametrize("batch", (4, 5, 16, 100_000))
def test_the_gain_in_finite_batches_in_closed_form(batch):
    accuracy = 1e-11 if batch > 4 else 1e-5
    assert meanfield.batch_norm_gain(identity, batch) == pytest.approx((batch - 2) / (batch - 3), rel=1e-11)
    assert meanfield.batch_norm_gain(relu, batch) == pytest.approx(yang_relu(batch), rel=accuracy)
    assert meanfield.batch_norm_gain(lambda x: 1e3 + 0.1 * x, batch) == pytest.approx((batch - 2) / (batch - 3), rel=1e-11)


@pytest.mark.parametrize("activation", (sigmoid, tanh, erf))
def test_large_batches_are_the_limit_of_finite_ones(activation):
    """With a term in 1/B, which two batches tell."""
    limit = meanfield.batch_norm_gain(activation)
    first, second = (meanfield.batch_norm_gain(activation, batch) / limit - 1 for batch in (10_000, 20_000))
    assert first / second == pytest.approx(2, rel=1e-3) and 0 < second < 1e-3


def normalise(h):
    """h [batch, units] of batch mean 0 and variance 1."""
    centred = h - h.mean(0, keepdims=True)
    return centred * jax.lax.rsqrt((centred**2).mean(0, keepdims=True))


@pytest.mark.parametrize("activation", (relu, sigmoid))
def test_the_gain_of_a_layer_drawn_at_random(key, activation):
    """Units of an infinitely wide layer are independent: pre-activations of a sample of them, and the gradient behind each."""
    batch, units = 12, 200_000
    x = normalise(jax.random.normal(key, (batch, units)))
    h, h_gradient = jax.random.normal(jax.random.fold_in(key, 1), (2, batch, units))
    spread = jnp.var(activation(x), axis=0).mean() * batch / (batch - 1)
    _, pull = jax.vjp(normalise, h * jnp.sqrt(spread))
    upstream = h_gradient - h_gradient.mean(0, keepdims=True)
    slopes = jax.vmap(jax.grad(activation))(normalise(h).ravel()).reshape(h.shape)
    gains = np.asarray((pull(slopes * upstream)[0] ** 2).sum(0) / (batch - 1), np.float64)
    error = gains.std(ddof=1) / np.sqrt(units)
    assert error < 0.01
    assert abs(gains.mean() - meanfield.batch_norm_gain(activation, batch)) < 4 * error


def test_the_gain_of_networks_with_small_batches(key):
    """1.590 in batches of 16 at infinite width, where large batches have 1.467."""
    depth, width, batch, networks = 6, 1024, 16, 6

    def run(key_network):
        key_x, key_w, key_g = jax.random.split(key_network, 3)
        weights = jax.random.normal(key_w, (depth, width, width)) / np.float32(np.sqrt(width))
        x = relu(normalise(jax.random.normal(key_x, (batch, width))))  # of the variance that later layers have

        def forward(h):
            return jax.lax.scan(lambda h, w: (relu(normalise(h @ w)), None), h, weights)[0]

        out, pull = jax.vjp(forward, x)
        g = jax.random.normal(key_g, out.shape)
        return jnp.log(jnp.sum(pull(g - g.mean(0, keepdims=True))[0] ** 2) / jnp.sum((g - g.mean(0, keepdims=True)) ** 2))

    logs = np.asarray(jax.jit(lambda keys: jax.lax.map(run, keys))(jax.random.split(key, networks)), np.float64) / depth
    error = logs.std(ddof=1) / np.sqrt(networks)
    assert error < 0.01
    assert abs(logs.mean() - np.log(meanfield.batch_norm_gain(relu, batch))) < 4 * error + 4 / width
