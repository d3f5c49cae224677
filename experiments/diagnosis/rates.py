"""How often the diagnosis is right: faults found and named, healthy programs left alone, remedies that help.

An interrupted run of the same code and flags goes on where it was.
"""

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
from experiments.diagnosis.measurement import measured
from experiments.diagnosis.program import Program
from experiments.diagnosis.record import Journal, Record, record
from experiments.study import fingerprint, folder
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
    wanted: Sequence[tuple[str, Program]],
    keys: Sequence[jax.Array],
    with_remedies: bool,
    journal: Journal,
    done: Callable[[], Any],
) -> list[Record]:
    """Returns the records of every program with every key; what the journal has is not measured again."""
    for family, program in wanted:
        for seed, key in enumerate(keys):
            if not journal.has(program.name, seed):
                outcome, made = measured(program, key)
                tried = remedies.tried(outcome, made, key) if with_remedies and program.kinds else []
                journal.add(record(family, seed, outcome, tried))
                jax.clear_caches()  # programs of hundreds of models would stay in memory
        done()
    return journal.records


def main(argv: Sequence[str]) -> None:
    del argv
    unknown = {*FLAGS.kinds} - {*diagnosis.KINDS}
    if unknown:
        raise InputError(f"--kinds has {', '.join(sorted(unknown))}; the kinds are {', '.join(diagnosis.KINDS)}")
    start.use_compilation_cache()
    out_dir = Path(FLAGS.out_dir)
    strange = {*FLAGS.families} - {*programs.FAMILIES}
    if strange:
        raise InputError(f"--families has {', '.join(sorted(strange))}; the families are {', '.join(programs.FAMILIES)}")
    wanted = chosen(programs.faulty(), FLAGS.every_form)
    wanted = [(family, p) for family, p in wanted if not FLAGS.kinds or {*p.kinds} & {*FLAGS.kinds}]
    wanted += chosen(programs.healthy(), FLAGS.every_form)
    wanted = [(family, p) for family, p in wanted if not FLAGS.families or family in FLAGS.families]
    keys = jax.random.split(jax.random.key(FLAGS.seed), FLAGS.seeds)
    console = Console()
    command = " ".join(["python -m experiments.diagnosis.rates", *_given()])
    code = fingerprint.of_code("experiments.diagnosis.rates")
    with folder.owned(out_dir), Progress(console=console, transient=True) as progress:
        journal = Journal(out_dir / "rates.jsonl", {"command": command, "code": code, "versions": fingerprint.versions()})
        task = progress.add_task("programs", total=len(wanted))
        records = measure(wanted, keys, FLAGS.remedies, journal, lambda: progress.advance(task))
    found = {
        "command": command,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "seed": FLAGS.seed,
        "seeds": FLAGS.seeds,
        "versions": fingerprint.versions(),
        **tables.summary(records),
    }
    path = out_dir / "rates.json"
    files.write_text(path, tables.text(found))
    journal.path.unlink()
    tables.show(found, console)
    console.print(f"written to {path}", highlight=False)
    sys.exit(not tables.met(found))


def _given() -> list[str]:
    """Returns the flags that are not at their default."""
    names = ("seed", "seeds", "kinds", "families", "every_form", "remedies")
    show = lambda value: ",".join(value) if isinstance(value, list) else value
    return [f"--{name}={show(FLAGS[name].value)}" for name in names if FLAGS[name].value != FLAGS[name].default]


def define_flags(values: flags.FlagValues = FLAGS) -> None:
    """The command's flags."""
    here = {"module_name": sys.argv[0], "flag_values": values}
    flags.DEFINE_integer("seed", 0, "Seed of all randomness.", lower_bound=0, **here)
    flags.DEFINE_integer("seeds", 1, "Seeds of every program.", lower_bound=1, **here)
    flags.DEFINE_list("kinds", [], "Only faults of these kinds, beside all healthy programs.", **here)
    flags.DEFINE_list("families", [], "Only programs of these families.", **here)
    flags.DEFINE_bool("every_form", False, "Every design in all of its forms, not in one by turns.", **here)
    flags.DEFINE_bool("remedies", True, "Try each remedy that code can apply, and train on.", **here)
    flags.DEFINE_string("out_dir", "out", "Folder for rates.json, and for rates.jsonl while it is made.", **here)


if __name__ == "__main__":
    define_flags()
    start.start(main, usage=__doc__)
