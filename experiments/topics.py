"""The topics of the notes, in the notes' order, and how one is measured."""

import importlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

import jax
from absl import logging

from experiments.measurement import Evidence, Part
from experiments.random_keys import ROUNDS, random_key
from jaxnotes.datasets import MissingPackageError

TOPICS = (
    "causes",
    "remedies",
    "residual",
    "normalization",
    "saturation",
    "norms",
    "dropout",
    "neurons",
    "pooling",
    "invariance",
    "embedding",
)


def load(topic: str) -> ModuleType:
    """A topic's module, which has SETTINGS (the class of its settings), PARTS and `measure(settings, key)`."""
    return importlib.import_module(f"experiments.{topic}")


def topic_key(topic: str, seed: int, rounds: int = ROUNDS) -> jax.Array:
    """The random key of a topic; topics of one seed are independent."""
    return jax.random.fold_in(random_key(seed, rounds), zlib.crc32(topic.encode()))


def measure_parts(parts: Sequence[Part], settings: Any, key: jax.Array, on_part: Callable[[Part], None]) -> dict[str, Evidence]:
    """Measures part after part, each with a key of its own, and tells `on_part` of each one done.

    A part whose data are in a package that is not installed is left out, with a warning that names the package.
    """
    evidence: dict[str, Evidence] = {}
    for part, part_key in zip(parts, jax.random.split(key, len(parts)), strict=True):
        try:
            measured: Mapping[str, Evidence] = part.function(settings, part_key)
        except MissingPackageError as error:
            logging.warning("left out %s: %s", part.function.__name__, error)
            continue
        evidence.update(measured)
        on_part(part)
    return evidence
