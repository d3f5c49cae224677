"""Numbers that describe one layer's values and gradients, computed where the arrays lie."""

from functools import lru_cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxnotes.layers.activations import derivative, saturated_fraction
from jaxnotes.probe._seen_activation import Activation

MOST_VECTORS = 128  # of which an effective rank is taken


class Statistics(NamedTuple):
    """Of one layer call; all float32 or wider, over the finite entries."""

    mean: Array
    rms: Array
    low: Array
    high: Array
    nonfinite: Array  # how many entries are NaN or infinite
    spread: Array  # RMS over units of the standard deviation over examples, as a share of `rms`; NaN without examples
    saturated: Array  # share of the entries; NaN without an activation function
    dead: Array  # share of the units
    effective_rank: Array
    largest_channel: Array
    gradient_norms: Array  # [examples]
    gradient_nonfinite: Array


def example_axis(shape: tuple[int, ...], examples: int) -> int | None:
    """Returns the first axis as long as the batch; None where a value belongs to no example."""
    return next((axis for axis, size in enumerate(shape) if size == examples), None)


def by_example(value: Array, axis: int | None) -> Array:
    """Returns the value as [examples, everything else], as one example where there is no axis of them."""
    value = value[None] if axis is None else jnp.moveaxis(value, axis, 0)
    return value.reshape(value.shape[0], -1)


def example_norms(value: Array, axis: int | None) -> Array:
    """Returns [examples] Euclidean norms, without under- or overflow of the squares."""
    flat = by_example(_wide(value), axis)
    largest = jnp.max(jnp.abs(flat), axis=1, keepdims=True, initial=0)
    scale = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1)
    return (scale * jnp.linalg.norm(flat / scale, axis=1, keepdims=True))[:, 0]


@partial(jax.jit, static_argnames=("axis", "activation", "after", "steps"))
def describe(
    value: Array, gradient: Array, *, axis: int | None, activation: Activation | None, after: bool, steps: int
) -> Statistics:
    """Returns the statistics of a layer's value and of the loss's gradient by it; `steps` axes in front are mapped over."""
    one = partial(_describe, axis=axis, activation=activation, after=after)
    for _ in range(steps):
        one = jax.vmap(one)
    return one(value, gradient)


def _describe(value: Array, gradient: Array, *, axis: int | None, activation: Activation | None, after: bool) -> Statistics:
    wide, finite = _wide(value), jnp.isfinite(value)
    kept = jnp.where(finite, wide, 0)
    number = jnp.maximum(jnp.count_nonzero(finite), 1).astype(wide.dtype)
    scale = jnp.maximum(jnp.max(jnp.abs(kept), initial=0), jnp.finfo(wide.dtype).tiny)
    unit = kept / scale
    rms = jnp.sqrt(jnp.sum(jnp.square(unit)) / number)
    spread = jnp.sqrt(jnp.mean(jnp.var(by_example(unit, axis), axis=0)))
    share = jnp.where(rms > 0, spread / jnp.where(rms > 0, rms, 1), 0)
    share = jnp.full_like(share, jnp.nan) if axis is None or value.shape[axis] == 1 else share
    saturated, dead = _activity(wide, activation, after)
    return Statistics(
        mean=jnp.sum(unit) / number * scale,
        rms=rms * scale,
        low=jnp.min(jnp.where(finite, wide, jnp.inf), initial=jnp.inf),
        high=jnp.max(jnp.where(finite, wide, -jnp.inf), initial=-jnp.inf),
        nonfinite=jnp.count_nonzero(~finite),
        spread=share,
        saturated=saturated,
        dead=dead,
        effective_rank=effective_rank(vectors_of(unit, axis)),
        largest_channel=_largest_channel(unit),
        gradient_norms=example_norms(gradient, axis),
        gradient_nonfinite=jnp.count_nonzero(~jnp.isfinite(gradient)),
    )


def vectors_of(value: Array, axis: int | None) -> Array:
    """[vectors, entries] one vector per position of a sequence of vectors, else one per example; evenly chosen where many."""
    flat = value.reshape(-1, value.shape[-1]) if value.ndim == 3 else by_example(value, axis)
    return flat[:: -(-flat.shape[0] // MOST_VECTORS)]


def effective_rank(vectors: Array) -> Array:
    """Exp of the entropy of the singular values over their sum, of centred vectors; 0 where all are equal.

    Source: Roy and Vetterli 2007, definition 1. The singular values come from the vectors' scalar products, so that what is
    below 1e-3 of the largest is rounding, and left out.
    """
    if min(vectors.shape) == 0:
        return jnp.full((), jnp.nan, jnp.float32)
    centred = vectors - vectors.mean(axis=0, keepdims=True)
    squares = jnp.linalg.eigvalsh(jnp.matmul(centred, centred.T, precision="highest"))
    largest = jnp.max(squares)
    kept = squares > 10 * jnp.finfo(squares.dtype).eps * largest
    values = jnp.sqrt(jnp.where(kept, squares, 0))
    share = values / jnp.where(largest > 0, values.sum(), 1)
    entropy = -jnp.sum(jnp.where(kept, share * jnp.log(jnp.where(kept, share, 1)), 0))
    return jnp.where(largest > 0, jnp.exp(entropy), 0)


def _largest_channel(value: Array) -> Array:
    """RMS of the largest channel, an entry of the last axis, over the median channel's; NaN where that is 0."""
    if value.ndim not in (2, 3) or value.size == 0:
        return jnp.full((), jnp.nan, jnp.float32)
    sizes = jnp.sqrt(jnp.mean(jnp.square(value.reshape(-1, value.shape[-1])), axis=0))
    middle = jnp.median(sizes)
    return jnp.where(middle > 0, sizes.max() / jnp.where(middle > 0, middle, 1), jnp.nan)


def _activity(value: Array, activation: Activation | None, after: bool) -> tuple[Array, Array]:
    """Returns the share of saturated entries and that of dead units, where a unit is an entry of the last axis.

    Before an activation function φ a unit is dead where φ' is 0 at every example; behind one, or where none is seen, where it
    is 0 at every example. So it is too for a function of steps, as a quantiser's, whose rule for gradients is another.
    """
    sloped = activation if activation is not None and has_slope(activation) else None
    silent = value == 0 if sloped is None or after else derivative(sloped.function)(value) == 0
    units = silent.reshape(-1, value.shape[-1]) if value.ndim else silent.reshape(1, 1)
    dead = jnp.mean(jnp.all(units, axis=0), dtype=jnp.float32)
    if sloped is None:
        return jnp.full((), jnp.nan, jnp.float32), dead
    if after:
        return _saturated_behind(sloped, value), dead
    return saturated_fraction(sloped.function, value).astype(jnp.float32), dead


@lru_cache(maxsize=64)
def has_slope(activation: Activation) -> bool:
    """Returns whether the derivative is anywhere other than 0, which a function of steps has not."""
    with jax.ensure_compile_time_eval():
        return bool(jnp.any(derivative(activation.function)(jnp.linspace(-10.0, 10.0, 2001, dtype=jnp.float32)) != 0))


def _saturated_behind(activation: Activation, value: Array) -> Array:
    """Returns the share of saturated entries, from φ's values: those that φ takes nowhere where it is steep.

    For a monotone φ these are the values beyond the ends of its steep part.
    """
    grid = jnp.linspace(-10.0, 10.0, 20001, dtype=value.dtype)
    slope = jnp.abs(derivative(activation.function)(grid))
    steep = slope >= 0.05 * slope.max()
    image = activation.function(grid)
    low = jnp.where(steep[0], -jnp.inf, jnp.min(jnp.where(steep, image, jnp.inf)))
    high = jnp.where(steep[-1], jnp.inf, jnp.max(jnp.where(steep, image, -jnp.inf)))
    return jnp.mean((value < low) | (value > high), dtype=jnp.float32)


def _wide(value: Array) -> Array:
    return value.astype(jnp.promote_types(value.dtype, jnp.float32))
