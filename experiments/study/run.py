"""One topic from settings to files: measure, judge, save, draw; and the numbers of all topics."""

import dataclasses
import hashlib
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from experiments.study import figures, fingerprint, paper_numbers, results, rules
from experiments.study.settings import Settings
from experiments.study.topic import Topic
from jaxnotes.command import files


def measure_topic(
    topic: Topic,
    settings: Settings,
    *,
    seed: int,
    scale: str,
    command: str,
    out_dir: Path,
    on_part: Callable[[], None] = lambda: None,
) -> results.Results:
    """Measures a topic, judges it and saves its results, whole; earlier ones stay until then.

    Raises:
      ValueError: the topic did not measure exactly the claims that its `claims.toml` has; without an optional data package it
        may leave some out.
    """
    expected = set(rules.load_claims(topic.name))  # before: a rule that does not parse must not cost what was measured
    key = fingerprint.of_run(topic, settings, seed)  # before: the code may change meanwhile
    start = time.monotonic()
    evidence = topic.measure(settings, topic.key(seed), on_part)
    incomplete = "not installed" in topic.optional_versions().values()
    if not (evidence.keys() == expected or (evidence.keys() < expected and incomplete)):
        raise ValueError(f"topic {topic.name!r} measured {sorted(evidence)}; its claims.toml has {sorted(expected)}")
    run = results.Run(
        topic=topic.name,
        command=command,
        seed=seed,
        scale=scale,
        settings=dataclasses.asdict(settings),
        versions=fingerprint.versions() | topic.optional_versions(),
        device=fingerprint.device(),
        seconds=round(time.monotonic() - start, 3),
        key=key,
    )
    measured = results.judged(run, evidence)
    results.save(out_dir, measured)
    return measured


def draw(out_dir: Path, measured: results.Results) -> None:
    """Draws a topic's figures unless they are there as today's code draws these results; a stamp beside them says so."""
    topic = measured.run.topic
    folder = Path(out_dir) / "figures"
    stamp, wanted = folder / f".{topic}", f"{fingerprint.of_code(f'experiments.{topic}.figures')} {_digest(measured)}\n"
    names = [name for claim in measured.claims for name in results.figure_files(claim, measured.run.scale)]
    drawn = stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted
    if not drawn or not all((folder / name).is_file() for name in names):
        figures.draw_topic(out_dir, measured)
        files.write_text(stamp, wanted)


def write_numbers(out_dir: Path) -> None:
    """Writes numbers and tables of all topics whose results are there."""
    paper_numbers.write(out_dir, results.load_all(out_dir))


def _digest(measured: results.Results) -> str:
    """Returns a fingerprint of what figures are drawn from."""
    digest = hashlib.sha256(measured.run.scale.encode())
    for name, judged in measured.claims.items():
        digest.update(f"{name} {judged.evidence.measurements}".encode())
        for array, values in sorted(judged.evidence.arrays.items()):
            digest.update(f"{array} {values.shape} {values.dtype}".encode() + np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()
