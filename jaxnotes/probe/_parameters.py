"""Which parameters belong to which layer, and what is known of them."""

import dataclasses
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jaxnotes.probe._adapted import Adapted
from jaxnotes.probe._program import merge, split
from jaxnotes.probe._survey import Site

WEIGHTS = ("kernel", "weight")
TREES = {  # what an optimiser is given in each framework
    "linen": "variables['params'] is",
    "nnx": "nnx.state(model, nnx.Param) is",
    "equinox": "eqx.filter(model, eqx.is_inexact_array) is",
    "plain": "the function's parameters are",
}


@dataclasses.dataclass(frozen=True)
class OwnParameters:
    """Of the parameters of one layer, not those of layers inside it; NaN without any."""

    parameter_gradient_rms: float = math.nan
    parameter_rms: float = math.nan
    update_ratio: float = math.nan
    weight_variance: float = math.nan
    bias_variance: float = math.nan


def names_of(path: tuple) -> tuple[str, ...]:
    """Returns a path in a tree as names: `.layers[0].weight` is ("layers", "0", "weight")."""
    names = []
    for entry in path:
        found = next((getattr(entry, part) for part in ("name", "idx", "key") if hasattr(entry, part)), entry)
        names.append(str(found))
    return tuple(names[:-1] if names and names[-1] == "value" else names)


def first_update(adapted: Adapted, gradients: list[Array], optimizer: optax.GradientTransformation) -> list[Array]:
    """Returns the optimiser's first update of each floating parameter, in the tree's order.

    The optimiser sees the parameters as the user's own tree, so that masks and labels by name find them; parameters that are
    not floating have a gradient of 0.

    Raises:
      ValueError: the optimiser does not take this tree, as by a mask or labels of another structure.
    """
    _, rest = split(adapted.parameters)
    zeros = jax.tree.map(lambda leaf: jnp.zeros_like(leaf) if hasattr(leaf, "dtype") else leaf, rest[0])
    tree = merge(gradients, (zeros, rest[1]))
    try:
        updates = optimizer.update(tree, optimizer.init(adapted.parameters), adapted.parameters)[0]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        first = next(iter(jax.tree_util.tree_flatten_with_path(adapted.parameters)[0]), ((), None))[0]
        raise ValueError(
            f"the optimizer does not take this model's parameters, whose first is {jax.tree_util.keystr(first)}: "
            f"{str(error).splitlines()[0] if str(error) else type(error).__name__}; masks and labels are of the tree that "
            f"{TREES[adapted.framework]}"
        ) from error
    return split(updates)[0]


def own_parameters(
    adapted: Adapted, gradients: list[Array], optimizer: optax.GradientTransformation | None
) -> Callable[[Site, bool], Callable[[int], OwnParameters]]:
    """Returns a function of a site and `summarise_steps`; this returns a function from a step to the layer's own parameters."""
    flat = jax.tree_util.tree_flatten_with_path(adapted.parameters)[0]
    floating = [
        (names_of(path), leaf) for path, leaf in flat if hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating)
    ]
    values = [leaf for _, leaf in floating]
    updates = [None] * len(values) if optimizer is None else first_update(adapted, gradients, optimizer)
    # On the host in float64: a program for each shape of parameter would take longer to compile than the model.
    wide = lambda array: None if array is None else np.asarray(array).astype(np.float64)
    by_owner: dict[tuple[str, ...], list[tuple]] = {}
    for (names, value), gradient, update in zip(floating, gradients, updates, strict=True):
        measured = wide(value), wide(gradient), wide(update)
        for depth in range(len(names) + 1) if adapted.framework == "plain" else (len(names) - 1,):
            by_owner.setdefault(names[:depth], []).append((names[-1] if names else "", *measured))

    def site_parameters(site: Site, summarise_steps: bool) -> Callable[[int], OwnParameters]:
        own = by_owner.get(site.mark.owner, [])
        if not own:
            return lambda step: OwnParameters()
        stacked = bool(site.steps) and all(value.ndim > 1 and value.shape[0] == site.steps[0] for _, value, *_ in own)
        if not stacked or summarise_steps:
            found = _measure(own, adapted.input_axes)
            return lambda step: found
        inner = math.prod(site.steps[1:])
        slices = [
            _measure([(name, *_slices(arrays, i)) for name, *arrays in own], adapted.input_axes) for i in range(site.steps[0])
        ]
        return lambda step: slices[step // inner]

    return site_parameters


def _slices(arrays: list, i: int) -> list:
    return [None if array is None else array[i] for array in arrays]


@np.errstate(all="ignore")  # parameters may be infinite
def _measure(own: list[tuple], input_axes: Callable[[int], tuple[int, ...]]) -> OwnParameters:
    together = lambda column: _joint_rms([entry[column] for entry in own])
    rms, gradient = together(1), together(2)
    updated = own[0][3] is not None and rms > 0
    weights = [value for name, value, *_ in own if value.ndim > 1 and _is_weight(name, own)]
    biases = [value for _, value, *_ in own if value.ndim == 1]
    alone = len(weights) == 1
    return OwnParameters(
        parameter_gradient_rms=gradient,
        parameter_rms=rms,
        update_ratio=together(3) / rms if updated else math.nan,
        weight_variance=float(weights[0].var()) * _fan_in(weights[0], input_axes) if alone else math.nan,
        bias_variance=_joint_rms(biases) ** 2 if alone and len(biases) == 1 else math.nan,
    )


def _is_weight(name: str, own: list[tuple]) -> bool:
    return name in WEIGHTS or sum(value.ndim > 1 for _, value, *_ in own) == 1 and not name.startswith("embed")


def _fan_in(weight: np.ndarray, input_axes: Callable[[int], tuple[int, ...]]) -> int:
    return math.prod(weight.shape[axis] for axis in input_axes(weight.ndim))


def _joint_rms(arrays: list[np.ndarray]) -> float:
    """√ of the mean square over all entries of several arrays."""
    entries = 0 if arrays[0] is None else sum(array.size for array in arrays)
    return math.sqrt(sum(float(np.square(array).sum()) for array in arrays) / entries) if entries else math.nan
