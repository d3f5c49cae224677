"""Embedding: against one-hot codes times the table and Flax, in value and gradient; indices outside the table; doors."""

import flax.linen
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxnotes.layers.embedding import embedding, embedding_init

INDICES = jnp.asarray([[3, 0, 3], [6, 3, 1]])  # 3 thrice: its gradients add up; 2, 4 and 5 absent


@pytest.fixture
def params(key):
    return embedding_init(key, 7, 4)


def test_value_and_gradient_are_those_of_one_hot_times_table(params, key):
    def looked_up(params, indices):
        return jnp.sum(weights * jnp.sin(embedding(params, indices)))

    def multiplied(params, indices):
        return jnp.sum(weights * jnp.sin(jax.nn.one_hot(indices, 7) @ params["table"]))

    weights = jax.random.normal(key, (2, 3, 4))
    np.testing.assert_array_equal(embedding(params, INDICES), np.eye(7, dtype="float32")[INDICES] @ np.asarray(params["table"]))
    ours, reference = (jax.grad(f)(params, INDICES)["table"] for f in (looked_up, multiplied))
    np.testing.assert_allclose(ours, reference, rtol=1e-5, atol=1e-7)
    np.testing.assert_array_equal(ours[jnp.asarray([2, 4, 5])], 0)


def test_flax_gives_the_same(params):
    layer = flax.linen.Embed(7, 4)
    variables = {"params": {"embedding": params["table"]}}
    np.testing.assert_array_equal(embedding(params, INDICES), layer.apply(variables, INDICES))
    ours = jax.grad(lambda table: jnp.sum(jnp.exp(embedding({"table": table}, INDICES))))(params["table"])
    theirs = jax.grad(lambda v: jnp.sum(jnp.exp(layer.apply(v, INDICES))))(variables)["params"]["embedding"]
    np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("outside", [-1, -7, 7, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("transform", [jax.jit, lambda f: f], ids=["jit", "eager"])
def test_an_index_outside_gives_nan_and_no_gradient(params, outside, transform):
    rows = transform(embedding)(params, jnp.asarray([2, outside]))
    np.testing.assert_array_equal(rows[0], params["table"][2])
    assert np.isnan(rows[1]).all()
    gradient = transform(jax.grad(lambda p: jnp.sum(embedding(p, jnp.asarray([2, outside]))[0])))(params)["table"]
    np.testing.assert_array_equal(gradient, np.eye(7)[2][:, None] * np.ones((1, 4)))
    gradient = transform(jax.grad(lambda p: jnp.sum(embedding(p, jnp.asarray([outside])))))(params)["table"]
    np.testing.assert_array_equal(gradient, np.zeros((7, 4)))


def test_a_nan_in_one_row_stays_there(params):
    table = params["table"].at[5].set(jnp.nan)
    assert np.isfinite(embedding({"table": table}, INDICES)).all()


@pytest.mark.parametrize(
    "indices", [jnp.asarray(4), jnp.zeros((0,), int), jnp.zeros((2, 0, 3), int), jnp.asarray([6], "uint8")]
)
def test_odd_shapes_and_integer_types(params, indices):
    rows = embedding(params, indices)
    assert rows.shape == (*indices.shape, 4)
    np.testing.assert_array_equal(rows, np.asarray(params["table"])[np.asarray(indices)])


def test_vmap_equals_a_loop(params):
    looped = jnp.stack([embedding(params, row) for row in INDICES])
    np.testing.assert_array_equal(jax.vmap(lambda row: embedding(params, row))(INDICES), looped)


def test_initial_entries_are_gaussian_of_the_variance(key):
    table = np.asarray(embedding_init(key, 300, 500)["table"])
    assert stats.kstest(table.ravel(), stats.norm(0, 500**-0.5).cdf).pvalue > 1e-3
    assert embedding_init(key, 3, 2, variance=4.0, dtype=jnp.bfloat16)["table"].dtype == jnp.bfloat16
    np.testing.assert_array_equal(embedding_init(key, 3, 2, variance=0.0)["table"], 0)


def test_doors(key, params, unchecked):
    with pytest.raises(ValueError, match="n_symbols is 0; it must be at least 1"):
        embedding_init(key, 0, 3)
    with pytest.raises(ValueError, match="variance is -1.0; it must be finite"):
        embedding_init(key, 2, 3, variance=-1.0)
    with pytest.raises(TypeError, match="indices has dtype float32; integers are expected"):
        embedding(params, jnp.asarray([0.0]))
