"""Gradient clipping by value and by global norm (Pascanu et al. 2013), on pytrees; and how it turns the gradient."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnotes._checks import LIMIT, leaves, number, same_shapes

Limit = float | int | Float[Array, ""]


def clip_by_value(gradients: Any, limit: Limit) -> Any:
    """Returns each entry cut to [-limit, limit]: bounds every entry and may turn the gradient. NaN stays NaN.

    Args:
      gradients: pytree of floating-point arrays.
      limit: the largest magnitude of an entry, 0 or positive.

    Raises:
      TypeError: a leaf that is not a floating-point array, or a limit that is not one real number.
      ValueError: a negative or NaN limit.
    """
    leaves("gradients", gradients)
    number("limit", limit, LIMIT)
    return jax.tree.map(lambda g: jnp.clip(g, -jnp.asarray(limit, g.dtype), jnp.asarray(limit, g.dtype)), gradients)


def clip_by_global_norm(gradients: Any, limit: Limit) -> Any:
    """Returns all entries times min(1, limit / norm): bounds the Euclidean norm of the whole tree and keeps the direction.

    Finite for finite gradients of any size, also where their norm overflows, and for a gradient or a limit of 0.
    A gradient with an infinite or NaN entry gives NaN.

    Args:
      gradients: pytree of floating-point arrays.
      limit: the largest global norm, 0 or positive.

    Raises:
      TypeError: a leaf that is not a floating-point array, or a limit that is not one real number.
      ValueError: a negative or NaN limit.
    """
    leaves("gradients", gradients)
    number("limit", limit, LIMIT)
    scale, norm = _scaled_norm(gradients)
    safe = jnp.where(norm == 0, jnp.ones_like(norm), norm)
    limit = jnp.asarray(limit, norm.dtype)

    def clipped(g: Array) -> Array:
        direction = g.astype(norm.dtype) / scale / safe
        return jnp.where(scale * norm <= limit, g, (direction * limit).astype(g.dtype))

    return jax.tree.map(clipped, gradients)


def global_norm(tree: Any) -> Float[Array, ""]:
    """Returns the Euclidean norm over all leaves, without under- or overflow on the way; its gradient at 0 is 0.

    Raises:
      TypeError: a leaf that is not a floating-point array.
    """
    leaves("tree", tree)
    scale, norm = _scaled_norm(tree)
    return scale * norm


def direction_cosine(before: Any, after: Any) -> Float[Array, ""]:
    """Returns the cosine of the angle between two trees as vectors: 1 where clipping only shortened the gradient.

    0 where either is zero, which has no direction.

    Args:
      before: pytree of floating-point arrays.
      after: pytree of the same structure and shapes.

    Raises:
      TypeError: a leaf that is not a floating-point array.
      ValueError: trees of different structure or shapes.
    """
    leaves("before", before)
    leaves("after", after)
    same_shapes("before", before, "after", after)
    (scale_before, norm_before), (scale_after, norm_after) = _scaled_norm(before), _scaled_norm(after)
    dtype = jnp.promote_types(norm_before.dtype, norm_after.dtype)

    def product(a: Array, b: Array) -> Array:
        return jnp.sum(a.astype(dtype) / scale_before.astype(dtype) * (b.astype(dtype) / scale_after.astype(dtype)))

    total = sum(jax.tree.leaves(jax.tree.map(product, before, after)), jnp.zeros((), dtype))
    norms = norm_before.astype(dtype) * norm_after.astype(dtype)
    return total / jnp.where(norms == 0, jnp.ones_like(norms), norms)


def _scaled_norm(tree: Any) -> tuple[Array, Array]:
    """Returns (scale, norm / scale), the scale near the largest magnitude; float64 where a leaf is, else float32."""
    arrays = jax.tree.leaves(tree)
    dtype = jnp.float64 if any(array.dtype == jnp.float64 for array in arrays) else jnp.float32
    arrays = [array.astype(dtype) for array in arrays]
    largest = jnp.zeros((), dtype)
    for array in arrays:
        largest = jnp.maximum(largest, jnp.max(jnp.abs(array), initial=0.0))
    smallest_normal = jnp.finfo(dtype).tiny  # beyond it and its inverse, 1 / scale would be flushed to 0 or overflow
    scale = jax.lax.stop_gradient(jnp.clip(largest, smallest_normal, 1 / smallest_normal))
    squares = sum((jnp.sum((array / scale) ** 2) for array in arrays), jnp.zeros((), dtype))
    safe = jnp.where(squares == 0, jnp.ones_like(squares), squares)
    return scale, jnp.where(squares == 0, jnp.zeros_like(squares), jnp.sqrt(safe))
