"""The directive `peers`: published rates of tools with the same purpose, beside ours."""

import json
import tomllib
from pathlib import Path
from typing import NamedTuple

from docutils import nodes
from scipy import stats
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from experiments.writeup.evidence import table
from experiments.writeup.kinds import RATES
from experiments.writeup.numbers import filled, measured_number
from experiments.writeup.words import PEERS, site_language

STORED = Path(__file__).with_name("peers.toml")
ON_FAULTY = {
    "en": "{} faulty programs, most after the ideas of these tools' sets, at the start and after training",
    "zh": "{} 个有错程序，多数取自这些工具所用程序集的思路，在训练开始与训练之后",
}
ON_HEALTHY = {
    "en": "{} healthy programs, at the start and after training",
    "zh": "{} 个无错程序，在训练开始与训练之后",
}


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
    entries = tomllib.loads(STORED.read_text(encoding="utf-8"))["rate"]
    return tuple(_rate(entry) for entry in entries)


def _rate(entry: dict) -> Published:
    share = entry["hits"] / entry["of"] if "hits" in entry else entry["percent"] / 100
    on = {"en": entry["on"], "zh": entry["on_zh"]}
    same = (entry["tool"], entry["paper"], entry["what"], share, entry.get("hits"), entry.get("of"))
    return Published(*same, on, entry["by"], entry["counted"])


def ours(path: Path = RATES) -> tuple[Published, ...]:
    """Returns this project's rates, of its authors on their own programs, from the committed file; () without it."""
    if not path.is_file():
        return ()
    found = json.loads(path.read_text(encoding="utf-8"))
    measured = {
        "detected": (found["faults"]["detected"], ON_FAULTY),
        "named": (found["faults"]["named"], ON_FAULTY),
        "alarm": (found["healthy"]["alarm"], ON_HEALTHY),
    }
    rates = []
    for what, (counted, on) in measured.items():
        hits, of = counted["hits"], counted["of"]
        said = {language: text.format(of) for language, text in on.items()}
        rates.append(Published("jaxnotes", found["date"], what, hits / max(of, 1), hits, of, said, "authors", "files"))
    return tuple(rates)


class Peers(SphinxDirective):
    """All rates in one table, ours first."""

    def run(self) -> list[nodes.Node]:
        for path in (STORED, RATES):
            self.env.note_dependency(str(path))
        language = site_language(self.config)
        label = PEERS[language]
        rows = [
            [filled(text) for text in (rate.tool, label[rate.what], _share(rate), rate.on[language])]
            + [measured_number("", f"{label[rate.by]}{label['comma']}{rate.paper}")]
            for rate in (*ours(), *published())
        ]
        titles = [label[name] for name in ("tool", "rate", "share", "on", "by")]
        return [nodes.container("", table(titles, rows), classes=["scroll", "peers"])]


def _share(rate: Published) -> str:
    """Returns the share, with counts and their 95% interval by Clopper and Pearson (1934) where there are counts."""
    if rate.hits is None or rate.of is None:
        return f"{rate.share:.0%}"
    low, high = stats.binomtest(rate.hits, rate.of).proportion_ci()
    return f"{rate.share:.0%} [{100 * low:.0f}, {100 * high:.0f}], {rate.hits}/{rate.of}"


def setup(app: Sphinx) -> None:
    app.add_directive("peers", Peers)
