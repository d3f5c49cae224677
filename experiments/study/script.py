"""The command line of a topic's script: flags from its settings, one clear line for bad input, files in --out_dir."""

import dataclasses
import importlib
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from rich.console import Console
from rich.table import Table

from experiments.study import compilation, folder, reference, results, run, settings, topics
from experiments.study.topic import Topic
from jaxnotes.command import start


def run_topic(name: str) -> None:
    """Runs a topic's script from `sys.argv` and exits."""
    topic = topics.load(name)
    _define_flags(topic.settings)
    question = importlib.import_module(f"experiments.{name}").__doc__
    start.start(lambda argv: _main(topic), usage=f"{question}\nusage: python -m experiments.{name} [flags]")


def define_common_flags(default_scale: str = "paper") -> None:
    """--out_dir, --scale and --seed, which every script that measures claims has."""
    here = sys.argv[0]
    define_out_dir()
    scales = list(settings.SCALES)
    flags.DEFINE_enum("scale", default_scale, scales, "Preset of all settings: quick or paper.", module_name=here)
    flags.DEFINE_integer("seed", 0, "Seed of all randomness.", lower_bound=0, module_name=here)
    check = "End with exit status 1 where a verdict is not that of experiments/reference.json."
    flags.DEFINE_bool("check_reference", False, check, module_name=here)


def define_out_dir() -> None:
    """--out_dir, which every command has."""
    meaning = "Folder that receives results/, figures/, numbers.tex and site/."
    flags.DEFINE_string("out_dir", "out", meaning, module_name=sys.argv[0])


def command_line() -> str:
    """Returns the command that was typed, to be stored with the results."""
    return shlex.join(["python", "-m", f"experiments.{start.program()}", *sys.argv[1:]])


def verdict_table(found: Sequence[results.Results]) -> Table:
    """Returns claims with verdicts, what decides them and under which condition, for the terminal."""
    table = Table("claim", "verdict", "decided by [95% interval]", title="Verdicts", title_justify="left")
    for judged in (judged for measured in found for judged in measured.claims.values()):
        said = results.explained(judged)
        table.add_row(judged.claim.identifier, judged.verdict, said, style="dim" if judged.verdict == "undecided" else None)
    return table


def end_with_comparison(found: Sequence[results.Results], console: Console) -> None:
    """Prints how many verdicts are the reference's, and which are not; with --check_reference those end the process."""
    comparison = reference.compare(found, reference.read())
    console.print(str(comparison), highlight=False, markup=False)
    if flags.FLAGS.check_reference and comparison.agree < comparison.claims:
        sys.exit(1)


def _main(topic: Topic) -> None:
    values = flags.FLAGS.flag_values_dict()
    names = [field.name for field in dataclasses.fields(topic.settings)]
    changes = {name: _as_setting(values[name]) for name in names if values[name] is not None}
    chosen = topic.settings.preset(values["scale"], **changes)
    out_dir = Path(values["out_dir"])
    compilation.set_flags(short_runs=values["scale"] == "quick")
    start.use_compilation_cache()
    with folder.owned(out_dir):
        measured = run.measure_topic(
            topic, chosen, seed=values["seed"], scale=values["scale"], command=command_line(), out_dir=out_dir
        )
        run.draw(out_dir, measured)
        run.write_numbers(out_dir)
    console = Console()
    console.print(verdict_table([measured]), f"Figures and numbers are in {out_dir}.")
    end_with_comparison([measured], console)


def _define_flags(settings_class: type[settings.Settings]) -> None:
    define_common_flags()
    define = {int: flags.DEFINE_integer, float: flags.DEFINE_float, str: flags.DEFINE_string}
    for field in dataclasses.fields(settings_class):
        choices = field.metadata["choices"]
        meaning = field.metadata["help"] + (f" One of {', '.join(choices)}." if choices else "")
        help = f"{meaning} Default {_shown(field.default)}, at scale quick {_shown(field.metadata['quick'])}."
        if isinstance(field.default, tuple):
            parser = _TupleParser(type(field.default[0]))
            flags.DEFINE(parser, field.name, None, help, module_name=sys.argv[0])
        else:
            define[type(field.default)](field.name, None, help, module_name=sys.argv[0])


class _TupleParser(flags.ArgumentParser):
    """Comma-separated numbers or words, all of one type."""

    def __init__(self, element: type):
        self.element = element
        self.syntactic_help = f"comma-separated {element.__name__}s"

    def parse(self, argument):
        if not isinstance(argument, str):
            return argument
        try:
            return tuple(self.element(word) for word in argument.split(",") if word.strip())
        except ValueError:
            raise ValueError(f"expected {self.syntactic_help}") from None

    def flag_type(self) -> str:
        return self.syntactic_help


def _as_setting(value):
    return tuple(value) if isinstance(value, list) else value


def _shown(value) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
