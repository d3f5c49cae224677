"""The mean-field integrals, with the same by mpmath in 30 digits."""

from collections.abc import Callable
from typing import NamedTuple

import mpmath
import numpy as np

from jaxnotes import meanfield
from jaxnotes.layers import activations

VARIANCES = (1e-6, 0.01, 1.0, 30.0, 1e4)  # of the pre-activations
DIGITS = 30


class Integral(NamedTuple):
    """An activation function, in our form and as mpmath has it with its derivative."""

    activation: Callable
    value: Callable
    slope: Callable

    def errors(self) -> tuple[float, float]:
        """Returns the largest relative error of E φ(√q z)² and E φ'(√q z)² over the variances."""
        q = np.asarray(VARIANCES)
        square = meanfield.variance_map(self.activation, q, 1.0, 0.0)
        gain = meanfield.chi(self.activation, 1.0, 0.0, q)
        return _worst(square, [_mean(self.value, v) for v in VARIANCES]), _worst(
            gain, [_mean(self.slope, v) for v in VARIANCES]
        )


def _mean(function: Callable, q: float) -> mpmath.mpf:
    """Returns E f(√q z)² over a standard normal z: each side of 0 by itself, for kinks, in pieces of both scales."""
    with mpmath.workdps(DIGITS):
        deviation = mpmath.sqrt(q)
        # 12 standard deviations hold all but 1e-32; where √q is large, tanh and the sigmoid turn within a few units of 0.
        ends = sorted({mpmath.mpf(0), mpmath.mpf(3), mpmath.mpf(12)} | {mpmath.mpf(k) / deviation for k in (1, 4, 16, 40)})
        ends = [end for end in ends if end <= 12]
        density = lambda z: mpmath.exp(-z * z / 2) / mpmath.sqrt(2 * mpmath.pi)
        side = lambda sign: mpmath.quad(lambda z: function(sign * deviation * z) ** 2 * density(z), ends)
        return side(1) + side(-1)


def _worst(found: np.ndarray, exact: list[mpmath.mpf]) -> float:
    return max(float(abs(mpmath.mpf(float(mine)) - right) / right) for mine, right in zip(found, exact, strict=True))


def _sigmoid(x):
    return 1 / (1 + mpmath.exp(-x))


INTEGRALS = {
    "tanh": Integral(activations.tanh, mpmath.tanh, lambda x: mpmath.sech(x) ** 2),
    "sigmoid": Integral(activations.sigmoid, _sigmoid, lambda x: _sigmoid(x) * _sigmoid(-x)),
    "ReLU": Integral(activations.relu, lambda x: max(x, 0), lambda x: 1 if x > 0 else 0),
    "ELU": Integral(activations.elu, lambda x: x if x > 0 else mpmath.expm1(x), lambda x: 1 if x > 0 else mpmath.exp(x)),
    "GELU": Integral(activations.gelu, lambda x: x * mpmath.ncdf(x), lambda x: mpmath.ncdf(x) + x * mpmath.npdf(x)),
    "erf": Integral(activations.erf, mpmath.erf, lambda x: 2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-x * x)),
}
