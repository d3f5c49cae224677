"""Paths through a residual stack: against all 2^L of them, JAX's gradient, and the binomial law."""

import itertools
import math
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnotes import jacobians


def branch(params, h):
    return jnp.tanh(h @ params["weight"]) @ params["out"]


def loss(h):
    return jnp.sum(jnp.square(h)) / 2


def stack(depth=6, width=4, batch=3):
    keys = jax.random.split(jax.random.key(0), 3)
    shape = (depth, width, width)
    params = {"weight": jax.random.normal(keys[0], shape) / 2, "out": jax.random.normal(keys[1], shape) / 2}
    return params, jax.random.normal(keys[2], (batch, width))


def forward(params, x, scale):
    return jax.lax.scan(lambda h, layer: (h + scale * branch(layer, h), h), x, params)


def by_enumeration(params, x, scale):
    """[depth + 1, batch, width]: one product for each of the 2^depth sets of branches, summed by their number."""
    out, inputs = forward(params, x, scale)
    depth, batch = inputs.shape[:2]
    weight, back = (np.asarray(params[name], float) for name in ("weight", "out"))
    total = np.zeros((depth + 1, *x.shape))
    for example in range(batch):
        slope = 1 - np.tanh(np.asarray(inputs, float)[:, example] @ weight)[np.arange(depth), np.arange(depth)] ** 2
        for chosen in itertools.product((0, 1), repeat=depth):
            vector = np.asarray(out, float)[example]  # the gradient of loss at h_L
            for layer in np.flatnonzero(chosen)[::-1]:
                vector = scale * weight[layer] @ (slope[layer] * (back[layer] @ vector))
            total[sum(chosen), example] += vector
    return total


class PathsTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_against_every_single_path(self):
        params, x = stack()
        expected = by_enumeration(params, x, 0.7)
        paths = self.variant(partial(jacobians.path_contributions, branch, loss=loss, branch_scale=0.7))(params, x)
        np.testing.assert_allclose(paths, expected, atol=2e-5)
        logs = self.variant(partial(jacobians.log_path_norms, branch, loss=loss, branch_scale=0.7))(params, x)
        np.testing.assert_allclose(logs, np.log(np.linalg.norm(expected, axis=2)), atol=2e-4)


def test_length_zero_is_the_output_gradient_and_all_sum_to_the_input_gradient():
    params, x = stack(depth=20)
    paths = jacobians.path_contributions(branch, params, x, loss, branch_scale=0.3)
    np.testing.assert_allclose(paths[0], jax.grad(loss)(forward(params, x, 0.3)[0]), rtol=1e-6)
    gradient = jax.grad(lambda x: loss(forward(params, x, 0.3)[0]))(x)
    np.testing.assert_allclose(paths.sum(axis=0), gradient, rtol=1e-4, atol=1e-5)


def test_a_branch_with_batch_normalisation_mixes_the_examples():
    def normalised(params, h):
        centred = h - h.mean(0, keepdims=True)
        return branch(params, centred / jnp.sqrt(jnp.mean(centred**2, 0, keepdims=True) + 1e-5))

    params, x = stack()
    paths = jacobians.path_contributions(normalised, params, x, loss)
    whole = lambda x: loss(jax.lax.scan(lambda h, layer: (h + normalised(layer, h), None), x, params)[0])
    np.testing.assert_allclose(paths.sum(axis=0), jax.grad(whole)(x), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_binomial_law_far_beyond_float32(scale):
    """Branch F(h) = h: paths of length k are binomial(L, k) s^k times the output gradient."""
    depth, x = 300, jnp.ones((1, 2)) * 1e-3

    def constant(h):
        return jnp.sum(h * 0 + h) if scale <= 1e-3 else jnp.sum(h)

    def identity(unused, h):
        return h - jax.lax.stop_gradient(h) + 0 * unused  # slope 1, value 0: the forward pass stays finite

    logs = jacobians.log_path_norms(identity, jnp.zeros(depth), x, constant, branch_scale=scale)
    lengths = np.arange(depth + 1)
    expected = jacobians.log_path_counts(depth) + lengths * math.log(scale) + math.log(2) / 2
    np.testing.assert_allclose(logs[:, 0], expected, rtol=1e-5, atol=2e-3)


def test_counts():
    np.testing.assert_allclose(np.exp(jacobians.log_path_counts(10)), [math.comb(10, k) for k in range(11)], rtol=1e-12)


def test_dead_branches_leave_only_the_shortest_path():
    params, x = stack()
    logs = jacobians.log_path_norms(branch, jax.tree.map(jnp.zeros_like, params), x, loss)
    np.testing.assert_allclose(logs[0], np.log(np.linalg.norm(x, axis=1)), rtol=1e-5)
    assert np.isneginf(logs[1:]).all()


def test_exports_and_takes_a_traced_scale():
    params, x = stack()
    step = jax.jit(lambda params, x, scale: jacobians.log_path_norms(branch, params, x, loss, branch_scale=scale))
    exported = jax.export.export(step, platforms=("cpu", "cuda", "tpu"))(params, x, jnp.float32(0.5))
    expected = np.log(np.linalg.norm(by_enumeration(params, x, 0.5), axis=2))
    np.testing.assert_allclose(exported.call(params, x, jnp.float32(0.5)), expected, atol=2e-4)
