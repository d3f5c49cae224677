"""Runs the whole study over disjoint sets of seeds and under other arithmetic, and says which verdicts stay the same.

A set is complete topic by topic: what was measured by today's code is not measured again, so that an interrupted run goes on.
After each set its verdicts are written to experiments/stability.json, and the numbers of the first, which is that of
`make figures`, to experiments/reference.json; both are committed.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from absl import flags
from rich.console import Console
from rich.table import Table

from experiments.study import agreement, children, reference, results, rules, script, topics
from jaxnotes.command import files, interruption, start


class Set(NamedTuple):
    """One run of the whole study: its seed, and the newest instructions that XLA may use, any where empty."""

    seed: int
    max_isa: str = ""

    @property
    def name(self) -> str:
        """What its summary goes by, for example "seed 0, AVX2"."""
        return f"seed {self.seed}" + (f", {self.max_isa}" if self.max_isa else "")

    def folder(self, out_dir: Path) -> Path:
        """Where its results are; the reference's are those of `make figures`."""
        return out_dir / "stability" / self.name.replace(", ", "-").replace(" ", "-") if self != REFERENCE else out_dir


REFERENCE = Set(0)


def main(argv) -> None:
    del argv
    values = flags.FLAGS
    out_dir, console = Path(values.out_dir), Console(width=160)
    files.check_writable(out_dir)
    for chosen in [Set(seed) for seed in range(values.seeds)] + [Set(0, isa) for isa in agreement.ARITHMETIC]:
        missing = _missing(chosen, values.topics or topics.TOPICS)
        if missing:
            console.print(f"{chosen.name}: {', '.join(missing)}", highlight=False)
            _measure(chosen, missing, out_dir)
            found = [results.load(chosen.folder(out_dir), topic) for topic in missing]
            agreement.store(chosen.name, found)
            if chosen == REFERENCE:
                reference.write(found)
    summary = agreement.read()
    console.print(table(summary))
    claims = rules.load_claims()
    same = agreement.unanimous(summary, claims)
    console.print(f"{same} of {len(claims)} claims have one verdict in all {len(summary)} sets.")
    rate = reference.error_rate(reference.read())
    console.print(f"Chance that sampling made any verdict of the reference wrong: at most {rate:.2g}.")


def table(summary: agreement.Summary) -> Table:
    """Returns claim, verdict in every set, smallest margin."""
    grid = Table("claim", *summary, "smallest margin", title="Verdicts by set", title_justify="left")
    for claim in rules.load_claims():
        found = agreement.of_claim(summary, claim)
        if found is not None:
            verdicts = [found.verdicts.get(name, "") for name in summary]
            margin = "exact" if found.margin is None else f"{found.margin:.1f}"
            grid.add_row(claim, *verdicts, margin, style=None if found.unanimous else "red")
    return grid


def _missing(chosen: Set, wanted: Sequence[str]) -> list[str]:
    stored = agreement.read().get(chosen.name, {})
    return [topic for topic in wanted if stored.get(topic, {}).get("code") != reference.code(topic)]


def _measure(chosen: Set, missing: Sequence[str], out_dir: Path) -> None:
    """Runs topics in a process of its own, since XLA reads its flags once; where one fails, this ends with its exit status.

    On a signal the line is that process's, which ends too.
    """
    arguments = ["--scale=paper", f"--seed={chosen.seed}", "--nodraw", "--nosite"]
    arguments += [f"--out_dir={chosen.folder(out_dir)}", f"--topics={','.join(missing)}"]
    isa = f"--xla_cpu_max_isa={chosen.max_isa}" if chosen.max_isa else ""
    environment = os.environ | {"XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {isa}".strip()}
    try:
        with children.running("experiments.reproduce", arguments, env=environment) as process:
            status = process.wait()
    except KeyboardInterrupt as stop:
        status = interruption.status(stop)
    if status:
        sys.exit(status)


if __name__ == "__main__":
    here = sys.argv[0]
    script.define_out_dir()
    flags.DEFINE_integer("seeds", 4, "Number of seed sets, from 0 on.", lower_bound=1, module_name=here)
    flags.DEFINE_list("topics", [], "Topics to run, by comma; all where empty.", module_name=here)
    start.start(main, usage=__doc__)
