"""One topic from settings to files: measure, judge, save, draw; and the numbers of all topics."""

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from experiments import figures, fingerprint, paper_numbers, results, rules, topics
from jaxnotes import datasets


def measure_topic(
    topic: str, settings: Any, *, seed: int, scale: str, command: str, out_dir: Path, on_part: Callable = lambda part: None
) -> results.Results:
    """Measures a topic and saves its results, whole; earlier ones stay until then.

    Raises:
      ValueError: the topic did not measure exactly the claims that `claims.toml` has for it; without an optional data package
        it may leave some out.
    """
    module = topics.load(topic)
    key = fingerprint.of_run(module.__name__, dataclasses.asdict(settings), seed)  # before: the code may change meanwhile
    start = time.monotonic()
    claims = module.measure(settings, topics.topic_key(topic, seed, settings.random_rounds), on_part)
    expected = {claim for claim, entry in rules.load_claims().items() if entry.topic == topic}
    complete = claims.keys() == expected or (claims.keys() < expected and datasets.missing_packages())
    if not complete:
        raise ValueError(f"topic {topic!r} measured {sorted(claims)}; claims.toml has {sorted(expected)}")
    header = {
        "topic": topic,
        "command": command,
        "seed": seed,
        "scale": scale,
        "settings": dataclasses.asdict(settings),
        "versions": fingerprint.versions(),
        "device": fingerprint.device(),
        "seconds": round(time.monotonic() - start, 3),
        "key": key,
    }
    measured = results.Results(header, claims)
    results.save(out_dir, measured)
    return measured


def keep(out_dir: Path, measured: results.Results) -> None:
    """Judges kept measurements again and draws what today's code draws differently."""
    results.save(out_dir, measured)  # the rules may have changed though the measurements have not
    draw(out_dir, measured)


def draw(out_dir: Path, measured: results.Results) -> None:
    """Draws a topic's figures unless they are there as today's code draws them."""
    drawn = fingerprint.of_code(f"experiments.figures.{measured.header['topic']}")
    if measured.header.get("drawn") != drawn or not figures.all_drawn(out_dir, measured):
        figures.draw_topic(out_dir, measured)
        results.save(out_dir, measured._replace(header={**measured.header, "drawn": drawn}))


def write_numbers(out_dir: Path) -> None:
    """Writes numbers and tables of all topics whose results are there."""
    paper_numbers.write(out_dir, [found for topic in topics.TOPICS if (found := results.load(out_dir, topic)) is not None])
