"""Diagnoses your own network, as `jaxnotes-diagnose` does, with the verdicts that were measured in --out_dir."""

from pathlib import Path

from experiments import results, rules, topics
from jaxnotes.command import diagnose


def notes(out_dir: Path) -> diagnose.Notes:
    """The statements of all claims, and the verdicts of those that were measured in this folder."""
    claims = rules.load_claims()
    measured = [found for topic in topics.TOPICS if (found := results.load(out_dir, topic)) is not None]
    evidence = {claim: entry for found in measured for claim, entry in found.claims.items()}
    return diagnose.Notes(
        statements={claim: entry.statement["en"] for claim, entry in claims.items()},
        verdicts={claim: rules.judge(claims[claim], entry.measurements).verdict for claim, entry in evidence.items()},
    )


if __name__ == "__main__":
    diagnose.run("python -m experiments.diagnose", notes)
