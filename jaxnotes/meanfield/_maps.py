"""One layer of a wide random network: the maps of variance and correlation, and the gain of the gradient."""

from collections.abc import Callable

import numpy as np
from jax.typing import ArrayLike

from jaxnotes.meanfield import _arguments
from jaxnotes.meanfield._activation_values import ScalarFunction, evaluate
from jaxnotes.meanfield._arguments import Result
from jaxnotes.meanfield._quadrature import expectation, pair_expectation


def variance_map(activation: ScalarFunction, q: ArrayLike, weight_variance: ArrayLike, bias_variance: ArrayLike) -> Result:
    """Returns the variance of the next layer's pre-activations, σ_w² E φ(√q z)² + σ_b² (Poole et al. 2016).

    Args:
      activation: φ, any function from a scalar to a scalar that JAX can trace; kinks and jumps are found.
      q: variance of the pre-activations, a number or an array; the three broadcast.
      weight_variance: σ_w², weights are N(0, σ_w² / n_in).
      bias_variance: σ_b².

    Returns:
      A float, or a float64 array of the broadcast shape. Exact to about 12 digits.

    Raises:
      TypeError: the activation is not callable or not traceable, or an argument is not a concrete real number.
      ValueError: a variance is negative or not finite, shapes do not broadcast, or the activation returns another shape,
        float32, or a value that is not finite, or outgrows the Gaussian.
    """
    q, weight_variance, bias_variance = _variances(q=q, weight_variance=weight_variance, bias_variance=bias_variance)
    return _arguments.result(weight_variance * moment(activation, np.square, q) + bias_variance)


def variance_map_slope(activation: ScalarFunction, q: ArrayLike, weight_variance: ArrayLike) -> Result:
    """dV/dq of `variance_map`; a fixed point is stable where it is below 1.

    Computed as σ_w² E[(φ(√q z)² - φ(0)²) (z² - 1)] / 2q, which holds for kinks and jumps too. Its absolute error is about
    1e-16 σ_w² φ(0)² / q.

    Raises:
      ValueError: q is 0 and φ(0) is not, where the slope needs φ''; and as `variance_map`.
    """
    q, weight_variance = _variances(q=q, weight_variance=weight_variance)
    at_zero = evaluate(activation, np.zeros(1))[0]
    if at_zero != 0 and (q == 0).any():
        raise ValueError("the variance map's slope at q = 0 is not defined by φ and φ' alone where φ(0) is not 0; give a q > 0")
    smallest = np.asarray(np.maximum(q, 1e-200))  # stands for the limit q -> 0
    moved = moment(activation, lambda v: (v - at_zero) * (v + at_zero), smallest, score=True)
    return _arguments.result(weight_variance * moved / (2 * smallest))


def gradient_gain(activation: ScalarFunction, q: ArrayLike, weight_variance: ArrayLike) -> Result:
    """σ_w² E φ'(√q z)²: gain of the squared gradient across a layer of pre-activation variance q. `chi` with q given."""
    q, weight_variance = _variances(q=q, weight_variance=weight_variance)
    return _arguments.result(weight_variance * moment(activation, np.square, q, order=1))


def correlation_map(
    activation: ScalarFunction,
    c: ArrayLike,
    q: ArrayLike,
    weight_variance: ArrayLike,
    bias_variance: ArrayLike,
    q2: ArrayLike | None = None,
) -> Result:
    """Returns the correlation of two inputs' pre-activations in the next layer (Poole et al. 2016).

    (σ_w² E φ(u) φ(v) + σ_b²) / √(V(q) V(q2)) with (u, v) Gaussian of variances q, q2 and correlation c, V the variance map; at
    the fixed point V(q*) = q*.

    Args:
      activation: φ, as in `variance_map`.
      c: correlation in [-1, 1], a number or an array; all arguments broadcast. An entry costs some 10 ms.
      q: variance of the first input's pre-activations.
      weight_variance: σ_w².
      bias_variance: σ_b².
      q2: variance of the second's; None: q.

    Returns:
      A float, or a float64 array of the broadcast shape, exact to about 1e-11, near c = ±1 too.

    Raises:
      TypeError, ValueError: as `variance_map`; ValueError where c is outside [-1, 1] or the next layer's variance is 0.
    """
    c, q, q2, weight_variance, bias_variance = _pair(c, q, q2, weight_variance, bias_variance)
    size = _next_size(activation, q, q2, weight_variance, bias_variance)
    mapped = (weight_variance * _pairs(activation, 0, c, q, q2) + bias_variance) / size
    return _arguments.result(np.clip(mapped, -1, 1))


def correlation_map_slope(
    activation: ScalarFunction,
    c: ArrayLike,
    q: ArrayLike,
    weight_variance: ArrayLike,
    bias_variance: ArrayLike,
    q2: ArrayLike | None = None,
) -> Result:
    """dC/dc of `correlation_map`; at the fixed point q* it is σ_w² E φ'(u) φ'(v), and χ at c = 1. Arguments as there.

    φ must be continuous: at a jump JAX's derivative is 0, while the map's slope grows without bound as c -> 1.
    """
    c, q, q2, weight_variance, bias_variance = _pair(c, q, q2, weight_variance, bias_variance)
    size = _next_size(activation, q, q2, weight_variance, bias_variance)
    return _arguments.result(weight_variance * np.sqrt(q * q2) * _pairs(activation, 1, c, q, q2) / size)


def moment(activation: ScalarFunction, power: Callable, q: np.ndarray, order: int = 0, score: bool = False) -> np.ndarray:
    """E[power(f(√q z))] with f = φ (order 0) or φ' (order 1), of q's shape; times z² - 1 inside with `score`."""
    values, places = np.unique(q, return_inverse=True)

    def integrand(z: np.ndarray, f: np.ndarray) -> np.ndarray:
        return power(f) * (z * z - 1) if score else power(f)

    return np.asarray(expectation(activation, integrand, values, (order,))[places]).reshape(np.shape(q))


def _variances(**values: ArrayLike) -> tuple[np.ndarray, ...]:
    return _arguments.broadcast(**{name: _arguments.variance(name, value) for name, value in values.items()})


def _pair(
    c: ArrayLike, q: ArrayLike, q2: ArrayLike | None, weight_variance: ArrayLike, bias_variance: ArrayLike
) -> tuple[np.ndarray, ...]:
    """The checked numbers at their common shape, in the order of `correlation_map`'s body: c, q, q2 and the variances."""
    q2 = q if q2 is None else q2
    variances = {"q": q, "q2": q2, "weight_variance": weight_variance, "bias_variance": bias_variance}
    checked = {name: _arguments.variance(name, value) for name, value in variances.items()}
    return _arguments.broadcast(c=_arguments.real("c", c, -1.0, 1.0), **checked)


def _next_size(
    activation: ScalarFunction, q: np.ndarray, q2: np.ndarray, weight_variance: np.ndarray, bias_variance: np.ndarray
) -> np.ndarray:
    """√(V(q) V(q2))."""
    first, second = (np.asarray(variance_map(activation, v, weight_variance, bias_variance)) for v in (q, q2))
    if ((first == 0) | (second == 0)).any():
        raise ValueError("the next layer's variance is 0 and a correlation undefined; give a positive q or bias_variance")
    return np.asarray(np.sqrt(first) * np.sqrt(second))


def _pairs(activation: ScalarFunction, order: int, c: np.ndarray, q: np.ndarray, q2: np.ndarray) -> np.ndarray:
    entries = zip(c.flat, q.flat, q2.flat, strict=True)
    return np.array([pair_expectation(activation, order, *map(float, entry)) for entry in entries]).reshape(c.shape)
