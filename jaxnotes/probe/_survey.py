"""The taps of a traced function, in the order of computation, and what surrounds each."""

import dataclasses

import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var

from jaxnotes.probe._provenance import Provenance, Step, provenance
from jaxnotes.probe._seen_activation import UNKNOWN, Activation, Origins, aval, between, is_elementwise, origins, readable_body
from jaxnotes.probe._tapping import MODEL_OUTPUT, Mark, tap_primitive

SHAPES = ("reshape", "squeeze", "transpose", "broadcast_in_dim", "slice", "concatenate")  # operations that keep every entry

WATCHED = ("scores", "squared", "cancels", "residual")  # roles of values that no layer returns


@dataclasses.dataclass(frozen=True)
class Site:
    """A tap in the program; inside a scan it stands for one value per step.

    Attributes:
      mark: what is tapped.
      shape: of one value.
      dtype: of the value.
      scans: the scans around it, outermost first.
      scan: number of the outermost scan around it, in order; None outside any.
      arguments: places of the program's arguments that the value depends on.
      is_parameter: whether the value is a parameter as it is.
      is_output: whether the model's output is this value, or a function of it entry by entry.
      activation: the function that is applied to the value, or that made it; None where neither is seen.
      after: whether the activation made the value.
    """

    mark: Mark
    shape: tuple[int, ...]
    dtype: jnp.dtype
    scans: tuple[Step, ...] = ()
    scan: int | None = None
    arguments: frozenset[int] = frozenset()
    is_parameter: bool = False
    is_output: bool = False
    activation: Activation | None = None
    after: bool = False

    @property
    def steps(self) -> tuple[int, ...]:
        """Lengths of the scans around it."""
        return tuple(step.length for step in self.scans)

    @property
    def full_shape(self) -> tuple[int, ...]:
        return self.steps + self.shape

    @property
    def is_row(self) -> bool:
        """Whether it is what a layer made: one of floating values that are not just a parameter."""
        return self.mark.role == "output" and self.differentiable and not self.is_parameter

    @property
    def differentiable(self) -> bool:
        """Whether a gradient is read there."""
        return jnp.issubdtype(self.dtype, jnp.floating) and self.mark.role not in WATCHED


@dataclasses.dataclass(frozen=True)
class Survey:
    """All sites of a program, notes on taps that cannot be read, and where its arguments go."""

    sites: tuple[Site, ...]
    notes: tuple[str, ...]
    provenance: Provenance


def survey(traced: ClosedJaxpr, inputs: range) -> Survey:
    """Lists the taps of a traced function in the order in which `evaluate` meets them.

    Args:
      traced: a function's jaxpr.
      inputs: places of the model's inputs among its arguments.
    """
    sites, notes = [], []
    _visit(traced.jaxpr, None, sites, notes)
    found = provenance(traced.jaxpr, inputs)
    placed = [
        dataclasses.replace(site, scans=tapped.scans, arguments=tapped.arguments, is_parameter=tapped.is_parameter)
        for site, tapped in zip(sites, found.taps, strict=True)
    ]
    return Survey(tuple(placed), tuple(dict.fromkeys(notes)), found)


def count(jaxpr: Jaxpr) -> int:
    """Returns the number of sites in a jaxpr."""
    sites = []
    _visit(jaxpr, None, sites, [], activations=False)
    return len(sites)


def _visit(jaxpr: Jaxpr, scan: int | None, sites: list, notes: list, activations: bool = True) -> None:
    found = origins(jaxpr) if activations and any(e.primitive is tap_primitive for e in jaxpr.eqns) else None
    applied = _applied(jaxpr, found) if found else {}
    outputs = _behind_outputs(jaxpr) if found else frozenset()
    for equation in jaxpr.eqns:
        if equation.primitive is tap_primitive:
            site = _site(equation, scan, found, applied)
            sites.append(dataclasses.replace(site, is_output=equation.outvars[0] in outputs))
            continue
        body = readable_body(equation)
        if body is not None:
            inside = len(sites) if scan is None and equation.primitive.name == "scan" else scan
            _visit(body, inside, sites, notes, activations)
        elif hidden := [mark.name for mark in _marks_below(equation)]:
            notes.append(f"{', '.join(dict.fromkeys(hidden))}: inside {equation.primitive.name}, whose values cannot be read")


def _site(equation: JaxprEqn, scan: int | None, found: Origins | None, applied: dict[Var, Activation]) -> Site:
    (value,), (out,), mark = equation.invars, equation.outvars, equation.params["mark"]
    site = Site(mark, tuple(aval(value).shape), aval(value).dtype, scan=scan)
    if found is None:
        return site
    root = found.of(value)
    made = between(found, root, value) if root is not None and root is not value else None
    if made:
        return dataclasses.replace(site, activation=made, after=True)
    return dataclasses.replace(site, activation=applied.get(out))


def _applied(jaxpr: Jaxpr, found: Origins) -> dict[Var, Activation]:
    """Returns the activation function that is applied to each tapped value, also behind further taps of that value.

    A known function counts where one way from the value leads through it. Any other, such as the square in a normalisation or
    the exponential of a log variance, counts only where every way does. What a loss does with outputs does not count.
    """
    ways: dict[Var, list[Activation | None]] = {}
    ends: list[Var | Literal] = [*jaxpr.outvars]
    below = {}
    for equation in jaxpr.eqns:
        if equation.primitive is tap_primitive:
            below[equation.outvars[0]] = equation
        elif not _continues(equation, found):
            ends += equation.invars
    for end in dict.fromkeys(end for end in ends if not isinstance(end, Literal)):
        root = found.of(end)
        if root is not None and root in below:
            ways.setdefault(root, []).append(between(found, root, end) if root is not end else None)
    for out, equation in reversed(below.items()):  # the outer taps first: what is done behind them is done to the value too
        if equation.params["mark"].role == MODEL_OUTPUT:
            ways[out] = [None]
        value = equation.invars[0]
        root = found.of(value)
        if root is not None and root in below:
            ways.setdefault(root, []).extend(ways.get(out, []) if root is value else [between(found, root, value)])
    return {root: activation for root, met in ways.items() if (activation := _one_of(met)) is not None}


def _one_of(met: list[Activation | None]) -> Activation | None:
    """Returns the activation function that a value's ways from here show, if any."""
    known = next((a for a in met if a is not None and a.name != UNKNOWN), None)
    return known or (met[0] if len(set(met)) == 1 else None)


def _behind_outputs(jaxpr: Jaxpr) -> set[Var]:
    """Returns the tapped values that a model's outputs are, up to their shape and functions of each entry."""
    made_by = {out: equation for equation in jaxpr.eqns for out in equation.outvars}
    tapped, seen = set(), set()
    marks = [e for e in jaxpr.eqns if e.primitive is tap_primitive and e.params["mark"].role == MODEL_OUTPUT]
    waiting = [e.invars[0] for e in marks]
    while waiting:
        variable = waiting.pop()
        if isinstance(variable, Literal) or variable in seen or variable not in made_by:
            continue
        seen.add(variable)
        equation = made_by[variable]
        if equation.primitive is tap_primitive:
            tapped.add(variable)
        if equation.primitive is tap_primitive or equation.primitive.name in SHAPES or is_elementwise(equation):
            waiting += equation.invars
    return tapped


def _continues(equation: JaxprEqn, found: Origins) -> bool:
    """Returns whether an equation is only a further link of an elementwise chain."""
    return len(equation.outvars) == 1 and found.root.get(equation.outvars[0]) is not equation.outvars[0]


def _marks_below(equation: JaxprEqn) -> list[Mark]:
    """Returns the marks of all taps inside an equation, however deep."""
    marks, waiting = [], list(bodies_of(equation))
    while waiting:
        for inside in waiting.pop().eqns:
            marks += [inside.params["mark"]] if inside.primitive is tap_primitive else []
            waiting += bodies_of(inside)
    return marks


def bodies_of(equation: JaxprEqn) -> list[Jaxpr]:
    """Returns every jaxpr among the parameters of an equation."""
    values = [v for p in equation.params.values() for v in (p if isinstance(p, tuple | list) else (p,))]
    bodies = [getattr(v, "jaxpr", v) for v in values]
    return [body for body in bodies if isinstance(body, Jaxpr)]
