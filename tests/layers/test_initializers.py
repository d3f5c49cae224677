"""Initializers: variances by their definition with tolerance from the standard error, bounds, orthogonality, doors."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxnotes.layers.initializers import INITIALIZERS, by_name, orthogonal, weight_variance

N_IN, N_OUT = 300, 500
VARIANCES = {"xavier": 2 / (N_IN + N_OUT), "he": 2 / N_IN, "lecun": 1 / N_IN}


@pytest.mark.parametrize("kind", ["normal", "uniform"])
@pytest.mark.parametrize("author", VARIANCES)
def test_moments_and_distribution(key, author, kind):
    weights = np.asarray(by_name(f"{author}_{kind}")(key, N_IN, N_OUT)).ravel()
    deviation = np.sqrt(VARIANCES[author])
    law = stats.norm(0, deviation) if kind == "normal" else stats.uniform(-np.sqrt(3) * deviation, 2 * np.sqrt(3) * deviation)
    assert stats.kstest(weights, law.cdf).pvalue > 1e-3
    if kind == "uniform":
        bound = np.float32(np.sqrt(3) * deviation)
        assert 0.999 * bound < np.abs(weights).max() <= bound
    error = np.sqrt(2 / weights.size)
    assert abs(weights.var() / VARIANCES[author] - 1) < 5 * error
    of_jax = {"xavier": "glorot"}.get(author, author)
    reference = np.asarray(getattr(jax.nn.initializers, f"{of_jax}_{kind}")()(key, (N_IN, N_OUT))).ravel()
    assert abs(weights.std() / reference.std() - 1) < 0.02  # jax.nn truncates its normals and rescales them


@pytest.mark.parametrize("value", [0.0, 1e-4, 2.25])
def test_weight_variance_is_divided_by_the_inputs(key, value):
    weights = np.asarray(weight_variance(value)(key, N_IN, N_OUT))
    np.testing.assert_allclose(weights.var() * N_IN, value, rtol=5 * np.sqrt(2 / weights.size), atol=1e-12)


@pytest.mark.parametrize("shape", [(7, 7), (9, 4), (4, 9), (1, 1)])
def test_orthogonal_has_equal_singular_values(key, shape):
    np.testing.assert_allclose(np.linalg.svd(orthogonal(1.7)(key, *shape), compute_uv=False), 1.7, rtol=1e-5)


def test_orthogonal_is_uniform(key):
    # Entries of a Haar matrix of size n have mean 0 and variance 1/n; without the sign fix the diagonal's mean is not 0.
    matrices = jax.vmap(lambda k: orthogonal()(k, 4, 4))(jax.random.split(key, 4000))
    assert np.abs(np.asarray(matrices.mean(0))).max() < 5 * np.sqrt(0.25 / 4000)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_dtype_is_kept(key, name):
    assert INITIALIZERS[name](key, 3, 2, jnp.bfloat16).dtype == jnp.bfloat16


def test_doors(key):
    with pytest.raises(ValueError, match="unknown initializer 'kaiming'; choose one of xavier_normal"):
        by_name("kaiming")
    with pytest.raises(ValueError, match="value is -1.0; it is a weight variance"):
        weight_variance(-1.0)
    for value in (float("nan"), float("inf")):
        with pytest.raises(ValueError, match=f"value is {value}; it is a weight variance and must be finite"):
            weight_variance(value)
    with pytest.raises(ValueError, match="n_in is 0; it must be at least 1"):
        by_name("he_normal")(key, 0, 3)
