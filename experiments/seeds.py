"""One compiled computation repeated over independent seeds."""

from collections.abc import Callable

import jax
import numpy as np
from jax import Array


def over_seeds(function: Callable, key: Array, seeds: int):
    """Compiles `function(key)` and maps it over so many keys of their own; arrays of NumPy with the seeds in front."""
    return jax.tree.map(np.asarray, jax.jit(lambda keys: jax.lax.map(function, keys))(jax.random.split(key, seeds)))
