"""The directive `overview`: all claims in one table that filters by topic and verdict and sorts by any column."""

import math

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from experiments.study.formatting import format_measurement, format_number
from experiments.study.results import Judged
from experiments.writeup.claims import badge, statement
from experiments.writeup.evidence import table
from experiments.writeup.numbers import measured_number, typographic
from experiments.writeup.words import site_language, words


class _Overview(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        app, label = self.env.app, words(self.config)
        if not self.config.jaxnotes_out_dir:
            return []
        rows = []
        for topic, measured in app.jaxnotes_results.items():
            rows += [self._row(judged, topic) for judged in measured.claims.values()]
        titles = [label[name] for name in ("claim", "topic", "verdict", "decided", "effect")]
        return [nodes.container("", table(titles, rows, classes=("overview",)), classes=["scroll"])]

    def _row(self, judged: Judged, topic: str) -> list[nodes.Node]:
        label, claim, distance = words(self.config), judged.claim, judged.judgement.margin
        sentence = nodes.inline("", "", statement(claim, self.config))
        link = self._reference(sentence, reftype="ref", reftarget=claim.identifier, refexplicit=True)
        page = self._reference(nodes.inline("", topic), reftype="doc", reftarget=f"/{topic}", refexplicit=False)
        shown = label["exact"] if math.isinf(distance) else format_number(distance, 2)
        said = nodes.inline("", "", *self._decided(judged))
        return [link, page, badge(judged.verdict, self.config), said, measured_number("", shown, classes=["value"])]

    def _reference(self, shown: nodes.inline, **target) -> addnodes.pending_xref:
        return addnodes.pending_xref("", shown, refdomain="std", refdoc=self.env.docname, refwarn=True, **target)

    def _decided(self, judged: Judged) -> list[nodes.Node]:
        """Returns the deciding measurement and the condition; units are words, in English only as on the topic's page."""
        measurement, of_language = judged.deciding, site_language(self.config)
        unit = measurement.unit if of_language == "en" else ""
        value = measured_number("", typographic(f" {format_measurement(measurement)} {unit}"))
        condition = typographic(judged.judgement.text.get(of_language, ""))
        return [nodes.literal("", measurement.name), value, measured_number("", f" {condition}", classes=["condition"])]


def setup(app: Sphinx) -> None:
    app.add_directive("overview", _Overview)
