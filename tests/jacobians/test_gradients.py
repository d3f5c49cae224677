"""Gradient norms of every layer: against closed forms, JAX's own gradients, the textbook's zeros, and float64."""

from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from absl.testing import parameterized

from jaxnotes import jacobians


def tanh_layer(params, h):
    return jnp.tanh(h @ params["weight"] + params["bias"][None])


def linear_layer(weight, h):
    return h @ weight


def batch_norm_layer(weight, h):
    h = h @ weight
    return (h - h.mean(0, keepdims=True)) / jnp.sqrt(h.var(0, keepdims=True) + 1e-5)


def mean_square(h):
    return jnp.mean(jnp.square(h))


def mean_sine(h):
    return jnp.mean(jnp.sin(h))


def stack(depth=6, width=5, batch=3, gain=1.0, seed=0):
    keys = jax.random.split(jax.random.key(seed), 3)
    weight = gain * jax.random.normal(keys[0], (depth, width, width)) / np.sqrt(width)
    params = {"weight": weight, "bias": 0.1 * jax.random.normal(keys[1], (depth, width))}
    return params, jax.random.normal(keys[2], (batch, width))


def norms_by_suffix(f, params, x, loss):
    """The definition: dloss/dh_l by jax.grad of the layers above h_l, one by one."""
    depth = jax.tree.leaves(params)[0].shape[0]
    layers = [jax.tree.map(lambda leaf, index=index: leaf[index], params) for index in range(depth)]

    def through(start, h):
        for layer in layers[start:]:
            h = f(layer, h)
        return h

    inputs = [x]
    for layer in layers:
        inputs.append(f(layer, inputs[-1]))
    gradient = jax.jit(jax.grad(lambda h, start: loss(through(start, h))), static_argnums=1)
    gradients = [gradient(h, start) for start, h in enumerate(inputs)]
    return np.array([np.sqrt(np.mean(np.sum(np.square(np.asarray(g, float)), axis=1))) for g in gradients])


class GradientNormsTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    @parameterized.parameters("tanh", "batch_norm")  # names, so that parallel test processes agree on the tests
    def test_is_the_gradient_at_every_layer(self, name):
        f = tanh_layer if name == "tanh" else lambda p, h: batch_norm_layer(p["weight"], h)
        params, x = stack()
        expected = norms_by_suffix(f, params, x, mean_sine)
        for function in (jacobians.gradient_norms, jacobians.gradient_norms_by_added_zeros):
            norms = self.variant(partial(function, f, loss=mean_sine))(params, x)
            np.testing.assert_allclose(norms, expected, rtol=2e-5)
        logs = self.variant(partial(jacobians.log_gradient_norms, f, loss=mean_sine))(params, x)
        np.testing.assert_allclose(logs, np.log(expected), atol=2e-5)


def test_linear_layers_closed_form():
    """h_L = x W_0 … W_{L-1}, loss = sum(h_L c): dloss/dh_l = c (W_l … W_{L-1})^T for every example."""
    params, x = stack(depth=4)
    weight, direction = np.asarray(params["weight"], float), np.arange(1.0, 6.0)
    expected = [direction]
    for w in weight[::-1]:
        expected.append(w @ expected[-1])
    c = jnp.asarray(direction, jnp.float32)
    norms = jacobians.gradient_norms(linear_layer, params["weight"], x, lambda h: jnp.sum(h @ c))
    np.testing.assert_allclose(norms, np.linalg.norm(expected[::-1], axis=1), rtol=1e-5)


def test_same_backward_pass_gives_value_and_parameter_gradients():
    params, x = stack()
    value, gradients, norms = jacobians.value_and_gradient_norms(tanh_layer, params, x, mean_square)

    def loss(params):
        return mean_square(jax.lax.scan(lambda h, layer: (tanh_layer(layer, h), None), x, params)[0])

    expected_value, expected = jax.value_and_grad(loss)(params)
    np.testing.assert_allclose(value, expected_value, rtol=1e-6)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-8), gradients, expected)
    np.testing.assert_allclose(norms, norms_by_suffix(tanh_layer, params, x, mean_square), rtol=2e-5)


def test_tapped_stack_inside_a_larger_model():
    """A head after the stack: the taps' gradient is that of the whole loss."""
    params, x = stack()
    head = jax.random.normal(jax.random.key(4), (5, 2))

    def loss(params, head, zeros):
        return mean_square(jacobians.tapped_stack(tanh_layer, params, x, zeros) @ head)

    zeros = jacobians.zeros_for_norms(params, x)
    norms = jax.grad(loss, argnums=2)(params, head, zeros)
    expected = norms_by_suffix(tanh_layer, params, x, lambda h: mean_square(h @ head))
    np.testing.assert_allclose(norms, expected, rtol=2e-5)


@pytest.mark.parametrize("gain", [0.3, 3.0])
def test_logs_are_finite_where_float32_is_not(gain):
    """2,000 orthogonal layers of a known gain: log norm = log|c| + (L - l) log gain."""
    depth, width = 2000, 8
    orthogonal = jnp.linalg.qr(jax.random.normal(jax.random.key(1), (depth, width, width)))[0]
    logs = jacobians.log_gradient_norms(linear_layer, gain * orthogonal, jnp.zeros((2, width)), lambda h: jnp.sum(h))
    expected = 0.5 * np.log(width) + np.arange(depth, -1, -1) * np.log(gain)
    np.testing.assert_allclose(logs, expected, atol=1e-5 * depth)
    plain = jacobians.gradient_norms(linear_layer, gain * orthogonal, jnp.zeros((2, width)), lambda h: jnp.sum(h))
    assert plain[0] == 0 if gain < 1 else not np.isfinite(plain[0])


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_norm_of_representable_gradients_does_not_overflow_in_its_squares(scale):
    x = jnp.ones((2, 4))
    norms = jacobians.gradient_norms(linear_layer, jnp.eye(4)[None], x, lambda h: jnp.sum(h) * scale)
    np.testing.assert_allclose(norms, 2 * scale, rtol=1e-6)


def test_zero_gradient_is_zero_and_its_log_is_minus_infinity():
    params, x = stack()
    dead = {**params, "weight": params["weight"].at[2].set(0)}
    norms = jacobians.gradient_norms(tanh_layer, dead, x, mean_square)
    np.testing.assert_array_equal(norms[:3], 0)
    assert (norms[3:] > 0).all()
    logs = jacobians.log_gradient_norms(tanh_layer, dead, x, mean_square)
    np.testing.assert_array_equal(np.isneginf(logs), np.arange(7) < 3)
    assert not np.isnan(jax.grad(lambda p: jacobians.gradient_norms(tanh_layer, p, x, mean_square).sum())(dead)["weight"]).any()


def test_differentiable_against_finite_differences():
    with jax.enable_x64(True):
        params, x = stack(depth=3, width=3)
        params, x = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float64), (params, x))
        for function in (jacobians.gradient_norms, jacobians.log_gradient_norms):

            def of(step, function=function):
                moved = {**params, "bias": params["bias"] + step}
                return function(tanh_layer, moved, x, mean_square)[0]

            slope, h = jax.grad(of)(jnp.float64(0)), 1e-5
            np.testing.assert_allclose(slope, (of(jnp.float64(h)) - of(jnp.float64(-h))) / (2 * h), rtol=1e-7)


def test_half_precision_norms_are_float32():
    params, x = stack()
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), params)
    norms = jacobians.gradient_norms(tanh_layer, half, x.astype(jnp.bfloat16), mean_square)
    assert norms.dtype == jnp.float32
    np.testing.assert_allclose(norms, norms_by_suffix(tanh_layer, params, x, mean_square), rtol=0.1)


def test_examples_of_any_shape_and_vmap_over_seeds():
    weight = jax.random.normal(jax.random.key(2), (3, 4, 5, 5)) / 2  # [seeds, depth, …]
    x = jax.random.normal(jax.random.key(3), (2, 7, 5))
    norms = jax.vmap(lambda w: jacobians.gradient_norms(linear_layer, w, x, mean_square))(weight)
    for seed in range(3):
        flat = jacobians.gradient_norms(linear_layer, weight[seed], x.reshape(14, 5), mean_square)
        np.testing.assert_allclose(norms[seed], flat * np.sqrt(7), rtol=1e-5)


def test_one_compile_a_shape_and_none_more_with_depth():
    traces = []

    def counted(params, h):
        traces.append(h.shape)
        return tanh_layer(params, h)

    def count(depth, seed):
        before = len(traces)
        jacobians.gradient_norms(counted, *stack(depth=depth, seed=seed), mean_square)
        return len(traces) - before

    first, again, deeper = count(5, 0), count(5, 1), count(500, 0)
    assert again <= 1  # the door's own look at shapes may trace, nothing compiles
    assert deeper <= first


def test_exports_for_every_platform():
    params, x = stack()
    for function in (jacobians.gradient_norms, jacobians.log_gradient_norms, jacobians.value_and_gradient_norms):
        step = jax.jit(partial(function, tanh_layer, loss=mean_square))
        exported = jax.export.export(step, platforms=("cpu", "cuda", "tpu"))(params, x)
        assert exported.platforms == ("cpu", "cuda", "tpu")
