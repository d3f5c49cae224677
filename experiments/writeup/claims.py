"""The role `` {claim}`causes.product` ``: the claim as the notes put it, in the page's language, with its verdict's badge."""

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxRole

from experiments.study import rules
from experiments.study.results import Judged
from experiments.writeup.numbers import UnknownName, measured_number, typographic
from experiments.writeup.words import site_language, words


def judged_claim(app: Sphinx, identifier: str) -> Judged:
    """Returns a claim with its evidence and verdict.

    Raises:
      UnknownName: no such claim, or none in the results.
    """
    measured = app.jaxnotes_results.get(identifier.partition(".")[0])
    if measured is None or identifier not in measured.claims:
        raise UnknownName(f"the page asks for the claim {identifier!r}, which the results do not have")
    return measured.claims[identifier]


def statement(claim: rules.Claim, config) -> measured_number:
    """Returns the claim's sentence; its digits are the notes'."""
    return measured_number("", claim.statement[site_language(config)], classes=["claim"])


def badge(verdict: str, config) -> nodes.inline:
    """Returns the verdict as a coloured word."""
    return nodes.inline("", words(config)[verdict], classes=["badge", verdict])


def quoted(label: str, text: str) -> nodes.paragraph:
    """Returns a condition or counterexample behind its label; its numbers were filled in from the measurements."""
    return nodes.paragraph("", "", nodes.strong("", label), nodes.Text(" "), measured_number("", typographic(text)))


class _Claim(SphinxRole):
    def run(self):
        if not self.config.jaxnotes_out_dir:
            return [measured_number("", self.text)], []
        try:
            judged = judged_claim(self.env.app, self.text)
        except UnknownName as error:
            return [], [self.inliner.reporter.error(str(error), line=self.lineno)]
        return [statement(judged.claim, self.config), nodes.Text(" "), badge(judged.verdict, self.config)], []


def setup(app: Sphinx) -> None:
    app.add_role("claim", _Claim())
