"""The activation function that made a model's output, seen in its traced program."""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var

from jaxnotes.probe._seen_activation import composed, origins, readable_body, recognise
from jaxnotes.probe._tapping import tap_primitive

# Operations that move entries and change none.
MOVES = ("reshape", "squeeze", "transpose", "broadcast_in_dim", "slice", "dynamic_slice", "gather", "rev", "copy")
_FAR = np.concatenate([-np.logspace(4, -2, 200), np.logspace(-2, 4, 200)]).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class LastActivation:
    """A function that no other operation than a linear one of each entry follows.

    Attributes:
      name: the usual one, or "elementwise".
      low, high: ends of the range of what it and what follows it make; infinite where it still grows at ±10,000.
    """

    name: str
    low: float
    high: float


def last_activation(
    jaxpr: Jaxpr, output: Var | Literal, outer: Callable[[Array], Array] = lambda x: x
) -> LastActivation | None:
    """Returns the elementwise function between a model's last other operation and its output; None for a linear one.

    Taps and operations that only move entries are looked through, and the bodies of jitted functions entered.

    Args:
      jaxpr: the program.
      output: one of its variables.
      outer: what is applied to that variable behind this program.
    """
    found = origins(jaxpr)
    while not isinstance(output, Literal) and (root := found.of(output)) is not None:
        if root is not output:
            function, precision = composed(found, root, output)
            outer = _after(function, outer)
            if made := recognise(outer, precision):
                return LastActivation(made.name, *_ends(outer))
        if root not in found.made_by:
            return None
        equation = found.made_by[root][1]
        body = readable_body(equation)
        if body is not None and equation.primitive.name != "scan":
            return last_activation(body, body.outvars[equation.outvars.index(root)], outer)
        if not _passes(equation):
            return None
        output = equation.invars[0]
    return None


def _after(first: Callable, second: Callable) -> Callable:
    return lambda x: second(first(x))


def _passes(equation: JaxprEqn) -> bool:
    return equation.primitive is tap_primitive or equation.primitive.name in MOVES


def _ends(function: Callable) -> tuple[float, float]:
    with jax.ensure_compile_time_eval(), np.errstate(all="ignore"):
        image = np.asarray(function(jnp.asarray(_FAR)), np.float64)
    low, high = float(np.nanmin(image)), float(np.nanmax(image))
    return (-math.inf if low < -100 else low), (math.inf if high > 100 else high)
