"""Values inside a traced program that no layer returns and that are read all the same: a tap is put in for each."""

import dataclasses

from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Var

from jaxnotes.probe._seen_activation import aval
from jaxnotes.probe._survey import readable_body
from jaxnotes.probe._tapping import Mark, tap_primitive
from jaxnotes.probe._walk import Path


@dataclasses.dataclass(frozen=True)
class InnerTap:
    """Values to read together.

    Attributes:
      values: in the jaxpr.
      mark: to read them under, numbered by its `output`.
    """

    values: tuple[Var, ...]
    mark: Mark


class Watchlist:
    """What is to be read, by the place of the equation that uses it; named after the layer that returns next."""

    def __init__(self) -> None:
        self.entries: dict[Path, InnerTap] = {}
        self._unnamed: list[Path] = []

    def add(self, path: Path, mark: Mark, *values: Var) -> None:
        """Adds values of one place."""
        if path not in self.entries:
            self.entries[path] = InnerTap(values, mark)
            self._unnamed += [] if mark.name else [path]

    def meet(self, equation: JaxprEqn) -> None:
        """At the tap of a layer's output, gives its name to all that came before and has none."""
        if equation.primitive is tap_primitive and equation.params["mark"].role == "output":
            for path in self._unnamed:
                self.change(path, name=equation.params["mark"].name)
            self._unnamed.clear()

    def change(self, path: Path, **fields) -> None:
        """Sets fields of a mark."""
        entry = self.entries[path]
        self.entries[path] = InnerTap(entry.values, dataclasses.replace(entry.mark, **fields))


def with_watched(traced: ClosedJaxpr, watched: dict[Path, InnerTap]) -> ClosedJaxpr:
    """Returns the program with a tap for each watched value, before the equation at its place."""
    return traced.replace(jaxpr=_rewritten(traced.jaxpr, watched, ())) if watched else traced


def _rewritten(jaxpr: Jaxpr, watched: dict[Path, InnerTap], around: Path) -> Jaxpr:
    equations = []
    for equation in jaxpr.eqns:
        path = (*around, id(equation))
        if path in watched:
            equations += _taps(equation, watched[path])
        body = readable_body(equation)
        if body is not None and any(place[: len(path)] == path and place != path for place in watched):
            equation = _with_body(equation, _rewritten(body, watched, path))
        equations.append(equation)
    return jaxpr.replace(eqns=equations)


def _taps(equation: JaxprEqn, watched: InnerTap) -> list[JaxprEqn]:
    taps = []
    for number, value in enumerate(watched.values):
        mark = dataclasses.replace(watched.mark, output=number)
        out = Var(aval(value))
        taps.append(
            equation.replace(primitive=tap_primitive, invars=[value], outvars=[out], params={"mark": mark}, effects=set())
        )
    return taps


def _with_body(equation: JaxprEqn, body: Jaxpr) -> JaxprEqn:
    name = next(name for name in ("jaxpr", "call_jaxpr", "fun_jaxpr") if name in equation.params)
    old = equation.params[name]
    new = old.replace(jaxpr=body) if isinstance(old, ClosedJaxpr) else body
    return equation.replace(params={**equation.params, name: new})
