"""The condition of a claim, or its counterexample, in a few words: what a table has room for."""

import re
from collections.abc import Mapping

from experiments.study.rules import Claim

_SENTENCE = re.compile(r"(?<=[a-z0-9)$])\.(?: |$)|。")
_PAUSE = re.compile("[:;] |[：；]")
_OPEN_BRACKET = re.compile(r"\s*[(（][^)）]*$")


def brief(claim: Claim, verdict: str, filled: Mapping[str, str], language: str) -> str:
    """Returns the first sentence of the condition or counterexample, or as much of it as comes before its numbers.

    Args:
      claim: the claim, whose texts have a field for each number.
      verdict: its verdict; for one without condition or counterexample the answer is empty.
      filled: the text of that verdict with its numbers, by language; used where a number stands in the first words.
      language: en or zh.
    """
    templates = {"holds-if": claim.condition, "fails": claim.counterexample}.get(verdict)
    if templates is None:
        return ""
    before, number, _ = _SENTENCE.split(templates[language])[0].partition("{")
    if number:
        before = _without_open_bracket(before)
    return before.strip() or _SENTENCE.split(filled[language])[0].partition(": ")[0].partition("：")[0]


def _without_open_bracket(text: str) -> str:
    """Returns what stands before a number, up to the last pause; a bracket that the number would have closed is left out."""
    whole = _OPEN_BRACKET.sub("", text)
    ends = [found.start() for found in _PAUSE.finditer(whole)]
    return whole[: ends[-1]] if ends else whole if whole != text else ""
