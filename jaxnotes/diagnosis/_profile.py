"""The gradient over depth and over time, out of a report's rows."""

import dataclasses
import math

from jaxnotes.probe import Layer, Report

UNDERFLOW = -25.0  # log10 of a gradient norm


@dataclasses.dataclass(frozen=True)
class Place:
    """One layer of the profile: one reading for all calls of a module with the same parameters."""

    name: str
    log10_gradient: float
    layers: tuple[Layer, ...]


def depth_profile(report: Report) -> list[Place]:
    """Returns one `Place` per layer, in order of computation.

    Calls that share parameters, such as the steps of a recurrent network, are merged into one place.
    """
    groups: dict[tuple, list[Layer]] = {}
    recurrent = _recurrent(report)
    for layer in report.layers:
        groups.setdefault(_group(layer, recurrent), []).append(layer)
    return [
        Place(
            layers[0].name if len(layers) > 1 else layers[0].label,
            _nearest_the_loss(layers),
            tuple(layers),
        )
        for layers in groups.values()
    ]


def _nearest_the_loss(layers: list[Layer]) -> float:
    """Returns the largest gradient over the calls, of steps in time over the last ones: what time does to it is not depth's."""
    logs = [layer.log10_gradient_norm for layer in layers]
    return ends(logs)[1] if layers[0].over_time else max(logs)


def _group(layer: Layer, recurrent: set[str]) -> tuple:
    """Returns what is equal for calls that make one place: those with the same parameters, or of one recurrent cell."""
    if not math.isnan(layer.parameter_rms):
        return layer.name, layer.parameter_rms
    if layer.over_time:
        return (layer.name,)
    return (layer.name,) if layer.name.partition("[")[0] in recurrent else (layer.name, layer.call)


def _recurrent(report: Report) -> set[str]:
    """Returns the names of recurrent cells: modules around layers that are called again with the same parameters."""
    seen: dict[str, list[float]] = {}
    for layer in report.layers:
        if not math.isnan(layer.parameter_rms):
            seen.setdefault(layer.name, []).append(layer.parameter_rms)
    shared = [name for name, values in seen.items() if len(values) > 1 and len(set(values)) == 1]
    return {name[:end] for name in shared for end, letter in enumerate(name) if letter == "/"}


@dataclasses.dataclass(frozen=True)
class Cell:
    """What is called at every step with the same parameters: a recurrent cell with its gates, or a single layer.

    Attributes:
      name: of the cell.
      kind: class of the module, or "tap".
      log10_gradients: one per step, the largest over the cell's rows; the way that carries most is what the cell passes on.
    """

    name: str
    kind: str
    log10_gradients: tuple[float, ...]


def cells(report: Report, least: int = 8) -> list[Cell]:
    """Returns what is called at least `least` times with the same parameters; a cell's gates are one with the cell."""
    calls: dict[str, list[Layer]] = {}
    recurrent = _recurrent(report)
    for layer in report.layers:
        calls.setdefault(layer.name, []).append(layer)
    steps = {name: rows for name, rows in calls.items() if len(rows) >= least and _over_time(rows, recurrent)}
    groups: dict[str, list[list[Layer]]] = {}
    for name, rows in steps.items():
        groups.setdefault(_cell_of(name, steps), []).append(rows)
    return [Cell(name, steps.get(name, rows[0])[0].kind, _largest_by_step(rows)) for name, rows in groups.items()]


def _largest_by_step(rows: list[list[Layer]]) -> tuple[float, ...]:
    """Returns the largest gradient over a cell's layers per step, the last steps matched: a first call may make the state."""
    length = min(map(len, rows))
    return tuple(max(layer.log10_gradient_norm for layer in step) for step in zip(*(r[-length:] for r in rows), strict=True))


def _over_time(rows: list[Layer], recurrent: set[str]) -> bool:
    """Returns whether the calls are steps in time: by the scan around them, in a loop by equal parameters."""
    if rows[0].over_time or rows[0].name.partition("[")[0] in recurrent:
        return True
    own = {row.parameter_rms for row in rows}
    return len(own) == 1 and not math.isnan(next(iter(own)))


def _cell_of(name: str, steps: dict[str, list[Layer]]) -> str:
    """Returns the outermost module around a layer that is called at every step too."""
    base = name.partition("[")[0]
    around = [base[:end] for end, letter in enumerate(base) if letter == "/"] + [base]
    return next((module for module in around if module in steps), name)


def faded(report: Report) -> bool:
    """Returns whether the gradient has shrunk towards the smallest float32, so that a 0 before is one that has shrunk too."""
    return any(-math.inf < layer.log10_gradient_norm < UNDERFLOW for layer in report.layers)


def ends(values: list[float]) -> tuple[float, float]:
    """Returns the largest value in the first third and that in the last third.

    The largest, as a branch may carry little where the path beside it carries all.
    """
    third = max(len(values) // 3, 1)
    return max(values[:third]), max(values[-third:])
