"""What a question of the notes is made of, and how it is measured."""

import dataclasses
import zlib
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any

import jax
from absl import logging

from experiments.study.measurement import Evidence
from experiments.study.settings import Settings
from jaxnotes.datasets import MissingPackageError

Part = Callable[[Any, jax.Array], Mapping[str, Evidence]]


@dataclasses.dataclass(frozen=True)
class Topic:
    """A question of the notes.

    Attributes:
      name: the name of its folder and the first word of its claims' identifiers.
      settings: the class of its settings.
      parts: functions `(settings, key) -> {claim identifier: Evidence}`, which only compute; each claim is in one of them.
      optional: distributions that some parts read data from; without them those parts are left out.
      edition: of its seeds. It is raised when a rule, a setting or a sample is changed after seeds were looked at, so that it
        is measured on others.
    """

    name: str
    settings: type[Settings]
    parts: tuple[Part, ...]
    optional: tuple[str, ...] = ()
    edition: int = 3

    def key(self, seed: int) -> jax.Array:
        """Returns the topic's random key; topics and editions of one seed are independent.

        Philox (Salmon et al. 2011) compiles faster than JAX's default generator, and draws the same numbers under vmap as in a
        loop, on CPU, GPU and TPU.
        """
        return jax.random.fold_in(jax.random.key(seed, impl="philox4x32"), zlib.crc32(f"{self.name} {self.edition}".encode()))

    def measure(self, settings: Settings, key: jax.Array, on_part: Callable[[], None] = lambda: None) -> dict[str, Evidence]:
        """Measures part after part, each with a key of its own, and calls `on_part` after each.

        A part whose data are in a package that is not installed is left out, with a warning that names the package.
        """
        evidence: dict[str, Evidence] = {}
        for part, key_part in zip(self.parts, jax.random.split(key, len(self.parts)), strict=True):
            try:
                evidence |= part(settings, key_part)
            except MissingPackageError as error:
                logging.warning("left out %s: %s", part.__name__, error)
                continue
            on_part()
        return evidence

    def optional_versions(self) -> dict[str, str]:
        """Version of each optional distribution, or "not installed"."""
        return {name: _version(name) for name in self.optional}


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "not installed"
