"""The directive `overview`: all claims in one table that filters by topic and verdict and sorts by any column."""

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from experiments.study.formatting import format_measurement
from experiments.study.results import Judged
from experiments.writeup.claims import badge, statement
from experiments.writeup.conditions import brief
from experiments.writeup.evidence import table
from experiments.writeup.numbers import filled
from experiments.writeup.words import site_language, words


class _Overview(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        app, label = self.env.app, words(self.config)
        if not self.config.jaxnotes_out_dir:
            return []
        rows = []
        for topic, measured in app.jaxnotes_results.items():
            rows += [self._row(judged, topic) for judged in measured.claims.values()]
        titles = [label[name] for name in ("claim", "topic", "verdict", "decided")]
        return [nodes.container("", table(titles, rows, classes=("overview",)), classes=["scroll"])]

    def _row(self, judged: Judged, topic: str) -> list[nodes.Node]:
        sentence = nodes.inline("", "", statement(judged.claim, self.config))
        link = self._reference(sentence, reftype="ref", reftarget=judged.claim.identifier, refexplicit=True)
        page = self._reference(nodes.inline("", topic), reftype="doc", reftarget=f"/{topic}", refexplicit=False)
        claim = nodes.inline("", "", link, *self._condition(judged))
        return [claim, page, badge(judged.verdict, self.config), nodes.inline("", "", *self._decided(judged))]

    def _condition(self, judged: Judged) -> list[nodes.Node]:
        """Returns under what the claim holds, or why it fails, in words; the numbers are on its page."""
        said = brief(judged.claim, judged.verdict, judged.judgement.text, site_language(self.config))
        if not said:
            return []
        label = words(self.config)["condition" if judged.verdict == "holds-if" else "counterexample"]
        return [filled(f"{label}{words(self.config)['colon']}{said}", classes=["condition"])]

    def _reference(self, shown: nodes.inline, **target) -> addnodes.pending_xref:
        return addnodes.pending_xref("", shown, refdomain="std", refdoc=self.env.docname, refwarn=True, **target)

    def _decided(self, judged: Judged) -> list[nodes.Node]:
        """Returns the deciding measurement; units are words, in English only as on the topic's page."""
        measurement = judged.deciding
        unit = measurement.unit if site_language(self.config) == "en" else ""
        value = filled(f" {format_measurement(measurement)} {unit}")
        return [nodes.literal("", measurement.name), value]


def setup(app: Sphinx) -> None:
    app.add_directive("overview", _Overview)
