"""Which parameters the loss depends on at all, and which of them by operations that have a derivative."""

import dataclasses

import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, JaxprEqn

from jaxnotes.probe._seen_activation import aval
from jaxnotes.probe._walk import Path, Walk

# Functions of steps have the derivative 0 wherever it exists. What is not floating has none, such as the index of an entry.
CUTS = frozenset(("stop_gradient", "round", "floor", "ceil", "sign", "nextafter"))
# Their derivative is a rule of its own, such as that of a straight-through estimator.
OWN_RULE = frozenset(("custom_jvp_call", "custom_vjp_call", "custom_vjp_call_jaxpr"))


@dataclasses.dataclass(frozen=True)
class Sources:
    """Parameters that a value depends on, as bits of an integer.

    Attributes:
      any: on whatever way.
      smooth: by operations that have a derivative.
    """

    any: int = 0
    smooth: int = 0

    def joined(self, other: "Sources") -> "Sources":
        return Sources(self.any | other.any, self.smooth | other.smooth)


def unreached(traced: ClosedJaxpr, parameters: int) -> dict[int, str]:
    """Returns the parameters from which no derivative reaches the loss, with what cuts them off; "" where nothing uses them.

    Args:
      traced: jaxpr of (loss, …) as a function of the parameters first.
      parameters: how many of the arguments they are.
    """
    cut_by: dict[int, str] = {}

    def rule(equation: JaxprEqn, inputs: list[Sources], path: Path) -> list[Sources]:
        del path
        found = Sources()
        for source in inputs:
            found = found.joined(source)
        results = []
        for out in equation.outvars:
            cut = equation.primitive.name in CUTS or not jnp.issubdtype(aval(out).dtype, jnp.inexact)
            lost = found.smooth if cut else 0
            while lost:
                number = (lost & -lost).bit_length() - 1
                cut_by.setdefault(number, equation.primitive.name)
                lost &= lost - 1
            results.append(Sources(found.any, 0 if cut else found.smooth))
        return results

    known = [Sources(1 << i, 1 << i) if i < parameters else Sources() for i in range(len(traced.jaxpr.invars))]
    loss = Walk(rule, Sources.joined, Sources(), OWN_RULE).run(traced.jaxpr, known)[0]
    return {i: cut_by.get(i, "") if loss.any >> i & 1 else "" for i in range(parameters) if not loss.smooth >> i & 1}
