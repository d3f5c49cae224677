"""Clipping against Optax on the same trees, where Optax is finite; and zeros, huge values and directions."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnotes.layers.clipping import clip_by_global_norm, clip_by_value, direction_cosine, global_norm

PAIRS = ((clip_by_value, optax.clip), (clip_by_global_norm, optax.clip_by_global_norm))


def tree(key, scale=1.0):
    keys = jax.random.split(key, 3)
    return {
        "weight": scale * jax.random.normal(keys[0], (4, 5)),
        "bias": (scale * jax.random.normal(keys[1], ()), scale * jax.random.normal(keys[2], (3,))),
    }


@pytest.mark.parametrize("ours, theirs", PAIRS)
@pytest.mark.parametrize("limit", [0.0, 0.3, 5, 1e4])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_equals_optax(key, ours, theirs, limit, scale):
    gradients = tree(key, scale)
    expected = theirs(limit).update(gradients, optax.EmptyState())[0]
    clipped = jax.jit(ours)(gradients, float(limit))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-6, atol=0), clipped, expected)
    jax.tree.map(np.testing.assert_array_equal, ours(gradients, limit), ours(gradients, jnp.float32(limit)))


@pytest.mark.parametrize("ours, theirs", PAIRS)
def test_gradient_equals_optax(key, ours, theirs):
    gradients, weights = tree(key), tree(jax.random.key(1))

    def total(clip):
        return lambda g: optax.tree.vdot(clip(g), weights)

    of_ours = jax.grad(total(lambda g: ours(g, 0.7)))(gradients)
    of_theirs = jax.grad(total(lambda g: theirs(0.7).update(g, optax.EmptyState())[0]))(gradients)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), of_ours, of_theirs)


@pytest.mark.parametrize("clip", [clip_by_value, clip_by_global_norm])
@pytest.mark.parametrize("limit", [0.0, 1.0])
def test_zero_gradients_and_zero_limits_stay_finite(key, clip, limit):
    zeros = jax.tree.map(jnp.zeros_like, tree(key))
    jax.tree.map(np.testing.assert_array_equal, clip(zeros, limit), zeros)
    jax.tree.map(
        lambda g: np.testing.assert_array_equal(jnp.isfinite(g), True), jax.grad(lambda t: global_norm(clip(t, 1.0)))(zeros)
    )
    jax.tree.map(np.testing.assert_array_equal, clip(tree(key), 0.0), zeros)


def test_the_norm_survives_where_its_square_does_not():
    for scale in (1e-30, 1e30):  # squares leave float32
        np.testing.assert_allclose(global_norm([jnp.asarray([3 * scale]), jnp.asarray(4 * scale)]), 5 * scale, rtol=1e-6)
    huge = [jnp.full((100,), 3e38)]  # and here the norm itself, 3e39, overflows
    np.testing.assert_allclose(clip_by_global_norm(huge, 5.0)[0], 0.5, rtol=1e-6)
    np.testing.assert_array_equal(clip_by_global_norm(huge, float("inf"))[0], huge[0])
    assert float(global_norm({})) == 0 and clip_by_global_norm({}, 1.0) == {}
    assert float(global_norm([jnp.zeros((0, 3))])) == 0


def test_non_finite_entries_are_not_hidden():
    for bad in (jnp.nan, jnp.inf):
        assert np.isnan(clip_by_global_norm([jnp.asarray([bad, 1.0])], 1.0)[0]).any()
    np.testing.assert_array_equal(clip_by_value([jnp.asarray([jnp.nan, jnp.inf, -jnp.inf])], 5)[0], [jnp.nan, 5, -5])


def test_mixed_precisions_keep_their_types():
    gradients = [jnp.full((3,), 300.0, jnp.float16), jnp.full((2,), 1.0)]  # 300² overflows float16
    clipped = clip_by_global_norm(gradients, 1.0)
    assert [g.dtype for g in clipped] == [jnp.float16, jnp.float32]
    assert float(global_norm(clipped)) == pytest.approx(1, rel=1e-3)


def test_by_norm_keeps_the_direction_and_by_value_turns_it():
    gradient = [jnp.asarray([10.0, 1.0])]
    # [10, 1] cut to [1, 1]: cosine 11 / (sqrt(101) sqrt(2))
    by_value = float(direction_cosine(gradient, clip_by_value(gradient, 1.0)))
    assert by_value == pytest.approx(11 / np.sqrt(202), rel=1e-6)
    assert float(direction_cosine(gradient, clip_by_global_norm(gradient, 1.0))) == pytest.approx(1, rel=1e-6)
    huge = [jnp.asarray([3e38, 3e38])]
    assert float(direction_cosine(huge, [-1e-30 * jnp.ones(2)])) == pytest.approx(-1, rel=1e-6)
    assert float(direction_cosine(gradient, [jnp.zeros(2)])) == 0


def test_doors(unchecked):
    for clip in (clip_by_value, clip_by_global_norm):
        for limit in (-1.0, float("nan")):
            with pytest.raises(ValueError, match=f"limit is {limit}; it must be 0 or positive"):
                clip([jnp.ones(2)], limit)
        with pytest.raises(TypeError, match=r"the leaf \['a'\] of .* is int32"):
            clip({"a": jnp.ones(2, jnp.int32)}, 1.0)
    with pytest.raises(TypeError, match=r"the leaf \[0\] of .* is the float"):
        global_norm([1.0])
