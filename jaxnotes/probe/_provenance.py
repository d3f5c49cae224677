"""Where a traced function's arguments go: which scans slice them, which of their axes are summed over, what depends on them.

Shapes decide none of this: a kernel may be as long as a scan, and a stack of layers may lie on any axis.
"""

import dataclasses
from collections.abc import Mapping

from jax.extend.core import Jaxpr, JaxprEqn, Literal, Var

from jaxnotes.probe._seen_activation import ELEMENTWISE, aval, readable_body
from jaxnotes.probe._tapping import tap_primitive

MOVES = ("convert_element_type", "copy", "copy_p", "reduce_precision", "stop_gradient", "optimization_barrier", "slice")


@dataclasses.dataclass(frozen=True)
class Source:
    """Where a value comes from.

    Attributes:
      arguments: places of the arguments that it depends on.
      moved: place of the one argument whose entries it holds, perhaps rescaled, moved about or a part of them; None for others.
      axes: for each axis of the value those of that argument that lie in it, outermost first.
    """

    arguments: frozenset[int] = frozenset()
    moved: int | None = None
    axes: tuple[tuple[int, ...], ...] = ()

    def without_axes(self) -> "Source":
        """Returns a source of which only the arguments are known."""
        return Source(self.arguments)


@dataclasses.dataclass(frozen=True)
class Step:
    """One scan around a value.

    Attributes:
      length: number of its steps.
      sliced: argument -> the axis of it along which each step takes its own part.
      over_time: whether all steps share their parameters, as those of a recurrent network do.
    """

    length: int
    sliced: Mapping[int, int]
    over_time: bool


@dataclasses.dataclass(frozen=True)
class Tapped:
    """A tap met on the way: the arguments its value depends on, and the scans around it, outermost first.

    `is_parameter` says that the value is a parameter and nothing made of it, as what holds a cell's weights returns them.
    """

    arguments: frozenset[int]
    scans: tuple[Step, ...]
    is_parameter: bool


@dataclasses.dataclass
class Provenance:
    """What a walk over a program collects.

    Attributes:
      inputs: places of the model's inputs among the arguments.
      summed: argument -> its axes that are summed over in products with what depends on the inputs: the fan-in.
      looked_up: arguments from which entries are taken by their place, as an embedding's.
      taps: in the order of the walk.
    """

    inputs: range
    summed: dict[int, set[int]] = dataclasses.field(default_factory=dict)
    looked_up: set[int] = dataclasses.field(default_factory=set)
    taps: list[Tapped] = dataclasses.field(default_factory=list)

    def moves_with_inputs(self, source: Source) -> bool:
        """Returns whether a value depends on the model's inputs."""
        return any(place in self.inputs for place in source.arguments)


def provenance(jaxpr: Jaxpr, inputs: range) -> Provenance:
    """Walks over a function's jaxpr; `inputs` are the places of the model's inputs among its arguments."""
    found = Provenance(inputs)
    sources = [
        Source(frozenset((place,)), place, tuple((axis,) for axis in range(len(aval(v).shape))))
        for place, v in enumerate(jaxpr.invars)
    ]
    _walk(jaxpr, sources, (), found)
    return found


def _walk(jaxpr: Jaxpr, sources: list[Source], scans: tuple[Step, ...], found: Provenance) -> list[Source]:
    """Returns the sources of what a jaxpr returns."""
    known: dict[Var, Source] = dict(zip(jaxpr.invars, sources, strict=True))
    read = lambda v: Source() if isinstance(v, Literal) else known.get(v, Source())  # constants come from no argument
    for equation in jaxpr.eqns:
        given = [read(v) for v in equation.invars]
        if equation.primitive is tap_primitive:
            is_parameter = given[0].moved is not None and not found.moves_with_inputs(given[0])
            found.taps.append(Tapped(given[0].arguments, scans, is_parameter))
        met = len(found.taps)
        known.update(zip(equation.outvars, _outputs(equation, given, scans, found), strict=True))
        if equation.primitive is not tap_primitive and readable_body(equation) is None:
            del found.taps[met:]  # inside a conditional or the like, where a survey does not look
    return [read(v) for v in jaxpr.outvars]


def _outputs(equation: JaxprEqn, given: list[Source], scans: tuple[Step, ...], found: Provenance) -> list[Source]:
    name = equation.primitive.name
    if name in BODIES:
        return BODIES[name](equation, given, scans, found)
    bodies = _bodies(equation)
    if bodies and len(bodies[0].invars) == len(given):
        return _walk(bodies[0], given, scans, found)
    if name in PRODUCTS:
        PRODUCTS[name](equation, given, found)
    if name == "gather" and given[0].moved is not None:
        found.looked_up.add(given[0].moved)
    moved = _moved(equation, given, found)
    together = frozenset().union(*(source.arguments for source in given))
    return [Source(together, *moved) if moved else Source(together) for _ in equation.outvars]


def _bodies(equation: JaxprEqn) -> list[Jaxpr]:
    """Returns the jaxprs of an equation; of a function with its own derivative that of the function."""
    values = [equation.params[n] for n in ("jaxpr", "call_jaxpr", "fun_jaxpr", "branches") if n in equation.params]
    flat = [v for value in values for v in (value if isinstance(value, tuple | list) else (value,))]
    return [body for body in (getattr(v, "jaxpr", v) for v in flat) if isinstance(body, Jaxpr)]


def _moved(equation: JaxprEqn, given: list[Source], found: Provenance) -> tuple | None:
    """Returns the argument whose entries the output holds, with its axes."""
    name, one = equation.primitive.name, given[0] if given else Source()
    if name in ELEMENTWISE and name not in MOVES and len(given) > 1:
        return _scaled(equation, given, found)
    if one.moved is None:
        return None
    if name in MOVES or name in ELEMENTWISE or equation.primitive is tap_primitive:
        return one.moved, one.axes
    if name == "dynamic_slice" and not any(found.moves_with_inputs(index) for index in given[1:]):
        return one.moved, one.axes
    if name == "transpose":
        return one.moved, tuple(one.axes[i] for i in equation.params["permutation"])
    if name == "squeeze":
        return one.moved, tuple(axes for i, axes in enumerate(one.axes) if i not in equation.params["dimensions"])
    if name == "broadcast_in_dim":
        places = equation.params["broadcast_dimensions"]
        return one.moved, tuple(one.axes[places.index(i)] if i in places else () for i in range(len(equation.params["shape"])))
    if name == "reshape":
        axes = _reshaped(aval(equation.invars[0]).shape, aval(equation.outvars[0]).shape, one.axes)
        return None if axes is None else (one.moved, axes)
    return None


def _scaled(equation: JaxprEqn, given: list[Source], found: Provenance) -> tuple | None:
    """A parameter times or plus what does not depend on the inputs is still that parameter; any other value is not."""
    if any(found.moves_with_inputs(source) for source in given):
        return None
    shape = aval(equation.outvars[0]).shape
    whole = [s for s, v in zip(given, equation.invars, strict=True) if s.moved is not None and aval(v).shape == shape]
    return (whole[0].moved, whole[0].axes) if len({s.moved for s in whole}) == 1 else None


def _reshaped(before: tuple[int, ...], after: tuple[int, ...], axes: tuple) -> tuple | None:
    """Axes behind a reshape that merges neighbours, or adds or drops axes of length 1; None where it splits one."""
    made, i = [], 0
    for size in after:
        merged, length = (), 1
        while i < len(before) and length < size:
            merged, length, i = (*merged, *axes[i]), length * before[i], i + 1
        if length != size:
            return None
        made.append(merged)
    return tuple(made) if all(size == 1 for size in before[i:]) else None


def _dot(equation: JaxprEqn, given: list[Source], found: Provenance) -> None:
    (left, right), _ = equation.params["dimension_numbers"]
    _sum_over(given[0], left, given[1], found)
    _sum_over(given[1], right, given[0], found)


def _convolution(equation: JaxprEqn, given: list[Source], found: Provenance) -> None:
    _, inside, *window = equation.params["dimension_numbers"].rhs_spec
    _sum_over(given[1], (inside, *window), given[0], found)


PRODUCTS = {"dot_general": _dot, "conv_general_dilated": _convolution}


def _sum_over(source: Source, axes: tuple[int, ...], other: Source, found: Provenance) -> None:
    """A product of two parameters, as LoRA's, is a parameter yet and sums over no input."""
    if source.moved is not None and found.moves_with_inputs(other) and not found.moves_with_inputs(source):
        found.summed.setdefault(source.moved, set()).update(a for axis in axes for a in source.axes[axis])


def _scan(equation: JaxprEqn, given: list[Source], scans: tuple[Step, ...], found: Provenance) -> list[Source]:
    parameters = equation.params
    fixed, carried, body = parameters["num_consts"], parameters["num_carry"], parameters["jaxpr"].jaxpr
    rows = given[fixed + carried :]
    one_row = [Source(s.arguments) if s.moved is None else dataclasses.replace(s, axes=s.axes[1:]) for s in rows]
    sliced = {s.moved: s.axes[0][0] for s in rows if s.moved is not None and len(s.axes[0]) == 1}
    step = Step(parameters["length"], sliced, not _over_depth(given[:fixed], rows, equation.invars, found))
    carry = [source.without_axes() for source in given[fixed : fixed + carried]]
    while True:
        met = len(found.taps)
        outputs = _walk(body, [*given[:fixed], *carry, *one_row], (*scans, step), found)
        wider = [Source(a.arguments | b.arguments) for a, b in zip(carry, outputs, strict=False)]
        if wider == carry:
            return [source.without_axes() for source in outputs]
        carry = wider
        del found.taps[met:]


def _over_depth(consts: list[Source], rows: list[Source], variables: list, found: Provenance) -> bool:
    """Whether each step has weights of its own: a row that no input acts on is a matrix, or there are no other weights."""
    axes = [len(aval(v).shape) for v in variables]
    own = [n - 1 for s, n in zip(rows, axes[len(axes) - len(rows) :], strict=True) if not found.moves_with_inputs(s)]
    shared = any(n > 1 and not found.moves_with_inputs(s) and s.arguments for s, n in zip(consts, axes, strict=False))
    return any(n > 1 for n in own) or (len(own) == len(rows) and any(s.arguments for s in rows) and not shared)


def _while(equation: JaxprEqn, given: list[Source], scans: tuple[Step, ...], found: Provenance) -> list[Source]:
    skipped, fixed = equation.params["cond_nconsts"], equation.params["body_nconsts"]
    consts, carry = given[skipped : skipped + fixed], [source.without_axes() for source in given[skipped + fixed :]]
    while True:
        met = len(found.taps)
        outputs = _walk(equation.params["body_jaxpr"].jaxpr, [*consts, *carry], scans, found)
        wider = [Source(a.arguments | b.arguments) for a, b in zip(carry, outputs, strict=True)]
        if wider == carry:
            return carry
        carry = wider
        del found.taps[met:]


def _cond(equation: JaxprEqn, given: list[Source], scans: tuple[Step, ...], found: Provenance) -> list[Source]:
    branches = [_walk(body, given[1:], scans, found) for body in _bodies(equation)]
    return [Source(given[0].arguments.union(*(s.arguments for s in outputs))) for outputs in zip(*branches, strict=True)]


BODIES = {"scan": _scan, "while": _while, "cond": _cond}
