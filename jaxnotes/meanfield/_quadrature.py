"""Expectations over one or two Gaussian pre-activations, by Gauss-Legendre panels that split at the activation's kinks."""

from collections.abc import Callable

import numpy as np

from jaxnotes.meanfield._activation_values import ScalarFunction, evaluate, name
from jaxnotes.meanfield._partition import partition

LIMIT = 16.0  # standard deviations; the Gaussian beyond weighs e^-128
GAUSSIAN_EDGES = np.concatenate([[-LIMIT, -13.0], np.arange(-10.0, 11.0, 2.0), [13.0, LIMIT]])
NODES, WEIGHTS = np.polynomial.legendre.leggauss(16)
_SMOOTHED_EDGES = np.array([-9, -6, -4, -2.5, -1.5, -0.75, 0, 0.75, 1.5, 2.5, 4, 6, 9])  # panels of a kink smoothed by N(0, 1)
_SMALLEST_SCALE = 1e-140  # stands for the limit q -> 0 from above where one-sided derivatives differ
_POINTS = 1 << 20  # evaluated at a time


def expectation(activation: ScalarFunction, integrand: Callable, q: np.ndarray, orders: tuple[int, ...] = (0,)) -> np.ndarray:
    """E[integrand(z, f_1(√q z), …)] for z ~ N(0, 1), f_i the activation (order 0) or its derivative (order 1).

    Args:
      activation: function from a scalar to a scalar.
      integrand: elementwise function of z and the functions' values.
      q: [points] variances, float64; derivatives at q = 0 are the limit q -> 0.
      orders: which functions the integrand takes.

    Returns:
      [points] float64.

    Raises:
      ValueError: the integrand outgrows the Gaussian; and as `evaluate` and `partition`.
    """
    q = np.asarray(q, np.float64)
    scale = np.sqrt(q)
    edges = partition(activation, LIMIT * scale.max(initial=0.0)).edges
    panels = (edges.size + GAUSSIAN_EDGES.size) * NODES.size
    rows = max(1, _POINTS // panels)
    parts = [_expectation(activation, integrand, scale[i : i + rows], orders, edges) for i in range(0, q.size, rows)]
    return np.concatenate([np.zeros(0), *parts])


def _expectation(
    activation: ScalarFunction, integrand: Callable, scale: np.ndarray, orders: tuple, edges: np.ndarray
) -> np.ndarray:
    z, weight, row = _gauss_points(edges / np.maximum(scale, _SMALLEST_SCALE)[:, None])
    scales = {0: scale, 1: np.maximum(scale, _SMALLEST_SCALE)}
    functions = [evaluate(activation, (scales[order][row][:, None] * z).ravel(), order).reshape(z.shape) for order in orders]
    terms = weight * integrand(z, *functions)
    tail = np.abs(np.where(np.abs(z) > 13, terms, 0)).sum(1)
    size = np.bincount(row, np.abs(terms).sum(1), scale.size)
    if (np.bincount(row, tail, scale.size) > 1e-9 * size).any():
        raise ValueError(
            f"activation {name(activation)} outgrows the Gaussian at variance {scale.max() ** 2:.3g}: its moments do not "
            "exist, or lie beyond float64 quadrature"
        )
    return np.bincount(row, terms.sum(1), scale.size)


def pair_expectation(activation: ScalarFunction, order: int, c: float, q1: float, q2: float) -> float:
    """E[f(u) f(v)] for jointly Gaussian u, v of variances q1, q2 and correlation c; f = φ (order 0) or φ' (order 1).

    v is split into its part along u and the rest; the integral over the rest splits at every place where v meets a kink, and
    the integral over u around the places where a kink, smoothed by the rest, bends it.
    """
    slack = np.sqrt((1 - c) * (1 + c))
    scale1, scale2 = (max(np.sqrt(q), _SMALLEST_SCALE * order) for q in (q1, q2))
    found = partition(activation, LIMIT * (abs(c) + slack) * max(scale1, scale2))
    if c == 0 or scale1 == 0 or scale2 == 0:  # independent, or one of them constant
        return float(np.prod(expectation(activation, lambda z, f: f, np.array([q1, q2]), (order,))))
    share = np.copysign(max(abs(c), 1e-30), c)  # of u in v; a smaller one moves the edges out of range all the same
    kinks = (found.kinks[:, None] / scale2 + slack * _SMOOTHED_EDGES).ravel() / share
    again = found.edges / scale2 / share if c < 0 or q1 != q2 else np.zeros(0)
    edges = np.sort(np.concatenate([found.edges / scale1, kinks, again]))
    z, weight, _ = _gauss_points(edges[None])
    z, weight = z.ravel(), weight.ravel()
    keep = weight > 1e-40
    z, weight = z[keep], weight[keep]
    outer = evaluate(activation, scale1 * z, order)
    if slack == 0:
        inner = evaluate(activation, scale2 * c * z, order)
    else:
        inner = _conditional_expectation(activation, order, c * z, slack, scale2, found.edges)
    return float(np.sum(weight * outer * inner))


def _conditional_expectation(
    activation: ScalarFunction, order: int, mean: np.ndarray, slack: float, scale: float, edges: np.ndarray
) -> np.ndarray:
    """Returns [points] E[f(scale (mean + slack z))] over z ~ N(0, 1) for each mean."""
    found = np.zeros(mean.shape)
    reach = LIMIT * (np.abs(mean).max() + slack)
    edges = edges[(edges >= -scale * reach) & (edges <= scale * reach)]
    rows = max(1, _POINTS // ((edges.size + GAUSSIAN_EDGES.size) * NODES.size))
    for start in range(0, mean.size, rows):
        part = mean[start : start + rows]
        z, weight, row = _gauss_points((edges / scale - part[:, None]) / slack)
        values = evaluate(activation, (scale * (part[row][:, None] + slack * z)).ravel(), order).reshape(z.shape)
        found[start : start + rows] = np.bincount(row, (weight * values).sum(1), part.size)
    return found


def _gauss_points(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Nodes and Gaussian weights of the panels between a row's edges and the Gaussian's own.

    Args:
      edges: [rows, edges] ascending or not, of the standardised variable.

    Returns:
      Nodes [panels, 16], their weights [panels, 16], and each panel's row [panels].
    """
    gaussian = np.broadcast_to(GAUSSIAN_EDGES, (edges.shape[0], GAUSSIAN_EDGES.size))
    every = np.sort(np.concatenate([gaussian, np.clip(edges, -LIMIT, LIMIT)], axis=1), axis=1)
    left, right = every[:, :-1], every[:, 1:]
    row, column = np.nonzero(right > left)  # most panels of a row that sees little of the partition are empty
    left, half = left[row, column], (right - left)[row, column] / 2
    z = (left + half)[:, None] + half[:, None] * NODES
    density = np.exp(-0.5 * z * z) / np.sqrt(2 * np.pi)
    return z, half[:, None] * WEIGHTS * density, row
