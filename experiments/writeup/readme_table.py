"""Writes the table of all claims and verdicts into README.md, from the committed reference and stability runs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.study import agreement, reference, rules
from experiments.study.mathematics import plain
from experiments.writeup import conditions
from jaxnotes.command import files, start

README = Path(__file__).resolve().parent.parent.parent / "README.md"
LABELS = {"holds-if": "Condition", "fails": "Counterexample"}  # as `results.explained` writes them
START, END = "<!-- verdicts", "<!-- /verdicts -->"


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


def replaced(text: str, table: str) -> str:
    """Returns the README's text with the table between its two marks."""
    before, _, rest = text.partition(START)
    mark, _, rest = rest.partition("\n")
    _, _, after = rest.partition(END)
    return f"{before}{START}{mark}\n{table}\n{END}{after}"


def main(argv) -> None:
    del argv
    text = README.read_text(encoding="utf-8")
    files.write_text(README, replaced(text, table(rules.load_claims(), reference.read(), agreement.read())))


if __name__ == "__main__":
    start.start(main, usage=__doc__)
