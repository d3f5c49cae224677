"""Whether a remedy helps: applied to a copy of the model, read again, and trained beside the model as it is."""

import math
from typing import Any, NamedTuple

import jax
from jax import Array

from experiments.diagnosis.measurement import Made, Outcome, Reading, read
from jaxnotes import diagnosis
from jaxnotes.diagnosis import Finding, Remedy

WORTH = 0.02  # of the task's score, a hundredth and a half of its range: below it training is no other


class Tried(NamedTuple):
    """A remedy and what it made.

    Attributes:
      program: its name.
      kind: of the finding.
      action: of the remedy.
      moment: "start" or "trained".
      before, after: the task's score after training on for 200 steps, without it and with it.
      gone: whether the finding is no longer there once the remedy is applied.
      another: kinds found then that were not found before.
    """

    program: str
    kind: str
    action: str
    moment: str
    before: float
    after: float
    gone: bool
    another: tuple[str, ...]

    @property
    def helps(self) -> bool:
        """Whether the score is better by more than chance would have it; a run that is not finite scores worst."""
        return _finite(self.after) > _finite(self.before) + WORTH

    @property
    def harms(self) -> bool:
        """Whether it is worse by as much."""
        return _finite(self.after) < _finite(self.before) - WORTH


def _finite(score: float) -> float:
    return score if math.isfinite(score) else -1e9


def tried(outcome: Outcome, made: Made, key: Array) -> list[Tried]:
    """Returns every applicable remedy of every finding of a program, tried where the finding was made."""
    if made.training is None or made.trained is None:
        return []
    steps = jax.random.fold_in(key, 3)
    found = _at(outcome, made.model, "start", outcome.start, made, jax.random.fold_in(key, 1), outcome.score, key)
    if any(remedy.applicable for finding in outcome.trained.findings for remedy in finding.remedies):
        onwards = made.training(made.trained.model, steps).score
        found += _at(outcome, made.trained.model, "trained", outcome.trained, made, steps, onwards, key)
    return found


def _at(
    outcome: Outcome, model: Any, moment: str, reading: Reading, made: Made, steps: Array, before: float, key: Array
) -> list[Tried]:
    train = False if outcome.program.inference and moment == "trained" else None
    found = []
    for finding in reading.findings:
        for remedy in finding.remedies:
            if remedy.applicable:
                found.append(_one(outcome, model, moment, reading, finding, remedy, made, steps, before, key, train))
    return found


def _one(
    outcome: Outcome,
    model: Any,
    moment: str,
    reading: Reading,
    finding: Finding,
    remedy: Remedy,
    made: Made,
    steps: Array,
    before: float,
    key: Array,
    train: bool | None,
) -> Tried:
    changed = diagnosis.applied(remedy, model)
    again = read(outcome.program, changed, key, train)
    assert made.training is not None
    after = made.training(changed, steps).score
    another = tuple(kind for kind in again.kinds if kind not in reading.kinds)
    gone = finding.kind not in again.kinds
    return Tried(outcome.program.name, finding.kind, remedy.action, moment, before, after, gone, another)
