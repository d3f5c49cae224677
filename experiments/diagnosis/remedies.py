"""Whether a remedy helps: applied to a copy of the model, read again, and trained beside the model as it is."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jax import Array

from experiments.diagnosis.measurement import Made, Outcome, read, read_trained
from jaxnotes import diagnosis

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
    again, steps = (jax.random.fold_in(key, number) for number in (1, 3))
    found = _at("start", outcome, made, made.model, lambda: outcome.score, again, key)
    onwards = lambda: made.training(made.trained.model, steps).score
    return found + _at("trained", outcome, made, made.trained.model, onwards, steps, key)


def _at(
    moment: str, outcome: Outcome, made: Made, model: Any, score: Callable[[], float], steps: Array, key: Array
) -> list[Tried]:
    """Returns the remedies of one moment; `score` is what training on with the key `steps` reaches without them."""
    program, reading = outcome.program, getattr(outcome, moment)
    wanted = [(finding, remedy) for finding in reading.findings for remedy in finding.remedies if remedy.applicable]
    if not wanted:
        return []
    before, found = score(), []
    for finding, remedy in wanted:
        changed = diagnosis.applied(remedy, model)
        new = read(program, changed, key) if moment == "start" else read_trained(program, changed, key)
        after = made.training(changed, steps).score
        another = tuple(kind for kind in new.kinds if kind not in reading.kinds)
        gone = finding.kind not in new.kinds
        found.append(Tried(program.name, finding.kind, remedy.action, moment, before, after, gone, another))
    return found
