"""What is known of each parameter by name: its gradient, what cuts it off, units that are equal, what float16 loses."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxnotes.probe._adapted import Adapted
from jaxnotes.probe._parameters import named_parameters
from jaxnotes.probe._program import Passed, Program
from jaxnotes.probe._sizes import wide
from jaxnotes.probe._updates import Updates

TURNS = 3  # of small steps until parameters behind weights that start at zero get a gradient: two such layers in a row take two
STEP = 0.02  # of a parameter's size
MOST_COLLECTED = 33  # steps before an optimiser that collects gradients, such as `optax.MultiSteps`, is taken to do nothing
LOSS_SCALE = 2.0**10  # by which float16 gradients are lifted


@dataclasses.dataclass(frozen=True)
class Parameter:
    """Readings of one floating parameter.

    Attributes:
      name: path in the tree of parameters.
      shape: of it.
      dtype: of it.
      rms: of its entries.
      gradient_rms: of its gradient; 0 only where every entry is exactly 0.
      nonfinite_gradient: entries of the gradient that are NaN or infinite.
      multiplies: whether data are multiplied by it, as by a kernel.
      cut: what keeps every derivative from it, such as "round"; "unused" where the loss does not depend on it; "" else.
      stuck: whether its gradient is exactly 0, and remains so after some small steps of all parameters that have one.
      equal_units: share of the units with weights that are those of another unit, of all whose weights are not all 0.
      equal_gradients: the same of the units whose gradient is that of a unit with the same weights: they stay equal.
      still: whether neither of the optimiser's first two updates changes it; False without an optimiser.
      lost_updates: share of the entries in which the optimiser's first update that is not 0 is rounded away.
      zero_gradients: share of the gradient's entries that are exactly 0.
      zero_gradients_scaled: the same with the loss 1024 times as large; NaN where nothing is computed in float16.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    rms: float
    gradient_rms: float
    nonfinite_gradient: int
    multiplies: bool = False
    cut: str = ""
    stuck: bool = False
    equal_units: float = 0.0
    equal_gradients: float = 0.0
    still: bool = False
    lost_updates: float = 0.0
    zero_gradients: float = 0.0
    zero_gradients_scaled: float = math.nan


def each_parameter(
    program: Program,
    adapted: Adapted,
    arguments: list[Array],
    passed: Passed,
    updates: Updates | None,
) -> tuple[Parameter, ...]:
    """Returns one entry per floating parameter, in the tree's order."""
    names = ["/".join(path) for path, _ in named_parameters(adapted.parameters)]
    host = lambda arrays: [np.asarray(array) for array in arrays]
    values, gradients = host(arguments[: len(names)]), host(passed.parameters)
    structure = program.structure
    multiplies = 0
    for product in structure.products.values():
        multiplies |= product.parameters
    stuck = _stuck(program, arguments, gradients, set(structure.cut))
    moves = [] if updates is None else _first_moves(updates)
    scaled = _scaled_zeros(program, arguments)
    return tuple(
        Parameter(
            name=name,
            shape=tuple(value.shape),
            dtype=str(value.dtype),
            rms=_rms(value),
            gradient_rms=_rms(gradient),
            nonfinite_gradient=int(np.count_nonzero(~np.isfinite(wide(gradient)))),
            multiplies=bool(multiplies >> i & 1),
            cut=(structure.cut[i] or "unused") if i in structure.cut else "",
            stuck=i in stuck,
            **_equality(value, gradient, adapted.input_axes),
            **_updating(value, [move[i] for move in moves]),
            zero_gradients=_share(gradient == 0),
            zero_gradients_scaled=scaled[i] if scaled else math.nan,
        )
        for i, (name, value, gradient) in enumerate(zip(names, values, gradients, strict=True))
    )


def _first_moves(updates: Updates) -> list[list[np.ndarray]]:
    """Returns the first two updates, as a rate may warm up from 0; more where all are 0, as gradients may be collected."""
    for steps in (2, MOST_COLLECTED):
        found = [[np.asarray(update) for update in step] for step in updates.first(steps)]
        if any(update.any() for step in found for update in step):
            break
    return found


def _stuck(program: Program, arguments: list[Array], gradients: list[np.ndarray], cut: set[int]) -> set[int]:
    """Returns the parameters without gradient that also have none after small steps of all that have one.

    Weights that start at zero, as at the end of a residual branch, keep the gradient from all before them for one step only.
    """
    waiting = {i for i, gradient in enumerate(gradients) if i not in cut and gradient.size and not gradient.any()}
    given = list(arguments)
    for _ in range(TURNS):
        if not waiting or len(waiting) == len(gradients):
            break
        for i, gradient in enumerate(gradients):
            given[i] = given[i] + _step(np.asarray(given[i]), gradient)
        gradients = [np.asarray(gradient) for gradient in program.gradients(given, jnp.float32(1)).parameters]
        waiting = {i for i in waiting if not gradients[i].any()}
    return waiting


def _step(value: np.ndarray, gradient: np.ndarray) -> Array:
    """A step against the gradient, of a small share of the parameter's size."""
    size = _rms(gradient)
    moves = 0.0 < size < math.inf
    step = wide(gradient) * (-STEP * max(_rms(value), 0.1) / size) if moves else np.zeros(value.shape)
    return jnp.asarray(step.astype(np.float32)).astype(value.dtype)


def _scaled_zeros(program: Program, arguments: list[Array]) -> list[float]:
    """Share of exact zeros in each parameter's gradient with a larger loss; [] where nothing is computed in float16."""
    if not any(site.dtype == jnp.float16 for site in program.sites):
        return []
    return [_share(np.asarray(g) == 0) for g in program.gradients(arguments, jnp.float32(LOSS_SCALE)).parameters]


def _equality(value: np.ndarray, gradient: np.ndarray, input_axes: Callable[[int], tuple[int, ...]]) -> dict[str, float]:
    """Shares of units whose weights, and whose weights and gradients, are exactly those of another unit."""
    if value.ndim < 2 or not np.isfinite(wide(value)).all():
        return {}
    outputs = [axis for axis in range(value.ndim) if axis not in input_axes(value.ndim)]
    by_unit = lambda array: np.moveaxis(wide(array), outputs[-1], 0).reshape(array.shape[outputs[-1]], -1)
    weights, slopes = by_unit(value), by_unit(gradient)
    present = weights.any(axis=1)
    weights, slopes = weights[present], slopes[present]
    if len(weights) < 2 or weights.shape[1] < 2:
        return {}
    return {
        "equal_units": _repeated(weights),
        "equal_gradients": _repeated(np.concatenate([weights, slopes / max(_rms(slopes), 1e-300)], axis=1)),
    }


def _repeated(rows: np.ndarray) -> float:
    """Returns the share of rows that are another one again, by their products with a random vector."""
    marks = rows @ np.random.default_rng(0).normal(size=rows.shape[1])
    scale = max(float(np.abs(marks).max()), 1e-300)
    return 1 - len(np.unique(np.round(marks / scale, 10))) / len(rows)


def _updating(value: np.ndarray, updates: list[np.ndarray]) -> dict[str, Any]:
    """Whether updates change the parameter, and the share of entries whose change is lost in rounding."""
    if not updates:
        return {}
    first = next((update for update in updates if update.any()), None)
    if first is None:
        return {"still": True}
    meant = first != 0
    return {"lost_updates": _share(((value + first.astype(value.dtype)) == value)[meant])}


def _share(mask: np.ndarray | np.bool_) -> float:
    return float(np.mean(mask)) if np.size(mask) else 0.0


@np.errstate(all="ignore")
def _rms(array: np.ndarray) -> float:
    """RMS that is 0 only where every entry is."""
    largest = float(np.max(np.abs(wide(array)), initial=0))
    if not 0 < largest < math.inf:
        return largest
    return largest * float(np.sqrt(np.mean(np.square(wide(array) / largest))))
