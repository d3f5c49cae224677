"""The convolutional classifier against a Flax module with the same parameters, and its shapes for every pool and head."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnotes.layers.activations import relu
from jaxnotes.models.convolutional import HEADS, POOLS, convolutional, convolutional_init, features


class FlaxClassifier(nn.Module):
    """Two blocks of convolution, ReLU and max pooling, then a linear layer."""

    @nn.compact
    def __call__(self, x):
        for channels in (4, 16):
            x = nn.max_pool(nn.relu(nn.Conv(channels, (3, 3))(x)), (2, 2), (2, 2), "SAME")
        return nn.Dense(3)(x.reshape(x.shape[0], -1))


def test_forward_and_gradient_equal_flax(key):
    x = jax.random.normal(key, (3, 7, 6, 1))
    options = {"pool": "max", "head": "flatten"}
    params = convolutional_init(key, (7, 6, 1), (4, 16), 3, **options)

    def theirs(params):
        layers = {f"Conv_{i}": p for i, p in enumerate(params["blocks"])} | {"Dense_0": params["output"]}
        named = {name: {"kernel": p["weight"], "bias": p["bias"]} for name, p in layers.items()}
        return FlaxClassifier().apply({"params": named}, x)

    ours = lambda p: convolutional(p, x, activation=relu, **options)
    np.testing.assert_allclose(jax.jit(ours)(params), jax.jit(theirs)(params), rtol=1e-4, atol=1e-5)
    gradients = [jax.jit(jax.grad(lambda p, f=f: jnp.sum(f(p) ** 2)))(params) for f in (ours, theirs)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), *gradients)


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("head", HEADS)
def test_features_of_every_pool_and_head(key, pool, head):
    params = convolutional_init(key, (8, 8, 1), (2, 3), 5, pool=pool, head=head)
    x = jnp.ones((1, 8, 8, 1))
    cells = 1 if head != "flatten" else 64 if pool == "none" else 4
    assert features(params["blocks"], x, activation=relu, pool=pool, head=head).shape == (1, 3 * cells)
    assert convolutional(params, x, activation=relu, pool=pool, head=head).shape == (1, 5)


def test_one_dimensional_signals(key):
    params = convolutional_init(key, (40, 1), (4, 4), 10, pool="max", head="average")
    assert convolutional(params, jnp.ones((2, 40, 1)), activation=relu, pool="max", head="average").shape == (2, 10)


def test_global_heads_take_any_size_and_ignore_circular_shifts(key):
    options = {"activation": relu, "pool": "none", "head": "average", "padding": "CIRCULAR"}
    params = convolutional_init(key, (8, 8, 1), (4,), 3, pool="none", head="average")
    x = jax.random.normal(key, (2, 10, 6, 1))
    shifted = jnp.roll(x, (3, 1), (1, 2))
    expected = convolutional(params, x, **options)
    np.testing.assert_allclose(convolutional(params, shifted, **options), expected, rtol=1e-4, atol=1e-5)


def test_doors(key, unchecked):
    with pytest.raises(ValueError, match="channels is empty"):
        convolutional_init(key, (8, 8, 1), (), 3, pool="max", head="flatten")
    with pytest.raises(ValueError, match="unknown pool 'mean'; choose one of max, average"):
        convolutional_init(key, (8, 8, 1), (4,), 3, pool="mean", head="flatten")
    with pytest.raises(ValueError, match="unknown head 'global'; choose one of flatten"):
        convolutional_init(key, (8, 8, 1), (4,), 3, pool="max", head="global")
