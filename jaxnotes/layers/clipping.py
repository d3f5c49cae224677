"""Gradient clipping by value and by global norm (Pascanu et al. 2013), on pytrees; and how it turns the gradient."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float

Limit = float | int | Float[Array, ""]


def clip_by_value(gradients: Any, limit: Limit) -> Any:
    """Returns each entry cut to [-limit, limit]: bounds every entry and may turn the gradient. NaN stays NaN.

    Args:
      gradients: pytree of floating-point arrays.
      limit: the largest magnitude of an entry, 0 or positive.

    Raises:
      TypeError: a leaf that is not a floating-point array.
      ValueError: a negative or NaN limit.
    """
    _check(gradients, limit)
    return jax.tree.map(lambda g: jnp.clip(g, -jnp.asarray(limit, g.dtype), jnp.asarray(limit, g.dtype)), gradients)


def clip_by_global_norm(gradients: Any, limit: Limit) -> Any:
    """Returns all entries times min(1, limit / norm): bounds the Euclidean norm of the whole tree and keeps the direction.

    Finite for finite gradients of any size, also where their norm overflows, and for a gradient or a limit of 0.
    A gradient with an infinite or NaN entry gives NaN.

    Args:
      gradients: pytree of floating-point arrays.
      limit: the largest global norm, 0 or positive.

    Raises:
      TypeError: a leaf that is not a floating-point array.
      ValueError: a negative or NaN limit.
    """
    _check(gradients, limit)
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
    _check_leaves(tree)
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
    """
    _check_leaves(before)
    _check_leaves(after)
    (scale_before, norm_before), (scale_after, norm_after) = _scaled_norm(before), _scaled_norm(after)
    dtype = jnp.promote_types(norm_before.dtype, norm_after.dtype)

    def product(a: Array, b: Array) -> Array:
        return jnp.sum(a.astype(dtype) / scale_before.astype(dtype) * (b.astype(dtype) / scale_after.astype(dtype)))

    total = sum(jax.tree.leaves(jax.tree.map(product, before, after)), jnp.zeros((), dtype))
    norms = norm_before.astype(dtype) * norm_after.astype(dtype)
    return total / jnp.where(norms == 0, jnp.ones_like(norms), norms)


def _scaled_norm(tree: Any) -> tuple[Array, Array]:
    """Returns (scale, norm / scale), the scale near the largest magnitude; float64 where a leaf is, else float32."""
    leaves = jax.tree.leaves(tree)
    dtype = jnp.float64 if any(leaf.dtype == jnp.float64 for leaf in leaves) else jnp.float32
    leaves = [leaf.astype(dtype) for leaf in leaves]
    largest = jnp.zeros((), dtype)
    for leaf in leaves:
        largest = jnp.maximum(largest, jnp.max(jnp.abs(leaf), initial=0.0))
    smallest_normal = jnp.finfo(dtype).tiny  # beyond it and its inverse, 1 / scale would be flushed to 0 or overflow
    scale = jax.lax.stop_gradient(jnp.clip(largest, smallest_normal, 1 / smallest_normal))
    squares = sum((jnp.sum((leaf / scale) ** 2) for leaf in leaves), jnp.zeros((), dtype))
    safe = jnp.where(squares == 0, jnp.ones_like(squares), squares)
    return scale, jnp.where(squares == 0, jnp.zeros_like(squares), jnp.sqrt(safe))


def _check(gradients: Any, limit: Limit) -> None:
    _check_leaves(gradients)
    if not isinstance(limit, Tracer) and not limit >= 0:
        raise ValueError(f"limit is {limit}; it must be 0 or positive")


def _check_leaves(tree: Any) -> None:
    for path, leaf in jax.tree_util.tree_leaves_with_path(tree):
        dtype = getattr(leaf, "dtype", None)
        if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
            found = type(leaf).__name__ if dtype is None else f"dtype {dtype}"
            place = jax.tree_util.keystr(path) or "(the tree itself)"
            raise TypeError(f"the leaf {place} has {found}; clipping takes trees of floating-point arrays")
