"""Dropout against Flax on the same key, its expectation over all masks, and its edges."""

import itertools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnotes.layers.dropout import dropout, inverted_dropout, keep_mask

FORMS = (dropout, inverted_dropout)


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.8, 1.0])
def test_the_inverted_form_equals_flax_on_the_same_key(key, keep):
    x = jax.random.normal(key, (5, 3, 7))
    theirs = lambda x: nn.Dropout(1 - keep).apply({}, x, deterministic=False, rng=key)
    ours = lambda x: inverted_dropout(x, keep, train=True, key=key)
    np.testing.assert_array_equal(np.asarray(ours(x)) == 0, np.asarray(theirs(x)) == 0)
    np.testing.assert_allclose(ours(x), theirs(x), rtol=1e-6)
    squares = [jax.grad(lambda x, f=f: jnp.sum(f(x) ** 2))(x) for f in (ours, theirs)]
    np.testing.assert_allclose(*squares, rtol=1e-6)
    np.testing.assert_array_equal(inverted_dropout(x, keep, train=False), x)


@pytest.mark.parametrize("keep", [0.2, 0.5, 1.0])
def test_the_notes_form_is_the_inverted_one_times_keep(key, keep):
    x = jax.random.normal(key, (40, 9))
    kept = np.asarray(dropout(x, keep, train=True, key=key))
    np.testing.assert_allclose(kept, keep * inverted_dropout(x, keep, train=True, key=key), rtol=1e-6)
    np.testing.assert_allclose(dropout(x, keep, train=False), keep * np.asarray(x), rtol=1e-6)
    assert ((kept == 0) | (kept == np.asarray(x))).all()


def test_the_expectation_over_all_masks_is_the_output_at_inference():
    keep, x = 0.7, np.asarray([3.0, -1.0, 0.5, 10.0])
    masks = np.asarray(list(itertools.product([0, 1], repeat=4)))
    weights = (keep**masks * (1 - keep) ** (1 - masks)).prod(1)
    expected = (weights[:, None] * masks * x).sum(0)
    np.testing.assert_allclose(dropout(jnp.asarray(x, jnp.float32), keep, train=False), expected, rtol=1e-6)


def test_the_probability_is_the_one_to_keep(key):
    n = 200_000
    kept = np.asarray(keep_mask(key, 0.9, (n,))).mean()
    assert abs(kept - 0.9) < 5 * np.sqrt(0.9 * 0.1 / n)
    assert abs(np.mean(np.asarray(dropout(jnp.ones(n), 0.9, train=True, key=key))) - kept) < 1e-6


@pytest.mark.parametrize("form", FORMS)
def test_keep_all_and_keep_none_need_no_key_and_a_dropped_unit_is_zero_whatever_it_was(key, form):
    x = jnp.asarray([[1.0, -jnp.inf], [jnp.nan, 3e38]])
    np.testing.assert_array_equal(form(x, 1.0, train=True), x)
    np.testing.assert_array_equal(form(x, 0, train=True), jnp.zeros((2, 2)))
    np.testing.assert_array_equal(form(x, 0.0, train=True, key=key), jnp.zeros((2, 2)))
    gradient = jax.grad(lambda x: jnp.sum(form(x, 0.0, train=True, key=key)))(x)
    np.testing.assert_array_equal(gradient, jnp.zeros((2, 2)))
    assert form(jnp.zeros((0, 3)), 0.5, train=True, key=key).shape == (0, 3)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_dtype_is_kept(key, form, dtype):
    x = jnp.ones((4, 4), dtype)
    for train in (True, False):
        assert form(x, 0.5, train=train, key=key).dtype == dtype


@pytest.mark.parametrize("form", FORMS)
def test_jit_vmap_and_a_traced_probability_agree_with_eager(key, form):
    x = jax.random.normal(key, (6, 4))
    keeps = jnp.asarray([0.0, 0.5, 1.0])
    keys = jax.random.split(key, 3)
    mapped = jax.jit(jax.vmap(lambda keep, k: form(x, keep, train=True, key=k)))(keeps, keys)
    for row, keep, k in zip(mapped, keeps, keys, strict=True):
        np.testing.assert_allclose(row, form(x, keep, train=True, key=k), rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_doors(key, unchecked, form):
    x = jnp.ones(3)
    with pytest.raises(ValueError, match=r"got no key; pass key=jax.random.key\(...\), or train=False"):
        form(x, 0.5, train=True)
    with pytest.raises(ValueError, match="got no key"):
        jax.jit(lambda keep: form(x, keep, train=True))(1.0)
    for keep in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=f"keep_probability is {keep}; it is the probability to keep"):
            form(x, keep, train=False)
    with pytest.raises(TypeError, match="x has dtype int32; floats are expected"):
        form(jnp.ones(3, jnp.int32), 0.5, train=True, key=key)
    with pytest.raises(TypeError, match="train"):
        form(x, 0.5, key=key)
    with pytest.raises(ValueError, match="keep_probability is 2"):
        keep_mask(key, 2.0, (3,))
