"""Where a part of an example is hidden, to see how much of it a network needs."""

import jax
import jax.numpy as jnp
from jax import Array


def window(key: Array, examples: int, length: int, width: int) -> Array:
    """Returns [examples, length], whether a cell is in the example's window of so many cells, which may lie anywhere inside."""
    start = jax.random.randint(key, (examples, 1), 0, max(length - width, 0) + 1)
    cell = jnp.arange(length)[None]
    return (cell >= start) & (cell < start + width)
