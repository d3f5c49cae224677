"""Wrong inputs get one clear ValueError or TypeError that names the value and what to do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnotes import jacobians

X = jnp.ones((3, 4))
WEIGHT = jnp.ones((2, 4, 4)) / 4


def linear_layer(weight, h):
    return h @ weight


def batch_norm_layer(weight, h):
    h = h @ weight
    return (h - h.mean(0, keepdims=True)) / jnp.sqrt(h.var(0, keepdims=True) + 1e-5)


PER_EXAMPLE = [
    jacobians.end_to_end,
    jacobians.local_jacobians,
    jacobians.log_frobenius_norms,
    jacobians.log_singular_values,
    lambda f, params, x: jacobians.hutchinson_frobenius(f, params, x, jax.random.key(0), 4),
]
ALL = [
    *PER_EXAMPLE,
    lambda f, params, x: jacobians.path_contributions(f, params, x, jnp.sum),
    lambda f, params, x: jacobians.log_path_norms(f, params, x, jnp.sum),
    lambda f, params, x: jacobians.gradient_norms(f, params, x, jnp.sum),
    lambda f, params, x: jacobians.log_gradient_norms(f, params, x, jnp.sum),
    lambda f, params, x: jacobians.value_and_gradient_norms(f, params, x, jnp.sum),
    lambda f, params, x: jacobians.gradient_norms_by_added_zeros(f, params, x, jnp.sum),
]
BAD = {
    "depth 0": (linear_layer, jnp.ones((0, 4, 4)), X, ValueError, "depth 0"),
    "no leaf": (lambda p, h: h, {}, X, ValueError, "no array"),
    "scalar leaf": (lambda p, h: h * p, jnp.float32(1), X, ValueError, "scalar"),
    "leading sizes": (lambda p, h: h, {"a": jnp.ones((2, 4)), "b": jnp.ones((3, 4))}, X, ValueError, "'b'.*3"),
    "chain": (lambda w, h: (h @ w)[:, :3], WEIGHT, X, ValueError, r"float32\[3, 4\] to float32\[3, 3\]"),
    "chain dtype": (lambda w, h: (h @ w).astype(jnp.bfloat16), WEIGHT, X, ValueError, "does not chain"),
    "tuple": (lambda w, h: (h, h), WEIGHT, X, ValueError, "tuple"),
    "integers": (linear_layer, WEIGHT, jnp.ones((3, 4), jnp.int32), TypeError, r"int32\[3, 4\]"),
    "integer params": (linear_layer, {"w": jnp.ones((2, 4, 4), jnp.int32)}, X, TypeError, r"params\['w'\]"),
    "list": (linear_layer, WEIGHT, [[1.0] * 4], TypeError, "list"),
    "one axis": (lambda w, h: h, WEIGHT, jnp.ones(4), ValueError, r"shape \(4,\)"),
    "empty batch": (linear_layer, WEIGHT, jnp.ones((0, 4)), ValueError, "empty"),
    "NaN in x": (linear_layer, WEIGHT, X.at[1, 2].set(jnp.nan), ValueError, "x holds NaN"),
    "NaN in params": (linear_layer, WEIGHT.at[1, 0, 0].set(jnp.nan), X, ValueError, "params holds NaN"),
    "no function": ("tanh", WEIGHT, X, TypeError, "'tanh'"),
}


@pytest.mark.parametrize("function", ALL)
@pytest.mark.parametrize("case", BAD)
def test_bad_input(unchecked, function, case):
    f, params, x, error, message = BAD[case]
    with pytest.raises(error, match=message):
        function(f, params, x)


@pytest.mark.parametrize("function", PER_EXAMPLE)
def test_a_layer_that_mixes_examples_has_no_per_example_jacobian(function):
    weight = jax.random.normal(jax.random.key(0), (2, 4, 4))
    x = jax.random.normal(jax.random.key(1), (5, 4))
    with pytest.raises(ValueError, match="crosses examples"):
        function(batch_norm_layer, weight, x)
    assert np.isfinite(jacobians.gradient_norms(batch_norm_layer, weight, x, jnp.sum)).all()


@pytest.mark.parametrize("loss", [lambda h: h, lambda h: h.sum(axis=1), lambda h: (h.sum(), h), lambda h: (h > 0).sum()])
def test_loss_that_is_no_real_scalar(unchecked, loss):
    for function in (jacobians.gradient_norms, jacobians.log_path_norms):
        with pytest.raises(ValueError, match="loss returns"):
            function(linear_layer, WEIGHT, X, loss)


def test_others(unchecked):
    with pytest.raises(ValueError, match="probes is 1"):
        jacobians.hutchinson_frobenius(linear_layer, WEIGHT, X, jax.random.key(0), 1)
    with pytest.raises(ValueError, match="bfloat16"):
        jacobians.log_singular_values(linear_layer, WEIGHT, X, dtype=jnp.bfloat16)
    with pytest.raises(ValueError, match="depth is 0"):
        jacobians.log_path_counts(0)
    with pytest.raises(TypeError, match="hashable"):
        jacobians.gradient_norms(Unhashable(), WEIGHT, X, jnp.sum)
    with pytest.raises(ValueError, match="enable_x64"):
        jax.jit(lambda w: jacobians.log_singular_values(linear_layer, w, X, dtype=jnp.float64))(WEIGHT)


class Unhashable:
    __hash__ = None

    def __call__(self, weight, h):
        return h @ weight


def test_never_raises_on_traced_values():
    bad = jax.jit(lambda x: jacobians.log_frobenius_norms(linear_layer, WEIGHT, x))(X.at[0, 0].set(jnp.nan))
    assert bad.shape == (3, 3)
