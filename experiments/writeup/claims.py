"""The roles that name a claim, in the page's language.

`` {claim}`causes.product` `` is the claim's statement with its verdict's badge, `` {said}`a phrase <causes.product>` ``
a phrase of the notes' answer, coloured by the verdict and leading to the claim.
"""

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import ReferenceRole, SphinxRole

from experiments.study import rules
from experiments.study.results import Judged
from experiments.writeup.numbers import UnknownName, filled, measured_number
from experiments.writeup.words import site_language, words


def judged_claim(app: Sphinx, identifier: str) -> Judged:
    """Returns a claim with its evidence and verdict.

    Raises:
      UnknownName: no such claim, or none in the results.
    """
    results = app.jaxnotes_results.get(identifier.partition(".")[0])
    if results is None or identifier not in results.claims:
        raise UnknownName(f"the page asks for the claim {identifier!r}, which the results do not have")
    return results.claims[identifier]


def statement(claim: rules.Claim, config) -> measured_number:
    """Returns the claim's sentence; its digits are the notes'."""
    return filled(claim.statement[site_language(config)], classes=["claim"])


def badge(verdict: str, config) -> nodes.inline:
    """Returns the verdict as a coloured word."""
    return nodes.inline("", words(config)[verdict], classes=["badge", verdict])


def said_link(environment: BuildEnvironment, judged: Judged, phrase: str | None = None) -> nodes.inline:
    """Returns a phrase, or else the claim's statement, coloured by the verdict and leading to the claim."""
    text = phrase or judged.claim.statement[site_language(environment.config)]
    target = {"reftype": "ref", "reftarget": judged.claim.identifier, "refdoc": environment.docname, "refexplicit": True}
    link = addnodes.pending_xref("", filled(text), refdomain="std", refwarn=True, **target)
    return nodes.inline("", "", link, classes=["said", judged.verdict])


def quoted(label: str, text: str) -> nodes.paragraph:
    """Returns a condition or counterexample behind its label; its numbers were filled in from the measurements."""
    return nodes.paragraph("", "", nodes.strong("", label), filled(text), classes=["quoted"])


class _Claim(SphinxRole):
    def run(self):
        if not self.config.jaxnotes_out_dir:
            return [measured_number("", self.text)], []
        try:
            judged = judged_claim(self.env.app, self.text)
        except UnknownName as error:
            return [], [self.inliner.reporter.error(str(error), line=self.lineno)]
        return [statement(judged.claim, self.config), nodes.Text(" "), badge(judged.verdict, self.config)], []


class _Said(ReferenceRole):
    """A phrase and the claim behind it, as `phrase <claim>`."""

    def run(self):
        if not self.config.jaxnotes_out_dir:
            return [filled(self.title)], []
        try:
            return [said_link(self.env, judged_claim(self.env.app, self.target), self.title)], []
        except UnknownName as error:
            return [], [self.inliner.reporter.error(str(error), line=self.lineno)]


def setup(app: Sphinx) -> None:
    app.add_role("claim", _Claim())
    app.add_role("said", _Said())
