"""Norms and rescaling by powers of two, exact where float32 would under- or overflow, with a gradient of 0 at 0."""

import jax
import jax.numpy as jnp
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Float, Int

from jaxnotes.jacobians._stack import accumulation_dtype

LOG_TWO = 0.6931471805599453


def power_of_two(exponent: Int[Array, "*shape"], dtype) -> Float[Array, "*shape"]:
    """2^exponent, exact (its bits are set); 0 or infinity beyond the normal range of dtype, float32 or float64."""
    integer, mantissa_bits, bias = _layout(dtype)
    biased = jnp.clip(exponent + bias, 0, 2 * bias + 1).astype(integer)
    return jax.lax.bitcast_convert_type(biased << mantissa_bits, dtype)


def exponent_of(size: Float[Array, "*shape"]) -> Int[Array, "*shape"]:
    """int32 e with 2^(e-1) <= size < 2^e, clipped so that 2^e and 2^-e are normal; 0 where size is 0 or not finite."""
    integer, mantissa_bits, bias = _layout(size.dtype)
    bits = jax.lax.bitcast_convert_type(jax.lax.stop_gradient(size), integer)
    exponent = jnp.clip((bits >> mantissa_bits) - (bias - 1), 1 - bias, bias - 1).astype(jnp.int32)
    return jnp.where(jnp.isfinite(size) & (size > 0), exponent, 0)


def _layout(dtype) -> tuple[DTypeLike, int, int]:
    """Returns (integer of the same size, bits of the mantissa, bias of the exponent)."""
    info = jnp.finfo(dtype)
    return (jnp.int64 if info.bits == 64 else jnp.int32), info.nmant, 1 - int(info.minexp)


def safe_log(size: Array) -> Array:
    """log, -inf at 0, where its derivative is 0 and not NaN."""
    positive = size != 0
    return jnp.where(positive, jnp.log(jnp.where(positive, size, 1)), -jnp.inf)


def safe_sqrt(square: Array) -> Array:
    """Returns the square root with derivative 0 at 0."""
    positive = square != 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, square, 1)), 0)


def scaled_squares(values: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Returns (squares, exponent): the sum over axes of values² is squares · 4^exponent, for any size of the values."""
    # The barrier keeps XLA from squaring a constant before it is scaled.
    values = jax.lax.optimization_barrier(values.astype(accumulation_dtype(values.dtype)))
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(values), axis=axes, keepdims=True))
    exponent = exponent_of(largest)
    squares = jnp.sum(jnp.square(values * power_of_two(-exponent, values.dtype)), axis=axes)
    return squares, jnp.squeeze(exponent, axes)


def rms_norm(values: Array) -> Array:
    """Returns the square root of the mean over axis 0 of each example's squared Euclidean norm."""
    squares, exponent = scaled_squares(values, tuple(range(values.ndim)))
    return safe_sqrt(squares / values.shape[0]) * power_of_two(exponent, squares.dtype)
