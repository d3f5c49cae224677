"""The gradient over depth and over time, out of a report's rows."""

import dataclasses
import math

from jaxnotes.probe import Layer, Report


@dataclasses.dataclass(frozen=True)
class Place:
    """One layer of the profile: the largest reading over the calls of a module with the same parameters."""

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
            max(layer.log10_gradient_norm for layer in layers),
            tuple(layers),
        )
        for layers in groups.values()
    ]


def _group(layer: Layer, recurrent: set[str]) -> tuple:
    """Returns what is equal for calls that make one place: those with the same parameters, or of one recurrent cell."""
    if not math.isnan(layer.parameter_rms):
        return layer.name, layer.parameter_rms
    return (layer.name,) if layer.name.partition("[")[0] in recurrent else (layer.name, layer.call)


def _recurrent(report: Report) -> set[str]:
    """Returns the names of recurrent cells: modules around layers that are called again with the same parameters."""
    seen: dict[str, list[float]] = {}
    for layer in report.layers:
        if not math.isnan(layer.parameter_rms):
            seen.setdefault(layer.name, []).append(layer.parameter_rms)
    shared = [name for name, values in seen.items() if len(values) > 1 and len(set(values)) == 1]
    return {name[:end] for name in shared for end, letter in enumerate(name) if letter == "/"}


def time_profiles(report: Report, least: int = 8) -> dict[str, list[Layer]]:
    """Returns the calls of each module that is called at least `least` times with the same parameters."""
    places = depth_profile(report)
    return {place.name: list(place.layers) for place in places if len(place.layers) >= least}


def ends(values: list[float]) -> tuple[float, float]:
    """Returns the largest value in the first third and that in the last third.

    The largest, as a branch may carry little where the path beside it carries all.
    """
    third = max(len(values) // 3, 1)
    return max(values[:third]), max(values[-third:])
