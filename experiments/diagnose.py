"""Diagnoses your own network, as `jaxnotes-diagnose` does, with the verdicts that were measured in --out_dir."""

from pathlib import Path

from experiments.study import results, rules
from experiments.study.mathematics import plain
from jaxnotes.command import diagnose


def notes(out_dir: Path) -> diagnose.Notes:
    """Returns the statements of all claims, and the verdicts of those that were measured in this folder."""
    measured = {name: judged for found in results.load_all(out_dir) for name, judged in found.claims.items()}
    return diagnose.Notes(
        statements={name: plain(claim.statement["en"]) for name, claim in rules.load_claims().items()},
        verdicts={name: judged.verdict for name, judged in measured.items()},
    )


if __name__ == "__main__":
    diagnose.run("python -m experiments.diagnose", notes)
