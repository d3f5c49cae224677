"""Which parameters belong to which layer, and what is known of them."""

import dataclasses
import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxnotes.probe._adapted import Adapted
from jaxnotes.probe._provenance import Provenance, Step
from jaxnotes.probe._sizes import wide
from jaxnotes.probe._survey import Site
from jaxnotes.probe._updates import Updates

WEIGHTS = ("kernel", "weight")


@dataclasses.dataclass(frozen=True)
class OwnParameters:
    """Of the parameters of one layer, not those of layers inside it; NaN without any."""

    parameter_gradient_rms: float = math.nan
    parameter_rms: float = math.nan
    update_ratio: float = math.nan
    weight_variance: float = math.nan
    weight_gradient_rms: float = math.nan
    bias_variance: float = math.nan
    bias_mean: float = math.nan


def names_of(path: tuple) -> tuple[str, ...]:
    """Returns a path in a tree as names: `.layers[0].weight` is ("layers", "0", "weight")."""
    names = []
    for entry in path:
        found = next((getattr(entry, part) for part in ("name", "idx", "key") if hasattr(entry, part)), entry)
        names.append(str(found))
    return tuple(names[:-1] if names and names[-1] == "value" else names)


def named_parameters(tree: Any) -> list[tuple[tuple[str, ...], Array]]:
    """Returns the floating parameters of a tree with the names on their paths, in the tree's order."""
    flat = jax.tree_util.tree_flatten_with_path(tree)[0]
    floating = lambda leaf: hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating)
    return [(names_of(path), leaf) for path, leaf in flat if floating(leaf)]


@dataclasses.dataclass(frozen=True)
class Measured:
    """One parameter of a layer, in float64 on the host: a program for each shape would take longer to compile than the model.

    Attributes:
      name: its own, without the layer's.
      place: among the arguments of the program.
      value, gradient, update: of one shape; the update is None without an optimiser.
    """

    name: str
    place: int
    value: np.ndarray
    gradient: np.ndarray
    update: np.ndarray | None

    def at(self, step: tuple[int, ...], scans: tuple[Step, ...]) -> "Measured":
        """Returns the part that one step of the scans takes, its axes left in place with length 1."""
        parts = [slice(None)] * self.value.ndim
        for i, scan in zip(step, scans, strict=True):
            if self.place in scan.sliced:
                parts[scan.sliced[self.place]] = slice(i, i + 1)
        cut = lambda array: None if array is None else array[tuple(parts)]
        return dataclasses.replace(self, value=cut(self.value), gradient=cut(self.gradient), update=cut(self.update))


def own_parameters(
    adapted: Adapted, gradients: list[Array], updates: Updates | None, provenance: Provenance
) -> Callable[[Site, bool], Callable[[int], OwnParameters]]:
    """Returns a function of a site and `summarise_steps`; this returns a function from a step to the layer's own parameters."""
    floating = named_parameters(adapted.parameters)
    first = [None] * len(floating) if updates is None else [wide(update) for update in updates.first(1)[0]]
    direct: dict[tuple[str, ...], list[Measured]] = {}  # of a module
    below: dict[tuple[str, ...], list[Measured]] = {}  # of a tap
    for place, ((names, value), gradient, update) in enumerate(zip(floating, gradients, first, strict=True)):
        measured = Measured(names[-1] if names else "", place, wide(value), wide(gradient), update)
        direct.setdefault(names[:-1], []).append(measured)
        for depth in range(len(names) + 1):
            below.setdefault(names[:depth], []).append(measured)

    def site_parameters(site: Site, summarise_steps: bool) -> Callable[[int], OwnParameters]:
        own = (below if site.mark.kind == "tap" else direct).get(site.mark.owner, [])
        if not own:
            return lambda step: OwnParameters()
        shapes = _Shapes(site.scans, provenance, adapted.input_axes)
        if summarise_steps or not any(entry.place in scan.sliced for scan in site.scans for entry in own):
            found = _measure(own, shapes)
            return lambda step: found
        measure = lru_cache(maxsize=None)(lambda at: _measure([entry.at(at, site.scans) for entry in own], shapes))
        return lambda step: measure(tuple(map(int, np.unravel_index(step, site.steps))))

    return site_parameters


@dataclasses.dataclass(frozen=True)
class _Shapes:
    """What the axes of a layer's parameters are: those that its scans slice, those that it sums over, and all others."""

    scans: tuple[Step, ...]
    provenance: Provenance
    input_axes: Callable[[int], tuple[int, ...]]

    def own_axes(self, entry: Measured) -> list[int]:
        """Returns the axes that one step of the scans sees."""
        sliced = {scan.sliced.get(entry.place) for scan in self.scans}
        return [axis for axis in range(entry.value.ndim) if axis not in sliced]

    def fan_in(self, entry: Measured) -> int:
        """Returns how many inputs one output sums over: by the products traced, else by the framework's convention."""
        own = self.own_axes(entry)
        convention = {own[i] for i in self.input_axes(len(own))}
        axes = self.provenance.summed.get(entry.place, convention)
        return math.prod(entry.value.shape[axis] for axis in own if axis in axes)

    def is_weight(self, entry: Measured, own: list[Measured]) -> bool:
        """Returns whether it is a matrix that inputs are multiplied by, and no table that they are looked up in."""
        matrices = sum(len(self.own_axes(other)) > 1 for other in own)
        if len(self.own_axes(entry)) < 2 or entry.name.startswith(("embed", "bias")):
            return False
        if entry.place in self.provenance.looked_up and entry.place not in self.provenance.summed:
            return False
        return entry.name in WEIGHTS or matrices == 1


@np.errstate(all="ignore")  # parameters may be infinite
def _measure(own: list[Measured], shapes: _Shapes) -> OwnParameters:
    rms, gradient = _joint_rms([entry.value for entry in own]), _joint_rms([entry.gradient for entry in own])
    updates = [entry.update for entry in own if entry.update is not None]
    weights = [entry for entry in own if shapes.is_weight(entry, own)]
    biases = [entry.value for entry in own if len(shapes.own_axes(entry)) == 1]
    alone = len(weights) == 1
    bias = biases[0] if alone and len(biases) == 1 else None
    return OwnParameters(
        parameter_gradient_rms=gradient,
        parameter_rms=rms,
        update_ratio=_joint_rms(updates) / rms if updates and rms > 0 else math.nan,
        weight_variance=float(weights[0].value.var()) * shapes.fan_in(weights[0]) if alone else math.nan,
        weight_gradient_rms=_joint_rms([weights[0].gradient]) if alone else math.nan,
        bias_variance=math.nan if bias is None else _joint_rms([bias]) ** 2,
        bias_mean=math.nan if bias is None or not bias.size else float(bias.mean()),
    )


def _joint_rms(arrays: list[np.ndarray]) -> float:
    """√ of the mean square over all entries of several arrays."""
    entries = sum(array.size for array in arrays)
    return math.sqrt(sum(float(np.square(array).sum()) for array in arrays) / entries) if entries else math.nan
