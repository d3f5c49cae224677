"""The loss of a run as a curve of means over intervals, and findings about it."""

import dataclasses
import math
from functools import cached_property

import numpy as np

from jaxnotes.diagnosis._finding import Finding, Remedy
from jaxnotes.probe import History, Watched

# Thresholds keep clear of some 60 healthy runs of 400 to 2,000 steps: MLPs of 2 to 5 layers, cross-entropy and squares, SGD,
# momentum, Adam, warm-up and cosine, batches of 1, 8 and 256, with and without noise in the targets, half of them resumed where
# another had ended. None of them has a finding, 4 a hint: three plateaus, and one at its floor.
INTERVALS = 5  # fewer say nothing about a trend
SIGNIFICANT = 5.0  # standard deviations of interval means; drift in the loss makes these wide, so that the test is careful
RISE = 0.1  # of the loss at the start
FLAT = 0.02  # of the whole fall, over the second half
DONE = 0.05  # of the loss at the start: what is left is no plateau
ALTERNATION = 3.0  # 2 ± 0.28 for the noise of 50 losses, 2.9 the largest of any healthy interval, 4 where every other is high
SWING = 0.05  # of the loss
REVERSAL = 0.2  # of the loss, from one interval to the next
SPIKE_DEVIATIONS = 10.0  # of the losses before
SPIKE_EXCESS = 3.0  # times what the largest of the losses before exceeds their mean by
SPIKE_SIZE = 0.1  # of the loss at the start
BINS = 40  # intervals that losses given one by one are put in
VON_NEUMANN = "von Neumann 1941, the ratio of the mean square successive difference to the variance"
CURVES = "training curves of healthy runs, which the thresholds come from; no claim of the notes is about a loss curve"


@dataclasses.dataclass(frozen=True)
class Interval:
    """The losses between two looks: as in `Watched`; `record` is the look at their end, where there was one."""

    step: int
    count: int
    mean: float
    deviation: float
    alternation: float
    largest: float
    largest_step: int
    record: Watched | None = None


@dataclasses.dataclass(frozen=True)
class Curve:
    """The intervals of a run whose losses are finite."""

    intervals: tuple[Interval, ...]

    @cached_property
    def means(self) -> np.ndarray:
        return np.asarray([interval.mean for interval in self.intervals])

    @property
    def start(self) -> float:
        """The first loss."""
        return float(self.means[0])

    @cached_property
    def late(self) -> float:
        """The median of the last third."""
        return float(np.median(self.means[-max(len(self.means) // 3, 1) :]))

    @cached_property
    def scatter(self) -> float:
        """Standard deviation of an interval's mean, by the median of what neighbours differ by: one jump leaves it alone."""
        own = [i.deviation / math.sqrt(i.count) for i in self.intervals if i.count > 1]
        return float(max(np.median(np.abs(np.diff(self.means[1:]))) / 0.954, np.median(own) if own else 0.0))

    @cached_property
    def known(self) -> bool:
        """Whether there are enough intervals for a trend."""
        return len(self.intervals) >= INTERVALS

    @cached_property
    def fell(self) -> bool:
        """Whether the end is below the first loss or the first interval by more than the noise."""
        single = float(np.median([i.deviation for i in self.intervals[1:] if i.count > 1] or [self.scatter]))
        if self.late < self.start - SIGNIFICANT * single:
            return True
        # Below the first interval, unless that is where the loss had jumped to.
        first = float(self.means[1])
        return first < self.start + SIGNIFICANT * single and self.late < first - SIGNIFICANT * self.scatter

    @cached_property
    def rose(self) -> bool:
        """Whether the end is above the start by more than the noise, and by a share of it."""
        before = max(self.start, float(self.means[1]))
        return min(self.late, float(self.means[-1])) > before + max(SIGNIFICANT * self.scatter, RISE * abs(before))


def curve_of(history: History, before: int | None = None) -> Curve:
    """Returns the curve of a run, up to a step: what the monitor was given, else what `add_loss` was."""
    records = [r for r in history.records if r.losses and math.isfinite(r.loss_mean) and (before is None or r.step < before)]
    if records:
        return Curve(tuple(_interval(record) for record in records))
    added = [(s, loss) for s, loss in history.losses if math.isfinite(loss) and (before is None or s < before)]
    size = max(len(added) // BINS, 5) if len(added) >= 2 * BINS else 1
    # The first alone, as it is the loss at the start.
    parts = [added[:1], *(added[i : i + size] for i in range(1, len(added), size))]
    return Curve(tuple(_binned(part, history.records) for part in parts if part))


def _interval(r: Watched) -> Interval:
    return Interval(r.step, r.losses, r.loss_mean, r.loss_deviation, r.loss_alternation, r.loss_largest, r.loss_largest_step, r)


def _binned(part: list[tuple[int, float]], records: tuple[Watched, ...]) -> Interval:
    steps, losses = (np.asarray(column) for column in zip(*part, strict=True))
    variance, top = float(losses.var()), int(losses.argmax())
    alternation = float(np.mean(np.square(np.diff(losses))) / variance) if len(losses) > 2 and variance else math.nan
    record = next((r for r in records if r.step >= steps[top]), None)
    mean, deviation = float(losses.mean()), math.sqrt(variance)
    return Interval(int(steps[-1]), len(part), mean, deviation, alternation, float(losses[top]), int(steps[top]), record)


def not_falling(curve: Curve, cause: str = "") -> list[Finding]:
    """The loss ends where it began, or above. Flat from the start without a known cause it may be at its floor: a hint."""
    if not curve.known or (curve.fell and not curve.rose):
        return []
    if not (curve.rose or cause or SIGNIFICANT * curve.scatter < RISE * abs(curve.late)):
        return []  # the noise would hide a fall
    last = curve.intervals[-1].step
    evidence = f"the loss is {curve.start:.4g} at the start and {curve.late:.4g} over the last third of {last} steps"
    evidence += f"; {cause}" if cause else f"; means of {curve.intervals[-1].count} losses scatter by {curve.scatter:.2g}"
    remedies = (
        Remedy("divide the learning rate by 10" if curve.rose else "try learning rates 10 times larger and smaller", _trend()),
        Remedy(
            "train on one batch of a few examples", "falls near its floor within some hundred steps where model and loss fit"
        ),
        Remedy("read the model with probe.read and explain the report", "names a fault of layers, loss or data"),
    )
    return [Finding("loss-not-falling", (), evidence, (), remedies, hint=not (curve.rose or cause), source=CURVES)]


def _trend() -> str:
    return f"a fall of more than {SIGNIFICANT:g} times the scatter"


def oscillating(curve: Curve) -> list[Finding]:
    """The loss goes up and down: at every other step, or from interval to interval by far more than its noise."""
    found = _alternates(curve) or _reverses(curve)
    if not found:
        return []
    remedies = (
        Remedy("divide the learning rate by 3 to 10", "below 2 over the largest curvature steps no longer overshoot"),
        Remedy("warm the learning rate up, or lower the momentum", "the first steps, where curvature is largest, are small"),
    )
    return [Finding("loss-oscillating", (), found, ("normalization.learning-rate",), remedies, source=VON_NEUMANN)]


def _alternates(curve: Curve) -> str:
    last = [i for i in curve.intervals[-4:] if i.count >= 10]
    swinging = [i for i in last if i.alternation > ALTERNATION and i.deviation > SWING * abs(i.mean)]
    if len(swinging) < 3 or last[-1].mean < (1 - REVERSAL) * last[0].mean:
        return ""
    at = swinging[-1]
    return (
        f"up to step {at.step} the loss goes up and down at every other step: its change squared is {at.alternation:.2g} "
        f"variances, 2 for noise and 4 for a swing of two steps; {at.mean:.3g} ± {at.deviation:.2g}"
    )


def _reverses(curve: Curve) -> str:
    rises = falls = 0
    for a, b in zip(curve.intervals[1:], curve.intervals[2:], strict=False):
        noise = math.hypot(a.deviation, b.deviation) / math.sqrt(max(min(a.count, b.count), 1))
        if min(a.count, b.count) >= 5 and abs(b.mean - a.mean) > max(
            SIGNIFICANT * noise, REVERSAL * min(abs(a.mean), abs(b.mean))
        ):
            rises, falls = (rises + 1, falls) if b.mean > a.mean else (rises, falls + 1)
    if rises < 3 or falls < 2 or 4 * rises < len(curve.intervals):
        return ""
    return f"the mean loss of an interval rises {rises} times and falls {falls} times by more than {REVERSAL:.0%} and its noise"


def spike(curve: Curve) -> list[Finding]:
    """One step's loss stands far above those before it."""
    found = [(i, before) for k, i in enumerate(curve.intervals) if k >= 3 and (before := _spike_above(curve, k)) is not None]
    if not found:
        return []
    at, before = max(found, key=lambda pair: pair[0].largest - pair[1])
    layers, gradient = (), ""
    if at.record is not None and at.record.spike:
        layers = (at.record.spike,)
        gradient = f"; the gradient of {layers[0]} rose 10^{at.record.spike_rise:.1f} times at step {at.record.spike_step}"
    evidence = f"the loss is {at.largest:.4g} at step {at.largest_step}, about {before:.3g} before{gradient}"
    evidence += f"; {len(found)} such intervals" if len(found) > 1 else ""
    remedies = (
        Remedy("clip the gradient by its global norm", "no single step is large, whatever the batch"),
        Remedy("look at the batch of that step", "a wrong label, an empty or a very long example"),
        Remedy("lower the learning rate, or Adam's second decay rate to 0.95", "steps follow a gradient that has grown"),
    )
    return [Finding("loss-spike", layers, evidence, ("remedies.clip",), remedies)]


def _spike_above(curve: Curve, k: int) -> float | None:
    """The mean loss before interval k where the interval's largest loss is a spike, else None."""
    here, before = curve.intervals[k], curve.intervals[max(k - 5, 1) : k]
    mean = before[-1].mean
    excess = max(max(i.largest for i in before) - mean, 0.0)
    deviation = max(max(i.deviation for i in before), curve.scatter)
    bound = max(SPIKE_EXCESS * excess, SPIKE_DEVIATIONS * deviation, SPIKE_SIZE * abs(curve.start))
    return mean if here.largest - mean > bound else None


def plateau(curve: Curve, slowed: bool) -> list[Finding]:
    """The loss fell and stands still over the second half, well above 0: a floor of the data, or a learning rate to change."""
    if len(curve.intervals) < 2 * INTERVALS or not curve.fell or curve.rose or slowed:
        return []
    half = len(curve.means) // 2
    third, fourth = np.mean(curve.means[half : half + half // 2]), np.mean(curve.means[half + half // 2 :])
    still = abs(third - fourth) < min(FLAT * (curve.start - curve.late), 2 * curve.scatter)
    if not still or abs(curve.late) < DONE * abs(curve.start):
        return []
    evidence = f"the loss fell from {curve.start:.4g} and has stood at {curve.late:.4g} since step {curve.intervals[half].step}"
    remedies = (
        Remedy("lower the learning rate, by a cosine or a step", "falls further where steps are too large to settle"),
        Remedy(
            "compare with the loss of a larger model", "falls further where this one is too small; else it is the data's floor"
        ),
    )
    return [Finding("loss-plateau", (), evidence, (), remedies, hint=True, source=CURVES)]
