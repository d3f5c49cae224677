"""`describe`: what the library knows of a kind of finding, out of the files in `kinds/`, the one place where it is written."""

import dataclasses
import difflib
import tomllib
from functools import lru_cache
from pathlib import Path

from jaxnotes.diagnosis._finding import KINDS
from jaxnotes.diagnosis._names import known
from jaxnotes.diagnosis._thresholds import thresholds_of_kind

FOLDER = Path(__file__).with_name("kinds")
# What all examples begin and end with.
START = """\
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from jaxnotes import diagnosis, probe

key = jax.random.key(0)
inputs, labels = jax.random.normal(key, (64, 32)), jnp.arange(64) % 10
"""
END = "print(diagnosis.explain(report))\n"


@dataclasses.dataclass(frozen=True)
class Description:
    """What a kind of finding is.

    Attributes:
      kind: one of KINDS.
      group: what it is about, the name of the file in `kinds/` that holds it.
      what: what is found.
      example: a program with the fault; run as it is, it prints a finding of this kind.
      repair: (what to replace, by what), pairs that take the fault out of the example.
      why: the theory.
      fix: what to do, in the order in which to try it.
      limits: what the checks cannot see, and where they may be wrong.
      claims: identifiers of the claims in the notes behind it.
      sources: what it rests on beside them, in words.
    """

    kind: str
    group: str
    what: str
    example: str
    repair: tuple[tuple[str, str], ...]
    why: str
    fix: str
    limits: str
    claims: tuple[str, ...] = ()
    sources: str = ""

    @property
    def thresholds(self) -> dict[str, float]:
        """The thresholds of this kind by name, with their standard values."""
        return thresholds_of_kind(self.kind)

    @property
    def repaired(self) -> str:
        """The example without the fault."""
        text = self.example
        for old, new in self.repair:
            text = text.replace(old, new)
        return text

    @property
    def diff(self) -> str:
        """The lines of the example that its repair takes out and puts in, marked - and +."""
        lines = difflib.ndiff(self.example.splitlines(), self.repaired.splitlines())
        return "\n".join(line for line in lines if line[0] in "+-") + "\n"


def describe(kind: str) -> Description:
    """Returns what is known of a kind of finding; `jaxnotes-diagnose --explain=KIND` prints it.

    Raises:
      ValueError: there is no such kind; the message has the near ones.
    """
    known("kind of finding", (kind,), KINDS)
    return _descriptions()[kind]


@lru_cache(maxsize=1)
def _descriptions() -> dict[str, Description]:
    """All kinds, each from the file that has a table of its name."""
    tables = {path.stem: tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.toml"))}
    return {kind: _description(kind, group, entry) for group, table in tables.items() for kind, entry in table.items()}


def _description(kind: str, group: str, entry: dict) -> Description:
    texts = {name: " ".join(entry.pop(name, "").split()) for name in ("what", "why", "fix", "limits", "sources")}
    repair = tuple((old, new) for old, new in entry.pop("repair"))
    claims = tuple(entry.pop("claims", ()))
    return Description(kind, group, example=START + entry.pop("example") + END, repair=repair, claims=claims, **texts, **entry)
