"""What the diagnosis says of a program at the start and after training."""

import dataclasses
import traceback
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax import Array

import jaxnotes
from experiments.diagnosis.program import Program
from experiments.diagnosis.tasks import Task
from experiments.diagnosis.training import Trained, Training
from jaxnotes import diagnosis, probe

MOMENTS = ("start", "trained")
LIBRARY = Path(jaxnotes.__file__).parent
# What a refusal in one clear line speaks of, and the kind that it stands for.
REFUSALS = {"label": "labels", "shape": "shapes"}


class Reading(NamedTuple):
    """What is said at one moment.

    Attributes:
      kinds: of the findings, or of what `probe.read` refuses in one line of its own.
      hints: of the findings that are hints.
      error: of a crash; "" without one.
      findings: as `diagnosis.explain` returned them.
      report: that they are of.
    """

    kinds: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    error: str = ""
    findings: Any = ()
    report: Any = None


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A program, built and trained from one seed.

    Attributes:
      start, trained: readings.
      score: of the task after training; NaN where the program does not run.
    """

    program: Program
    start: Reading
    trained: Reading
    score: float


class Made(NamedTuple):
    """A program's model before and after training, with what trains it; the latter are None where it does not run."""

    model: Any
    training: Training | None
    trained: Trained | None


def measured(program: Program, key: Array) -> tuple[Outcome, Made]:
    """Builds a program, reads it, trains it and reads it again."""
    made = make(program, key)
    first = read(program, made.model, key)
    if made.trained is None:
        return Outcome(program, first, Reading(), float("nan")), made
    second = read_trained(program, made.trained.model, key)
    return Outcome(program, first, second, made.trained.score), made


def make(program: Program, key: Array) -> Made:
    """Builds and trains a program; one that a framework refuses to run is left untrained."""
    model = program.model(jax.random.fold_in(key, 0))
    training = Training(program, model)
    try:
        return Made(model, training, training(model, jax.random.fold_in(key, 1)))
    except Exception:  # each framework has its own
        if not {*program.kinds} & {*REFUSALS.values(), "dropout"}:
            raise
    return Made(model, None, None)


def read_trained(program: Program, model: Any, key: Array) -> Reading:
    """Returns what the diagnosis says of a trained model, in the mode and on the data that it then meets."""
    return read(program, model, key, False if program.inference else None, program.later)


def read(program: Program, model: Any, key: Array, train: bool | None = None, task: Task | None = None) -> Reading:
    """Returns what the diagnosis says of a model of the program, on a batch of its own."""
    batch = (task or program.task).batch(jax.random.fold_in(key, 2))
    options = {"key": key} if program.random else {}
    try:
        report = probe.read(
            model,
            batch,
            program.loss,
            train=train,
            jacobian=False,
            optimizer=program.optimizer,
            clip_norm=program.clip_norm,
            **options,
        )
    except Exception as error:  # a crash is a result
        return _refused(error)
    found = diagnosis.explain(report)
    kinds, hints = (tuple(dict.fromkeys(f.kind for f in found if f.hint is hint)) for hint in (False, True))
    return Reading(kinds, hints, "", found, report)


def _refused(error: Exception) -> Reading:
    """A refusal of the library's own is a finding of its kind, an error out of the depths a crash."""
    said = f"{type(error).__name__}: {' '.join(str(error).split())[:160]}"
    where = traceback.extract_tb(error.__traceback__)[-1].filename
    if isinstance(error, ValueError | TypeError) and Path(where).is_relative_to(LIBRARY):
        return Reading(kinds=tuple(kind for word, kind in REFUSALS.items() if word in str(error)), error=said)
    return Reading(error=said)
