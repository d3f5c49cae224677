"""Checks of the numbers that the theory is asked about: concrete, finite, in range, of shapes that broadcast."""

import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike

Result = float | np.ndarray


def real(name: str, value: ArrayLike, low: float = -np.inf, high: float = np.inf) -> np.ndarray:
    """Returns the value as a float64 array.

    Raises:
      TypeError: it is traced, or not made of real numbers.
      ValueError: an entry is not finite or outside [low, high].
    """
    if isinstance(value, Tracer):
        raise TypeError(f"{name} is traced; the mean-field theory runs on concrete numbers: call it outside jit, grad and vmap")
    try:
        array = np.asarray(value)
        array = array.astype(np.float64, casting="same_kind" if array.dtype.kind == "f" else "safe")
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} must be a real number or an array of them, got {value!r}") from error
    bad = ~(np.isfinite(array) & (array >= low) & (array <= high))
    if bad.any():
        span = {(-np.inf, np.inf): "finite", (0.0, np.inf): "finite and not negative"}.get(
            (low, high), f"in [{low:g}, {high:g}]"
        )
        raise ValueError(f"{name} must be {span}, got {array[bad].flat[0]:g}")
    return array


def variance(name: str, value: ArrayLike) -> np.ndarray:
    """Returns the value as a variance: finite and not negative."""
    return real(name, value, 0.0)


def count(name: str, value: int, low: int) -> int:
    """Returns the value as an integer of at least `low`."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < low:
        raise ValueError(f"{name} must be at least {low}, got {value}")
    return int(value)


def broadcast(**arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    """Returns the arrays at their common shape.

    Raises:
      ValueError: the shapes do not broadcast; the message names them.
    """
    try:
        return np.broadcast_arrays(*arrays.values())
    except ValueError as error:
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
        raise ValueError(f"shapes do not broadcast: {shapes}") from error


def result(array: np.ndarray | np.floating) -> Result:
    """Returns a Python float where the arguments were scalars, else the float64 array."""
    return float(array) if np.ndim(array) == 0 else np.asarray(array)
