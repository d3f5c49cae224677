"""Sizes on the host in float64: the squares of float32's large numbers leave its range, those of its small ones too."""

import math
from collections.abc import Iterable

import numpy as np
from jax import Array


def wide(array: Array | np.ndarray) -> np.ndarray:
    """Returns the array in float64."""
    return np.asarray(array).astype(np.float64)


def norm(arrays: Iterable[Array]) -> float:
    """Returns the norm of all entries together."""
    return math.sqrt(sum(float(np.square(wide(array)).sum()) for array in arrays))
