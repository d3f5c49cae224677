"""One compiled computation repeated over independent seeds, in one program or on two threads."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import numpy as np
from jax import Array


def over_seeds(function: Callable, key: Array, seeds: int):
    """Compiles `function(key)` and maps it over so many keys of their own; arrays of NumPy with the seeds in front."""
    return jax.tree.map(np.asarray, jax.jit(lambda keys: jax.lax.map(function, keys))(jax.random.split(key, seeds)))


def two_at_a_time(run: Callable, items: Sequence) -> list[Any]:
    """`run(item)` of each, in order: the first alone, since it compiles, then on two threads.

    Products of small networks leave a second core idle. The runs must not depend on one another.
    """
    first = run(items[0])
    with ThreadPoolExecutor(2) as pool:
        return [first, *pool.map(run, items[1:])]


def best_of(score: Callable, candidates: Sequence) -> Any:
    """The candidate whose `score(candidate)` is highest, the first of equals; a single one is taken without trying it."""
    return candidates[int(np.argmax(two_at_a_time(score, candidates)))] if len(candidates) > 1 else candidates[0]


def paired(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a − b over the seeds that both have: the first of a split into more keys are those of a split into fewer."""
    seeds = min(len(a), len(b))
    return a[:seeds] - b[:seeds]
