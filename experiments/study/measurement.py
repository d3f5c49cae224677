"""Measurements: a number with its 95% interval over independent seeds, beside what theory predicts."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from scipy import special


@dataclasses.dataclass(frozen=True)
class Measurement:
    """A named number with its interval, as `results/TOPIC.json` stores it.

    Attributes:
      name: lower-case words joined by hyphens, unique within a claim; rules refer to it.
      value: the mean over seeds, or the exact value.
      low: lower bound of the 95% interval.
      high: upper bound of the 95% interval.
      n: number of independent seeds; 1 for a quantity without randomness.
      unit: unit, or "" for a pure number.
      prediction: what theory predicts, None where it is silent.
      source: where the prediction comes from, or how the number was measured.
    """

    name: str
    value: float
    low: float
    high: float
    n: int
    unit: str = ""
    prediction: float | None = None
    source: str = ""

    def __post_init__(self) -> None:
        numbers = [self.value, self.low, self.high] + ([] if self.prediction is None else [self.prediction])
        if not np.all(np.isfinite(numbers)):
            raise ValueError(f"measurement {self.name!r} is not finite: {numbers}; measure its logarithm or a depth instead")
        if not self.low <= self.value <= self.high:
            raise ValueError(f"measurement {self.name!r}: {self.value} lies outside its interval [{self.low}, {self.high}]")


@dataclasses.dataclass(frozen=True)
class Search:
    """How a learning rate was chosen; see `tuning`.

    Attributes:
      rate: the rate chosen.
      rates: all rates tried, rising.
      scores: of each rate, one score per tuning seed, higher is better; -inf where the run was not finite.
      inside: whether the rate chosen is no end of the rates tried.
    """

    rate: float
    rates: tuple[float, ...]
    scores: tuple[tuple[float, ...], ...]
    inside: bool


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What was measured for one claim: the numbers that are judged and the arrays that its figure draws.

    Attributes:
      measurements: in the order in which tables show them.
      arrays: by name.
      searches: how each learning rate behind the measurements was chosen, by the name of what was trained.
    """

    measurements: tuple[Measurement, ...]
    arrays: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    searches: Mapping[str, Search] = dataclasses.field(default_factory=dict)

    def __getitem__(self, name: str) -> Measurement:
        """Returns the measurement of this name, so that figures read `evidence["slope-tanh"].value`."""
        for measurement in self.measurements:
            if measurement.name == name:
                return measurement
        raise KeyError(f"no measurement {name!r}; there are {[m.name for m in self.measurements]}")


def interval(name: str, samples, *, unit: str = "", prediction: float | None = None, source: str = "") -> Measurement:
    """Returns the mean and Student-t 95% interval of independent samples.

    Args:
      name: the measurement's name.
      samples: [n] one number per seed, n >= 2.

    Returns:
      The measurement with n = len(samples).

    Raises:
      ValueError: fewer than two samples, or a non-finite one.
    """
    samples = np.asarray(samples, np.float64).ravel()
    if samples.size < 2:
        raise ValueError(f"measurement {name!r} has {samples.size} sample(s); an interval needs at least 2 seeds")
    low, high = mean_interval(samples)
    value = float(np.clip(samples.mean(), low, high))
    return Measurement(name, value, float(low), float(high), samples.size, unit, _float(prediction), source)


def mean_interval(samples, axis: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the Student-t 95% interval of the mean along an axis of independent samples, for whole curves."""
    samples = np.asarray(samples, np.float64)
    n = samples.shape[axis]
    half = special.stdtrit(n - 1, 0.975) * samples.std(axis, ddof=1) / np.sqrt(n)
    mean = samples.mean(axis)
    return mean - half, mean + half


def curve(name: str, values: np.ndarray, predicted: np.ndarray | None = None) -> dict[str, np.ndarray]:
    """Arrays of a figure's curve from values [seeds, points]: mean, interval and, where there is one, prediction."""
    values = np.asarray(values)
    low, high = mean_interval(values)
    arrays = {f"{name}-mean": values.mean(0), f"{name}-low": low, f"{name}-high": high}
    return arrays if predicted is None else arrays | {f"{name}-predicted": predicted}


def exact(name: str, value: float, *, unit: str = "", prediction: float | None = None, source: str = "") -> Measurement:
    """Returns a number without randomness: its interval is the number itself."""
    return Measurement(name, float(value), float(value), float(value), 1, unit, _float(prediction), source)


def _float(prediction):
    return None if prediction is None else float(prediction)
