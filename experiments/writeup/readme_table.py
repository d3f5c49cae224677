"""Writes the verdicts' totals and the table of all claims into README.md, from the committed reference and stability runs."""

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.study import agreement, reference, rules
from experiments.study.mathematics import plain
from experiments.writeup import conditions
from jaxnotes.command import files, start

README = Path(__file__).resolve().parent.parent.parent / "README.md"
LABELS = {"holds-if": "Condition", "fails": "Counterexample"}  # as `results.explained` writes them
SAID = {
    "holds": "hold as stated",
    "holds-if": "only under a condition that the notes leave out",
    "fails": "fail",
    "undecided": "are open",
}


def totals(claims: Mapping[str, rules.Claim], stored: Mapping[str, Any]) -> str:
    """Returns one line: how many of the claims have which verdict in the reference; one that it lacks is not counted."""
    entries = (stored["topics"].get(claim.topic, {}).get("claims", {}).get(name) for name, claim in claims.items())
    counts = Counter(entry["verdict"] for entry in entries if entry is not None)
    said = ", ".join(f"{counts[verdict]} {words}" for verdict, words in SAID.items() if counts[verdict])
    return f"**Of {counts.total()} sentences {said}.**"


def table(claims: Mapping[str, rules.Claim], stored: Mapping[str, Any], summary: agreement.Summary) -> str:
    """Returns the line that says how many verdicts are the same in every set, and a row per claim, as Markdown.

    Args:
      claims: in the notes' order.
      stored: the reference.
      summary: the sets that were measured.

    A claim that the reference lacks is shown without a verdict.
    """
    rows = []
    for name, claim in claims.items():
        statement = plain(claim.statement["en"])
        found = stored["topics"].get(claim.topic, {}).get("claims", {}).get(name)
        if found is None:
            rows.append(f"| `{name}` {statement} | – | | not yet measured by today's rule |")
            continue
        same = agreement.of_claim(summary, name)
        sets = "" if same is None else f"{list(same.verdicts.values()).count(found['verdict'])} of {len(same.verdicts)}"
        deciding, text = _parts(found["explained"])
        condition = plain(conditions.brief(claim, found["verdict"], {"en": text}, "en"))
        words = f"{statement} *{LABELS[found['verdict']]}: {condition}.*" if condition else statement
        rows.append(f"| `{name}` {words} | {found['verdict']} | {sets} | {deciding} |")
    head = ["| claim | verdict | in sets | decided by [95% interval] |", "| --- | --- | --- | --- |"]
    rate = f"The chance that sampling made any of these verdicts wrong is at most {reference.error_rate(stored):.2g}."
    return "\n".join([badge(summary, list(claims)), rate, "", *head, *rows])


def _parts(explained: str) -> tuple[str, str]:
    """Returns what decides, and the condition or counterexample with its numbers, of how the reference explains a verdict."""
    for label in LABELS.values():
        deciding, found, text = explained.partition(f". {label}: ")
        if found:
            return deciding.replace("|", r"\|"), text
    return explained.replace("|", r"\|"), ""


def badge(summary: agreement.Summary, claims: list[str]) -> str:
    """Returns one line: how many claims have one verdict in every set of seeds and under every arithmetic."""
    unanimous = agreement.unanimous(summary, claims)
    if len(summary) < 2:
        return f"**{unanimous} of {len(claims)} claims are measured by today's rules, on one set of seeds so far.**"
    if unanimous == len(claims):
        return f"**{len(claims)} claims, the same verdict in every seed set and instruction set** ({', '.join(summary)})."
    return (
        f"**{unanimous} of {len(claims)} claims have the same verdict in every set** ({', '.join(summary) or 'none measured'})."
    )


def replaced(text: str, mark: str, content: str) -> str:
    """Returns the README's text with the content between the two comments of a mark."""
    between = re.compile(rf"(<!-- {mark}\b[^\n]*\n).*?(<!-- /{mark} -->)", re.DOTALL)
    return between.sub(lambda found: f"{found[1]}{content}\n{found[2]}", text)


def main(argv) -> None:
    del argv
    claims, stored = rules.load_claims(), reference.read()
    text = replaced(README.read_text(encoding="utf-8"), "totals", totals(claims, stored))
    files.write_text(README, replaced(text, "verdicts", table(claims, stored, agreement.read())))


if __name__ == "__main__":
    start.start(main, usage=__doc__)
