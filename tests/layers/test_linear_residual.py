"""Linear and residual layers against Flax Linen on the same parameters, forward and gradient."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnotes.layers.activations import tanh
from jaxnotes.layers.linear import linear, linear_init
from jaxnotes.layers.residual import depth_scale, residual, zero_initialised


@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 5, 3), (0, 3)])
def test_linear_equals_flax(key, shape):
    params = linear_init(key, 3, 4, bias_variance=1.0)
    x = jax.random.normal(key, shape)
    of_flax = lambda p, x: nn.Dense(4).apply({"params": {"kernel": p["weight"], "bias": p["bias"]}}, x)
    np.testing.assert_allclose(jax.jit(linear)(params, x), of_flax(params, x), rtol=1e-6, atol=1e-7)
    ours, theirs = (jax.jit(jax.grad(lambda p, f=f: jnp.sum(jnp.sin(f(p, x)))))(params) for f in (linear, of_flax))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), ours, theirs)


def test_bias_variance(key):
    bias = np.asarray(linear_init(key, 1, 20_000, bias_variance=0.25)["bias"])
    assert abs(bias.var() / 0.25 - 1) < 5 * np.sqrt(2 / 20_000)
    assert not np.asarray(linear_init(key, 1, 5)["bias"]).any()
    drawn = linear_init(key, 3, 4, bias_variance=0.25)
    np.testing.assert_array_equal(linear_init(key, 3, 4)["weight"], drawn["weight"])  # biases leave the weights alone


def test_residual_adds_the_scaled_branch_and_its_jacobian_the_identity(key):
    params, x = linear_init(key, 6, 6), jax.random.normal(key, (6,))
    branch = lambda p, x: linear(p, tanh(x))
    np.testing.assert_allclose(residual(branch, params, x, branch_scale=0.3), x + 0.3 * branch(params, x), rtol=1e-6)
    of_branch = jax.jacobian(lambda x: branch(params, x))(x)
    of_block = jax.jacobian(lambda x: residual(branch, params, x, branch_scale=0.3))(x)
    np.testing.assert_allclose(of_block, np.eye(6) + 0.3 * of_branch, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(residual(branch, zero_initialised(params), x), x)


@pytest.mark.parametrize("shortcut_scale", [0.0, 0.5, 1.0])
def test_the_jacobian_holds_the_shortcut_s_scale_times_the_identity(key, shortcut_scale):
    """He et al. (2016b), equation 6."""
    params, x = linear_init(key, 4, 4), jax.random.normal(key, (4,))
    scales = {"branch_scale": 0.3, "shortcut_scale": shortcut_scale}
    jacobian = jax.jacobian(lambda x: residual(linear, params, x, **scales))(x)
    np.testing.assert_allclose(jacobian, shortcut_scale * np.eye(4) + 0.3 * params["weight"].T, rtol=1e-5, atol=1e-6)


def test_depth_scale():
    assert depth_scale(1) == 1.0 and depth_scale(100) == pytest.approx(0.1)


def test_doors(key, unchecked):
    params = linear_init(key, 3, 4)
    with pytest.raises(ValueError, match=r"x has shape \(2, 4\); it must be \[..., n_in\] with n_in = 3"):
        linear(params, jnp.ones((2, 4)))
    with pytest.raises(TypeError, match=r"x has dtype int32; floats are expected: convert it with x.astype\('float32'\)"):
        linear(params, jnp.ones((2, 3), jnp.int32))
    with pytest.raises(ValueError, match=r"branch maps shape \(2, 3\) to \(2, 4\); it must keep the shape"):
        residual(linear, params, jnp.ones((2, 3)))
    for variance in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"bias_variance is {variance}"):
            linear_init(key, 3, 4, bias_variance=variance)
    with pytest.raises(ValueError, match="n_in is 0; it must be at least 1"):
        linear_init(key, 0, 4)
    with pytest.raises(ValueError, match="depth is 0"):
        depth_scale(0)
