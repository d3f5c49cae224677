"""What one program gave, as plain data: what the rates are counted from, and what an interrupted run goes on with."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.diagnosis.measurement import Outcome, Reading
from experiments.diagnosis.remedies import Tried
from jaxnotes.command import files


class Said(NamedTuple):
    """What was said at one moment; see `measurement.Reading`."""

    kinds: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    error: str = ""


@dataclasses.dataclass(frozen=True)
class Record:
    """A program, built and trained from one seed.

    Attributes:
      family: of programs.
      design, form, expected, twin: see `program.Program`; `expected` are its kinds, () for a healthy program.
      seed: its number.
      start, trained: what was said at initialisation and after training.
      score: of the task after training; NaN where the program does not run.
      learnt: the score at which its task counts as learnt.
      tried: the remedies.
    """

    family: str
    design: str
    form: str
    expected: tuple[str, ...]
    twin: str
    seed: int
    start: Said
    trained: Said
    score: float
    learnt: float
    tried: tuple[Tried, ...] = ()

    @property
    def program(self) -> str:
        """Its name."""
        return f"{self.design}/{self.form}"

    @property
    def kinds(self) -> set[str]:
        """All kinds found at either moment."""
        return {*self.start.kinds, *self.trained.kinds}

    @property
    def hints(self) -> set[str]:
        """All kinds hinted at at either moment."""
        return {*self.start.hints, *self.trained.hints}

    @property
    def crashed(self) -> bool:
        """Whether a reading ended in an error that stands for no kind."""
        return any(said.error and not said.kinds for said in (self.start, self.trained))

    def detected(self, moment: str | None = None) -> bool:
        """Whether anything was found at the moment, or at either."""
        return bool(getattr(self, moment).kinds if moment else self.kinds)

    def named(self, moment: str | None = None) -> bool:
        """Whether one of the expected kinds was."""
        return bool({*(getattr(self, moment).kinds if moment else self.kinds)} & {*self.expected})

    def hinted(self) -> bool:
        """Whether one of the expected kinds was found, be it as a hint."""
        return bool((self.kinds | self.hints) & {*self.expected})


def record(family: str, seed: int, outcome: Outcome, tried: Sequence[Tried]) -> Record:
    """Returns what is kept of an outcome."""
    program = outcome.program
    return Record(
        family,
        program.design,
        program.form,
        program.kinds,
        program.twin,
        seed,
        _said(outcome.start),
        _said(outcome.trained),
        outcome.score,
        program.task.learnt,
        tuple(tried),
    )


def _said(reading: Reading) -> Said:
    return Said(reading.kinds, reading.hints, reading.error)


class Journal:
    """Records in a file, a line each, under a first line that says what they are of; another first line empties it.

    Args:
      path: of the file.
      key: what the records depend on.
    """

    def __init__(self, path: Path, key: dict[str, Any]):
        self.path, first = path, json.dumps(key)
        lines = path.read_text().splitlines(keepends=True) if path.exists() else []
        whole = [line for line in lines if line.endswith("\n")]  # a killed run may leave half a line
        if not whole or whole[0].strip() != first:
            whole = [f"{first}\n"]
        files.write_text(path, "".join(whole))
        self.records = [_read(line) for line in whole[1:]]

    def add(self, entry: Record) -> None:
        """Appends a record."""
        self.records.append(entry)
        with self.path.open("a") as file:
            file.write(json.dumps(dataclasses.asdict(entry)) + "\n")

    def has(self, program: str, seed: int) -> bool:
        """Whether the program was measured with the seed."""
        return any(entry.program == program and entry.seed == seed for entry in self.records)


def _read(line: str) -> Record:
    values = json.loads(line)
    said = lambda moment: Said(*(_frozen(part) for part in values[moment]))
    tried = tuple(Tried(*(_frozen(part) for part in one)) for one in values["tried"])
    changes = {"expected": tuple(values["expected"]), "start": said("start"), "trained": said("trained"), "tried": tried}
    return Record(**values | changes)


def _frozen(part: Any) -> Any:
    return tuple(part) if isinstance(part, list) else part
