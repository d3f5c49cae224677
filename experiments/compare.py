"""Compares the results of two runs: python -m experiments.compare OUT_A OUT_B, two folders that have results/.

Lists verdicts that differ, numbers that moved by more than their intervals, settings that differ, and what only one run has.
Both are judged by today's rules. A number moved where its two 95% intervals do not meet; of two equally wide intervals
of the same quantity on other seeds, that happens by chance to 1 in 180. An exact number moved where its four digits did.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rich.console import Console

from experiments.study import results
from experiments.study.formatting import format_measurement
from experiments.study.measurement import Measurement
from experiments.study.results import Results
from experiments.study.topics import TOPICS
from jaxnotes.command import start
from jaxnotes.command.errors import InputError

INDENT = "\n  "


class Differences(NamedTuple):
    """What is different in the second of two runs.

    Attributes:
      claims: number of claims that both have.
      numbers: number of measurements that both have.
      verdicts: a line per claim whose verdict differs.
      moved: a line per measurement that moved by more than its intervals.
      settings: a line per setting, seed, scale, version or device that differs.
      only: a line for what only one of them has.
    """

    claims: int
    numbers: int
    verdicts: tuple[str, ...]
    moved: tuple[str, ...]
    settings: tuple[str, ...]
    only: tuple[str, ...]

    def __str__(self) -> str:
        parts = {
            f"{len(self.verdicts)} of {self.claims} verdicts differ": self.verdicts,
            f"{len(self.moved)} of {self.numbers} numbers moved by more than their intervals": self.moved,
            "Settings that differ" if self.settings else "No setting differs": self.settings,
            "In one run only" if self.only else "Both runs have the same claims and numbers": self.only,
        }
        return "\n".join(INDENT.join([head + (":" if lines else ""), *lines]) for head, lines in parts.items())


def compare(first: Sequence[Results], second: Sequence[Results]) -> Differences:
    """Compares two runs topic by topic."""
    ours, theirs = ({found.run.topic: found for found in run} for run in (first, second))
    both = [(ours[topic], theirs[topic]) for topic in TOPICS if topic in ours and topic in theirs]
    claims = [(a.claims[name], b.claims[name]) for a, b in both for name in a.claims if name in b.claims]
    numbers = [pair for a, b in claims for pair in _numbers(a, b)]
    return Differences(
        claims=len(claims),
        numbers=len(numbers),
        verdicts=tuple(
            f"{a.claim.identifier}: {a.verdict} ({results.decided_by(a)}) → {b.verdict} ({results.decided_by(b)})"
            for a, b in claims
            if a.verdict != b.verdict
        ),
        moved=tuple(
            f"{name}: {format_measurement(a)} → {format_measurement(b)} {b.unit}".rstrip()
            for name, a, b in numbers
            if moved(a, b)
        ),
        settings=_settings(both),
        only=tuple(_only(first, second)),
    )


def moved(a: Measurement, b: Measurement) -> bool:
    """Whether the intervals of two measurements do not meet; of two exact ones, whether they are shown as different."""
    return (a.high < b.low or b.high < a.low) and format_measurement(a) != format_measurement(b)


def _numbers(a: results.Judged, b: results.Judged) -> list[tuple[str, Measurement, Measurement]]:
    theirs = {found.name: found for found in b.evidence.measurements}
    ours = a.evidence.measurements
    return [(f"{a.claim.identifier}/{m.name}", m, theirs[m.name]) for m in ours if m.name in theirs]


def _settings(both: Sequence[tuple[Results, Results]]) -> tuple[str, ...]:
    """Returns a line per difference, with the topics that have it."""
    topics: dict[str, list[str]] = {}
    for a, b in both:
        ours, theirs = _conditions(a.run), _conditions(b.run)
        for name in ours | theirs:
            if ours.get(name) != theirs.get(name):
                line = f"{name}: {_shown(ours.get(name))} → {_shown(theirs.get(name))}"
                topics.setdefault(line, []).append(a.run.topic)
        if ours == theirs and a.run.key != b.run.key:
            topics.setdefault("the code that measures", []).append(a.run.topic)
    everywhere = len(both) > 1
    where = lambda found: "all topics" if everywhere and len(found) == len(both) else ", ".join(found)
    return tuple(f"{line} ({where(found)})" for line, found in topics.items())


def _conditions(run: results.Run) -> dict[str, object]:
    """Returns all under which a topic was measured, by name."""
    versions = {f"version of {name}": version for name, version in run.versions.items()}
    return {"seed": run.seed, "scale": run.scale, **run.settings, "device": run.device, **versions}


def _shown(value: object) -> str:
    if value is None:
        return "none"
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _only(first: Sequence[Results], second: Sequence[Results]) -> Iterator[str]:
    """Says what only the first and what only the second run has: a topic, else a claim, else a number."""
    inside = [_names(run) for run in (first, second)]
    for which, ours, theirs in (("first", *inside), ("second", *reversed(inside))):
        for name in ours:
            if name not in theirs and _whole(name) not in ours.keys() - theirs.keys():
                yield f"{which}: {ours[name]} {name}"


def _names(run: Sequence[Results]) -> dict[str, str]:
    """Returns topics, claims and measurements by name with the word for what each is."""
    names = {}
    for found in run:
        names[found.run.topic] = "topic"
        for claim, judged in found.claims.items():
            names[claim] = "claim"
            names |= {f"{claim}/{measurement.name}": "number" for measurement in judged.evidence.measurements}
    return names


def _whole(name: str) -> str:
    """Returns what a claim or number is part of; of a topic, which is part of none, the empty name."""
    return name.rpartition("/")[0] or name.rpartition(".")[0]


def read(folder: Path) -> list[Results]:
    """Returns the results of all topics of a run.

    Raises:
      InputError: the folder has no results, or some that today's rules cannot judge.
    """
    stored = [path.stem for path in sorted((folder / "results").glob("*.json"))]
    if not stored:
        raise InputError(f"{folder} has no results: name the --out_dir of a run, a folder with results/TOPIC.json")
    found = results.load_all(folder)
    unread = sorted(set(stored) - {measured.run.topic for measured in found})
    if unread:
        raise InputError(
            f"{folder}/results: {', '.join(unread)} cannot be read: not whole, of another format, or without numbers "
            "that today's rules ask for; measure again, or take the file away"
        )
    return found


def main(argv: Sequence[str]) -> None:
    first, second = (read(Path(folder)) for folder in argv[1:])
    Console().print(str(compare(first, second)), soft_wrap=True, highlight=False, markup=False)


if __name__ == "__main__":
    start.start(main, usage=__doc__, arguments=("OUT_A", "OUT_B"))
