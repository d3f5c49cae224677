"""What the probe says of the batch itself: sizes of the inputs and of the targets."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxnotes.probe._statistics import effective_rank, vectors_of

FEW = 16  # examples: below it equal entries may be chance
LARGEST = 2**22  # entries that are looked at: a larger batch is read by its first examples


@dataclasses.dataclass(frozen=True)
class InputReading:
    """One floating or integer array of the inputs; a feature is an entry of its last axis. NaN where it does not apply.

    Attributes:
      name: place among the inputs, such as "[0]" or "['image']".
      shape: of the array.
      dtype: of it.
      is_integer: whether the entries are whole numbers by their type: tokens or raw bytes.
      rms: root mean square over the finite entries.
      mean: of them.
      low, high: smallest and largest of them.
      largest_typical_feature: largest median over the batch of the absolute values of a feature; a few outliers do not move it.
      largest_feature_rms, median_feature_rms, smallest_feature_rms: over the features that are not constant.
      constant_features: share of the features that are the same at every example and position.
      effective_rank: as `Layer.effective_rank` of a layer that returns them.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    is_integer: bool
    rms: float = math.nan
    mean: float = math.nan
    low: float = math.nan
    high: float = math.nan
    largest_typical_feature: float = math.nan
    largest_feature_rms: float = math.nan
    median_feature_rms: float = math.nan
    smallest_feature_rms: float = math.nan
    constant_features: float = math.nan
    effective_rank: float = math.nan


@dataclasses.dataclass(frozen=True)
class TargetReading:
    """The targets, where they are one array. NaN where it does not apply.

    Attributes:
      shape: of the array.
      dtype: of it.
      is_integer: whether its type holds whole numbers, truth values among them.
      whole: whether all entries are whole numbers, whatever the type.
      low, high: smallest and largest finite entry.
      mean, rms: over the finite entries.
      spread: RMS over the entries of an example of the standard deviation over examples.
      classes_present: number of different values; 0 where there are more than 10,000.
      one_hot: whether the last axis has at least 2 entries, one of them 1 and all others 0.
      equal_feature: the feature of the inputs, such as "[0][:, 7]", that equals the one target of each example, in 16 examples
        or more whose targets differ; "" where there is none.
    """

    shape: tuple[int, ...]
    dtype: str
    is_integer: bool
    whole: bool = False
    low: float = math.nan
    high: float = math.nan
    mean: float = math.nan
    rms: float = math.nan
    spread: float = math.nan
    classes_present: int = 0
    one_hot: bool = False
    equal_feature: str = ""


def read_inputs(inputs: Any) -> tuple[InputReading, ...]:
    """Returns one reading per array of the inputs with an axis of examples; random keys are left out."""
    found = jax.tree_util.tree_flatten_with_path(inputs)[0]
    arrays = [(jax.tree_util.keystr(path), leaf) for path, leaf in found if getattr(leaf, "ndim", 0) and _is_number(leaf)]
    return tuple(_input(name, leaf) for name, leaf in arrays)


def _is_number(leaf: Any) -> bool:
    return any(jnp.issubdtype(leaf.dtype, kind) for kind in (jnp.floating, jnp.integer))


def first_examples(array: Any, entries: int = LARGEST) -> np.ndarray:
    """Returns as many of the first examples as hold so many entries, at least one, in float64."""
    each = max(math.prod(array.shape[1:]), 1)
    return np.asarray(array[: max(entries // each, 1)]).astype(np.float64)


def _input(name: str, array: Any) -> InputReading:
    is_integer = not jnp.issubdtype(array.dtype, jnp.floating)
    told = InputReading(name, tuple(array.shape), str(array.dtype), is_integer)
    values = first_examples(array)
    finite = values[np.isfinite(values)]
    if not finite.size:
        return told
    flat = np.where(np.isfinite(values), values, 0)
    flat = flat.reshape(-1, flat.shape[-1] if flat.ndim > 1 else 1)
    rms, varies = np.sqrt(np.mean(flat**2, axis=0)), np.ptp(flat, axis=0) > 0
    sizes = rms[varies] if varies.any() else np.asarray([math.nan])
    return dataclasses.replace(
        told,
        rms=float(np.sqrt(np.mean(finite**2))),
        mean=float(finite.mean()),
        low=float(finite.min()),
        high=float(finite.max()),
        largest_typical_feature=float(np.median(np.abs(flat), axis=0).max()),
        largest_feature_rms=float(sizes.max()),
        median_feature_rms=float(np.median(sizes)),
        smallest_feature_rms=float(sizes.min()),
        constant_features=float(1 - varies.mean()),
        effective_rank=math.nan if is_integer or array.ndim < 2 else _rank(values),
    )


@np.errstate(over="ignore", invalid="ignore")
def _rank(values: np.ndarray) -> float:
    size = max(np.abs(values).max(), np.finfo(np.float64).tiny)
    return float(effective_rank(vectors_of(jnp.asarray(np.nan_to_num(values / size), jnp.float32), 0)))


def read_targets(targets: Any, inputs: Any = ()) -> TargetReading | None:
    """Returns the reading of targets that are one array of numbers, beside the inputs; None for others."""
    leaves = [leaf for leaf in jax.tree.leaves(targets) if hasattr(leaf, "dtype")]
    if len(leaves) != 1 or not (_is_number(leaves[0]) or leaves[0].dtype == bool) or not getattr(leaves[0], "ndim", 0):
        return None
    (array,) = leaves
    told = TargetReading(tuple(array.shape), str(array.dtype), not jnp.issubdtype(array.dtype, jnp.floating))
    values = first_examples(array)
    finite = values[np.isfinite(values)]
    if not finite.size:
        return told
    kinds = np.unique(finite)
    binary = set(kinds) <= {0.0, 1.0} and values.ndim > 1 and values.shape[-1] > 1
    with np.errstate(all="ignore"):
        spread = float(np.sqrt(np.mean(np.var(values, axis=0)))) if len(values) > 1 else math.nan
    return dataclasses.replace(
        told,
        whole=bool((finite == np.round(finite)).all()),
        low=float(finite.min()),
        high=float(finite.max()),
        mean=float(finite.mean()),
        rms=float(np.sqrt(np.mean(finite**2))),
        spread=spread,
        classes_present=len(kinds) if len(kinds) <= 10_000 else 0,
        one_hot=bool(binary and (values.sum(axis=-1) == 1).all()),
        equal_feature=_equal_feature(values, inputs) if len(kinds) > 1 else "",
    )


def _equal_feature(targets: np.ndarray, inputs: Any) -> str:
    if len(targets) < FEW or targets.size != len(targets):
        return ""
    for path, leaf in jax.tree_util.tree_flatten_with_path(inputs)[0]:
        if getattr(leaf, "ndim", 0) == 2 and leaf.shape[1] > 1 and _is_number(leaf) and len(leaf) >= len(targets):
            equal = (first_examples(leaf[: len(targets)], leaf.size) == targets.reshape(-1, 1)).all(axis=0)
            if equal.any():
                return f"{jax.tree_util.keystr(path)}[:, {int(equal.argmax())}]"
    return ""
