"""One computation repeated over independent seeds: in one program, or in several threads."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from jax import Array


def over_seeds(function: Callable[[Array], Any], key: Array, seeds: int) -> Any:
    """Compiles `function(key)` and maps it over `seeds` keys; returns NumPy arrays with the seeds in front."""
    return jax.tree.map(np.asarray, jax.jit(lambda keys: jax.lax.map(function, keys))(jax.random.split(key, seeds)))


def side_by_side(run: Callable[[Any], Any], items: Sequence[Any]) -> list[Any]:
    """Returns `run(item)` of each item, in order.

    The first runs alone, since it compiles; the others share the cores, one thread each, because the products of small networks
    leave a second core idle. The runs must not depend on one another.
    """
    if not items:
        return []
    first = run(items[0])
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return [first, *pool.map(run, items[1:])]


def paired(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns a − b for the seeds that both arms ran.

    `jax.random.split(key, n)` starts with the same keys whatever n is, so run i of both arms has the same key.
    """
    seeds = min(len(a), len(b))
    return a[:seeds] - b[:seeds]
