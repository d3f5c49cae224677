"""The taps of a traced function, in the order of computation, and what surrounds each."""

import dataclasses

import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Var

from jaxnotes.probe._seen_activation import Activation, Origins, aval, between, inner, origins
from jaxnotes.probe._tapping import Mark, tap_primitive


@dataclasses.dataclass(frozen=True)
class Site:
    """A tap in the program; inside a scan it stands for one value per step.

    Attributes:
      mark: what is tapped.
      shape: of one value.
      dtype: of the value.
      steps: lengths of the scans around it, outermost first.
      scan: number of the outermost scan around it, in order; None outside any.
      activation: the function that is applied to the value, or that made it; None where neither is seen.
      after: whether the activation made the value.
    """

    mark: Mark
    shape: tuple[int, ...]
    dtype: jnp.dtype
    steps: tuple[int, ...] = ()
    scan: int | None = None
    activation: Activation | None = None
    after: bool = False

    @property
    def full_shape(self) -> tuple[int, ...]:
        return self.steps + self.shape

    @property
    def differentiable(self) -> bool:
        return jnp.issubdtype(self.dtype, jnp.floating)


@dataclasses.dataclass(frozen=True)
class Survey:
    """All sites of a program, and notes on taps that cannot be read."""

    sites: tuple[Site, ...]
    notes: tuple[str, ...]


def survey(traced: ClosedJaxpr) -> Survey:
    """Lists the taps of a traced function in the order in which `evaluate` meets them."""
    sites, notes = [], []
    _visit(traced.jaxpr, Around(), sites, notes)
    return Survey(tuple(sites), tuple(dict.fromkeys(notes)))


def count(jaxpr: Jaxpr) -> int:
    """Returns the number of sites in a jaxpr."""
    sites = []
    _visit(jaxpr, Around(), sites, [], activations=False)
    return len(sites)


def readable_body(equation: JaxprEqn) -> Jaxpr | None:
    """Returns the body of a jitted function, a scan or a rematerialised block, whose taps can be read; None for others."""
    name = equation.primitive.name
    if name in ("scan", "remat2", "checkpoint", "remat"):
        body = equation.params["jaxpr"]
        return getattr(body, "jaxpr", body)
    return None if name.startswith("custom") else inner(equation)


@dataclasses.dataclass(frozen=True)
class Around:
    """The scans around a place."""

    steps: tuple[int, ...] = ()
    scan: int | None = None

    def inside(self, equation: JaxprEqn, number: int) -> "Around":
        if equation.primitive.name != "scan":
            return self
        return Around((*self.steps, equation.params["length"]), number if self.scan is None else self.scan)


def _visit(jaxpr: Jaxpr, around: Around, sites: list, notes: list, activations: bool = True) -> None:
    found = origins(jaxpr) if activations and any(e.primitive is tap_primitive for e in jaxpr.eqns) else None
    applied = _applied(jaxpr, found) if found else {}
    for equation in jaxpr.eqns:
        if equation.primitive is tap_primitive:
            sites.append(_site(equation, around, found, applied))
            continue
        body = readable_body(equation)
        if body is not None:
            _visit(body, around.inside(equation, len(sites)), sites, notes, activations)
        elif hidden := [mark.name for mark in _marks_below(equation)]:
            notes.append(f"{', '.join(dict.fromkeys(hidden))}: inside {equation.primitive.name}, whose values cannot be read")


def _site(equation: JaxprEqn, around: Around, found: Origins | None, applied: dict[Var, Activation]) -> Site:
    (value,), (out,), mark = equation.invars, equation.outvars, equation.params["mark"]
    site = Site(mark, tuple(aval(value).shape), aval(value).dtype, around.steps, around.scan)
    if found is None:
        return site
    root = found.of(value)
    made = between(found, root, value) if root is not None and root is not value else None
    if made:
        return dataclasses.replace(site, activation=made, after=True)
    return dataclasses.replace(site, activation=applied.get(out))


def _applied(jaxpr: Jaxpr, found: Origins) -> dict[Var, Activation]:
    """Returns the first activation function that is applied to each tapped value, also behind further taps of that value."""
    applied, below, ends = {}, {}, []
    for equation in jaxpr.eqns:
        if equation.primitive is tap_primitive:
            below[equation.outvars[0]] = equation.invars[0]
        if not _continues(equation, found):
            ends += equation.invars
    for end in (*ends, *jaxpr.outvars):
        root = found.of(end)
        if root is None or root is end or root not in below or root in applied:
            continue
        activation = between(found, root, end)
        while activation and root in below:
            applied.setdefault(root, activation)
            root = below[root]
    return applied


def _continues(equation: JaxprEqn, found: Origins) -> bool:
    """Returns whether an equation is only a further link of an elementwise chain."""
    return len(equation.outvars) == 1 and found.root.get(equation.outvars[0]) is not equation.outvars[0]


def _marks_below(equation: JaxprEqn) -> list[Mark]:
    """Returns the marks of all taps inside an equation, however deep."""
    marks, waiting = [], list(_bodies(equation))
    while waiting:
        for inside in waiting.pop().eqns:
            marks += [inside.params["mark"]] if inside.primitive is tap_primitive else []
            waiting += _bodies(inside)
    return marks


def _bodies(equation: JaxprEqn) -> list[Jaxpr]:
    """Returns every jaxpr among the parameters of an equation."""
    values = [v for p in equation.params.values() for v in (p if isinstance(p, tuple | list) else (p,))]
    bodies = [getattr(v, "jaxpr", v) for v in values]
    return [body for body in bodies if isinstance(body, Jaxpr)]
