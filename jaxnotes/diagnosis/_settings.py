"""`settings`: what a project ignores, and its thresholds, out of the `[tool.jaxnotes]` of its pyproject.toml."""

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from jaxnotes.diagnosis._finding import KINDS
from jaxnotes.diagnosis._names import known
from jaxnotes.diagnosis._thresholds import thresholds_of

TABLE = ("ignore", "thresholds")


@dataclasses.dataclass(frozen=True)
class Settings:
    """How to judge a report.

    Attributes:
      ignore: kinds of finding to leave out.
      thresholds: numbers in place of the standard ones, by the names of `Thresholds`.
    """

    ignore: tuple[str, ...] = ()
    thresholds: Mapping[str, float] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        known("kind of finding", self.ignore, KINDS)
        thresholds_of(self.thresholds)

    def overridden(self, ignore: Iterable[str] | None, thresholds: Mapping[str, float] | None) -> "Settings":
        """Returns these with others before them: of kinds to ignore all, where given, of thresholds each by itself."""
        return Settings(self.ignore if ignore is None else tuple(ignore), {**self.thresholds, **(thresholds or {})})


def settings(folder: str | Path = ".") -> Settings:
    """Returns a project's settings, of the nearest pyproject.toml with a table `[tool.jaxnotes]` in a folder or above it.

    The table has `ignore`, a list of kinds, and `thresholds`, a table of numbers. What the table does not say is as standard.
    Give them to `explain` as `explain(report, ignore=found.ignore, thresholds=found.thresholds)`; the command and the pytest
    fixture `assert_healthy` do so by themselves.

    Raises:
      ValueError: a file that is no TOML, an unknown name or a wrong value; the message is one line that names the file.
    """
    start = Path(folder).resolve()
    for place in (start, *start.parents):
        path = place / "pyproject.toml"
        if path.is_file() and (table := _table(path)) is not None:
            try:
                return _settings(table)
            except ValueError as error:
                raise ValueError(f"{path}: [tool.jaxnotes]: {error}") from error
    return Settings()


def _table(path: Path) -> object:
    """The file's table of ours; None where it has none."""
    try:
        tool = tomllib.loads(path.read_text(encoding="utf-8")).get("tool", {})
    except ValueError as error:  # no TOML, or no UTF-8
        raise ValueError(f"{path} cannot be read: {error}") from error
    return tool.get("jaxnotes") if isinstance(tool, dict) else None


def _settings(table: object) -> Settings:
    if not isinstance(table, dict):
        raise ValueError(f"it is {table!r}, expected a table")
    known("setting", table, TABLE)
    ignore, thresholds = table.get("ignore", []), table.get("thresholds", {})
    if not isinstance(ignore, list) or not all(isinstance(kind, str) for kind in ignore):
        raise ValueError(f"ignore is {ignore!r}, expected a list of kinds")
    if not isinstance(thresholds, dict):
        raise ValueError(f"thresholds is {thresholds!r}, expected a table of numbers")
    return Settings(tuple(ignore), thresholds)
