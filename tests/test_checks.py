"""The checks at the public doors: what they say, what they let pass, and that a traced value never raises."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnotes import _checks, training
from jaxnotes.layers import activations, clipping, dropout, embedding, initializers, linear, normalization, residual
from jaxnotes.models import transformer

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.mark.parametrize(
    "wrong, kind, message",
    [
        (0, TypeError, r"key is the int 0; a random key is expected: make one with jax.random.key\(0\)"),
        (jnp.ones(2), TypeError, r"key is float32\[2\]; a random key is expected"),
        (None, TypeError, "key is None"),
        (jax.random.split(jax.random.key(0), 3), ValueError, r"key is key<fry>\[3\]; one key is expected: take key\[0\], or"),
        (jnp.zeros((3, 2), jnp.uint32), ValueError, r"key is uint32\[3, 2\]; one key is expected"),
    ],
)
def test_keys_of_a_wrong_kind_are_named(wrong, kind, message):
    for draw in (lambda key: linear.linear_init(key, 2, 3), lambda key: dropout.keep_mask(key, 0.5, (3,))):
        with pytest.raises(kind, match=message):
            draw(wrong)


def test_typed_and_raw_keys_draw_the_same():
    typed, raw = (initializers.he_normal(make(3), 4, 5) for make in (jax.random.key, jax.random.PRNGKey))
    np.testing.assert_array_equal(typed, raw)


@pytest.mark.parametrize("dtype, advice", [("int32", "convert it with x.astype"), ("bool", "convert"), ("complex64", "x.real")])
def test_floats_are_not_taken_from_other_dtypes(dtype, advice):
    x = jnp.ones((2, 3)).astype(dtype)
    for function in (activations.relu, activations.tanh, lambda x: normalization.layer_norm({}, x)):
        with pytest.raises(TypeError, match=f"x has dtype {dtype}; floats are expected: .*{advice}"):
            function(x)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: embedding.embedding({"table": jnp.ones(3)}, jnp.zeros(2, int)), r"table has shape \(3,\); it must be"),
        (lambda: normalization.mean_and_variance(jnp.ones((3, 0)), 1), "an empty axis has no mean"),
        (lambda: training.accuracy(jnp.ones((0, 2)), jnp.zeros(0, int)), "at least one row"),
        (lambda: training.cross_entropy(jnp.ones((2, 3)), jnp.zeros((2, 1), int)), r"labels has shape \(2, 1\)"),
        (lambda: linear.linear({"weight": jnp.ones((2, 3)), "bias": jnp.ones(1)}, jnp.ones((4, 2))), r"bias has shape \(1,\)"),
        (lambda: clipping.direction_cosine([jnp.ones(3)], [jnp.ones(1)]), "give two trees of the same shapes"),
        (lambda: residual.residual(lambda _, x: x[:1], None, jnp.ones(3)), r"branch maps shape \(3,\) to \(1,\)"),
        (lambda: normalization.layer_norm({"bias": jnp.ones(3)}, jnp.ones((2, 3))), "unknown entry of params 'bias'"),
    ],
)
def test_nothing_broadcasts_in_silence(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_inference_with_a_negative_variance_is_refused_where_it_is_known():
    state, x = {"mean": jnp.zeros(2), "variance": jnp.asarray([1.0, -0.5])}, jnp.ones((3, 2))
    infer = lambda state: normalization.batch_norm({}, state, x, train=False)[0]
    with pytest.raises(ValueError, match="running variance holds -0.5; it must be 0 or positive everywhere"):
        infer(state)
    with pytest.raises(ValueError, match="running variance holds -0.5"):
        jax.jit(lambda: infer(state))()  # a constant of the program is known too
    assert np.isnan(jax.jit(infer)(state)[:, 1]).all()


def test_traced_values_never_raise():
    x = jnp.ones((3, 2))
    bad = jnp.float32(np.nan)
    drop = lambda keep: dropout.dropout(x, keep, train=True, key=jax.random.key(0))
    for function in (drop, lambda scale: residual.residual(lambda _, x: x, None, x, branch_scale=scale)):
        assert jax.jit(function)(bad).shape == x.shape
        assert jax.vmap(function)(bad[None]).shape == (1, 3, 2)
        assert jax.lax.map(function, bad[None]).shape == (1, 3, 2)
    clip = lambda limit: clipping.clip_by_value([x], limit)[0].sum()
    assert np.isfinite(jax.grad(clip)(-jnp.ones(()))) and np.isfinite(jax.jit(clip)(-1))


def test_a_concrete_number_inside_of_jit_is_looked_at():
    """An operation on it would give a traced value there, of which `if` knows nothing."""
    keep = jnp.float32(0.5)
    x = jnp.ones((3, 2))
    inside = jax.jit(lambda key: dropout.dropout(x, keep, train=True, key=key))(jax.random.key(0))
    np.testing.assert_array_equal(inside, dropout.dropout(x, keep, train=True, key=jax.random.key(0)))


def test_a_traced_size_or_flag_is_said_to_be_static():
    with pytest.raises(TypeError, match="width is traced; it must be known when JAX traces: name it in static_argnames"):
        jax.jit(lambda width: embedding.embedding_init(jax.random.key(0), 3, width)["table"])(3)
    with pytest.raises(TypeError, match="train is traced"):
        jax.jit(lambda train: dropout.dropout(jnp.ones(2), 0.5, train=train, key=jax.random.key(0)))(True)


def test_true_and_false_are_not_texts():
    params = transformer.transformer_init(jax.random.key(0), 3, 4, 1, 2, time=2)
    with pytest.raises(TypeError, match="pre_norm is the str 'False'; it must be True or False"):
        transformer.transformer_classifier(params, jnp.ones((1, 2, 3)), heads=1, pre_norm="False")


@pytest.mark.parametrize(
    "shape, spec, sizes, fits",
    [
        ((), "...", {}, True),
        ((3,), "n", {"n": 3}, True),
        ((3,), "n", {"n": 4}, False),
        ((2, 3), "... n", {"n": 3}, True),
        ((), "... n", {"n": 3}, False),
        ((2, 5, 6, 3), "batch ... n", {"n": 3}, True),
        ((3,), "batch ... n", {"n": 3}, False),
        ((2, 3), "n", {"n": 3}, False),
    ],
)
def test_shapes_are_read_as_written(shape, spec, sizes, fits):
    if fits:
        assert _checks.floats("x", jnp.ones(shape), spec, **sizes).shape == shape
    else:
        with pytest.raises(ValueError, match=r"x has shape .*; it must be \["):
            _checks.floats("x", jnp.ones(shape), spec, **sizes)


@pytest.mark.parametrize(
    "value, fits", [(3, True), (np.int64(3), True), (True, False), (3.0, False), ("3", False), (None, False)]
)
def test_counts_are_integers(value, fits):
    if fits:
        assert _checks.count("n", value) == 3
    else:
        with pytest.raises(TypeError, match="n is .*; it must be an integer"):
            _checks.count("n", value)
