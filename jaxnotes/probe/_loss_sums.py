"""The losses between two looks as a few sums: their mean, spread, largest, and whether they swing from step to step."""

import math
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

    count: Any
    origin: Any
    last: Any
    total: Any
    squares: Any
    changes: Any
    largest: Any
    place: Any


def no_losses() -> Array:
    """Returns the sums before any loss, as one array, [8]: eight scalars in a loop would cost eight small kernels."""
    return jnp.asarray([0, 0, 0, 0, 0, 0, -jnp.inf, 0], jnp.float32)


def add_loss(packed: Array, value: Any) -> Array:
    """Returns the sums with one more loss, [8].

    Raises:
      ValueError: the loss is not one real number.
    """
    value = jnp.asarray(value)
    if value.shape or not jnp.issubdtype(value.dtype, jnp.floating):
        raise ValueError(f"value is {value.dtype}{list(value.shape)}, expected the loss of the step, one real number")
    value, sums = value.astype(jnp.float32), LossSums(*packed)
    first = sums.count == 0
    origin = jnp.where(first, value, sums.origin)
    change = jnp.where(first, 0, value - sums.last)
    larger = value > sums.largest
    added = LossSums(
        sums.count + 1,
        origin,
        value,
        sums.total + (value - origin),
        sums.squares + jnp.square(value - origin),
        sums.changes + jnp.square(change),
        jnp.where(larger, value, sums.largest),
        jnp.where(larger, sums.count, sums.place),
    )
    return jnp.stack(added)


def statistics(packed: Any) -> dict[str, float]:
    """Returns the fields of `Watched` that the sums give, but for `loss_largest_step`; computed on the host."""
    sums = LossSums(*(float(entry) for entry in packed))
    if not sums.count:
        return {}
    mean = sums.total / sums.count
    variance = max(sums.squares / sums.count - mean**2, 0.0)
    swing = sums.changes / max(sums.count - 1, 1)
    return {
        "loss": sums.last,
        "loss_mean": sums.origin + mean,
        "loss_deviation": math.sqrt(variance) if math.isfinite(variance) else math.nan,
        "loss_alternation": swing / variance if sums.count > 2 and variance > 0 else math.nan,
        "loss_largest": sums.largest,
    }


def since_largest(packed: Any) -> int:
    """Returns how many losses came after the largest."""
    sums = LossSums(*(float(entry) for entry in packed))
    return int(sums.count - 1 - sums.place)
