"""The gradient through a residual stack, split exactly by path length with dynamic programming instead of 2^depth paths.

h_{l+1} = h_l + s F(params_l, h_l), so dloss/dh_0 = (I + s F_0'^T) … (I + s F_{L-1}'^T) dloss/dh_L. Multiplied out it is a sum
over the 2^L subsets of branches that a path enters (Veit, Wilber and Belongie 2016); those of k branches sum to the elementary
symmetric polynomial of degree k of the matrices s F_l'^T in their order, applied to the output gradient.
"""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float, PyTree

from jaxnotes.jacobians._scaling import LOG_TWO, exponent_of, power_of_two, safe_log, scaled_squares
from jaxnotes.jacobians._stack import accumulation_dtype, check_scalar_loss, check_stack, depth_of, pull_back


def path_contributions(
    branch: Callable, params: PyTree, x: Float[Array, "batch width"], loss: Callable, *, branch_scale: float | Array = 1.0
) -> Float[Array, "depth_and_one batch width"]:
    """Returns [depth + 1, batch, width]: what all paths through exactly k = 0 … depth branches contribute to dloss/dh_0.

    The residual layer is h + branch_scale * branch(layer_params, h). They sum to dloss/dh_0; that of length 0 is dloss/dh_L.
    The branch may mix the examples, as batch normalisation does. O(depth²) vector products in one scan. Contributions beyond
    x's dtype under- or overflow: see `log_path_norms`. Raises ValueError or TypeError as `gradient_norms` does.
    """
    _check(branch, params, x, loss)
    contributions, exponents = _scaled_contributions(branch, params, x, loss, branch_scale)
    return (contributions * power_of_two(exponents, contributions.dtype)[:, None, None]).astype(x.dtype)


def log_path_norms(
    branch: Callable, params: PyTree, x: Float[Array, "batch width"], loss: Callable, *, branch_scale: float | Array = 1.0
) -> Float[Array, "depth_and_one batch"]:
    """[depth + 1, batch] natural log of the Euclidean norm of each of `path_contributions`, where these under- or overflow too.

    -inf where a contribution is exactly 0.
    """
    _check(branch, params, x, loss)
    contributions, exponents = _scaled_contributions(branch, params, x, loss, branch_scale)
    squares, extra = jax.vmap(jax.vmap(lambda vector: scaled_squares(vector, (0,))))(contributions)
    return safe_log(squares) / 2 + LOG_TWO * (exponents[:, None] + extra).astype(squares.dtype)


def log_path_counts(depth: int) -> np.ndarray:
    """Returns [depth + 1] natural log of the number of paths of each length, the binomial coefficients; float64."""
    if depth < 1:
        raise ValueError(f"depth is {depth}, expected at least 1")
    logs = [math.lgamma(depth + 1) - math.lgamma(k + 1) - math.lgamma(depth - k + 1) for k in range(depth + 1)]
    return np.asarray(logs)


def _check(branch: Callable, params: PyTree, x: Array, loss: Callable) -> None:
    check_stack(branch, params, x)
    if x.ndim != 2:
        raise ValueError(f"x has shape {x.shape}, expected [batch, width]: flatten each example, and reshape inside the branch")
    check_scalar_loss(loss, x)


@partial(jax.jit, static_argnames=("branch", "loss"))
def _scaled_contributions(branch, params, x, loss, branch_scale):
    """Returns (vectors [depth + 1, batch, width], exponents [depth + 1]): a contribution is vector · 2^exponent.

    The examples share an exponent, since a branch that mixes them is linear in all of them together only.
    """
    dtype, depth = accumulation_dtype(x.dtype), depth_of(params)
    scale = jnp.asarray(branch_scale).astype(x.dtype)

    def residual(h, layer_params):
        return h + scale * branch(layer_params, h), h

    out, inputs = jax.lax.scan(residual, x, params)
    start = jnp.zeros((depth + 1, *x.shape), dtype).at[0].set(jax.grad(loss)(out).astype(dtype))

    def back(carry, layer):
        vectors, exponents = carry
        layer_params, h = layer
        pulled = scale.astype(dtype) * pull_back(branch, layer_params, h, vectors[:-1].astype(x.dtype)).astype(dtype)
        longer, longer_exponents = _normalised(pulled, exponents[:-1])
        longer = jnp.concatenate([jnp.zeros_like(vectors[:1]), longer])
        longer_exponents = jnp.concatenate([jnp.zeros_like(exponents[:1]), longer_exponents])
        return _sum((vectors, exponents), (longer, longer_exponents)), None

    return jax.lax.scan(back, _normalised(start, jnp.zeros(depth + 1, jnp.int32)), (params, inputs), reverse=True)[0]


def _normalised(vectors: Array, exponents: Array) -> tuple[Array, Array]:
    """Returns the same numbers with the largest entry of each length's vectors in [1/2, 1), or 0."""
    extra = exponent_of(jnp.max(jnp.abs(vectors), axis=(1, 2)))
    return vectors * power_of_two(-extra, vectors.dtype)[:, None, None], exponents + extra


def _sum(a: tuple[Array, Array], b: tuple[Array, Array]) -> tuple[Array, Array]:
    """Returns the sum of two scaled batches; the exponent of one that is zero does not count."""
    lowest = jnp.iinfo(jnp.int32).min // 2
    exponent_a, exponent_b = (jnp.where(jnp.any(vectors != 0, axis=(1, 2)), exponents, lowest) for vectors, exponents in (a, b))
    common = jnp.maximum(exponent_a, exponent_b)
    scale_a, scale_b = (power_of_two(exponent - common, a[0].dtype)[:, None, None] for exponent in (exponent_a, exponent_b))
    return _normalised(a[0] * scale_a + b[0] * scale_b, jnp.where(common == lowest, 0, common))
