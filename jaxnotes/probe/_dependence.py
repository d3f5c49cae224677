"""Whether labels depend on the inputs, as far as a linear probe and the nearest neighbour see."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

LEAST_EXAMPLES = 256  # fewer leave chance too wide
MOST_EXAMPLES = 1024
RIDGE = 0.1  # of the mean of the kernel's diagonal, as regularisation


@dataclasses.dataclass(frozen=True)
class Dependence:
    """How well labels are predicted of each example from all others.

    Attributes:
      examples: how many were looked at.
      linear_probe, linear_chance: share of labels that a ridge regression on one-hot labels gets right, and what predictions as
        frequent as its own would get right by chance.
      neighbour, neighbour_chance: the same for the label of the nearest other example.
    """

    examples: int
    linear_probe: float
    linear_chance: float
    neighbour: float
    neighbour_chance: float

    @property
    def standard_errors(self) -> float:
        """How far the better of the two lies above chance, in standard errors of a share."""
        pairs = ((self.linear_probe, self.linear_chance), (self.neighbour, self.neighbour_chance))
        return max((got - chance) / max(np.sqrt(chance * (1 - chance) / self.examples), 1e-12) for got, chance in pairs)


def read_dependence(inputs: Any, targets: Any) -> Dependence | None:
    """Returns the reading for floating inputs that are one array and one integer label per example; None for others."""
    arrays = jax.tree.leaves(inputs)
    if len(arrays) != 1 or not hasattr(targets, "dtype") or not jnp.issubdtype(targets.dtype, jnp.integer):
        return None
    (array,) = arrays
    if not hasattr(array, "dtype") or not jnp.issubdtype(array.dtype, jnp.floating) or array.ndim < 2:
        return None
    if targets.shape != array.shape[:1] or len(targets) < LEAST_EXAMPLES:
        return None
    features = np.asarray(array[:MOST_EXAMPLES], np.float64).reshape(min(len(array), MOST_EXAMPLES), -1)
    classes, labels = np.unique(np.asarray(targets[:MOST_EXAMPLES]), return_inverse=True)
    if not np.isfinite(features).all() or not 1 < len(classes) <= len(labels) // 4:
        return None
    return _measured(_standardised(features), labels)


def _standardised(features: np.ndarray) -> np.ndarray:
    deviation = features.std(axis=0)
    return (features - features.mean(axis=0)) / np.where(deviation > 0, deviation, 1)


def _measured(features: np.ndarray, labels: np.ndarray) -> Dependence:
    kernel = features @ features.T
    squares = np.diag(kernel)
    distances = squares[:, None] + squares - 2 * kernel
    np.fill_diagonal(distances, np.inf)
    nearest = labels[distances.argmin(axis=1)]
    linear = _left_out(kernel, np.eye(labels.max() + 1)[labels]).argmax(axis=1)
    right = lambda guessed: float(np.mean(guessed == labels))
    return Dependence(len(labels), right(linear), _chance(linear, labels), right(nearest), _chance(nearest, labels))


def _left_out(kernel: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Predictions of a ridge regression with an intercept for each example, fitted on all others.

    Source: Hastie, Tibshirani and Friedman 2009, equation 7.64: the residual is that of the whole fit over 1 - its leverage.
    """
    number = len(kernel)
    ridge = RIDGE * max(np.trace(kernel) / number, 1e-12)
    hat = kernel @ np.linalg.inv(kernel + ridge * np.eye(number)) + 1 / number
    return values - (values - hat @ values) / (1 - np.diag(hat))[:, None]


def _chance(guessed: np.ndarray, labels: np.ndarray) -> float:
    """Returns the share of right guesses if guesses and labels did not depend on each other."""
    classes = int(labels.max()) + 1
    return float(np.bincount(guessed, minlength=classes) @ np.bincount(labels, minlength=classes) / len(labels) ** 2)
