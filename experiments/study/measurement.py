"""Measurements: a number with its 95% interval over independent seeds, beside what theory predicts."""

import dataclasses
from collections.abc import Mapping

import numpy as np
from scipy import special, stats


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
class Fit:
    """How far a training came, the mean over its seeds; see `convergence`.

    Attributes:
      state: "fits" its training set, is on a "plateau", or is "unfinished"; "not finite" where a loss is not.
      train_accuracy: fraction of the training set, None where there is no accuracy.
      remaining: what the last fifth of the run brings, as a share of the whole fall of its loss; None where it is not finite.
      required: whether its claim is undecided unless it fits or is on a plateau. A network of which the claim says that it does
        not train is not.
    """

    state: str
    train_accuracy: float | None
    remaining: float | None
    required: bool

    @property
    def convincing(self) -> bool:
        """Whether a claim may speak of this training."""
        return not self.required or self.state in ("fits", "plateau")


@dataclasses.dataclass(frozen=True)
class Evidence:
    """What was measured for one claim: the numbers that are judged and the arrays that its figure draws.

    Attributes:
      measurements: in the order in which tables show them.
      arrays: by name.
      searches: how each learning rate behind the measurements was chosen, by the name of what was trained.
      fits: how far each training behind the measurements came, by the same names.
    """

    measurements: tuple[Measurement, ...]
    arrays: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    searches: Mapping[str, Search] = dataclasses.field(default_factory=dict)
    fits: Mapping[str, Fit] = dataclasses.field(default_factory=dict)

    @property
    def unconvincing(self) -> list[str]:
        """The trainings that should have got further before a claim speaks of them."""
        return [name for name, fit in self.fits.items() if not fit.convincing]

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


def fraction(name: str, samples, *, unit: str = "", prediction: float | None = None, source: str = "") -> Measurement:
    """As `interval`, for accuracies and other fractions: the interval of the mean's logit, which stays inside [0, 1].

    Its half-width is Student's over the derivative of the logit at the mean (the delta method).

    Raises:
      ValueError: fewer than two samples, or one outside [0, 1].
    """
    plain = interval(name, samples, unit=unit, prediction=prediction, source=source)
    samples = np.asarray(samples, np.float64)
    if samples.min() < 0 or samples.max() > 1:
        raise ValueError(f"measurement {name!r} is no fraction: its samples reach from {samples.min()} to {samples.max()}")
    mean = plain.value
    if 0 < mean < 1 and plain.low < plain.high:
        half = (plain.high - plain.low) / 2 / (mean * (1 - mean))
        low, high = special.expit(special.logit(mean) + np.asarray([-half, half]))
        plain = dataclasses.replace(plain, low=min(float(low), mean), high=max(float(high), mean))
    return plain


def share(name: str, true, *, unit: str = "of the seeds", source: str = "") -> Measurement:
    """Returns the share of seeds for which something is true, with the interval of Clopper and Pearson (1934).

    Args:
      name: the measurement's name.
      true: [n] one truth value per seed.
    """
    true = np.asarray(true, bool).ravel()
    if not true.size:
        raise ValueError(f"measurement {name!r} has no seeds")
    found = stats.binomtest(int(true.sum()), true.size).proportion_ci(0.95, "exact")
    return Measurement(name, float(true.mean()), float(found.low), float(found.high), true.size, unit, None, source)


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
