"""Which verdicts are the same in every set of seeds and under every arithmetic, from the committed summary of `stability`."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.study import reference
from experiments.study.results import Results
from experiments.study.rules import EXPERIMENTS
from experiments.study.topics import TOPICS
from jaxnotes.command import files

PATH = EXPERIMENTS / "stability.json"
ARITHMETIC = ("SSE4_2", "AVX2")

Summary = Mapping[str, Mapping[str, Any]]


class Agreement(NamedTuple):
    """A claim over all sets in which it was measured.

    Attributes:
      verdicts: by the name of the set; the first set is the reference.
      margin: the smallest of all sets, None where nothing in it is random.
    """

    verdicts: Mapping[str, str]
    margin: float | None

    @property
    def seeds(self) -> tuple[int, int]:
        """How many seed sets have the first one's verdict, and how many there are."""
        return self._same(False)

    @property
    def arithmetics(self) -> tuple[int, int]:
        """The same of instruction sets, of which the first seed set is one."""
        same, all = self._same(True)
        return same + 1, all + 1

    @property
    def unanimous(self) -> bool:
        """Whether every set has the same verdict."""
        return len(set(self.verdicts.values())) == 1

    def _same(self, arithmetic: bool) -> tuple[int, int]:
        first = next(iter(self.verdicts.values()))
        chosen = [verdict for name, verdict in self.verdicts.items() if name.endswith(ARITHMETIC) == arithmetic]
        return chosen.count(first), len(chosen)


def read(path: Path | None = None) -> dict[str, dict[str, Any]]:
    """Returns of each set, by name, of each topic: its code's fingerprint, the processor and its claims."""
    path = path or PATH
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def store(name: str, found: Sequence[Results], path: Path | None = None) -> None:
    """Writes the topics of one set into the summary."""
    summary = read(path)
    entry = summary.setdefault(name, {})
    for results in found:
        topic = results.run.topic
        claims = reference.summary(results)
        entry[topic] = {"code": reference.code(topic), "processor": reference.processor(), "claims": claims}
    ordered = {name: {topic: topics[topic] for topic in TOPICS if topic in topics} for name, topics in summary.items()}
    files.write_text(path or PATH, json.dumps(ordered, indent=1, ensure_ascii=False) + "\n")


def unanimous(summary: Summary, claims: Iterable[str]) -> int:
    """Returns how many of the claims have one verdict in all sets; one that a set lacks does not count."""
    found = [of_claim(summary, claim) for claim in claims]
    return sum(same is not None and len(same.verdicts) == len(summary) and same.unanimous for same in found)


def of_claim(summary: Summary, claim: str) -> Agreement | None:
    """Returns how the sets agree on a claim; None where none has it.

    A set counts where its question was measured by the first one's code: numbers of another sample are no repetition.
    """
    topic = claim.partition(".")[0]
    measured = {name: topics[topic] for name, topics in summary.items() if claim in topics.get(topic, {}).get("claims", {})}
    code = next((found["code"] for found in measured.values()), None)
    entries = {name: found["claims"][claim] for name, found in measured.items() if found["code"] == code}
    if not entries:
        return None
    margins = [entry["margin"] for entry in entries.values() if entry["margin"] is not None]
    return Agreement({name: entry["verdict"] for name, entry in entries.items()}, min(margins, default=None))
