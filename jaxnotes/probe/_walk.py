"""A walk over a traced program that carries what is known of each value, such as what it depends on, to those made of it."""

from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

from jax.extend.core import Jaxpr, JaxprEqn, Literal

from jaxnotes.probe._survey import bodies_of

Path = tuple[int, ...]  # the equations around a place, outermost first, and the equation itself, by identity
Rule = Callable[[JaxprEqn, list, Path], list]  # what is known of the inputs -> what is known of the outputs
MOST_TURNS = 8  # of a loop's body, until nothing more changes


class Walk:
    """Carries knowledge through a program.

    Attributes:
      rule: for equations without a body that is walked.
      join: of two facts about one value, as from the two branches of a conditional.
      unknown: of a constant.
      opaque: names of primitives whose body is not entered: they go to the rule.
    """

    def __init__(self, rule: Rule, join: Callable[[Any, Any], Any], unknown: Any, opaque: frozenset[str] = frozenset()):
        self.rule, self.join, self.unknown, self.opaque = rule, join, unknown, opaque

    def run(self, jaxpr: Jaxpr, known: Sequence, path: Path = ()) -> list:
        """Returns what is known of the outputs, given what is known of the inputs."""
        values = dict(zip(jaxpr.invars, known, strict=True))
        read = lambda v: self.unknown if isinstance(v, Literal) else values.get(v, self.unknown)
        for equation in jaxpr.eqns:
            inputs = [read(v) for v in equation.invars]
            values.update(zip(equation.outvars, self._through(equation, inputs, (*path, id(equation))), strict=True))
        return [read(v) for v in jaxpr.outvars]

    def _through(self, equation: JaxprEqn, inputs: list, path: Path) -> list:
        name = equation.primitive.name
        bodies = [] if name in self.opaque else bodies_of(equation)
        if name == "scan":
            return self._loop(bodies[0], equation.params["num_consts"], equation.params["num_carry"], inputs, path)
        if name == "while" and bodies:
            skipped, fixed = equation.params["cond_nconsts"], equation.params["body_nconsts"]
            body = getattr(equation.params["body_jaxpr"], "jaxpr", equation.params["body_jaxpr"])
            inputs = inputs[skipped:]
            return self._loop(body, fixed, len(inputs) - fixed, inputs, path)
        if name == "cond" and bodies:
            ends = [self.run(body, inputs[1:], path) for body in bodies]
            return [reduce(self.join, end, inputs[0]) for end in zip(*ends, strict=True)]
        if len(bodies) == 1 and len(bodies[0].invars) == len(inputs) and len(bodies[0].outvars) == len(equation.outvars):
            return self.run(bodies[0], inputs, path)
        if not equation.outvars:  # what a model prints
            return []
        return self.rule(equation, inputs, path)

    def _loop(self, body: Jaxpr, fixed: int, carried: int, inputs: list, path: Path) -> list:
        consts, carry, rows = inputs[:fixed], inputs[fixed : fixed + carried], inputs[fixed + carried :]
        for _ in range(MOST_TURNS):
            outputs = self.run(body, [*consts, *carry, *rows], path)
            joined = [self.join(before, after) for before, after in zip(carry, outputs[:carried], strict=True)]
            if joined == carry:
                break
            carry = joined
        return [*carry, *outputs[carried:]]
