"""Singular values at the edges: dead units, rank one, the smallest sizes, transformations, export and compiles."""

import warnings
from functools import partial

import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnotes import jacobians
from jaxnotes.jacobians import _spectrum as spectrum_module


def tanh_layer(weight, h):
    return jnp.tanh(h @ weight)


def pre_activation_layer(weight, h):
    return jax.nn.relu(h) @ weight


def linear_layer(weight, h):
    return h @ weight


def weights(depth, width, variance=1.0, seed=0):
    return jax.random.normal(jax.random.key(seed), (depth, width, width)) * np.sqrt(variance / width)


def inputs(batch, width, seed=1):
    return jax.random.normal(jax.random.key(seed), (batch, width))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_dead_units_are_exact_zeros(dtype):
    """ReLU: the rank is known by NumPy's rank of the product, the others are -inf, without a warning."""
    weight, x = weights(6, 8, variance=2.0, seed=5), inputs(3, 8)
    values = np.asarray(jacobians.log_singular_values(pre_activation_layer, weight, x, dtype=dtype))
    with jax.enable_x64(True):
        product = np.asarray(jacobians.end_to_end(pre_activation_layer, weight.astype(jnp.float64), x.astype(jnp.float64))[0])
    for found, matrix in zip(values, product, strict=True):
        rank = np.linalg.matrix_rank(matrix)
        assert 0 < rank < 8
        assert np.isneginf(found[rank:]).all()
        np.testing.assert_allclose(found[:rank], np.log(np.linalg.svd(matrix, compute_uv=False)[:rank]), atol=1e-4)


def test_zero_layers():
    assert np.isneginf(jacobians.log_singular_values(linear_layer, jnp.zeros((3, 4, 4)), jnp.ones((1, 4)))).all()
    diagonal = jnp.stack([jnp.diag(jnp.array([1.0, 2.0, 0.0, 4.0]))] * 3)
    values = jacobians.log_singular_values(linear_layer, diagonal, jnp.ones((1, 4)))
    np.testing.assert_allclose(values[0, :3], 3 * np.log([4, 2, 1]), atol=1e-5)
    assert np.isneginf(values[0, 3])


@pytest.mark.parametrize(("depth", "width", "batch"), [(1, 1, 1), (3, 2, 1), (3, 3, 2)])
def test_smallest_sizes(depth, width, batch):
    weight = weights(depth, width, seed=6)
    values = jacobians.log_singular_values(linear_layer, weight, inputs(batch, width))
    product = np.linalg.multi_dot([*np.asarray(weight, float), np.eye(width)]) if depth > 1 else np.asarray(weight[0], float)
    expected = np.log(np.linalg.svd(product, compute_uv=False))
    np.testing.assert_allclose(values, np.repeat(expected[None], batch, axis=0), atol=1e-5)


def test_accuracy_that_was_not_reached_is_reported():
    """Rank one by equal entries, no exact zero: the others are rounding noise and must not look like numbers."""
    weight, x = jnp.full((10, 5, 5), 0.2), jnp.ones((1, 5))
    found = jacobians.log_singular_values_with_error(linear_layer, weight, x)
    np.testing.assert_allclose(found.values[0, 0], 0, atol=1e-5)
    assert np.isneginf(found.values[0, 1:]).all() and np.isposinf(found.error[0, 1:]).all() and not found.converged.any()
    with pytest.warns(jacobians.SpectrumAccuracyWarning, match="4 below rounding noise.*float64"):
        jacobians.log_singular_values(linear_layer, weight, x)


def test_half_precision_is_taken_in_float32():
    weight, x = weights(4, 5), inputs(2, 5)
    half = weight.astype(jnp.bfloat16)
    values = jacobians.log_singular_values(tanh_layer, half, x.astype(jnp.bfloat16))
    assert values.dtype == jnp.float32
    same = jacobians.log_singular_values(tanh_layer, half.astype(jnp.float32), x.astype(jnp.bfloat16).astype(jnp.float32))
    np.testing.assert_allclose(values, same, atol=1e-5)


class SpectrumTest(chex.TestCase):
    @chex.variants(with_jit=True, without_jit=True)
    def test_jit_and_vmap_over_seeds(self):
        weight, x = jnp.stack([weights(5, 4, seed=seed) for seed in range(3)]), inputs(2, 4)
        found = self.variant(jax.vmap(lambda w: jacobians.log_singular_values(linear_layer, w, x)))(weight)
        for seed in range(3):
            product = np.linalg.multi_dot(list(np.asarray(weight[seed], float)))
            expected = np.log(np.linalg.svd(product, compute_uv=False))
            np.testing.assert_allclose(found[seed], np.repeat(expected[None], 2, axis=0), atol=1e-4)


def test_exports_for_every_platform():
    weight, x = weights(3, 4), inputs(2, 4)
    core = jax.jit(partial(spectrum_module._values_and_error, tanh_layer))
    exported = jax.export.export(core, platforms=("cpu", "cuda", "tpu"))(weight, x)
    assert exported.platforms == ("cpu", "cuda", "tpu")
    assert len(exported.out_avals) == 2


def test_one_compile_a_shape():
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(lambda event, *_, **__: compiled.append(event))
    counts = []
    for seed in range(2):
        weight, x = weights(3, 10, seed=seed), inputs(2, 10, seed=seed)
        compiled.clear()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", jacobians.SpectrumAccuracyWarning)
            jacobians.log_singular_values(tanh_layer, weight, x)
        counts.append(sum("backend_compile" in event for event in compiled))
    assert counts[0] > 0 and counts[1] == 0
