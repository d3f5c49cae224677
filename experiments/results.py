"""The results' format: `results/TOPIC.json` with numbers and verdicts, `results/TOPIC.npz` with the figures' arrays."""

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from experiments import files, rules
from experiments.measurement import Evidence, Measurement

SCHEMA = 1
FIGURE_FORMATS = ("svg", "pdf", "png")


class Results(NamedTuple):
    """A topic's results.

    Attributes:
      header: topic, command, seed, scale, settings, versions, device, seconds, key (fingerprint of what they depend on).
      claims: what was measured, by claim identifier.
    """

    header: Mapping[str, Any]
    claims: Mapping[str, Evidence]


def save(out_dir: Path, results: Results) -> None:
    """Judges every claim by its rule and writes the two files; the JSON comes last and names the arrays it goes with."""
    topic = results.header["topic"]
    claims = _in_order(results.claims)  # so that what is read and saved again is the same file
    arrays = _pack(claims)
    document = {
        "schema": SCHEMA,
        **results.header,
        "arrays_sha256": hashlib.sha256(arrays).hexdigest(),
        "claims": _judged(claims),
    }
    files.write_bytes(_path(out_dir, topic, "npz"), arrays)
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    files.write_text(_path(out_dir, topic, "json"), text + "\n")


def load(out_dir: Path, topic: str) -> Results | None:
    """Reads a topic's results; None where there are none, or where a run was cut off between the two files."""
    try:
        document = json.loads(_path(out_dir, topic, "json").read_text(encoding="utf-8"))
        arrays = _path(out_dir, topic, "npz").read_bytes()
    except (OSError, ValueError):
        return None
    if document.get("schema") != SCHEMA or document.get("arrays_sha256") != hashlib.sha256(arrays).hexdigest():
        return None
    with np.load(io.BytesIO(arrays)) as stored:
        by_claim = {claim: {} for claim in document["claims"]}
        for name in stored.files:
            claim, _, array = name.partition("/")
            by_claim[claim][array] = stored[name]
    claims = {
        claim: Evidence(tuple(Measurement(**m) for m in entry["measurements"]), by_claim[claim])
        for claim, entry in document["claims"].items()
    }
    header = {k: v for k, v in document.items() if k not in ("schema", "arrays_sha256", "claims")}
    return Results(header, _in_order(claims))


def _in_order(claims: Mapping[str, Evidence]) -> dict[str, Evidence]:
    """The claims as the notes have them, one after the other."""
    order = {claim: place for place, claim in enumerate(rules.load_claims())}
    return dict(sorted(claims.items(), key=lambda item: order.get(item[0], len(order))))


def figure_files(claim: str) -> list[str]:
    """File names of a claim's figure in `figures/`."""
    return [f"{claim.replace('.', '-')}.{suffix}" for suffix in FIGURE_FORMATS]


def _judged(claims: Mapping[str, Evidence]) -> dict[str, Any]:
    known = rules.load_claims()
    judged = {}
    for identifier, evidence in claims.items():
        verdict, condition, counterexample, outcomes = rules.judge(known[identifier], evidence.measurements)
        judged[identifier] = {
            "verdict": verdict,
            "condition": condition.get("en"),
            "condition_zh": condition.get("zh"),
            "counterexample": counterexample.get("en"),
            "counterexample_zh": counterexample.get("zh"),
            "rule": known[identifier].rule,
            "outcomes": outcomes,
            "measurements": [asdict(measurement) for measurement in evidence.measurements],
            "figures": figure_files(identifier),
        }
    return judged


def _pack(claims: Mapping[str, Evidence]) -> bytes:
    arrays = {f"{claim}/{name}": np.asarray(a) for claim, evidence in claims.items() for name, a in evidence.arrays.items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def _path(out_dir: Path, topic: str, suffix: str) -> Path:
    return Path(out_dir) / "results" / f"{topic}.{suffix}"
