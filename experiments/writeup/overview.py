"""The directive `overview`: all claims in one table that filters by topic and verdict and sorts by any column."""

import math

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from experiments import rules
from experiments.formatting import format_number
from experiments.measurement import Measurement
from experiments.writeup.claims import badge, judgement, statement
from experiments.writeup.evidence import table
from experiments.writeup.numbers import measured_number
from experiments.writeup.words import words


def margin(claim: rules.Claim, judged: rules.Judgement, measurements: tuple[Measurement, ...]) -> float:
    """How far the verdict is from changing: the smallest distance of a deciding interval's centre to its bound.

    In half-widths of the interval, so that below 1 is undecided; infinite where nothing that decides is random. The deciding
    criteria are those of the list that was met, or, of a claim that fails, those not met: the largest of these counts.
    """
    by_name = {m.name: m for m in measurements}
    if judged.verdict == "fails":
        missed = [c for c in (claim.holds_if or claim.holds) if judged.outcomes[c] != "met"]
        return max(rules.margin(criterion, by_name) for criterion in missed)
    met = claim.holds if judged.verdict == "holds" else claim.holds_if
    return min(rules.margin(criterion, by_name) for criterion in met)


class _Overview(SphinxDirective):
    def run(self) -> list[nodes.Node]:
        app, label = self.env.app, words(self.config)
        if not self.config.jaxnotes_out_dir:
            return []
        rows = []
        for topic, measured in app.jaxnotes_results.items():
            for identifier, evidence in measured.claims.items():
                claim, judged = judgement(app, identifier)
                rows.append(self._row(claim, judged, margin(claim, judged, evidence.measurements), topic))
        titles = [label[name] for name in ("claim", "topic", "verdict", "effect")]
        return [nodes.container("", table(titles, rows, classes=("overview",)), classes=["scroll"])]

    def _row(self, claim: rules.Claim, judged: rules.Judgement, distance: float, topic: str) -> list[nodes.Node]:
        label = words(self.config)
        link = addnodes.pending_xref(
            "",
            nodes.inline("", "", statement(claim, self.config)),
            refdomain="std",
            reftype="ref",
            reftarget=claim.identifier,
            refexplicit=True,
            refdoc=self.env.docname,
            refwarn=True,
        )
        of_topic = addnodes.pending_xref(
            "",
            nodes.inline("", topic),
            refdomain="std",
            reftype="doc",
            reftarget=f"/{topic}",
            refexplicit=False,
            refdoc=self.env.docname,
            refwarn=True,
        )
        shown = label["exact"] if math.isinf(distance) else format_number(distance, 2)
        return [link, of_topic, badge(judged.verdict, self.config), measured_number("", shown, classes=["value"])]


def setup(app: Sphinx) -> None:
    app.add_directive("overview", _Overview)
