"""Whole networks, from layer to layer: variances, gain of the gradient, residual growth, and what finite width adds."""

from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike

from jaxnotes.meanfield import _arguments
from jaxnotes.meanfield._activation_values import ScalarFunction, name
from jaxnotes.meanfield._arguments import Result
from jaxnotes.meanfield._fixed_points import START, fixed_point, is_homogeneous
from jaxnotes.meanfield._maps import gradient_gain, variance_map
from jaxnotes.meanfield._quadrature import expectation


def residual_gain(chi_branch: ArrayLike, depth: ArrayLike, branch_scale: ArrayLike = 1.0) -> Result:
    """Returns (1 + s² χ)^L: gain of the squared gradient across L blocks h + s F(h), the branch F having gain χ.

    The branch's last weights are independent of everything before and have mean 0, so both paths' squares add. Infinite where
    it leaves float64: use `log_residual_gain`.

    Args:
      chi_branch: χ of the branch, a number or an array, not negative; all broadcast.
      depth: L, number of blocks, not negative.
      branch_scale: s.

    Raises:
      TypeError: an argument is not a concrete real number.
      ValueError: an argument is negative (but for s) or not finite, or shapes do not broadcast.

    Example:
      >>> float(residual_gain(1.0, depth=10))
      1024.0
      >>> round(float(residual_gain(1.0, depth=1000, branch_scale=1000**-0.5)), 2)  # near e
      2.72
    """
    with np.errstate(over="ignore"):
        return _arguments.result(np.exp(log_residual_gain(chi_branch, depth, branch_scale)))


def log_residual_gain(chi_branch: ArrayLike, depth: ArrayLike, branch_scale: ArrayLike = 1.0) -> Result:
    """L ln(1 + s² χ), the natural logarithm of `residual_gain`."""
    chi_branch, depth = _arguments.variance("chi_branch", chi_branch), _arguments.real("depth", depth, 0.0)
    branch_scale = _arguments.real("branch_scale", branch_scale)
    chi_branch, depth, branch_scale = _arguments.broadcast(chi_branch=chi_branch, depth=depth, branch_scale=branch_scale)
    return _arguments.result(depth * np.log1p(branch_scale**2 * chi_branch))


def variance_trajectory(
    activation: ScalarFunction,
    q: float,
    weight_variance: float,
    bias_variance: float,
    depth: int,
    *,
    branch_scale: float | None = None,
) -> np.ndarray:
    """Returns [depth + 1] variances q_0 = q, …, q_L, float64.

    Args:
      activation: φ, as in `variance_map`.
      q: variance at the first layer.
      weight_variance: σ_w².
      bias_variance: σ_b².
      depth: L.
      branch_scale: None for a plain network, q <- V(q); s for blocks h + s (W φ(h) + b), q <- q + s² V(q).

    Raises:
      ValueError: a variance leaves the range of the quadrature (1e24); and as `variance_map`.
      TypeError: as `variance_map`; arrays are not taken.
    """
    depth = _arguments.count("depth", depth, 0)
    variances = np.empty(depth + 1)
    variances[0] = _number("q", q)
    branch_scale = None if branch_scale is None else float(_arguments.real("branch_scale", branch_scale))
    weights, biases = _number("weight_variance", weight_variance), _number("bias_variance", bias_variance)
    for layer in range(depth):
        here = variances[layer]
        mapped = variance_map(activation, here, weights, biases)
        variances[layer + 1] = mapped if branch_scale is None else here + branch_scale**2 * mapped
        if variances[layer + 1] == here:
            variances[layer + 1 :] = here
            break
    return variances


def log_gradient_gain(
    activation: ScalarFunction,
    q: float,
    weight_variance: float,
    bias_variance: float,
    depth: int,
    *,
    branch_scale: float | None = None,
) -> np.ndarray:
    """[depth + 1] natural log of the squared gradient's gain across the first l layers, l = 0 … L: sums of ln χ(q_k), k < l.

    With a `branch_scale` s sums of ln(1 + s² χ(q_k)). The squared gradient at layer 0 over the one at layer l is exp(out[l]).
    Arguments and errors as in `variance_trajectory`; where φ(λx) = λ φ(x) for λ > 0, χ is that of every q and none is followed.
    """
    depth = _arguments.count("depth", depth, 0)
    if is_homogeneous(activation):
        path = np.full(depth + 1, START)
    else:
        path = variance_trajectory(activation, q, weight_variance, bias_variance, depth, branch_scale=branch_scale)
    gains = np.asarray(gradient_gain(activation, path[:-1], weight_variance))
    with np.errstate(divide="ignore"):
        logs = np.log(gains) if branch_scale is None else np.log1p(branch_scale**2 * gains)
    return np.concatenate([np.zeros(1), np.cumsum(logs)])


def log_norm_variance(
    activation: ScalarFunction,
    weight_variance: float,
    bias_variance: float,
    depth: int,
    width: int,
    q: float | None = None,
) -> float:
    """Returns the variance over random networks of ln ‖J u‖², the natural log of the SQUARED norm, to leading order in 1/n.

    J is the Jacobian dh_L/dh_0 of pre-activations across L layers h <- W φ(h) + b of width n; u is a vector of random
    direction independent of h_0, whose entries are N(0, q); weights and biases are Gaussian. To this order it is the law of the
    backward norm ‖Jᵀ u‖² too. A quarter of it is the variance of ln ‖J u‖. (Not of the Frobenius norm, which averages over u.)

    Given the past, the units of the next layer are independent, with h_i ~ N(0, q) and tangent v_i ~ N(0, p) independent of it.
    A layer multiplies p by σ_w² mean(φ'(h_i)² v_i²) / p, of relative variance (3 E φ'⁴ / (E φ'²)² - 1) / n: 2/n for a linear
    network, 5/n for ReLU (Hanin and Nica 2020). The fluctuation of mean(φ(h_i)²) moves q in later layers, and so their χ(q): a
    term of the same order, unless φ(λx) = λ φ(x) for λ > 0; it is followed through the linearised variance map.

    Args:
      activation: φ, as in `variance_map`.
      weight_variance: σ_w².
      bias_variance: σ_b².
      depth: L, at least 1.
      width: n, at least 1; L/n should be small against 1.
      q: variance of h_0, which follows the variance map from there; None: the fixed point.

    Raises:
      ValueError: the gradient is 0, the variance diverges; and as `variance_map`.
      TypeError: as `variance_map`; arrays are not taken.
    """
    depth, width = _arguments.count("depth", depth, 1), _arguments.count("width", width, 1)
    weights, biases = _number("weight_variance", weight_variance), _number("bias_variance", bias_variance)
    if is_homogeneous(activation):
        path = np.full(depth, START)  # χ is that of every q
    else:
        start = float(fixed_point(activation, weights, biases)) if q is None else _number("q", q)
        path = variance_trajectory(activation, start, weights, biases, depth - 1)
    found = _fluctuations(activation, path, weights, biases)
    later, total = 0.0, 0.0  # d(sum of the later layers' ln χ) / d ln q, from the last layer back
    for layer in reversed(range(depth)):
        total += found.slope[layer] + 2 * later * found.both[layer] + later**2 * found.forward[layer]
        later = found.bend[layer] + found.passed[layer] * later
    return float(total / width)


class _Fluctuations(NamedTuple):
    """Of a layer of variance q, [layers] each; variances and covariances are times the width."""

    slope: np.ndarray  # variance of ln mean(φ'² v²)
    forward: np.ndarray  # variance of ln of the next q
    both: np.ndarray  # their covariance
    bend: np.ndarray  # d ln χ / d ln q
    passed: np.ndarray  # d ln V / d ln q


def _fluctuations(activation: ScalarFunction, q: np.ndarray, weights: float, biases: float) -> _Fluctuations:
    if is_homogeneous(activation):
        values, places = np.ones(1), np.zeros(q.size, int)
    else:
        values, places = np.unique(np.maximum(q, 1e-100), return_inverse=True)  # relative quantities have a limit at q = 0

    def mean(integrand) -> np.ndarray:
        return expectation(activation, integrand, values, (0, 1))

    square, gain = mean(lambda z, f, g: f**2), mean(lambda z, f, g: g**2)
    if (gain == 0).any():
        raise ValueError(f"the derivative of {name(activation)} is 0 almost everywhere: the gradient's norm has no logarithm")
    kurtosis = mean(lambda z, f, g: (g**2 / gain.max()) ** 2) * (gain.max() / gain) ** 2
    share = weights * square / (weights * square + biases)  # of the next variance that the weights bring
    spread = mean(lambda z, f, g: (f**2 / square.max()) ** 2) * (square.max() / square) ** 2 - 1
    together = mean(lambda z, f, g: f**2 / square.max() * g**2) * square.max() / (square * gain) - 1
    bend = mean(lambda z, f, g: g**2 * (z**2 - 1)) / (2 * gain)
    passed = share * mean(lambda z, f, g: f**2 * (z**2 - 1)) / (2 * square)
    if is_homogeneous(activation):
        bend = np.zeros(1)
    found = (3 * kurtosis - 1, share**2 * spread, share * together, bend, passed)
    return _Fluctuations(*(values[places] for values in found))


def _number(label: str, value: ArrayLike) -> float:
    array = _arguments.variance(label, value)
    if array.ndim:
        raise TypeError(f"{label} must be one number, got an array of shape {list(array.shape)}")
    return float(array)
