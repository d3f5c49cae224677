"""A batch that is spread over eight devices gives what it gives on one: `make settings SETTING=eight-devices`."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from jaxnotes import jacobians
from jaxnotes.layers import attention, convolution, linear, normalization, pooling

pytestmark = pytest.mark.skipif(jax.device_count() < 8, reason="needs eight devices: make settings SETTING=eight-devices")


@pytest.fixture(scope="module")
def spread():
    """Spreads an array over the devices, by its first axis."""
    mesh = jax.make_mesh((8,), ("data",), axis_types=(AxisType.Auto,))
    return lambda x: jax.device_put(x, NamedSharding(mesh, PartitionSpec("data")))


def batch_norm(key, x):
    params, state = normalization.norm_init(x.shape[-1]), normalization.batch_norm_state(x.shape[-1])
    return normalization.batch_norm(params, state, x, train=True)


def attend(key, x):
    params = attention.self_attention_init(key, x.shape[-1])
    return jax.vmap(lambda example: attention.self_attention(params, example, heads=2, causal=True))(x)


def stack(key, x):
    width = x.shape[-1]
    params = jax.vmap(lambda k: linear.linear_init(k, width, width))(jax.random.split(key, 3))
    f = lambda p, h: jnp.tanh(linear.linear(p, h))
    return [norms(f, params, x, lambda h: jnp.mean(h**2)) for norms in (jacobians.gradient_norms, jacobians.log_gradient_norms)]


CALLS = {
    "linear": ((16, 6), lambda key, x: linear.linear(linear.linear_init(key, 6, 5), x)),
    "convolution": ((16, 8, 8, 3), lambda key, x: convolution.convolution(convolution.convolution_init(key, 3, 4, (3, 3)), x)),
    "max_pool": ((16, 8, 8, 3), lambda key, x: pooling.max_pool(x, 2)),
    "batch_norm": ((16, 6), batch_norm),
    "layer_norm": ((16, 6), lambda key, x: normalization.layer_norm(normalization.norm_init(6), x)),
    "attention": ((16, 5, 8), attend),
    "gradient norms": ((16, 6), stack),
}


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("name", list(CALLS))
def test_a_spread_batch_gives_what_it_gives_on_one_device(key, spread, name, compiled):
    shape, call = CALLS[name]
    x = jax.random.normal(key, shape)
    call = jax.jit(call) if compiled else call
    whole, parts = call(key, x), call(key, spread(x))
    for expected, found in zip(jax.tree.leaves(whole), jax.tree.leaves(parts), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    if name != "gradient norms":
        assert len(jax.tree.leaves(parts)[0].sharding.device_set) == 8
