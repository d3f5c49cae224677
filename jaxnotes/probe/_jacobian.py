"""Norms of d model output / d layer output, exact where there are few outputs, and gains from layer to layer."""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxnotes.probe._assembly import Row, rescued
from jaxnotes.probe._program import Program, signs
from jaxnotes.probe._statistics import example_axis

SPECTRA = 8  # examples whose singular values are summarised
EXACT_UP_TO = 64  # outputs per example, or of the whole batch, up to which the norms are exact


class Cotangents(NamedTuple):
    """What is pulled back from the outputs.

    Attributes:
      arrays: one per output, [k, *output].
      exact: the first so many are unit vectors for every output, of all examples at once or of the whole batch.
      whole: whether of the whole batch.
    """

    arrays: list
    exact: int
    whole: bool


def with_jacobians(
    program: Program, rows: dict[int, list[Row]], arguments: list, outputs: list, probes: int, summarise_steps: bool
) -> tuple[dict[int, list[Row]], bool, list[str]]:
    """Returns the rows with `log10_jacobian_norm` and its error; whether examples cross; notes."""
    floating = [out for out in outputs if jnp.issubdtype(out.dtype, jnp.floating) and out.size]
    if not floating:
        return rows, False, ["Jacobian norms: the model returns no floating array"]
    cotangents, crosses = _choose(program, arguments, floating, probes)
    measured = _measured(program, arguments, cotangents, summarise_steps)
    filled = {}
    for number, found in rows.items():
        logs, errors = (np.reshape(values, -1) for values in measured[number])
        filled[number] = [
            row.with_readings(log10_jacobian_norm=float(log), log10_jacobian_error=float(error))
            for row, log, error in zip(found, logs, errors, strict=True)
        ]
    return filled, crosses, []


def _choose(program: Program, arguments: list, outputs: list, probes: int) -> tuple[Cotangents, bool]:
    """Cotangents for this model, by whether one example's outputs depend on another's values; padded to one number, so that all
    compile once."""
    axes = [example_axis(out.shape, program.examples) for out in outputs]
    total = sum(out.size for out in outputs)
    per_example = total // program.examples if None not in axes else total
    few = min(per_example, EXACT_UP_TO) if per_example <= EXACT_UP_TO else 0
    k = max(few, probes, total if total <= EXACT_UP_TO else 0)
    crosses = None in axes or _crosses(program, arguments, _one_example(outputs, axes, k))
    if total <= EXACT_UP_TO:
        return Cotangents(_unit_vectors(outputs, [None] * len(outputs), k), total, True), crosses
    if few and not crosses:
        return Cotangents(_unit_vectors(outputs, axes, k), few, False), crosses
    random = np.random.default_rng(0)
    return Cotangents([signs(random, (k, *out.shape)).astype(out.dtype) for out in outputs], 0, True), crosses


def _one_example(outputs: list, axes: list[int | None], k: int) -> list:
    """Random signs at the first example's outputs, 0 elsewhere and in all further rows."""
    random, made = np.random.default_rng(1), []
    for out, axis in zip(outputs, axes, strict=True):
        chosen = np.zeros((k, *out.shape), out.dtype)
        if axis is not None:
            first = np.moveaxis(chosen[0], axis, 0)[0]
            first[...] = signs(random, first.shape)
        made.append(chosen)
    return made


def _crosses(program: Program, arguments: list, cotangents: list) -> bool:
    """Returns whether the first example's outputs depend on another example's values at any site."""
    norms = program.jacobians(arguments, cotangents)
    pairs = [
        n
        for n, site in zip(norms, program.sites, strict=True)
        if n is not None and example_axis(site.shape, program.examples) is not None
    ]
    return any(bool(np.any(np.asarray(n)[0, ..., 1:])) for n in pairs)


def _unit_vectors(outputs: list, axes: list[int | None], k: int) -> list:
    """Row i is 1 at entry i of the outputs' entries put in a row, at all examples at once where an axis is given."""
    made, start = [], 0
    for out, axis in zip(outputs, axes, strict=True):
        shape = [1 if i == axis else size for i, size in enumerate(out.shape)]
        entries = math.prod(shape)
        unit = np.eye(k, entries, -start, dtype=out.dtype).reshape(k, *shape)
        made.append(np.broadcast_to(unit, (k, *out.shape)))
        start += entries
    return made


def _measured(program: Program, arguments: list, cotangents: Cotangents, summarise_steps: bool) -> list:
    """Returns (log10 norms, their standard errors) of a site, [*steps] each."""

    def run(scale: float) -> list:
        scaled = [c * np.asarray(scale, c.dtype) for c in cotangents.arrays] if scale != 1.0 else cotangents.arrays
        found = [_logs(norms, program, cotangents, summarise_steps) for norms in program.jacobians(arguments, scaled)]
        return [f if f is None else (f[0] - math.log10(scale), f[1]) for f in found]

    return rescued(run)


def _logs(norms: Array | None, program: Program, cotangents: Cotangents, summarise_steps: bool):
    """From [k, *steps, examples] norms of what was pulled back."""
    if norms is None:
        return None
    squares = np.square(np.asarray(norms, np.float64)).sum(axis=-1) / program.examples  # [k, *steps]
    if summarise_steps:
        squares = squares.reshape(len(squares), -1).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        if cotangents.exact:
            return 0.5 * np.log10(squares.sum(axis=0)), np.zeros(squares.shape[1:])
        mean = squares.mean(axis=0)
        error = squares.std(axis=0, ddof=1) / math.sqrt(len(squares))
        return 0.5 * np.log10(mean), np.where(mean > 0, 0.5 * error / mean / math.log(10), 0.0)


def with_singular_values(
    program: Program, rows: dict[int, list[Row]], arguments: list[Array], outputs: list, crosses: bool
) -> tuple[dict[int, list[Row]], list[str]]:
    """The rows with `log10_singular_values` of the first examples' Jacobians; notes. Steps of a scan are rows of their own."""
    floating = [out for out in outputs if jnp.issubdtype(out.dtype, jnp.floating) and out.size]
    axes = [example_axis(out.shape, program.examples) for out in floating]
    entries = sum(out.size for out in floating) // program.examples
    if crosses or None in axes or not 0 < entries <= EXACT_UP_TO:
        return rows, [
            f"singular values: taken where an example has 1 to {EXACT_UP_TO} outputs and no other example acts on them"
        ]
    pulled = program.pulled_back(arguments, _unit_vectors(floating, axes, entries))
    filled = {}
    for number, found in rows.items():
        site = program.sites[number]
        axis = example_axis(site.shape, program.examples)
        by_step = np.asarray(pulled[number], np.float64).reshape(entries, -1, *site.shape)  # [k, steps, *shape]
        filled[number] = [
            row.with_readings(log10_singular_values=_summary(by_step[:, step], axis)) for step, row in enumerate(found)
        ]
    return filled, []


def _summary(jacobian: np.ndarray, axis: int | None) -> tuple[float, ...]:
    """log10 of the largest, median and smallest singular value, means over the first examples, from [k, *shape]."""
    if axis is None:
        return ()
    matrices = np.moveaxis(jacobian, axis + 1, 0)[:SPECTRA].reshape(min(SPECTRA, jacobian.shape[axis + 1]), len(jacobian), -1)
    with np.errstate(divide="ignore"):
        logs = np.log10(np.linalg.svd(matrices, compute_uv=False))
    return tuple(float(logs[:, i].mean()) for i in (0, logs.shape[1] // 2, -1))


def with_partial_jacobians(
    program: Program, rows: dict[int, list[Row]], arguments: list, probes: int, summarise_steps: bool
) -> tuple[dict[int, list[Row]], list[str]]:
    """Returns the rows with `partial_jacobian`; notes."""
    try:
        random = np.random.default_rng(2)
        found = [program.partials(arguments, *program.random_signs(arguments, random)) for _ in range(probes)]
    except TypeError as error:
        if "forward-mode" not in str(error):
            raise
        # A function of the model has a reverse rule only.
        return rows, [f"layer-to-layer gains need forward differentiation: {str(error).splitlines()[0]}"]
    filled = {}
    for number, layers in rows.items():
        values = np.mean([np.asarray(f[number], np.float64) for f in found], axis=0).reshape(-1)
        values = [values.mean()] if summarise_steps else values
        filled[number] = [row.with_readings(partial_jacobian=float(value)) for row, value in zip(layers, values, strict=True)]
    return filled, []
