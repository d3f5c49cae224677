"""The results' format: `results/TOPIC.json` with numbers and verdicts, `results/TOPIC.npz` with the figures' arrays."""

import dataclasses
import hashlib
import io
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments.study import rules
from experiments.study.formatting import format_measurement
from experiments.study.mathematics import plain
from experiments.study.measurement import Evidence, Fit, Measurement, Search
from experiments.study.topics import TOPICS
from jaxnotes.command import files

SCHEMA = 2
FIGURE_FORMATS = {"quick": ("svg", "png"), "paper": ("svg", "pdf", "png")}


@dataclasses.dataclass(frozen=True)
class Run:
    """How a topic was measured.

    Attributes:
      topic, seed, scale: of the run.
      command: what was typed.
      settings: the topic's settings as a dictionary.
      versions: of Python and the packages that results depend on.
      device: what computed.
      seconds: what measuring took.
      key: fingerprint of all that the results depend on.
    """

    topic: str
    command: str
    seed: int
    scale: str
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    device: str
    seconds: float
    key: str


class Judged(NamedTuple):
    """A claim, what was measured for it, and the verdict that follows."""

    claim: rules.Claim
    evidence: Evidence
    judgement: rules.Judgement

    @property
    def verdict(self) -> str:
        """One of `rules.VERDICTS`."""
        return self.judgement.verdict

    @property
    def deciding(self) -> Measurement:
        """The measurement on which the verdict rests most narrowly."""
        return self.evidence[self.judgement.measurement]

    def agreement(self, report: rules.Published) -> str:
        """Whether a measurement agrees with what a paper reports: `met`, `not met` or `undecided`."""
        return rules.decide(report.criterion, {measurement.name: measurement for measurement in self.evidence.measurements})


class Results(NamedTuple):
    """A topic's results: how it was measured, and each claim, judged once, in the notes' order."""

    run: Run
    claims: Mapping[str, Judged]


def judged(run: Run, evidence: Mapping[str, Evidence]) -> Results:
    """Returns results with the verdicts of today's rules.

    Raises:
      ValueError: a rule names a measurement or setting that is not there.
    """
    claims = rules.load_claims(run.topic)
    found = {
        name: Judged(claim, evidence[name], rules.judge(claim, evidence[name], run.settings))
        for name, claim in claims.items()
        if name in evidence
    }
    return Results(run, found)


def save(out_dir: Path, results: Results) -> None:
    """Writes the two files so that at each moment a complete pair is there, of these results or of earlier ones.

    The JSON names the arrays it goes with, which wait under another name until it is written.
    """
    topic, arrays = results.run.topic, _pack(results.claims)
    document = {
        "schema": SCHEMA,
        **dataclasses.asdict(results.run),
        "arrays_sha256": _digest(arrays),
        "claims": {name: _entry(claim, results.run.scale) for name, claim in results.claims.items()},
    }
    files.write_bytes(_path(out_dir, topic, "new.npz"), arrays)
    files.write_text(_path(out_dir, topic, "json"), _text(document | {"sha256": _digest(_text(document).encode())}))
    os.replace(_path(out_dir, topic, "new.npz"), _path(out_dir, topic, "npz"))


def exist(out_dir: Path, topic: str) -> bool:
    """Whether a topic's results are there, readable or not."""
    return _path(out_dir, topic, "json").is_file()


def load(out_dir: Path, topic: str) -> Results | None:
    """Returns a topic's results, judged by today's rules.

    None where there are none, where a file is damaged, or where they are of code that measured other things than today's rules
    read.
    """
    document = _document(_path(out_dir, topic, "json"))
    if document.get("schema") != SCHEMA:
        return None
    candidates = (_content(_path(out_dir, topic, suffix)) for suffix in ("npz", "new.npz"))
    arrays = next((found for found in candidates if _digest(found) == document["arrays_sha256"]), None)
    if arrays is None:
        return None
    by_claim: dict[str, dict[str, np.ndarray]] = {claim: {} for claim in document["claims"]}
    with np.load(io.BytesIO(arrays)) as stored:
        for name in stored.files:
            claim, _, array = name.partition("/")
            by_claim[claim][array] = stored[name]
    evidence = {name: _evidence(entry, by_claim[name]) for name, entry in document["claims"].items()}
    run = Run(**{field.name: document[field.name] for field in dataclasses.fields(Run)})
    try:
        return judged(run, evidence)
    except ValueError:
        return None


def load_all(out_dir: Path) -> list[Results]:
    """Returns the results of all topics that have any, in the notes' order."""
    return [found for topic in TOPICS if (found := load(out_dir, topic)) is not None]


def figure_files(claim: str, scale: str) -> list[str]:
    """Returns the file names of a claim's figure in `figures/`; a quick run draws nothing for print."""
    return [f"{claim.replace('.', '-')}.{suffix}" for suffix in FIGURE_FORMATS[scale]]


def decided_by(judged: Judged) -> str:
    """Returns the deciding measurement in words: its name, value with interval, and unit."""
    measurement = judged.deciding
    return f"{measurement.name}: {format_measurement(measurement)} {measurement.unit}".strip()


def explained(judged: Judged) -> str:
    """Returns what decides, and in English the condition, the counterexample or which training is not convincing."""
    if judged.verdict == "undecided" and judged.evidence.unconvincing:
        return f"{decided_by(judged)}. Neither fits nor is on a plateau: {', '.join(judged.evidence.unconvincing)}"
    label = {"holds-if": "Condition: ", "fails": "Counterexample: "}.get(judged.verdict, "")
    text = plain(judged.judgement.text.get("en", ""))
    return f"{decided_by(judged)}. {label}{text}" if text else decided_by(judged)


def _entry(judged: Judged, scale: str) -> dict[str, Any]:
    claim, evidence, judgement = judged
    text = {"holds-if": "condition", "fails": "counterexample"}.get(judgement.verdict)
    said = {language: plain(words) for language, words in judgement.text.items()}
    texts = {kind: said if kind == text else {} for kind in ("condition", "counterexample")}
    return {
        "verdict": judgement.verdict,
        "condition": texts["condition"].get("en"),
        "condition_zh": texts["condition"].get("zh"),
        "counterexample": texts["counterexample"].get("en"),
        "counterexample_zh": texts["counterexample"].get("zh"),
        "rule": claim.rule,
        "outcomes": dict(judgement.outcomes),
        "deciding": judgement.deciding,
        "margin": None if math.isinf(judgement.margin) else judgement.margin,
        "measurements": [dataclasses.asdict(measurement) for measurement in evidence.measurements],
        "searches": {name: dataclasses.asdict(_finite(search)) for name, search in evidence.searches.items()},
        "fits": {name: dataclasses.asdict(fit) for name, fit in evidence.fits.items()},
        "published": [report._asdict() for report in claim.published],
        "history": [change._asdict() for change in claim.history],
        "figures": figure_files(claim.identifier, scale),
    }


def _finite(search: Search) -> Search:
    """Returns the search with None, which JSON has, for -inf, which it has not."""
    scores = tuple(tuple(None if math.isinf(score) else score for score in row) for row in search.scores)
    return dataclasses.replace(search, scores=scores)


def _evidence(entry: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> Evidence:
    searches = {}
    for name, stored in entry["searches"].items():
        scores = tuple(tuple(-math.inf if score is None else score for score in row) for row in stored["scores"])
        searches[name] = Search(**{**stored, "rates": tuple(stored["rates"]), "scores": scores})
    measurements = tuple(Measurement(**measurement) for measurement in entry["measurements"])
    fits = {name: Fit(**stored) for name, stored in entry.get("fits", {}).items()}
    return Evidence(measurements, arrays, searches, fits)


def _document(path: Path) -> dict[str, Any]:
    """Returns what is stored; empty where it is not what was written. Until November 2026 no digest was stored."""
    try:
        document = json.loads(_content(path))
        stored = document.pop("sha256", None)
    except (ValueError, AttributeError):
        return {}
    return document if stored in (None, _digest(_text(document).encode())) else {}


def _content(path: Path) -> bytes:
    """Returns the file's bytes; none where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError:
        return b""


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _pack(claims: Mapping[str, Judged]) -> bytes:
    arrays = {f"{claim}/{name}": np.asarray(a) for claim, found in claims.items() for name, a in found.evidence.arrays.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _path(out_dir: Path, topic: str, suffix: str) -> Path:
    return Path(out_dir) / "results" / f"{topic}.{suffix}"
