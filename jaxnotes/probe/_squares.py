"""Squares in a traced program: in float16, where they overflow early, and in a variance that is a difference of two means."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import JaxprEqn, Literal, Var

from jaxnotes.probe._inner_taps import Watchlist
from jaxnotes.probe._seen_activation import aval
from jaxnotes.probe._survey import Site
from jaxnotes.probe._tapping import Mark
from jaxnotes.probe._walk import Path


@dataclasses.dataclass(frozen=True)
class Square:
    """Values that are squared in float16.

    Attributes:
      name: of the layer.
      largest: absolute value of them.
    """

    name: str
    largest: float


@dataclasses.dataclass(frozen=True)
class Cancellation:
    """A variance that is computed as E x² - (E x)².

    Attributes:
      name: of the layer.
      dtype: in which it is computed.
      mean_over_spread: median over the variances of |mean| / standard deviation.
      relative_error: median of the error of the variance over the variance, the format's resolution times E x² / variance, at
        most 1.
    """

    name: str
    dtype: str
    mean_over_spread: float
    relative_error: float


class Squares:
    """Finds them."""

    def __init__(self, watchlist: Watchlist):
        self.watchlist = watchlist
        self._made: dict[Var, JaxprEqn] = {}

    def meet(self, equation: JaxprEqn, path: Path) -> None:
        """Looks at one equation."""
        self._made.update((out, equation) for out in equation.outvars)
        value, taken = (*equation.invars, None, None)[:2]
        if value is None or isinstance(value, Literal):
            return
        if _is_square(equation) and aval(value).dtype == jnp.float16:
            self.watchlist.add(path, Mark("", "square", role="squared"), value)
        elif equation.primitive.name == "sub" and taken is not None and not isinstance(taken, Literal):
            under = self._made.get(taken)
            if under is not None and _is_square(under) and self._is_mean_of_squares(value):
                self.watchlist.add(path, Mark("", "variance", role="cancels"), value, taken)

    def _is_mean_of_squares(self, value: Var) -> bool:
        """Returns whether a value is a sum of squares over their number."""
        for names in (("div", "mul"), ("reduce_sum", "psum")):
            equation = self._made.get(value)
            if equation is None or equation.primitive.name not in names:
                return False
            value = next(v for v in equation.invars if not isinstance(v, Literal))
        return value in self._made and _is_square(self._made[value])


def _is_square(equation: JaxprEqn) -> bool:
    name = equation.primitive.name
    if name == "integer_pow":
        return equation.params["y"] == 2
    return name == "square" or name == "mul" and equation.invars[0] is equation.invars[1]


class Numbers(NamedTuple):
    """Readings of both kinds."""

    squares: tuple[Square, ...]
    cancellations: tuple[Cancellation, ...]


def numbers(sites: Sequence[Site], values: Sequence[Array]) -> Numbers:
    """Returns the readings at the places that were found; all steps of a scan together."""
    squares, cancellations, means = [], [], None
    for site, value in zip(sites, values, strict=True):
        if site.mark.role == "squared":
            squares.append(Square(site.mark.name, float(jnp.max(jnp.abs(value), initial=0))))
        elif site.mark.role == "cancels" and site.mark.output == 0:
            means = np.asarray(value, np.float64)
        elif site.mark.role == "cancels" and means is not None:
            cancellations.append(_cancellation(site, means, np.asarray(value, np.float64)))
    return Numbers(tuple(squares), tuple(cancellations))


@np.errstate(all="ignore")
def _cancellation(site: Site, squares: np.ndarray, square: np.ndarray) -> Cancellation:
    resolution = float(jnp.finfo(site.dtype).eps)
    squares, square = (part[np.isfinite(squares) & (squares > 0)] for part in (squares, square))
    if not squares.size:
        return Cancellation(site.mark.name, str(site.dtype), 0.0, 0.0)
    share = np.maximum((squares - square) / squares, resolution)  # of the variance in the mean square
    mean_over_spread = np.sqrt(np.maximum(1 / share - 1, 0))
    error = np.minimum(resolution / share, 1)
    return Cancellation(site.mark.name, str(site.dtype), float(np.median(mean_over_spread)), float(np.median(error)))
