"""Vectors against people's ratings: cosines, rank correlations, and intervals by resampling what was rated."""

from collections.abc import Callable

import numpy as np

from experiments.embedding import data
from experiments.study.measurement import Measurement

RESAMPLES = 1000


def unit_rows(vectors: np.ndarray) -> np.ndarray:
    """Returns rows of Euclidean norm 1; a row of zeros stays."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms > 0, norms, 1)


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Returns Spearman's rank correlation; 0 where one of both is constant."""
    from scipy import stats  # not above: takes half a second in every process that asks a topic for its settings

    ranks = [stats.rankdata(values) for values in (a, b)]
    centred = [values - values.mean() for values in ranks]
    norms = np.linalg.norm(centred, axis=1).prod()
    return float(centred[0] @ centred[1] / norms) if norms > 0 else 0.0


def resampled(
    name: str,
    n: int,
    statistic: Callable[[np.ndarray], float],
    *,
    generator: np.random.Generator,
    unit: str = "",
    prediction: float | None = None,
    source: str = "",
) -> Measurement:
    """Returns a statistic of n cases with the 95% percentile interval of the bootstrap (Efron 1979).

    For a quantity that varies with what was rated more than with the seed.

    Args:
      name: the measurement's name.
      n: number of cases.
      statistic: of the cases of these indices.
      generator: draws the cases, with replacement.
    """
    value = float(statistic(np.arange(n)))
    drawn = [statistic(generator.integers(0, n, n)) for _ in range(RESAMPLES)]
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Measurement(name, value, min(float(low), value), max(float(high), value), n, unit, prediction, source)


def rated_pairs(name: str, rows: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows [pairs, 2] of the pairs whose words are known, and their ratings."""
    pairs, ratings = data.word_pairs(name)
    indices = np.asarray([[rows.get(word.lower(), -1) for word in pair] for pair in pairs])
    known = (indices >= 0).all(1)
    return indices[known], ratings[known]


def cosines(vectors: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """Returns the cosine of each pair of rows."""
    unit = unit_rows(vectors[pairs.ravel()]).reshape(-1, 2, vectors.shape[1])
    return (unit[:, 0] * unit[:, 1]).sum(1)
