"""Diagnoses your own network, as `jaxnotes-diagnose` does, with the verdicts that were measured in --out_dir."""

from pathlib import Path

from experiments.study import results, rules
from experiments.study.mathematics import plain
from jaxnotes.command import diagnose
from jaxnotes.diagnosis import KINDS


def notes(out_dir: Path) -> diagnose.Notes:
    """Returns the statements of all claims, the verdicts of those that were measured in this folder, and its site's pages."""
    measured = {name: judged for found in results.load_all(out_dir) for name, judged in found.claims.items()}
    return diagnose.Notes(
        statements={name: plain(claim.statement["en"]) for name, claim in rules.load_claims().items()},
        verdicts={name: judged.verdict for name, judged in measured.items()},
        pages={kind: page for kind in KINDS if (out_dir / (page := f"site/en/kinds/{kind}.html")).is_file()},
    )


if __name__ == "__main__":
    diagnose.run("python -m experiments.diagnose", notes)
