"""The reference: the committed verdicts and numbers of a run at scale paper, and how a run's own compare with them."""

import json
import math
import platform
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from experiments.study import fingerprint, rules
from experiments.study.formatting import format_measurement
from experiments.study.measurement import Measurement
from experiments.study.results import Judged, Results, explained
from jaxnotes.command import files

PATH = rules.EXPERIMENTS / "reference.json"
_LIST = re.compile(r"\[[^\[\]]*\]")


class Comparison(NamedTuple):
    """How the verdicts of a run compare with the reference's.

    Attributes:
      agree: number of claims with the reference's verdict.
      claims: number of claims in the run that the reference has.
      lines: a line per claim that differs, with both verdicts, intervals and margins.
    """

    agree: int
    claims: int
    lines: tuple[str, ...]

    def __str__(self) -> str:
        if not self.claims:
            return "The reference has none of these claims."
        return "\n".join([f"{self.agree} of {self.claims} verdicts as in the reference", *self.lines])


def read(path: Path | None = None) -> dict[str, Any]:
    """Returns what `write` wrote; without topics where there is no such file."""
    path = path or PATH
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"topics": {}}


def write(found: Sequence[Results], path: Path | None = None) -> None:
    """Writes the reference, whole: topics that are not among those found stay as they were."""
    topics = read(path)["topics"] | {results.run.topic: _entry(results) for results in found}
    files.write_text(path or PATH, _one_line_each({"topics": topics}) + "\n")


def compare(found: Sequence[Results], reference: Mapping[str, Any]) -> Comparison:
    """Compares verdicts; claims that the reference lacks are left out.

    At another scale than the reference's, a claim that is undecided here is counted but not listed: fewer seeds decide less.
    """
    agree, claims, lines = 0, 0, []
    for results in found:
        stored = reference["topics"].get(results.run.topic, {"claims": {}, "scale": ""})
        for name, judged in results.claims.items():
            theirs = stored["claims"].get(name)
            if theirs is None:
                continue
            claims += 1
            agree += judged.verdict == theirs["verdict"]
            smaller = results.run.scale != stored["scale"] and judged.verdict == "undecided"
            if judged.verdict != theirs["verdict"] and not smaller:
                lines.append(_difference(name, judged, theirs))
    return Comparison(agree, claims, tuple(lines))


def error_rate(reference: Mapping[str, Any]) -> float:
    """Returns a bound on the chance that sampling made any verdict of the reference wrong; see `rules.error_rate`."""
    deciding = []
    for topic in reference["topics"].values():
        for claim in topic["claims"].values():
            name = rules.parse(claim["deciding"])["name"]
            deciding.append(Measurement(name, *claim["measurements"][name]))
    return rules.error_rate(deciding)


def summary(results: Results) -> dict[str, Any]:
    """Returns each claim's verdict, deciding criterion and margin."""
    return {
        name: {
            "verdict": judged.verdict,
            "deciding": judged.judgement.deciding,
            "margin": None if math.isinf(judged.judgement.margin) else round(judged.judgement.margin, 3),
        }
        for name, judged in results.claims.items()
    }


def code(topic: str) -> str:
    """Returns the fingerprint of a topic's measurement, without settings, seed, versions and device.

    The library is left out: its own tests hold its values, and a clearer error in a layer does not void hours of measurement.
    """
    return fingerprint.of_code(f"experiments.{topic}.measurement", ("experiments",))


def processor() -> str:
    """Returns the name of the processor, as its maker calls it where the system tells."""
    information = Path("/proc/cpuinfo")
    if information.is_file():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _entry(results: Results) -> dict[str, Any]:
    run = results.run
    claims = summary(results)
    for name, judged in results.claims.items():
        claims[name]["explained"] = explained(judged)
        claims[name]["measurements"] = {m.name: [m.value, m.low, m.high, m.n, m.unit] for m in judged.evidence.measurements}
    return {
        "seed": run.seed,
        "scale": run.scale,
        "versions": dict(run.versions),
        "device": run.device,
        "processor": processor(),
        "code": code(run.topic),
        "claims": claims,
    }


def _difference(name: str, judged: Judged, theirs: Mapping[str, Any]) -> str:
    measurement = judged.deciding
    stored = theirs["measurements"].get(measurement.name)
    there = "not measured" if stored is None else format_measurement(Measurement(measurement.name, *stored))
    margin = math.inf if theirs["margin"] is None else theirs["margin"]
    return (
        f"{name}: {judged.verdict} by {judged.judgement.deciding!r}, margin {judged.judgement.margin:.1f}; reference: "
        f"{theirs['verdict']} by {theirs['deciding']!r}, margin {margin:.1f}; "
        f"{measurement.name} is {format_measurement(measurement)} here and {there} there"
    )


def _one_line_each(document: Mapping[str, Any]) -> str:
    """Returns JSON with a line per measurement, so that a difference between two references can be read."""
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    return _LIST.sub(lambda found: " ".join(found[0].split()), text)
