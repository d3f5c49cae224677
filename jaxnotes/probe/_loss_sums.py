"""The losses between two looks as a few sums: their mean, spread, largest, and whether they swing from step to step."""

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array


class LossSums(NamedTuple):
    """Sums over the losses since the last look, about the first of them, so that a small spread survives in float32.

    Attributes:
      count: how many.
      origin, last: the first and the newest loss.
      total, squares: sums of (loss - origin) and of its square.
      changes: sum of squared changes from one loss to the next.
      largest, place: the largest loss, and how many losses came before it.
    """

    count: Array
    origin: Array
    last: Array
    total: Array
    squares: Array
    changes: Array
    largest: Array
    place: Array


def no_losses() -> LossSums:
    """Returns the sums before any loss."""
    zero = jnp.zeros((), jnp.float32)
    return LossSums(zero, zero, zero, zero, zero, zero, jnp.full((), -jnp.inf, jnp.float32), zero)


def add_loss(sums: LossSums, value: Any) -> LossSums:
    """Returns the sums with one more loss.

    Raises:
      ValueError: the loss is not one real number.
    """
    value = jnp.asarray(value)
    if value.shape or not jnp.issubdtype(value.dtype, jnp.floating):
        raise ValueError(f"value is {value.dtype}{list(value.shape)}, expected the loss of the step, one real number")
    value = value.astype(jnp.float32)
    first = sums.count == 0
    origin = jnp.where(first, value, sums.origin)
    change = jnp.where(first, 0, value - sums.last)
    larger = value > sums.largest
    return LossSums(
        sums.count + 1,
        origin,
        value,
        sums.total + (value - origin),
        sums.squares + jnp.square(value - origin),
        sums.changes + jnp.square(change),
        jnp.where(larger, value, sums.largest),
        jnp.where(larger, sums.count, sums.place),
    )


def statistics(sums: LossSums) -> tuple[Array, ...]:
    """Returns how many losses; the last, mean, deviation, alternation and largest, as in `Watched`; age of the largest."""
    n = jnp.maximum(sums.count, 1)
    mean = sums.total / n
    variance = jnp.maximum(sums.squares / n - jnp.square(mean), 0)
    swing = sums.changes / jnp.maximum(n - 1, 1)
    alternation = jnp.where((sums.count > 2) & (variance > 0), swing / jnp.where(variance > 0, variance, 1), jnp.nan)
    age = sums.count - 1 - sums.place
    return sums.count, sums.last, sums.origin + mean, jnp.sqrt(variance), alternation, sums.largest, age
