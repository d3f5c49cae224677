"""What the front page shows beside its table: the moving picture, the verdicts' totals, why to believe them, the questions."""

import json
from collections import Counter
from collections.abc import Iterable

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from experiments.study import agreement, reference, rules
from experiments.study.formatting import format_number
from experiments.study.results import Judged
from experiments.writeup.claims import badge
from experiments.writeup.numbers import filled, measured_number
from experiments.writeup.words import PROFILE, TRUST, site_language, words


class profile(nodes.General, nodes.Element):  # noqa: N801, docutils names its nodes so
    """The gradient's profile over depth, computed in the page; `language` is that of its words."""


class bar(nodes.General, nodes.Element):  # noqa: N801
    """How many claims have which verdict, as a bar; `counts` by verdict."""


class _Profile(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        return [profile(language=site_language(self.config))]


class _Totals(SphinxDirective):
    """A bar of the verdicts of all claims with their counts in words."""

    def run(self) -> list[nodes.Node]:
        if not self.config.jaxnotes_out_dir:
            return []
        counts = count(_judged(self.env.app))
        said: list[nodes.Node] = []
        for verdict, number in counts.items():
            said += [measured_number("", f"{number} "), badge(verdict, self.config), nodes.Text(" ")]
        return [bar(counts=counts), nodes.paragraph("", "", *said, classes=["totals"])]


class _Trust(SphinxDirective):
    """Three lines on why to believe a verdict, their numbers from rules, stability runs and published numbers."""

    def run(self) -> list[nodes.Node]:
        if not self.config.jaxnotes_out_dir:
            return []
        app = self.env.app
        lines = trust(list(_judged(app)), app.jaxnotes_agreement, reference.read(), TRUST[site_language(self.config)])
        return [nodes.bullet_list("", *(_item(title, text) for title, text in lines), classes=["trust"])]


class _Questions(SphinxDirective):
    """A card per question: its page and a bar of its verdicts."""

    def run(self) -> list[nodes.Node]:
        cards = []
        for topic, measured in self.env.app.jaxnotes_results.items():
            link = addnodes.pending_xref(
                "", nodes.inline("", topic), refdomain="std", reftype="doc", reftarget=f"/{topic}", refexplicit=False,
                refdoc=self.env.docname, refwarn=True,
            )  # fmt: skip
            counts = count(measured.claims.values())
            cards.append(nodes.list_item("", nodes.paragraph("", "", link), bar(counts=counts)))
        return [nodes.bullet_list("", *cards, classes=["cards"])] if cards else []


def count(found: Iterable[Judged]) -> dict[str, int]:
    """Returns how many claims have each verdict, in the verdicts' order; one that none has is left out."""
    counts = Counter(judged.verdict for judged in found)
    return {verdict: counts[verdict] for verdict in rules.VERDICTS if counts[verdict]}


def trust(
    found: list[Judged], summary: agreement.Summary, stored: dict, texts: dict[str, tuple[str, str] | str]
) -> list[tuple[str, str]]:
    """Returns three titles with their lines: rules before results, agreement over seeds and arithmetic, published numbers.

    Args:
      found: the claims.
      summary: what the stability runs found.
      stored: the reference.
      texts: titles and lines by name, with fields for the numbers.
    """
    criteria = sum(len(list_) for judged in found for list_ in judged.claim.criteria.values())
    changes = sum(len(judged.claim.history) for judged in found)
    arithmetics = sum(name.endswith(agreement.ARITHMETIC) for name in summary)
    agreeing = [judged.agreement(report) == "met" for judged in found for report in judged.claim.published]
    fields = {
        "criteria": criteria,
        "changes": changes,
        "seeds": len(summary) - arithmetics,
        "arithmetics": arithmetics + 1,  # the first seed set's own is one
        "same": agreement.unanimous(summary, [judged.claim.identifier for judged in found]),
        "claims": len(found),
        "rate": format_number(reference.error_rate(stored), 2),
        "published": len(agreeing),
        "agreeing": sum(agreeing),
    }
    names = ("rules", "agreement" if len(summary) > 1 else "one-set", "published")
    return [(title, line.format(**fields)) for title, line in (texts[name] for name in names)]


def _judged(app: Sphinx) -> Iterable[Judged]:
    return (judged for measured in app.jaxnotes_results.values() for judged in measured.claims.values())


def _item(title: str, text: str) -> nodes.list_item:
    return nodes.list_item("", nodes.paragraph("", "", nodes.strong("", title), nodes.Text(" "), filled(text)))


def _visit_bar(translator, node: bar) -> None:
    label = words(translator.config)
    parts = "".join(f'<span class="{verdict}" style="flex:{number}"></span>' for verdict, number in node["counts"].items())
    said = ", ".join(f"{label[verdict]}: {number}" for verdict, number in node["counts"].items())
    translator.body.append(f'<div class="verdicts" role="img" aria-label="{said}" title="{said}">{parts}</div>\n')
    raise nodes.SkipNode


def _visit_profile(translator, node: profile) -> None:
    """Controls and a place for the curves, hidden until the script fills them; without scripts the still picture shows."""
    texts = PROFILE[node["language"]]
    choices = lambda kind: "".join(f'<option value="{name}">{text}</option>' for name, text in texts[kind].items())
    data = json.dumps(texts, ensure_ascii=False).replace("<", "\\u003c")
    translator.body.append(
        f'<figure class="profile"><figcaption>{texts["title"]}</figcaption>'
        f'<svg viewBox="0 0 640 296" role="img" aria-label="{texts["title"]}" font-size="13" hidden></svg>'
        f"<output></output>"
        f'<form hidden><label>{texts["activation"]} <select name="activation">{choices("activations")}</select></label>'
        f'<label>{texts["shortcut"]} <select name="shortcut">{choices("shortcuts")}</select></label>'
        f'<label>{texts["weights"]} <span data-shows="weights"></span>'
        f'<input name="weights" type="range" min="0.2" max="4" step="0.05" value="1"></label>'
        f'<label>{texts["depth"]} <span data-shows="depth"></span>'
        f'<input name="depth" type="range" min="2" max="200" step="1" value="50"></label>'
        f'<button type="button">{texts["play"]}</button></form>'
        f'<script type="application/json" class="profile-texts">{data}</script>'
        f'<noscript><img src="_static/profile.svg" width="720" height="300" alt="{texts["title"]}"></noscript>'
        f'<script src="_static/profile.js" defer></script></figure>\n'
    )
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    silent = (lambda self, node: None, lambda self, node: None)
    app.add_node(profile, html=(_visit_profile, None), text=silent)
    app.add_node(bar, html=(_visit_bar, None), text=silent)
    for name, directive in (("profile", _Profile), ("totals", _Totals), ("trust", _Trust), ("questions", _Questions)):
        app.add_directive(name, directive)
