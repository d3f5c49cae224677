"""What the probe says of a model's outputs: range, rows that are distributions, the activation function at the end."""

import dataclasses
import math

import numpy as np
from jax import Array

from jaxnotes.probe._data import first_examples
from jaxnotes.probe._last_activation import LastActivation

ROW = 1e-2  # distance from 1 of a sum that counts as 1: bfloat16 rounds by 4e-3


@dataclasses.dataclass(frozen=True)
class OutputReading:
    """The outputs, where they are one floating array; a row is the last axis. NaN where it does not apply.

    Attributes:
      shape: of the array.
      dtype: of it.
      activation: name of the function seen at the end of the program; "" where none was.
      activation_low, activation_high: ends of that function's range; infinite where it is open.
      low, high: smallest and largest finite entry.
      mean, rms: over the finite entries.
      nonnegative: share of the entries that are at least 0.
      zero: share that is exactly 0.
      inside_unit: share in [0, 1].
      rows_sum_to_one: share of the rows that sum to 1 and hold no negative entry; NaN for rows of one entry.
      rows_log_probabilities: share of the rows whose exponentials sum to 1; NaN for rows of one entry.
      other_axis_sums_to_one: axis between that of the examples and the last over which outputs, none of them negative, sum to
        1; None where there is none.
      always_one: whether every entry is 1.
      targets_outside: share of the targets beyond the activation's range, by 1% of it or more.
    """

    shape: tuple[int, ...]
    dtype: str
    activation: str = ""
    activation_low: float = math.nan
    activation_high: float = math.nan
    low: float = math.nan
    high: float = math.nan
    mean: float = math.nan
    rms: float = math.nan
    nonnegative: float = math.nan
    zero: float = math.nan
    inside_unit: float = math.nan
    rows_sum_to_one: float = math.nan
    rows_log_probabilities: float = math.nan
    other_axis_sums_to_one: int | None = None
    always_one: bool = False
    targets_outside: float = math.nan


def read_outputs(output: Array, last: LastActivation | None, targets: Array | None) -> OutputReading:
    """Returns the reading of one floating array of outputs.

    Args:
      output: [examples, …].
      last: the activation function seen at the end of the program.
      targets: one array of numbers, or None.
    """
    values = first_examples(output)
    told = OutputReading(tuple(output.shape), str(output.dtype), last.name if last else "")
    finite = values[np.isfinite(values)]
    if not finite.size:
        return told
    rows_one, rows_log = _rows(values)
    low, high = (last.low, last.high) if last else (-math.inf, math.inf)
    low, high = (0.0, 1.0) if rows_one == 1 else (low, high)
    return dataclasses.replace(
        told,
        activation_low=low,
        activation_high=high,
        low=float(finite.min()),
        high=float(finite.max()),
        mean=float(finite.mean()),
        rms=float(np.sqrt(np.mean(finite**2))),
        nonnegative=float((finite >= 0).mean()),
        zero=float((finite == 0).mean()),
        inside_unit=float(((finite >= 0) & (finite <= 1)).mean()),
        rows_sum_to_one=rows_one,
        rows_log_probabilities=rows_log,
        other_axis_sums_to_one=_other_axis(values),
        always_one=bool((finite == 1).all()),
        targets_outside=math.nan if targets is None else _outside(first_examples(targets), low, high),
    )


@np.errstate(all="ignore")
def _rows(values: np.ndarray) -> tuple[float, float]:
    """Returns the shares of rows that are probabilities, and of rows that are their logarithms."""
    if values.ndim < 2 or values.shape[-1] < 2:
        return math.nan, math.nan
    ones = (np.abs(values.sum(axis=-1) - 1) < ROW) & (values >= 0).all(axis=-1)
    logs = np.abs(np.exp(np.minimum(values, 80)).sum(axis=-1) - 1) < ROW
    return float(ones.mean()), float(logs.mean())


@np.errstate(all="ignore")
def _other_axis(values: np.ndarray) -> int | None:
    """Returns an axis between the first and the last over which a softmax has been taken."""
    if not (values >= 0).all():
        return None
    axes = (axis for axis in range(1, values.ndim - 1) if values.shape[axis] > 1)
    return next((axis for axis in axes if (np.abs(values.sum(axis=axis) - 1) < ROW).all()), None)


def _outside(targets: np.ndarray, low: float, high: float) -> float:
    width = high - low if math.isfinite(high - low) else max(float(np.abs(targets).max()), 1e-30)
    return float(((targets < low - 0.01 * width) | (targets > high + 0.01 * width)).mean())
