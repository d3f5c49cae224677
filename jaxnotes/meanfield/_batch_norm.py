"""Batch normalisation in wide networks: the gain of the squared gradient per layer, at any batch size."""

from collections.abc import Callable

import numpy as np

from jaxnotes.meanfield import _arguments
from jaxnotes.meanfield._activation_values import ScalarFunction, evaluate, name
from jaxnotes.meanfield._maps import moment
from jaxnotes.meanfield._partition import Partition, partition
from jaxnotes.meanfield._quadrature import GAUSSIAN_EDGES, NODES, WEIGHTS

SMALLEST_BATCH = 4  # of 3 examples the gain has no mean
_POINTS = 1 << 20  # evaluated at a time


def batch_norm_gain(activation: ScalarFunction, batch: int | None = None) -> float:
    """Returns the gain of the squared gradient per layer of linear map, batch normalisation and φ, at infinite width.

    Normalisation makes the pre-activations N(0, 1) over a large batch, those of different examples uncorrelated; the next one
    divides by the standard deviation of Wφ over the batch. So E φ'(z)² / Var φ(z), whatever the weight variance: π / (π - 1)
    for ReLU, 1 for a linear network (Yang et al. 2019, A mean field theory of batch normalization).

    In a batch of B the pre-activations of a unit are x = √B G h / ‖G h‖ with h Gaussian and G = I - 11ᵀ/B the centring, which
    is uniform on a sphere of B - 1 dimensions; with a = E φ(x₁)² - E φ(x₁) φ(x₂) and d = φ'(x) the gain is

        B / (a (B - 3)) · (E d₁² - (E d₁² - E d₁ d₂ + E x₁² d₁² - E x₁ d₁ x₂ d₂) / B).

    That is (B - 2) / (B - 3) for a linear network, and Yang et al.'s theorem for ReLU.

    Args:
      activation: φ, as in `variance_map`.
      batch: B, at least 4; None for a large one. Exact to about 10 digits, 6 at B = 4.

    Raises:
      ValueError: φ is constant, or the batch is below 4; and as `variance_map`.
      TypeError: as `variance_map`.

    Example:
      >>> from jaxnotes.layers.activations import relu
      >>> round(batch_norm_gain(relu), 5)  # π / (π − 1), Yang et al. (2019)
      1.46694
      >>> round(batch_norm_gain(relu, batch=16), 5)
      1.58995
    """
    if batch is None:
        return _large_batch(activation)
    batch = _arguments.count("batch", batch, SMALLEST_BATCH)
    sphere = _Sphere(batch - 1, partition(activation, min(GAUSSIAN_EDGES[-1], (batch - 1) ** 0.5)))
    mean = sphere.single(lambda x: evaluate(activation, x))
    square = sphere.single(lambda x: evaluate(activation, x) ** 2)
    spread = sphere.difference(lambda x: evaluate(activation, x) - mean)
    _check_varies(activation, spread, square)
    slope = sphere.single(lambda x: evaluate(activation, x, 1) ** 2)
    lost = sphere.difference(lambda x: evaluate(activation, x, 1))
    lost += sphere.difference(lambda x: x * evaluate(activation, x, 1))
    return float(batch / (spread * (batch - 3)) * (slope - lost / batch))


def _large_batch(activation: ScalarFunction) -> float:
    one = np.ones(1)
    mean = moment(activation, np.asarray, one)[0]
    variance = moment(activation, lambda v: np.square(v - mean), one)[0]
    _check_varies(activation, variance, mean**2)
    return float(moment(activation, np.square, one, order=1)[0] / variance)


def _check_varies(activation: ScalarFunction, variance: float, square: float) -> None:
    if variance <= 1e-28 * square:
        raise ValueError(f"{name(activation)} is constant over N(0, 1): batch normalisation of it divides by 0")


class _Sphere:
    """Two pre-activations x₁, x₂ of a unit: of variance 1 and correlation -1/m, uniform on a sphere of m dimensions.

    x₁ = √m sin θ with density cosᵐ⁻²θ, and x₂ = √m (sin γ sin θ + cos γ cos θ sin ψ) with density cosᵐ⁻³ψ, sin γ = -1/m.
    """

    def __init__(self, dimensions: int, found: Partition):
        self.dimensions, self.edges = dimensions, found.edges / dimensions**0.5
        self.angle = np.arcsin(-1 / dimensions)
        # Where x₂, at its largest or smallest, meets a kink: its conditional mean bends there.
        reach = np.arccos(np.clip(np.concatenate([found.kinks, -found.kinks]) / dimensions**0.5, -1, 1))
        self.bends = np.sin(np.concatenate([self.angle + reach, self.angle - reach, reach - self.angle, -self.angle - reach]))
        self.theta, self.weight = (a.ravel() for a in self._points(np.concatenate([self.edges, self.bends])[None], 2))

    def single(self, function: Callable) -> float:
        """E f(x₁)."""
        return float(self.weight @ function(self.dimensions**0.5 * np.sin(self.theta)))

    def difference(self, function: Callable) -> float:
        """E f(x₁)² - E f(x₁) f(x₂)."""
        root = self.dimensions**0.5
        own, other = function(root * np.sin(self.theta)), np.empty(self.theta.size)
        rows = max(1, _POINTS // ((self.edges.size + GAUSSIAN_EDGES.size) * NODES.size))
        for start in range(0, self.theta.size, rows):
            theta = self.theta[start : start + rows, None]
            shift, factor = np.sin(self.angle) * np.sin(theta), np.cos(self.angle) * np.cos(theta)
            psi, weight = self._points((self.edges - shift) / factor, 3)
            values = function((root * (shift + factor * np.sin(psi))).ravel()).reshape(psi.shape)
            other[start : start + rows] = (weight * values).sum(1)
        return float(self.weight @ (own * (own - other)))

    def _points(self, edges: np.ndarray, fewer: int) -> tuple[np.ndarray, np.ndarray]:
        """Angles and weights [rows, points] of the density cosᵐ⁻ᶠᵉʷᵉʳ between edges [rows, edges], which are sines."""
        gaussian = np.broadcast_to(GAUSSIAN_EDGES / (self.dimensions + 2 - fewer) ** 0.5, (len(edges), GAUSSIAN_EDGES.size))
        limit = min(1.0, gaussian[0, -1])
        every = np.arcsin(np.sort(np.clip(np.concatenate([gaussian, edges], axis=1), -limit, limit), axis=1))
        left, half = every[:, :-1, None], np.diff(every)[:, :, None] / 2
        angles = left + half + half * NODES
        weight = half * WEIGHTS * np.cos(angles) ** (self.dimensions - fewer)
        weight /= weight.sum((1, 2), keepdims=True)
        return angles.reshape(len(edges), -1), weight.reshape(len(edges), -1)
