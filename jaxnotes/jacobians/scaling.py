"""Norms and rescaling by powers of two, exact where float32 would under- or overflow, with a gradient of 0 at 0."""

import jax
import jax.numpy as jnp
from jax import Array

from jaxnotes.jacobians.stack import accumulation_dtype

LOG_TWO = 0.6931471805599453


def power_of_two(exponent: Array, dtype) -> Array:
    """2^exponent, exact; 0 or infinity beyond the range of dtype."""
    return jnp.ldexp(jnp.ones_like(exponent, dtype), exponent)


def exponent_of(size: Array) -> Array:
    """int32 e with 2^(e-1) <= size < 2^e, clipped so that 2^e and 2^-e are normal; 0 where size is 0 or not finite."""
    usable = jnp.isfinite(size) & (size > 0)
    exponent = jnp.frexp(jnp.where(usable, jax.lax.stop_gradient(size), 1))[1]
    limit = -jnp.finfo(size.dtype).minexp
    return jnp.where(usable, jnp.clip(exponent, -limit, limit), 0).astype(jnp.int32)


def safe_log(size: Array) -> Array:
    """log, -inf at 0, where its derivative is 0 and not NaN."""
    positive = size != 0
    return jnp.where(positive, jnp.log(jnp.where(positive, size, 1)), -jnp.inf)


def safe_sqrt(square: Array) -> Array:
    """Square root with derivative 0 at 0."""
    positive = square != 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1)), 0)


def scaled_squares(values: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """(squares, exponent): the sum over axes of values² is squares · 4^exponent, for any size of the values."""
    values = values.astype(accumulation_dtype(values.dtype))
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(values), axis=axes, keepdims=True))
    exponent = exponent_of(largest)
    squares = jnp.sum(jnp.square(values * power_of_two(-exponent, values.dtype)), axis=axes)
    return squares, jnp.squeeze(exponent, axes)


def rms_norm(values: Array) -> Array:
    """Square root of the mean over axis 0 of each example's squared Euclidean norm."""
    squares, exponent = scaled_squares(values, tuple(range(values.ndim)))
    return safe_sqrt(squares / values.shape[0]) * power_of_two(exponent, squares.dtype)
