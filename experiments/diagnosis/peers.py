"""Published rates of tools with the same purpose, as data for a table beside ours."""

import tomllib
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent


class Published(NamedTuple):
    """A rate that was published for a tool.

    Attributes:
      tool: its name.
      paper: where the rate stands, or whose result files it was counted from.
      what: "detected" (share of faulty programs with any finding), "named" (with the right one), "located" (at
        the right layer), "alarm" (share of programs without a fault that have a finding).
      share: between 0 and 1.
      hits, of: the counts; None where only a percentage is published.
      on: what it was measured on, by language.
      by: "authors" of the tool, "peers" in whose result files it stands, or "independent".
      counted: "paper" where the paper states it, "files" where it was counted from published result files.
    """

    tool: str
    paper: str
    what: str
    share: float
    hits: int | None
    of: int | None
    on: dict[str, str]
    by: str
    counted: str


def published() -> tuple[Published, ...]:
    """Returns all rates of peers.toml, in its order."""
    entries = tomllib.loads((HERE / "peers.toml").read_text(encoding="utf-8"))["rate"]
    return tuple(_rate(entry) for entry in entries)


def _rate(entry: dict) -> Published:
    share = entry["hits"] / entry["of"] if "hits" in entry else entry["percent"] / 100
    on = {"en": entry["on"], "zh": entry["on_zh"]}
    same = (entry["tool"], entry["paper"], entry["what"], share, entry.get("hits"), entry.get("of"))
    return Published(*same, on, entry["by"], entry["counted"])
