"""Attention and the Transformer block against Flax Linen and jax.nn on the same parameters, forward and gradient."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnotes.layers.attention import (
    dot_product_attention,
    self_attention,
    self_attention_init,
    transformer_block,
    transformer_block_init,
)

TIME, WIDTH, HEADS, HIDDEN = 6, 8, 2, 12


def layer_norm(params, x):
    """Layer normalisation by Flax, with the variance in two passes and PyTorch's epsilon as ours."""
    module = nn.LayerNorm(epsilon=1e-5, use_fast_variance=False)
    return module.apply({"params": {"scale": params["scale"], "bias": params["shift"]}}, x)


def noisy(params, key):
    """Parameters with no zero or one left, so that a bias or scale in the wrong place shows."""
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(key, len(leaves))
    moved = [p + 0.3 * jax.random.normal(k, p.shape) for p, k in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(tree, moved)


def attention_as_flax(params):
    """Flax splits the heads into an axis of their own."""
    inner = {
        name: {
            "kernel": params[name]["weight"].reshape(WIDTH, HEADS, WIDTH // HEADS),
            "bias": params[name]["bias"].reshape(HEADS, WIDTH // HEADS),
        }
        for name in ("query", "key", "value")
    }
    output = params["output"]
    return inner | {"out": {"kernel": output["weight"].reshape(HEADS, WIDTH // HEADS, WIDTH), "bias": output["bias"]}}


def flax_attention(params, x, causal):
    mask = nn.make_causal_mask(jnp.ones(x.shape[:1])) if causal else None
    module = nn.MultiHeadDotProductAttention(HEADS, qkv_features=WIDTH, out_features=WIDTH)
    return module.apply({"params": attention_as_flax(params)}, x, mask=mask)


def same_value_and_gradient(ours, theirs, *arguments):
    def both(f):
        def loss(*arguments):
            out = f(*arguments)
            return jnp.sum(jnp.sin(out)), out

        return jax.jit(jax.grad(loss, tuple(range(len(arguments))), has_aux=True))(*arguments)

    (of_ours, out), (of_theirs, expected) = both(ours), both(theirs)
    np.testing.assert_allclose(out, expected, rtol=2e-5, atol=2e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=2e-5), of_ours, of_theirs)


@pytest.mark.parametrize("causal", [False, True])
def test_dot_products_equal_jax(key, causal):
    query, keys, value = jax.random.normal(key, (3, TIME, HEADS, 4))
    ours = lambda q, k, v: dot_product_attention(q, k, v, causal=causal)
    theirs = lambda q, k, v: jax.nn.dot_product_attention(q, k, v, is_causal=causal)
    same_value_and_gradient(ours, theirs, query, keys, value)


def test_queries_and_keys_may_differ_in_number(key):
    query, keys, value = (jax.random.normal(key, (n, HEADS, f)) for n, f in ((3, 4), (TIME, 4), (TIME, 5)))
    scores = np.einsum("thf,shf->hts", query, keys) / 2
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    expected = np.einsum("hts,shf->thf", weights, value)
    np.testing.assert_allclose(dot_product_attention(query, keys, value, causal=False), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("causal", [False, True])
def test_self_attention_equals_flax(key, causal):
    params, x = noisy(self_attention_init(key, WIDTH), key), jax.random.normal(key, (TIME, WIDTH))
    ours = lambda p, x: self_attention(p, x, heads=HEADS, causal=causal)
    same_value_and_gradient(ours, lambda p, x: flax_attention(p, x, causal), params, x)


@pytest.mark.parametrize("pre_norm", [False, True])
def test_block_equals_flax(key, pre_norm):
    params, x = noisy(transformer_block_init(key, WIDTH, HIDDEN), key), jax.random.normal(key, (TIME, WIDTH))
    options = {"heads": HEADS, "causal": True}

    def theirs(p, x):
        dense = lambda name, h: h @ p[name]["weight"] + p[name]["bias"][None]
        feed = lambda h: dense("output", nn.gelu(dense("hidden", h), approximate=False))
        attend = lambda h: flax_attention(p["attention"], h, True)
        first, second = (lambda h, n=n: layer_norm(p[n], h) for n in ("attention_norm", "feed_forward_norm"))
        if pre_norm:
            middle = x + attend(first(x))
            return middle + feed(second(middle))
        middle = first(x + attend(x))
        return second(middle + feed(middle))

    same_value_and_gradient(lambda p, x: transformer_block(p, x, pre_norm=pre_norm, **options), theirs, params, x)


def test_without_positions_attention_commutes_with_permutations(key):
    params, x = noisy(self_attention_init(key, WIDTH), key), jax.random.normal(key, (TIME, WIDTH))
    order = np.random.default_rng(0).permutation(TIME)
    run = lambda x: self_attention(params, x, heads=HEADS, causal=False)
    np.testing.assert_allclose(run(x[order]), run(x)[order], rtol=1e-5, atol=1e-6)


def test_equal_keys_average_the_values_and_a_large_score_picks_one(key):
    value = jax.random.normal(key, (TIME, 1, 4))
    same = jnp.ones((TIME, 1, 4))
    np.testing.assert_allclose(
        dot_product_attention(same, same, value, causal=True)[:, 0],
        np.cumsum(np.asarray(value[:, 0]), axis=0) / np.arange(1, TIME + 1)[:, None],
        rtol=1e-5,
        atol=1e-6,
    )
    picked = dot_product_attention(same, same.at[2].set(1e4), value, causal=False)
    np.testing.assert_array_equal(picked[:, 0], np.broadcast_to(value[2, 0], (TIME, 4)))


def test_causal_output_ignores_the_future_even_where_it_is_infinite_in_score(key):
    params, x = noisy(self_attention_init(key, WIDTH), key), jax.random.normal(key, (TIME, WIDTH))
    run = lambda x: self_attention(params, x, heads=HEADS, causal=True)
    np.testing.assert_array_equal(run(x)[:3], run(x.at[3:].set(1e6))[:3])


@pytest.mark.parametrize("pre_norm", [True, False])
def test_positions_that_only_fill_up_change_nothing(key, pre_norm):
    """A filled-up example with its known positions equals the example alone, in value and gradient."""
    key_params, key_x, key_rest = jax.random.split(key, 3)
    params = noisy(transformer_block_init(key_params, WIDTH, HIDDEN), key_params)
    x = jax.random.normal(key_x, (TIME, WIDTH))
    filled = jnp.concatenate([x, 100 * jax.random.normal(key_rest, (3, WIDTH))])
    known = jnp.arange(TIME + 3) < TIME

    def run(params, x, known=None):
        return transformer_block(params, x, heads=HEADS, causal=False, pre_norm=pre_norm, known=known)[:TIME]

    same_value_and_gradient(lambda p: run(p, filled, known), lambda p: run(p, x), params)


def test_known_positions_equal_jax_mask(key):
    keys = jax.random.split(key, 3)
    query, source, value = (jax.random.normal(k, (TIME, HEADS, 4)) for k in keys)
    known = jnp.asarray([True, False, True, True, False, True])
    theirs = jax.nn.dot_product_attention(query, source, value, mask=jnp.tile(known, (1, TIME, 1)))
    np.testing.assert_allclose(dot_product_attention(query, source, value, causal=False, known=known), theirs, atol=1e-6)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
def test_half_precision_keeps_its_type_and_its_softmax_is_wide(key, dtype):
    query, keys, value = jax.random.normal(key, (3, TIME, HEADS, 4))
    halved = [a.astype(dtype) for a in (query, keys, value)]
    result = dot_product_attention(*halved, causal=True)
    wide = dot_product_attention(*(a.astype(jnp.float32) for a in halved), causal=True)
    assert result.dtype == dtype
    np.testing.assert_allclose(result.astype(jnp.float32), wide, atol=4 * float(jnp.finfo(dtype).eps))
    huge = jnp.full((TIME, HEADS, 4), 200, dtype)  # 200² · 4 is beyond float16
    assert np.isfinite(dot_product_attention(huge, huge, halved[2], causal=True).astype(jnp.float32)).all()


def test_edges(key):
    params = noisy(self_attention_init(key, WIDTH), key)
    one = jax.random.normal(key, (1, WIDTH))
    expected = (one @ params["value"]["weight"] + params["value"]["bias"][None]) @ params["output"]["weight"]
    for causal in (False, True):  # one position attends to itself alone
        result = self_attention(params, one, heads=HEADS, causal=causal)
        np.testing.assert_allclose(result, expected + params["output"]["bias"][None], rtol=1e-5, atol=1e-6)
    for value in (0.0, 1e-30, 1e15):
        x = jnp.full((TIME, WIDTH), value)
        gradient = jax.grad(lambda x: jnp.mean(self_attention(params, x, heads=HEADS, causal=True)))(x)
        assert np.isfinite(gradient).all()


def test_doors(key, unchecked):
    params = self_attention_init(key, WIDTH)
    for heads in (0, 3):
        with pytest.raises(ValueError, match=f"heads is {heads}; it must divide the width, which is 8"):
            self_attention(params, jnp.ones((TIME, WIDTH)), heads=heads, causal=False)
    with pytest.raises(ValueError, match=r"x has shape \(6, 7\); it must be \[time, width\] with width = 8"):
        self_attention(params, jnp.ones((TIME, 7)), heads=2, causal=False)
    with pytest.raises(ValueError, match="causal attention has 2 queries and 3 keys"):
        dot_product_attention(jnp.ones((2, 1, 4)), jnp.ones((3, 1, 4)), jnp.ones((3, 1, 4)), causal=True)
    with pytest.raises(ValueError, match="there are 0 keys"):
        dot_product_attention(jnp.ones((0, 1, 4)), jnp.ones((0, 1, 4)), jnp.ones((0, 1, 4)), causal=True)
