"""Residual connections in a traced program: sums in which one operand goes on beside what is made of it."""

import dataclasses
import math
from collections import Counter
from collections.abc import Sequence

import jax
import numpy as np
from jax import Array
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var

from jaxnotes.probe._inner_taps import Watchlist
from jaxnotes.probe._seen_activation import aval
from jaxnotes.probe._statistics import example_norms
from jaxnotes.probe._survey import Site, bodies_of
from jaxnotes.probe._tapping import Mark
from jaxnotes.probe._walk import Path

PASS = ("convert_element_type", "copy", "tap")


@dataclasses.dataclass(frozen=True)
class ResidualSum:
    """One sum of a stream and a branch.

    Attributes:
      name: of the layer whose output is the next behind the sum, "" where none is.
      stream_rms: of the operand that goes on beside the branch.
      branch_rms: of the branch.
    """

    name: str
    stream_rms: float
    branch_rms: float


@dataclasses.dataclass(frozen=True)
class Residuals:
    """Residual connections.

    Attributes:
      additions: how many there are; of a loop's body once.
      chained: how many of them add to the sum that another has made, with nothing between: before a norm and not behind one.
      sums: one entry per sum, of a loop's body per step, in order of computation.
    """

    additions: int = 0
    chained: int = 0
    sums: tuple[ResidualSum, ...] = ()


@dataclasses.dataclass(frozen=True)
class Addition:
    """A residual sum in a jaxpr.

    Attributes:
      kept: the operand that goes on beside the branch.
      branch: the other.
      origin: the first before any tap.
    """

    kept: Var
    branch: Var
    origin: Var


class Additions:
    """The sums of two values of one shape, one of which is used elsewhere too and leads to the other."""

    def __init__(self, traced: ClosedJaxpr, watchlist: Watchlist):
        self.watchlist = watchlist
        self._found: dict[Var, Addition] = {}
        waiting = [traced.jaxpr]
        while waiting:
            jaxpr = waiting.pop()
            self._found.update(_additions(jaxpr))
            waiting += [body for equation in jaxpr.eqns for body in bodies_of(equation)]

    def meet(self, equation: JaxprEqn, path: Path) -> None:
        """Has both operands of a residual sum read."""
        found = self._found.get(equation.outvars[0])
        if found is not None:
            self.watchlist.add(path, Mark("", "residual", role="residual"), found.kept, found.branch)

    def counted(self) -> Residuals:
        """Returns how many there are."""
        return Residuals(len(self._found), sum(found.origin in self._found for found in self._found.values()))


def _additions(jaxpr: Jaxpr) -> dict[Var, Addition]:
    """Returns the residual sums of a jaxpr, without those of its equations' own, by what they make."""
    uses = Counter(v for equation in jaxpr.eqns for v in equation.invars if not isinstance(v, Literal))
    made = {out: equation for equation in jaxpr.eqns for out in equation.outvars}
    found: dict[Var, Addition] = {}
    for equation in jaxpr.eqns:
        operands = [v for v in equation.invars if not isinstance(v, Literal)]
        if equation.primitive.name != "add" or not _alike(operands):
            continue
        for kept, branch in (operands, operands[::-1]):
            origin = _origin(kept, made)
            if (uses[kept] > 1 or origin in found) and _leads(kept, branch, made):
                found[equation.outvars[0]] = Addition(kept, branch, origin)
                break
    return found


def residual_sums(sites: Sequence[Site], values: Sequence[Array]) -> tuple[ResidualSum, ...]:
    """Returns the sizes at the sums that were found, in order of computation."""
    found, streams = [], None
    for number, (site, value) in enumerate(zip(sites, values, strict=True)):
        if site.mark.role != "residual":
            continue
        sizes = np.ravel(jax.device_get(_rms_by_step(value, len(site.steps))))
        if site.mark.output == 0:
            streams = sizes
        elif streams is not None:
            for step, (stream, branch) in enumerate(zip(streams, sizes, strict=True)):
                place = (number if site.scan is None else site.scan, step, number)
                found.append((place, ResidualSum(site.mark.name, float(stream), float(branch))))
    return tuple(one for _, one in sorted(found, key=lambda entry: entry[0]))


def _rms_by_step(value: Array, steps: int) -> Array:
    """[steps] RMS of each step's entries, whose squares neither overflow nor vanish."""
    rows = value.reshape(math.prod(value.shape[:steps]), -1)
    return example_norms(rows, 0) / math.sqrt(max(rows.shape[1], 1))


def _alike(operands: list[Var]) -> bool:
    """Returns whether both operands are arrays of one shape, of two axes or more."""
    shapes = [aval(v).shape for v in operands]
    return len(shapes) == 2 and shapes[0] == shapes[1] and len(shapes[0]) > 1


def _origin(variable: Var, made: dict[Var, JaxprEqn]) -> Var:
    """Returns the value before taps and conversions."""
    while variable in made and made[variable].primitive.name in PASS:
        before = made[variable].invars[0]
        if isinstance(before, Literal):
            break
        variable = before
    return variable


def _leads(kept: Var, branch: Var, made: dict[Var, JaxprEqn]) -> bool:
    """Returns whether the branch is computed from the other operand, by a product on the way."""
    goals = {kept, _origin(kept, made)}
    seen, waiting, products = set(), [branch], 0
    while waiting:
        variable = waiting.pop()
        if variable in goals:
            return products > 0
        equation = made.get(variable)
        if variable in seen or equation is None:
            continue
        seen.add(variable)
        products += equation.primitive.name in ("dot_general", "conv_general_dilated") or bool(bodies_of(equation))
        waiting += [v for v in equation.invars if not isinstance(v, Literal)]
    return False
