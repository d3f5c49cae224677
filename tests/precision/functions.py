"""Activation functions and their derivatives, with the same in float64 by SciPy."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from jaxnotes.layers import activations
from tests.precision import ulp

Exact = Callable[[np.ndarray], np.ndarray]


class Function(NamedTuple):
    """One of the library's with its value elsewhere; `size` of the terms where they cancel."""

    ours: Callable
    exact: Exact
    size: Exact | None = None

    def error(self, name: str) -> float:
        """Returns the largest error over all inputs of the format, in units in the last place."""
        x = ulp.inputs(name)
        wide = x.astype(np.float64)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            exact, size = self.exact(wide), self.size and self.size(wide)
        return ulp.worst(np.asarray(jax.jit(self.ours)(jnp.asarray(x))), exact, name, size)


def _density(x: np.ndarray) -> np.ndarray:
    return np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


def _sech_squared(x: np.ndarray) -> np.ndarray:
    return 4 * special.expit(2 * x) * special.expit(-2 * x)


def _functions() -> dict[str, Function]:
    a, slope, step = activations, activations.derivative, lambda x: 1.0 * (x > 0)
    return {
        "sigmoid": Function(a.sigmoid, special.expit),
        "sigmoid′": Function(slope(a.sigmoid), lambda x: special.expit(x) * special.expit(-x)),
        "tanh": Function(a.tanh, np.tanh),
        "tanh′": Function(slope(a.tanh), _sech_squared),
        "ReLU": Function(a.relu, lambda x: np.maximum(x, 0)),
        "ReLU′": Function(slope(a.relu), step),
        "leaky ReLU": Function(a.leaky_relu, lambda x: np.where(x >= 0, x, 0.01 * x)),
        "leaky ReLU′": Function(slope(a.leaky_relu), lambda x: np.where(x >= 0, 1, 0.01)),
        "ELU": Function(a.elu, lambda x: np.where(x > 0, x, np.expm1(np.minimum(x, 0)))),
        "ELU′": Function(slope(a.elu), lambda x: np.exp(np.minimum(x, 0))),
        "GELU": Function(a.gelu, lambda x: x * special.ndtr(x)),
        "GELU′": Function(
            slope(a.gelu),
            lambda x: special.ndtr(x) + x * _density(x),
            lambda x: np.maximum(special.ndtr(x), np.abs(x) * _density(x)),
        ),
        "SiLU": Function(a.silu, lambda x: x * special.expit(x)),
        "SiLU′": Function(
            slope(a.silu),
            lambda x: special.expit(x) * (1 + x * special.expit(-x)),
            lambda x: special.expit(x) * np.maximum(1, np.abs(x) * special.expit(-x)),
        ),
        "softplus": Function(a.softplus, lambda x: np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))),
        "softplus′": Function(slope(a.softplus), special.expit),
        "erf": Function(a.erf, special.erf),
        "erf′": Function(slope(a.erf), lambda x: 2 / np.sqrt(np.pi) * np.exp(-(x**2))),
    }


FUNCTIONS = _functions()
