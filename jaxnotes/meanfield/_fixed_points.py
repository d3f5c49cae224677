"""Where the maps come to rest: fixed points, chi, depth scales and the critical line."""

from collections.abc import Callable
from functools import partial

import numpy as np
from jax.typing import ArrayLike
from scipy import optimize
from scipy.optimize import elementwise

from jaxnotes.meanfield import _arguments
from jaxnotes.meanfield._activation_values import ScalarFunction, evaluate, name
from jaxnotes.meanfield._arguments import Result
from jaxnotes.meanfield._maps import (
    correlation_map,
    correlation_map_slope,
    gradient_gain,
    moment,
    variance_map,
    variance_map_slope,
)

START = 1.0
_ROUNDING = 1e-13
_STEPS_UP = 20  # factors of 4 in q: 1e12
_STEPS_DOWN = 100  # 1e-60


def fixed_point(activation: ScalarFunction, weight_variance: ArrayLike, bias_variance: ArrayLike) -> Result:
    """q*, the fixed point of the variance map that q = 1 moves to.

    The first fixed point in the direction in which the map moves q = 1: the limit of the iteration where the map increases with
    q, as it does for every usual activation. Where q = 1 is itself a fixed point it is returned: so 1 for ReLU at σ_w² = 2,
    σ_b² = 0, where every q is fixed. 0 where the variance shrinks to nothing.

    Args:
      activation: φ, as in `variance_map`.
      weight_variance: σ_w², a number or an array; the two broadcast.
      bias_variance: σ_b².

    Returns:
      A float, or a float64 array of the broadcast shape.

    Raises:
      ValueError: the variance diverges (grows past 1e12) for an entry, or as `variance_map`.
      TypeError: as `variance_map`.

    Example:
      >>> from jaxnotes.layers.activations import tanh
      >>> round(float(fixed_point(tanh, 1.5**2, 0.0)), 3)
      0.793
    """
    weights, biases = _networks(weight_variance, bias_variance)
    flat_weights, flat_biases = weights.ravel(), biases.ravel()
    at_start = _excess(activation, np.zeros(weights.size), flat_weights, flat_biases)
    low, high = np.zeros(weights.size), np.zeros(weights.size)  # log q - log START
    up, down = at_start > _ROUNDING, at_start < -_ROUNDING
    low[up], high[up] = _bracket(activation, flat_weights[up], flat_biases[up], 1)
    high[down], low[down] = _bracket(activation, flat_weights[down], flat_biases[down], -1)
    if (high == np.inf).any():
        first = int(np.argmax(high == np.inf))
        raise ValueError(
            f"the variance of {name(activation)} diverges at weight_variance={flat_weights[first]:g}, "
            f"bias_variance={flat_biases[first]:g}: no fixed point above {START:g} up to 1e12"
        )
    q = np.where(np.isinf(low), 0.0, START)
    between = (up | down) & np.isfinite(low)
    if between.any():
        networks = flat_weights[between], flat_biases[between]
        q[between] = START * np.exp(_roots(partial(_excess, activation), low[between], high[between], *networks))
    return _arguments.result(q.reshape(weights.shape))


def chi(activation: ScalarFunction, weight_variance: ArrayLike, bias_variance: ArrayLike, q: ArrayLike | None = None) -> Result:
    """χ = σ_w² E φ'(√q z)²: gain of the squared gradient per layer, and slope of the correlation map at c = 1 and q*.

    (Schoenholz et al. 2017.) At q = 0 the limit q -> 0, which at a kink averages both sides.

    Args:
      activation: φ, as in `variance_map`. Its derivative is JAX's: jumps count nothing.
      weight_variance: σ_w², a number or an array; all broadcast.
      bias_variance: σ_b²; matters only for the fixed point.
      q: pre-activation variance; None: the fixed point. Where φ(λx) = λ φ(x) for λ > 0 (ReLU, leaky ReLU, identity) χ is the
        same for every q, and is returned where q diverges too.

    Returns:
      A float, or a float64 array of the broadcast shape.

    Raises:
      ValueError, TypeError: as `fixed_point` and `variance_map`.

    Example:
      >>> from jaxnotes.layers.activations import relu
      >>> float(chi(relu, 2.0, 0.0))  # He initialisation is critical
      1.0
    """
    weights, biases = _networks(weight_variance, bias_variance)
    if q is None:
        q = START if is_homogeneous(activation) else fixed_point(activation, weights, biases)
    return gradient_gain(activation, np.asarray(_arguments.variance("q", q) + 0 * biases), weights)


def correlation_fixed_point(
    activation: ScalarFunction, weight_variance: ArrayLike, bias_variance: ArrayLike, q: ArrayLike | None = None
) -> Result:
    """c*, the stable fixed point in [0, 1] of the correlation map: 1 where χ <= 1, below 1 in the chaotic phase.

    The map is convex on [0, 1], with C(1) = 1 and C(0) >= 0, so there is one (Poole et al. 2016). Within 1e-8 of 1 it is 1.

    Args:
      activation: φ, continuous.
      weight_variance: σ_w²; all broadcast.
      bias_variance: σ_b².
      q: the fixed point of the variance map; None: found.

    Returns:
      A float, or a float64 array of the broadcast shape. An entry of the chaotic phase costs some 0.2 s.
    """
    weights, biases = _networks(weight_variance, bias_variance)
    q = fixed_point(activation, weights, biases) if q is None else q
    weights, biases, q = _arguments.broadcast(weight_variance=weights, bias_variance=biases, q=_arguments.variance("q", q))
    gains = np.asarray(gradient_gain(activation, q, weights))
    entries = zip(gains.flat, q.flat, weights.flat, biases.flat, strict=True)
    found = [_correlation_fixed_point(activation, *map(float, entry)) for entry in entries]
    return _arguments.result(np.array(found).reshape(q.shape))


def depth_scales(activation: ScalarFunction, weight_variance: ArrayLike, bias_variance: ArrayLike) -> tuple[Result, Result]:
    """Returns (ξ_q, ξ_c): depths over which variance and correlation approach q* and c* by a factor e.

    ξ = -1 / ln(slope), of the variance map at q* and of the correlation map at c* (Schoenholz et al. 2017); infinite
    where the slope is 1, 0 where it is 0. At q* = 0 both slopes are χ. The gradient's own scale is 1 / |ln χ|, which is ξ_c
    in the ordered phase alone.

    Args:
      activation: φ, continuous.
      weight_variance: σ_w²; the two broadcast.
      bias_variance: σ_b².

    Returns:
      Two floats, or two float64 arrays of the broadcast shape, in layers.

    Raises:
      ValueError, TypeError: as `fixed_point`.
    """
    weights, biases = _networks(weight_variance, bias_variance)
    q = np.asarray(fixed_point(activation, weights, biases))
    c = np.asarray(correlation_fixed_point(activation, weights, biases, q))
    correlation_slope = np.array(gradient_gain(activation, q, weights))
    chaotic = c < 1
    if chaotic.any():
        correlation_slope[chaotic] = correlation_map_slope(
            activation, c[chaotic], q[chaotic], weights[chaotic], biases[chaotic]
        )
    return _depth_scale(variance_map_slope(activation, q, weights)), _depth_scale(correlation_slope)


def critical_weight_variance(activation: ScalarFunction, bias_variance: ArrayLike) -> Result:
    """σ_w² at which a fixed point q* has χ = 1 (Schoenholz et al. 2017); the one of smallest q* where there are several.

    Some activations (GELU, SiLU) move q = 1 to another fixed point than this one, or to none; tanh, erf, sigmoid do not.

    Without biases and with φ(0) = 0 that is q* = 0 and σ_w² = 1 / φ'(0)² (1 for tanh, 4 for GELU). Where φ(λx) = λ φ(x) for
    λ > 0 it is 1 / E φ'² for every bias variance (2 for ReLU), although q then grows with depth if there are biases.

    Args:
      activation: φ, as in `variance_map`.
      bias_variance: σ_b², a number or an array.

    Returns:
      A float, or a float64 array of bias_variance's shape. q* is (σ_w² E φ² + σ_b²) at it: `fixed_point`.

    Raises:
      ValueError: χ is 1 at no fixed point up to q = 1e12; and as `variance_map`.
      TypeError: as `variance_map`.
    """
    biases = _arguments.variance("bias_variance", bias_variance)
    found = [_critical(activation, float(bias)) for bias in biases.flat]
    return _arguments.result(np.array(found, np.float64).reshape(biases.shape))


def is_homogeneous(activation: ScalarFunction) -> bool:
    """Returns whether φ(λx) = λ φ(x) for λ > 0, at 66 scales from 1e-8 to 1e8."""
    scales = np.append(np.logspace(-8, 8, 65), 1.0)
    for side in (1.0, -1.0):
        ratios = evaluate(activation, side * scales) / scales
        if np.abs(ratios - ratios[-1]).max() > 1e-14 * np.abs(ratios[-1]):
            return False
    return True


def _networks(weight_variance: ArrayLike, bias_variance: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    weights = _arguments.variance("weight_variance", weight_variance)
    biases = _arguments.variance("bias_variance", bias_variance)
    weights, biases = _arguments.broadcast(weight_variance=weights, bias_variance=biases)
    return weights, biases


def _excess(activation: ScalarFunction, log_q: np.ndarray, weights: np.ndarray, biases: np.ndarray) -> np.ndarray:
    """V(q) / q - 1."""
    q = START * np.exp(log_q)
    return np.asarray(variance_map(activation, q, weights, biases)) / q - 1


def _bracket(
    activation: ScalarFunction, weights: np.ndarray, biases: np.ndarray, direction: int
) -> tuple[np.ndarray, np.ndarray]:
    """[networks] log q before and after the first sign change on the way up (1) or down (-1); infinite where there is none."""
    before, after = np.full(weights.shape, direction * np.inf), np.full(weights.shape, direction * np.inf)
    waiting = np.ones(weights.shape, bool)
    for step in range(1, (_STEPS_UP if direction == 1 else _STEPS_DOWN) + 1):
        if not waiting.any():
            break
        here = direction * step * np.log(4.0)
        excess = _excess(activation, np.full(waiting.sum(), here), weights[waiting], biases[waiting])
        crossed = np.flatnonzero(waiting)[-direction * excess > _ROUNDING]
        before[crossed], after[crossed] = here - direction * np.log(4.0), here
        waiting[crossed] = False
    return before, after


def _roots(function: Callable, low: np.ndarray, high: np.ndarray, *values: np.ndarray) -> np.ndarray:
    """Roots, one in each interval, all at once (Chandrupatla 1997)."""
    found = elementwise.find_root(function, (low, high), args=values, tolerances={"xatol": 1e-14, "xrtol": 1e-15})
    return found.x


def _correlation_fixed_point(activation: ScalarFunction, gain: float, q: float, weights: float, biases: float) -> float:
    if gain <= 1 + 1e-12 or q == 0:
        return 1.0

    def rise(c: float) -> float:
        """Returns (1 - C(c)) / (1 - c) - 1, which is -C(0) at 0 and χ - 1 > 0 at 1."""
        return (1 - float(correlation_map(activation, c, q, weights, biases))) / (1 - c) - 1

    if rise(0.0) >= -_ROUNDING:
        return 0.0
    highest = 1 - 1e-8
    if rise(highest) <= 0:
        return 1.0
    return float(optimize.root_scalar(rise, method="brentq", bracket=(0.0, highest), xtol=1e-13).root)


def _depth_scale(slope: Result) -> Result:
    size = np.abs(slope)
    with np.errstate(divide="ignore"):
        scale = np.abs(1 / np.log(size))
    return _arguments.result(np.where(np.abs(size - 1) < 1e-12, np.inf, scale))


def _critical(activation: ScalarFunction, bias: float) -> float:
    if is_homogeneous(activation) or (bias == 0 and evaluate(activation, np.zeros(1))[0] == 0):
        near_zero = moment(activation, np.square, np.zeros(1), order=1)[0]
        if near_zero > 0:
            return float(1 / near_zero)

    def excess(log_rest: np.ndarray) -> np.ndarray:
        """χ - 1 at q = σ_b² + rest, with the weight variance rest / E φ² of which this q is the fixed point."""
        rest = np.exp(log_rest)
        return rest * moment(activation, np.square, bias + rest, order=1) / moment(activation, np.square, bias + rest) - 1

    steps = np.arange(np.log(1e-8 * bias or 1e-12), np.log(1e12), np.log(2.0))
    for low, high in zip(steps[:-1], steps[1:], strict=True):
        if excess(np.array([high]))[0] > _ROUNDING:
            rest = np.exp(_roots(excess, np.array([low]), np.array([high])))
            return float((rest / moment(activation, np.square, bias + rest))[0])
    raise ValueError(f"{name(activation)} has no critical weight variance at bias_variance={bias:g}: χ < 1 at all fixed points")
