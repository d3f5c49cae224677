"""Residual connections in a traced program: sums in which one operand goes on beside what is made of it."""

import dataclasses
from collections import Counter

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var

from jaxnotes.probe._seen_activation import aval
from jaxnotes.probe._survey import bodies_of

PASS = ("convert_element_type", "copy", "tap")


@dataclasses.dataclass(frozen=True)
class Residuals:
    """Residual connections.

    Attributes:
      additions: how many there are; of a loop's body once.
      chained: how many of them add to the sum that another has made, with nothing between: before a norm and not behind one.
    """

    additions: int = 0
    chained: int = 0


def residuals(traced: ClosedJaxpr) -> Residuals:
    """Counts the sums of two values of one shape, one of which is used elsewhere too and leads to the other."""
    additions = chained = 0
    waiting = [traced.jaxpr]
    while waiting:
        jaxpr = waiting.pop()
        found = _additions(jaxpr)
        additions += len(found)
        chained += sum(kept in found for kept in found.values())
        waiting += [body for equation in jaxpr.eqns for body in bodies_of(equation)]
    return Residuals(additions, chained)


def _additions(jaxpr: Jaxpr) -> dict[Var, Var]:
    """Returns for each residual sum in a jaxpr the operand that goes on beside the branch, before any tap."""
    uses = Counter(v for equation in jaxpr.eqns for v in equation.invars if not isinstance(v, Literal))
    made = {out: equation for equation in jaxpr.eqns for out in equation.outvars}
    found: dict[Var, Var] = {}
    for equation in jaxpr.eqns:
        operands = [v for v in equation.invars if not isinstance(v, Literal)]
        if equation.primitive.name != "add" or not _alike(operands):
            continue
        for kept, branch in (operands, operands[::-1]):
            if (uses[kept] > 1 or _origin(kept, made) in found) and _leads(kept, branch, made):
                found[equation.outvars[0]] = _origin(kept, made)
                break
    return found


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
