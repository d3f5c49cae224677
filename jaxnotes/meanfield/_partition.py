"""Panels of the real line on which an activation function and its derivative are smooth, with its kinks found by bisection."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from jaxnotes.meanfield._activation_values import ScalarFunction, evaluate, name

INNERMOST = 16.0  # the first partition spans [-16, 16]; each further one doubles it
LARGEST_DOUBLING = 40
MAXIMUM_PANELS = 4096
DEGREE = 16
NARROW = 1e-9  # bisection goes this far only at a singularity
CENTRE = 4.0  # where the first panels are of width 1


class Accuracy(NamedTuple):
    """What counts as smooth: relative error of the polynomial, and of the place of a kink."""

    value: float
    place: float


_EPSILON = float(np.finfo(np.float64).eps)
FINE = Accuracy(4e-13, 16 * _EPSILON)
COARSE = Accuracy(1e-11, 128 * _EPSILON)

# Interpolation through DEGREE + 1 Chebyshev points, end points among them, tested half-way (in angle) between them.
_NODES = -np.cos(np.pi * np.arange(DEGREE + 1) / DEGREE)
_TESTS = -np.cos(np.pi * (np.arange(DEGREE) + 0.5) / DEGREE)


def _interpolation_matrix() -> np.ndarray:
    """[DEGREE, DEGREE + 1] from values at the nodes to values at the tests (barycentric formula, Berrut and Trefethen 2004)."""
    weights = (-1.0) ** np.arange(DEGREE + 1)
    weights[[0, -1]] /= 2
    terms = weights / (_TESTS[:, None] - _NODES)
    return terms / terms.sum(1, keepdims=True)


_INTERPOLATION = _interpolation_matrix()


class Partition(NamedTuple):
    """Panels between neighbouring edges; `kinks` are the edges across which the function is not smooth."""

    edges: np.ndarray
    kinks: np.ndarray


def partition(activation: ScalarFunction, largest: float) -> Partition:
    """Panels covering at least [-largest, largest], each resolved to about 13 digits by polynomials of degree 16.

    Raises:
      ValueError: the range is too large, or the function has too many kinks or oscillations in it; and as `evaluate`.
    """
    doublings = max(0, int(np.ceil(np.log2(max(largest, INNERMOST) / INNERMOST))))
    if doublings > LARGEST_DOUBLING:
        raise ValueError(f"the pre-activation variance is too large, or diverges: it reaches |x| = {largest:.3g}")
    try:
        hash(activation)
    except TypeError:
        return _partition(activation, doublings)
    return _partition_once(activation, doublings)


def _partition(activation: ScalarFunction, doublings: int) -> Partition:
    outer = INNERMOST * 2.0 ** np.arange(-1, doublings + 1)
    edges = np.concatenate([-outer[::-1], np.arange(-CENTRE, CENTRE + 1), outer])
    found, smooth = _refine(activation, edges, FINE)
    singular = _singularities(found, smooth)
    if singular.size:
        # Coarser than the error of a kink's place, so that the panels beside it count as smooth.
        found, _ = _refine(activation, np.unique(np.concatenate([edges, singular])), COARSE)
    return Partition(found, _kinks(activation, found))


_partition_once = lru_cache(maxsize=256)(_partition)


def _refine(activation: ScalarFunction, edges: np.ndarray, accuracy: Accuracy) -> tuple[np.ndarray, np.ndarray]:
    """Bisects until every panel is smooth or too narrow to halve; returns all edges, and whether each panel is smooth."""
    left, right = edges[:-1], edges[1:]
    done, smooth = [], []
    scales = np.zeros(2)
    while left.size:
        passed, scales = _is_smooth(activation, left, right, scales, accuracy)
        final = passed | (right - left < 16 * accuracy.place * _size(left, right))
        done.append(np.stack([left, right])[:, final])
        smooth.append(passed[final])
        left, right = left[~final], right[~final]
        middle = left + (right - left) / 2
        left, right = np.concatenate([left, middle]), np.concatenate([middle, right])
        if sum(map(len, smooth)) + left.size > MAXIMUM_PANELS:
            raise ValueError(
                f"activation {name(activation)} is not piecewise smooth on [{edges[0]:.3g}, {edges[-1]:.3g}] to float64's "
                f"accuracy, or has too many kinks or oscillations there (more than {MAXIMUM_PANELS} panels)"
            )
    panels, smooth = np.concatenate(done, axis=1), np.concatenate(smooth)
    order = np.argsort(panels[0])
    return np.append(panels[0, order], edges[-1]), smooth[order]


def _is_smooth(
    activation: ScalarFunction, left: np.ndarray, right: np.ndarray, scales: np.ndarray, accuracy: Accuracy
) -> tuple[np.ndarray, np.ndarray]:
    """Returns whether polynomials through some points of each panel predict φ and φ' at others.

    `scales` are the largest |φ| and |φ'| seen so far for |x| <= CENTRE; they come back updated.
    """
    size = _size(left, right)
    half = (right - left) / 2 - accuracy.place * size  # end points move inside, so that a kink at an edge is seen from one side
    points = ((left + right) / 2)[:, None] + half[:, None] * np.concatenate([_NODES, _TESTS])
    values = [evaluate(activation, points.ravel(), order).reshape(points.shape) for order in (0, 1)]
    peaks = [np.abs(value).max(1) for value in values]
    scales = np.maximum(scales, [peak[size <= CENTRE].max(initial=0.0) for peak in peaks])
    # What rounding alone leaves in φ and φ': relative to their size nearby, and growing with the argument's own rounding.
    floors = np.maximum(peaks[0], scales[0]), np.maximum(np.maximum(peaks[1], peaks[0] / size), scales[1])
    tolerance = np.minimum(accuracy.value * size, 1e-8)
    smooth = np.ones(left.shape, bool)
    for value, floor in zip(values, floors, strict=True):
        error = np.abs(value[:, : DEGREE + 1] @ _INTERPOLATION.T - value[:, DEGREE + 1 :]).max(1)
        smooth &= error <= tolerance * floor
    return smooth, scales


def _size(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.maximum(1, np.maximum(np.abs(left), np.abs(right)))


def _singularities(edges: np.ndarray, smooth: np.ndarray) -> np.ndarray:
    """One place for each run of panels that are not smooth or very narrow: the middle of the worst."""
    width = np.diff(edges)
    middle = edges[:-1] + width / 2
    narrow = np.flatnonzero(~smooth | (width < NARROW * np.maximum(1, np.abs(middle))))
    runs = np.split(narrow, np.flatnonzero(np.diff(narrow) > 1) + 1) if narrow.size else []
    return np.array([_worst(edges, smooth, run) for run in runs])


def _worst(edges: np.ndarray, smooth: np.ndarray, run: np.ndarray) -> float:
    rough = run[~smooth[run]]
    if rough.size:
        return float(edges[rough[0]] / 2 + edges[rough[-1] + 1] / 2)
    narrowest = run[np.argmin(np.diff(edges)[run])]
    return float(edges[narrowest] / 2 + edges[narrowest + 1] / 2)


def _kinks(activation: ScalarFunction, edges: np.ndarray) -> np.ndarray:
    """Returns the inner edges that a smooth panel cannot straddle."""
    width = np.diff(edges)
    reach = np.minimum(width[:-1], width[1:]) / 2
    inner = edges[1:-1]
    smooth, _ = _is_smooth(activation, inner - reach, inner + reach, np.zeros(2), FINE)
    return inner[~smooth]
