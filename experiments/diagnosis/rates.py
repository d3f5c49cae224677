"""How often the diagnosis is right: faults found and named, healthy programs left alone, remedies that help."""

import datetime
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
from absl import flags
from rich.console import Console
from rich.progress import Progress

from experiments.diagnosis import programs, remedies, tables
from experiments.diagnosis.measurement import Outcome, measured
from experiments.diagnosis.program import Program
from experiments.study import fingerprint
from jaxnotes import diagnosis
from jaxnotes.command import files, start
from jaxnotes.command.errors import InputError

FLAGS = flags.FLAGS


def chosen(families: dict[str, tuple[Program, ...]], every_form: bool) -> list[tuple[str, Program]]:
    """(family, program): each design in one of its forms, by turns, or in every form."""
    found, turn = [], 0
    for family, all_forms in families.items():
        designs: dict[str, list[Program]] = {}
        for program in all_forms:
            designs.setdefault(program.design, []).append(program)
        for forms in designs.values():
            found += [(family, program) for program in (forms if every_form else [forms[turn % len(forms)]])]
            turn += 1
    return found


def measure(
    wanted: Sequence[tuple[str, Program]], keys: Sequence[jax.Array], with_remedies: bool, done: Callable[[], Any]
) -> tuple[list[tuple[str, int, Outcome]], list[remedies.Tried]]:
    """Returns (family, number of the seed, outcome) of every program with every key, and the remedies of the faulty ones."""
    outcomes, tried = [], []
    for family, program in wanted:
        for seed, key in enumerate(keys):
            outcome, made = measured(program, key)
            if with_remedies and program.kinds:
                tried += remedies.tried(outcome, made, key)
            outcomes.append((family, seed, outcome))
        jax.clear_caches()  # programs of hundreds of models would stay in memory
        done()
    return outcomes, tried


def main(argv: Sequence[str]) -> None:
    del argv
    unknown = {*FLAGS.kinds} - {*diagnosis.KINDS}
    if unknown:
        raise InputError(f"--kinds has {', '.join(sorted(unknown))}; the kinds are {', '.join(diagnosis.KINDS)}")
    start.use_compilation_cache()
    files.check_writable(Path(FLAGS.out_dir))
    begun = datetime.datetime.now(datetime.UTC)
    strange = {*FLAGS.families} - {*programs.FAMILIES}
    if strange:
        raise InputError(f"--families has {', '.join(sorted(strange))}; the families are {', '.join(programs.FAMILIES)}")
    wanted = chosen(programs.faulty(), FLAGS.every_form)
    wanted = [(family, p) for family, p in wanted if not FLAGS.kinds or {*p.kinds} & {*FLAGS.kinds}]
    wanted += chosen(programs.healthy(), FLAGS.every_form)
    wanted = [(family, p) for family, p in wanted if not FLAGS.families or family in FLAGS.families]
    keys = jax.random.split(jax.random.key(FLAGS.seed), FLAGS.seeds)
    console = Console()
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("programs", total=len(wanted))
        outcomes, tried = measure(wanted, keys, FLAGS.remedies, lambda: progress.advance(task))
    found = {
        "command": " ".join(["python -m experiments.diagnosis.rates", *_given()]),
        "date": begun.date().isoformat(),
        "seconds": round((datetime.datetime.now(datetime.UTC) - begun).total_seconds()),
        "seed": FLAGS.seed,
        "seeds": FLAGS.seeds,
        "versions": fingerprint.versions(),
        **tables.summary(outcomes, tried),
    }
    path = Path(FLAGS.out_dir) / "rates.json"
    files.write_text(path, tables.text(found))
    tables.show(found, console)
    console.print(f"written to {path}", highlight=False)
    sys.exit(not tables.met(found))


def _given() -> list[str]:
    """Returns the flags that are not at their default."""
    names = ("seed", "seeds", "kinds", "families", "every_form", "remedies")
    show = lambda value: ",".join(value) if isinstance(value, list) else value
    return [f"--{name}={show(FLAGS[name].value)}" for name in names if FLAGS[name].value != FLAGS[name].default]


if __name__ == "__main__":
    here = {"module_name": sys.argv[0]}
    flags.DEFINE_integer("seed", 0, "Seed of all randomness.", lower_bound=0, **here)
    flags.DEFINE_integer("seeds", 1, "Seeds of every program.", lower_bound=1, **here)
    flags.DEFINE_list("kinds", [], "Only faults of these kinds, beside all healthy programs.", **here)
    flags.DEFINE_list("families", [], "Only programs of these families.", **here)
    flags.DEFINE_bool("every_form", False, "Every design in all of its forms, not in one by turns.", **here)
    flags.DEFINE_bool("remedies", True, "Try each remedy that code can apply, and train on.", **here)
    flags.DEFINE_string("out_dir", "out", "Folder for rates.json.", **here)
    start.start(main, usage=__doc__)
