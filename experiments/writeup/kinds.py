"""The directives `kind` and `kinds`: what the library knows of a kind of finding, as `--explain` prints it, and a list of them.

The text is that of the library's own files; `writeup` makes a page for each kind, and the page's catalogue holds the Chinese.
"""

import json
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from experiments.study.rules import EXPERIMENTS
from experiments.writeup.claims import badge, said_link, statement
from experiments.writeup.numbers import filled, measured_number
from experiments.writeup.words import KINDS, site_language
from jaxnotes import diagnosis

FOLDER = "kinds"  # of the pages
RATES = EXPERIMENTS / "diagnosis" / "rates.json"


class _Kind(SphinxDirective):
    """All that is known of a kind of finding, section by section."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        described, label = diagnosis.describe(self.arguments[0]), KINDS[site_language(self.config)]
        found = [*self.parse_text_to_nodes(described.what), *self._rates(described.kind, label)]
        changes = nodes.literal_block("", described.diff, language="diff")
        sections: dict[str, list[nodes.Node]] = {
            "example": [nodes.literal_block("", described.example, language="python"), _marked(label["repair"]), changes],
            "why": self.parse_text_to_nodes(described.why),
            "fix": self.parse_text_to_nodes(described.fix),
            "limits": [*self.parse_text_to_nodes(described.limits), *_thresholds(described, label)],
            "behind": [*self._claims(described), *self.parse_text_to_nodes(described.sources)],
        }
        for name, content in sections.items():
            title = nodes.title("", label[name], translatable=False)
            found.append(nodes.section("", title, *content, ids=[f"{described.kind}-{name}"]))
        return found

    def _claims(self, described: diagnosis.Description) -> list[nodes.Node]:
        """Returns the claims behind it with their verdicts; one whose question was not measured by its words alone."""
        app, items = self.env.app, []
        for identifier in described.claims:
            results = app.jaxnotes_results.get(identifier.partition(".")[0])
            judged = results.claims.get(identifier) if results else None
            known = statement(app.jaxnotes_claims[identifier], self.config)
            shown = [said_link(self.env, judged), nodes.Text(" "), badge(judged.verdict, self.config)] if judged else [known]
            items.append(nodes.list_item("", nodes.paragraph("", "", *shown)))
        return [nodes.bullet_list("", *items)] if items else []

    def _rates(self, kind: str, label: dict[str, str]) -> list[nodes.Node]:
        if not RATES.is_file():
            return []
        self.env.note_dependency(str(RATES))
        said = rates(kind, json.loads(RATES.read_text(encoding="utf-8")), label)
        return [nodes.paragraph("", "", filled(said), translatable=False)] if said else []


def rates(kind: str, measured: dict[str, Any], label: dict[str, str]) -> str:
    """Returns how often a kind was named where it should be, and where it should not; empty for one of runs alone.

    Args:
      kind: of finding.
      measured: what `experiments.diagnosis.rates` wrote.
      label: the words of a language.
    """
    faults = measured["faults by kind"].get(kind)
    if faults is None:
        return ""
    named, healthy = faults["named"], measured["healthy"]["alarm"]["of"]
    share, low, high = (f"{value:.0%}" for value in (named["hits"] / named["of"], named["low"], named["high"]))
    counts = {"hits": named["hits"], "of": named["of"], "share": share, "low": low, "high": high}
    return label["rates"].format(**counts, alarms=measured["alarms by kind"].get(kind, 0), healthy=healthy)


def _marked(text: str) -> nodes.paragraph:
    return nodes.paragraph("", "", nodes.Text(text))


def _thresholds(described: diagnosis.Description, label: dict[str, str]) -> list[nodes.Node]:
    if not described.thresholds:
        return []
    lines = "\n".join(f"{name} = {value:g}" for name, value in described.thresholds.items())
    return [_marked(label["thresholds"]), nodes.literal_block("", lines, language="toml")]


class kinds(nodes.General, nodes.Element):  # noqa: N801, docutils names its nodes so
    """Stands where the list of a group's kinds will."""


class _Kinds(SphinxDirective):
    """The kinds of one group, each a link with the first paragraph of its page, in the page's language."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        if self.arguments[0] not in {diagnosis.describe(kind).group for kind in diagnosis.KINDS}:
            raise self.error(f"no kind of finding is in the group {self.arguments[0]!r}")
        return [kinds(group=self.arguments[0])]


def _fill(app: Sphinx, doctree: nodes.document, docname: str) -> None:
    for place in list(doctree.findall(kinds)):
        items = [_item(app, kind, docname) for kind in diagnosis.KINDS if diagnosis.describe(kind).group == place["group"]]
        place.replace_self(nodes.bullet_list("", *items))


def _item(app: Sphinx, kind: str, docname: str) -> nodes.list_item:
    page = f"{FOLDER}/{kind}"
    what = next(app.env.get_doctree(page).findall(nodes.paragraph))
    address = app.builder.get_relative_uri(docname, page)
    link = nodes.reference("", "", nodes.literal("", kind), refuri=address, internal=True)
    return nodes.list_item("", nodes.paragraph("", "", link, nodes.Text(" "), measured_number("", what.astext())))


def setup(app: Sphinx) -> None:
    app.add_node(kinds)
    app.add_directive("kind", _Kind)
    app.add_directive("kinds", _Kinds)
    app.connect("doctree-resolved", _fill, priority=400)  # before the check of digits
