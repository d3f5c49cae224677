"""From the passes over a program to the rows of a report."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxnotes.probe._adapted import Adapted
from jaxnotes.probe._parameters import OwnParameters, own_parameters
from jaxnotes.probe._program import Passed, Program
from jaxnotes.probe._report import Layer, RunningStatistics
from jaxnotes.probe._statistics import Statistics, describe, example_axis
from jaxnotes.probe._survey import Site
from jaxnotes.probe._updates import Updates

INITIAL_VARIANCES = (1, 0)  # Flax's, Equinox's
RESCUE = 2.0**90  # what a backward pass is scaled by where its results leave float32


@dataclasses.dataclass(frozen=True)
class Row:
    """A layer and its place in the report."""

    place: tuple[int, ...]
    layer: Layer

    def with_readings(self, **readings: Any) -> "Row":
        """Returns the row with some of its layer's fields set."""
        return dataclasses.replace(self, layer=dataclasses.replace(self.layer, **readings))


def log10_rms(norms: np.ndarray) -> np.ndarray:
    """log10 of the RMS over the last axis, in float64; -inf where all are 0."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.asarray(0.5 * np.log10(np.mean(np.square(np.asarray(norms, np.float64)), axis=-1)))


def rescued(run: Callable[[float], list]) -> list:
    """Runs a backward pass at scale 1, and at another scale for the entries that leave float32's range at scale 1.

    Args:
      run: from the scale to one entry per site: None, or arrays of which the first is log10 of a norm, the scale divided out.
    """
    found = run(1.0)
    for scale, left in ((RESCUE, lambda log: log < -30), (1 / RESCUE, lambda log: ~(log < 30))):
        if any(entry is not None and left(entry[0]).any() for entry in found):
            found = [a if a is None else _better(a, b, left) for a, b in zip(found, run(scale), strict=True)]
    return found


def _better(first: tuple, second: tuple, left: Callable) -> tuple:
    """Returns the second where the first has left float32's range and the second has not, else the first."""
    chosen = left(first[0]) & np.isfinite(second[0])
    return tuple(np.where(chosen, b, a) for a, b in zip(first, second, strict=True))


def assemble(
    program: Program,
    adapted: Adapted,
    arguments: list[Array],
    passed: Passed,
    updates: Updates | None,
    summarise_steps: bool,
) -> dict[int, list[Row]]:
    """Returns the rows of each site, one per step, without Jacobians."""
    sites = {number: site for number, site in enumerate(program.sites) if site.is_row}

    def describe_all(gradients: list) -> dict[int, Statistics]:
        return {
            n: _describe(site, passed.values[n], gradients[n], program.examples, summarise_steps) for n, site in sites.items()
        }

    described = describe_all(passed.gradients)

    def logs(scale: float) -> list[tuple]:
        again = described
        if scale != 1.0:
            again = describe_all(program.gradients(arguments, jnp.float32(scale)).gradients)
        return [(np.asarray(log10_rms(np.asarray(found.gradient_norms)) - math.log10(scale)),) for found in again.values()]

    log_norms = {n: log for n, (log,) in zip(sites, rescued(logs), strict=True)}
    owned = own_parameters(adapted, passed.parameters, updates, program.surveyed.provenance)
    described = jax.device_get(described)
    varying = varying_inputs(program, arguments)
    rows = {}
    for n, site in sites.items():
        judged = described[n] if site.arguments & varying else described[n]._replace(spread=described[n].spread * math.nan)
        rows[n] = _rows(n, site, judged, log_norms[n], owned(site, summarise_steps), summarise_steps)
    return rows


def varying_inputs(program: Program, arguments: list[Array]) -> frozenset[int]:
    """Returns the places of the inputs that differ between examples; of all inputs where none does."""
    batches = {i: np.asarray(arguments[i]) for i in program.inputs if arguments[i].shape[:1] == (program.examples,)}
    return frozenset(i for i, batch in batches.items() if (batch != batch[:1]).any()) or frozenset(program.inputs)


def _describe(site: Site, value: Array, gradient: Array, examples: int, summarise_steps: bool) -> Statistics:
    axis, steps = example_axis(site.shape, examples), len(site.steps)
    if summarise_steps:
        axis, steps = (None if axis is None else axis + steps), 0
    return describe(value, gradient, axis=axis, activation=site.activation, after=site.after, steps=steps)


def _rows(
    number: int, site: Site, found, logs: np.ndarray, owned: Callable[[int], OwnParameters], summarise_steps: bool
) -> list[Row]:
    steps = 1 if summarise_steps else math.prod(site.steps)
    flat = jax.tree.map(
        lambda leaf: np.asarray(leaf).reshape(steps, *np.shape(leaf)[len(site.steps) * (not summarise_steps) :]), found
    )
    logs = logs.reshape(steps)
    rows = []
    for step in range(steps):
        entry = jax.tree.map(lambda leaf, step=step: leaf[step], flat)
        place = (number if site.scan is None else site.scan, step if site.scan is not None else 0, number)
        layer = Layer(
            name=site.mark.name + (f"[{site.mark.output}]" if site.mark.output else ""),
            kind=site.mark.kind,
            call=0,
            output_shape=site.shape,
            dtype=str(site.dtype),
            activation=site.activation.name if site.activation else "",
            mode=site.mark.mode,
            dropout_rate=math.nan if site.mark.detail is None else site.mark.detail,
            over_time=any(scan.over_time for scan in site.scans),
            is_output=site.is_output,
            activation_mean=float(entry.mean),
            activation_rms=float(entry.rms),
            activation_min=float(entry.low),
            activation_max=float(entry.high),
            saturated_fraction=float(entry.saturated),
            dead_fraction=float(entry.dead),
            spread=float(entry.spread),
            effective_rank=float(entry.effective_rank),
            largest_channel=float(entry.largest_channel),
            nonfinite=int(entry.nonfinite),
            log10_gradient_norm=float(logs[step]),
            nonfinite_gradient=int(entry.gradient_nonfinite),
            activation_function=site.activation,
            **dataclasses.asdict(owned(step)),
        )
        rows.append(Row(place, layer))
    return rows


def in_order(rows: dict[int, list[Row]]) -> tuple[Layer, ...]:
    """Returns all layers in order of computation, the calls of each name numbered."""
    calls: dict[str, int] = {}
    layers = []
    for row in sorted((row for found in rows.values() for row in found), key=lambda row: row.place):
        call = calls.get(row.layer.name, 0)
        calls[row.layer.name] = call + 1
        layers.append(dataclasses.replace(row.layer, call=call))
    return tuple(layers)


def running_statistics(program: Program, values: list[Array]) -> tuple[RunningStatistics, ...]:
    """Batch normalisation's running statistics beside those of the batch; features on the last axis."""
    met: dict[str, dict[str, Any]] = {}
    found = []
    for site, value in zip(program.sites, values, strict=True):
        if site.mark.role not in ("input", "running-mean", "running-variance") or site.steps:
            continue
        roles = met.setdefault(site.mark.name, {})
        roles[site.mark.role] = np.asarray(value, np.float64)
        if roles.keys() >= {"input", "running-mean", "running-variance"}:
            found.append(_compare(site.mark.name, site.mark.mode, **{name.replace("-", "_"): v for name, v in roles.items()}))
            del met[site.mark.name]
    return tuple(found)


def _compare(
    name: str, mode: str, input: np.ndarray, running_mean: np.ndarray, running_variance: np.ndarray
) -> RunningStatistics:
    flat = input.reshape(-1, input.shape[-1])
    variance = np.maximum(flat.var(axis=0), 1e-12)
    with np.errstate(all="ignore"):
        distance = (running_mean - flat.mean(axis=0)) / np.sqrt(variance)
        ratio = np.log(np.maximum(running_variance, 1e-12) / variance)
    initial = bool((running_mean == 0).all() and any((running_variance == start).all() for start in INITIAL_VARIANCES))
    root = lambda v: float(np.sqrt(np.mean(v**2)))
    return RunningStatistics(name, mode, len(flat), initial, root(distance), root(ratio))


def nonfinite_arrays(trees: dict[str, Any]) -> tuple[str, ...]:
    """Returns the names of the arrays that hold a NaN or an infinity."""
    names = []
    for name, tree in trees.items():
        for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
            if hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating) and not np.isfinite(np.asarray(leaf)).all():
                names.append(name + jax.tree_util.keystr(path))
    return tuple(names)
