"""The roles that name a claim, in the page's language.

`` {claim}`causes.product` `` is the claim's statement with its verdict's badge, `` {said}`a phrase <causes.product>` ``
a phrase of the notes' answer, coloured by the verdict and leading to the claim.
"""

import re

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import ReferenceRole, SphinxRole

from experiments.study import rules
from experiments.study.results import Judged
from experiments.writeup.numbers import UnknownName, measured_number, typographic
from experiments.writeup.words import site_language, words

_SENTENCE = re.compile(r"(?<=[a-z0-9)])\.(?: |$)|。")
_PAUSE = re.compile("[:;] |[：；]")
_OPEN_BRACKET = re.compile(r"\s*[(（][^)）]*$")


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


def brief(judged: Judged, language: str) -> str:
    """Returns the condition, or the counterexample, in words: its first sentence, or as much as comes before its numbers."""
    templates = judged.claim.condition if judged.verdict == "holds-if" else judged.claim.counterexample
    if judged.verdict not in ("holds-if", "fails"):
        return ""
    template, filled = templates[language], judged.judgement.text[language]
    before, number, _ = _SENTENCE.split(template)[0].partition("{")
    if number:
        before = _without_open_bracket(before)
    return before.strip() or _SENTENCE.split(filled)[0].partition(": ")[0].partition("：")[0]


def _without_open_bracket(text: str) -> str:
    """Returns what stands before a number, up to the last pause; a bracket that the number would have closed is left out."""
    whole = _OPEN_BRACKET.sub("", text)
    ends = [found.start() for found in _PAUSE.finditer(whole)]
    return whole[: ends[-1]] if ends else whole if whole != text else ""


def said_link(environment: BuildEnvironment, judged: Judged, phrase: str | None = None) -> nodes.inline:
    """Returns a phrase, or else the claim's statement, coloured by the verdict and leading to the claim."""
    text = phrase or judged.claim.statement[site_language(environment.config)]
    target = {"reftype": "ref", "reftarget": judged.claim.identifier, "refdoc": environment.docname, "refexplicit": True}
    link = addnodes.pending_xref("", measured_number("", text), refdomain="std", refwarn=True, **target)
    return nodes.inline("", "", link, classes=["said", judged.verdict])


def quoted(label: str, text: str) -> nodes.paragraph:
    """Returns a condition or counterexample behind its label; its numbers were filled in from the measurements."""
    return nodes.paragraph("", "", nodes.strong("", label), measured_number("", typographic(text)), classes=["quoted"])


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
            return [measured_number("", self.title)], []
        try:
            return [said_link(self.env, judged_claim(self.env.app, self.target), self.title)], []
        except UnknownName as error:
            return [], [self.inliner.reporter.error(str(error), line=self.lineno)]


def setup(app: Sphinx) -> None:
    app.add_role("claim", _Claim())
    app.add_role("said", _Said())
