"""Jacobians of stacks: against products in NumPy, jax.jacrev, finite differences, and known values beyond float32."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnotes import jacobians


def tanh_layer(params, h):
    return jnp.tanh(h @ params["weight"] + params["bias"][None])


def linear_layer(weight, h):
    return h @ weight


def stack(depth=6, width=5, batch=3, seed=0):
    keys = jax.random.split(jax.random.key(seed), 3)
    weight = jax.random.normal(keys[0], (depth, width, width)) / np.sqrt(width)
    params = {"weight": weight, "bias": 0.1 * jax.random.normal(keys[1], (depth, width))}
    return params, jax.random.normal(keys[2], (batch, width))


def jacobians_by_jacrev(f, params, x):
    """dh_L/dh_l layer by layer, [depth + 1, batch, n, n]."""
    depth = jax.tree.leaves(params)[0].shape[0]

    def rest(start, h):
        layers = jax.tree.map(lambda leaf: leaf[start:], params)
        return jax.lax.scan(lambda h, layer: (f(layer, h), None), h[None], layers)[0][0]

    found, h = [], x
    for start in range(depth + 1):
        found.append(jax.jit(jax.vmap(jax.jacrev(partial(rest, start))))(h))
        if start < depth:
            h = f(jax.tree.map(lambda leaf, start=start: leaf[start], params), h)
    return np.stack(found)


class ProductsTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_against_jacrev(self):
        params, x = stack(depth=3)
        expected = jacobians_by_jacrev(tanh_layer, params, x)
        end_to_end = self.variant(partial(jacobians.end_to_end, tanh_layer))(params, x)
        np.testing.assert_allclose(end_to_end, expected, atol=1e-6)
        logs = self.variant(partial(jacobians.log_frobenius_norms, tanh_layer))(params, x)
        np.testing.assert_allclose(logs, np.log(np.linalg.norm(expected, axis=(2, 3))), atol=1e-5)

    @chex.variants(with_jit=True, without_jit=True)
    def test_local_jacobians_are_the_factors(self):
        params, x = stack()
        local = self.variant(partial(jacobians.local_jacobians, tanh_layer))(params, x)
        h = np.asarray(x, float)
        for index in range(6):  # dtanh(hW + b)/dh = diag(1 - tanh²) W^T
            weight = np.asarray(params["weight"][index], float)
            h = np.tanh(h @ weight + np.asarray(params["bias"][index], float))
            np.testing.assert_allclose(local[index], (1 - h**2)[:, :, None] * weight.T, atol=1e-6)
        product = np.broadcast_to(np.eye(5), (3, 5, 5))
        for factor in np.asarray(local, float)[::-1]:
            product = product @ factor
        np.testing.assert_allclose(jacobians.end_to_end(tanh_layer, params, x)[0], product, atol=1e-6)


def test_finite_differences_in_float64():
    with jax.enable_x64(True):
        params, x = stack(depth=4)
        params, x = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), (params, x))
        jacobian = jacobians.end_to_end(tanh_layer, params, x)
        assert jacobian.dtype == jnp.float64

        def out(h):
            for index in range(4):
                h = np.tanh(h @ np.asarray(params["weight"][index]) + np.asarray(params["bias"][index]))
            return h

        step = 1e-6 * np.eye(5)
        for k in range(5):
            slope = (out(np.asarray(x) + step[k]) - out(np.asarray(x) - step[k])) / 2e-6
            np.testing.assert_allclose(jacobian[0, :, :, k], slope, atol=1e-8)


@pytest.mark.parametrize("gain", [1e-30, 0.3, 1.0, 3.0, 1e30])
def test_log_frobenius_of_orthogonal_layers(gain):
    """Any depth and any gain per layer, even one whose square leaves float32: log sqrt(n) + (L - l) log gain."""
    depth, width = 3000, 7
    orthogonal = jnp.linalg.qr(jax.random.normal(jax.random.key(1), (depth, width, width)))[0]
    logs = jacobians.log_frobenius_norms(linear_layer, jnp.float32(gain) * orthogonal, jnp.zeros((2, width)))
    expected = 0.5 * np.log(width) + np.arange(depth, -1, -1) * np.log(float(np.float32(gain)))
    np.testing.assert_allclose(logs, np.repeat(expected[:, None], 2, axis=1), rtol=1e-6, atol=1e-3)


def test_examples_of_very_different_scale_keep_their_own():
    """A layer whose derivative depends on the example: h -> h c(h), with c = 1e-4 or 1e4, constant near each input."""

    def layer(unused, h):
        return h * jax.lax.stop_gradient(jnp.where(h[:, :1] > 1, 1e2, 1e-2).astype(h.dtype)) + 0 * unused

    x = jnp.array([[0.5, 0.5], [2.0, 2.0], [0.5, 0.1]])
    logs = jacobians.log_frobenius_norms(layer, jnp.zeros(15), x)
    per_layer = np.log(np.array([1e-2, 1e2, 1e-2]))
    expected = 0.5 * np.log(2) + np.arange(15, -1, -1)[:, None] * per_layer
    np.testing.assert_allclose(logs, expected, rtol=1e-5)


def test_zero_jacobian():
    params, x = stack()
    dead = {**params, "weight": params["weight"].at[2].set(0)}
    logs = jacobians.log_frobenius_norms(tanh_layer, dead, x)
    np.testing.assert_array_equal(np.isneginf(logs), np.repeat(np.arange(7)[:, None] < 3, 3, axis=1))
    gradient = jax.grad(lambda p: jacobians.log_frobenius_norms(tanh_layer, p, x)[3:].sum())(dead)
    assert not np.isnan(gradient["weight"]).any()


@pytest.mark.parametrize(("depth", "width", "batch"), [(1, 1, 1), (1, 3, 2), (4, 1, 1), (2, 17, 1)])
def test_smallest_sizes(depth, width, batch):
    params, x = stack(depth, width, batch)
    expected = jacobians_by_jacrev(tanh_layer, params, x)
    np.testing.assert_allclose(jacobians.end_to_end(tanh_layer, params, x), expected, atol=1e-6)
    logs = jacobians.log_frobenius_norms(tanh_layer, params, x)
    np.testing.assert_allclose(logs, np.log(np.linalg.norm(expected, axis=(2, 3))), atol=1e-5)


def test_derivative_of_the_log_norm():
    """d log‖J‖ / d gain = depth for linear layers scaled by exp(gain), also where ‖J‖ underflows."""
    weight = jnp.eye(3)[None] * jnp.full((400, 1, 1), 0.5)

    def of(gain):
        return jacobians.log_frobenius_norms(linear_layer, jnp.exp(gain) * weight, jnp.ones((1, 3)))[0, 0]

    np.testing.assert_allclose(jax.grad(of)(jnp.float32(0)), 400, rtol=1e-5)


def test_half_precision():
    params, x = stack(depth=3)
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
    logs = jacobians.log_frobenius_norms(tanh_layer, half, x.astype(jnp.bfloat16))
    assert logs.dtype == jnp.float32
    np.testing.assert_allclose(logs, jacobians.log_frobenius_norms(tanh_layer, params, x), atol=0.05)


def test_vmap_over_seeds_is_a_loop():
    several = [stack(seed=seed) for seed in range(3)]
    params, x = jax.tree.map(lambda *leaves: jnp.stack(leaves), *several)
    logs = jax.vmap(partial(jacobians.log_frobenius_norms, tanh_layer))(params, x)
    for seed in range(3):
        expected = np.log(np.linalg.norm(jacobians_by_jacrev(tanh_layer, *several[seed]), axis=(2, 3)))
        np.testing.assert_allclose(logs[seed], expected, atol=1e-5)


def test_exports_for_every_platform():
    params, x = stack()
    for function in (jacobians.end_to_end, jacobians.local_jacobians, jacobians.log_frobenius_norms):
        exported = jax.export.export(jax.jit(partial(function, tanh_layer)), platforms=("cpu", "cuda", "tpu"))(params, x)
        assert exported.platforms == ("cpu", "cuda", "tpu")


def test_one_compile_a_shape():
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(lambda event, *_, **__: compiled.append(event))
    counts = []
    for seed in range(3):
        params, x = stack(seed=seed, width=11)  # a shape of its own
        compiled.clear()
        for function in (jacobians.end_to_end, jacobians.log_frobenius_norms):
            jax.block_until_ready(function(tanh_layer, params, x))
        counts.append(sum("backend_compile" in event for event in compiled))
    assert counts[0] > 0
    assert counts[1:] == [0, 0]
