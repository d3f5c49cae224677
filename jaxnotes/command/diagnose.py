"""Diagnoses your own network: which layer, why, and what to change.

The model comes from a Python file: --model=path/to/file.py:build names a function without arguments, or of a random key, that
returns a model as probe.read takes it: (flax.linen.Module, variables), a flax.nnx.Module, an equinox.Module,
(haiku.Transformed, params), a keras.Model, a function that uses probe.tap, or (function, parameters). --explain=KIND reads no
model: it prints what is known of a kind of finding.

What --ignore and --threshold do not say comes from the nearest pyproject.toml with a table [tool.jaxnotes], in the working
directory or above it: ignore = ["KIND", …], and numbers in [tool.jaxnotes.thresholds].

--format=json, github (annotations) or sarif (2.1.0) prints that alone, for other programs.

Exit status: 0 where nothing is found or hints alone, 3 where there are findings, 2 for bad input.
"""

import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import optax
from absl import flags
from rich.console import Console

import jaxnotes
from jaxnotes import diagnosis, probe
from jaxnotes.command import explanation, files, formats, inputs, report, start
from jaxnotes.command.errors import InputError
from jaxnotes.command.report import NO_NOTES, Notes

FINDINGS_STATUS = 3
FORMATS = ("text", "json", "github", "sarif")


def run(program: str = "jaxnotes-diagnose", notes: Callable[[Path], Notes] = lambda out_dir: NO_NOTES) -> None:
    """Runs the command from `sys.argv` and exits.

    Args:
      program: how the command is called, to be stored with the report.
      notes: from --out_dir, what is known of the claims that findings name; nothing unless given.
    """
    _define_flags()
    start.start(lambda argv: _main(program, notes), usage=__doc__ or "")


def _main(program: str, notes: Callable[[Path], Notes]) -> None:
    values = flags.FLAGS
    if values.explain is not None:
        _explain(values.explain)
    elif values.model is None:
        raise InputError("--model must have a value: path/to/file.py:build, a function that returns the model")
    else:
        _diagnose(values, program, notes)


def _explain(kind: str) -> None:
    try:
        described = diagnosis.describe(kind)
    except ValueError as error:
        raise InputError(f"--explain={kind}: {error}") from error
    explanation.show(Console(), described)


def _diagnose(values: flags.FlagValues, program: str, notes: Callable[[Path], Notes]) -> None:
    out_dir, judged_by = Path(values.out_dir), inputs.settings(values.ignore, values.threshold)
    files.check_writable(out_dir)
    start.use_compilation_cache()
    key = jax.random.key(values.seed)
    command, known = shlex.join([*program.split(), *sys.argv[1:]]), notes(out_dir)
    with Console(stderr=True).status("Building the model") as status:  # on a terminal only
        model = inputs.model(values.model, key)
        loss = inputs.loss(values.loss)
        options = _options(values, key)
        status.update("Reading the model on the batch")
        batch, read = inputs.read_first(model, inputs.batches(values.batch, values.examples), loss, options)
        status.update("Judging the readings")
        limits = judged_by.thresholds
        findings = diagnosis.explain(read, ignore=judged_by.ignore, thresholds=limits)
        status.update("Trying remedies on a copy of the model")
        verified = diagnosis.verify(findings, read, model, batch, loss, thresholds=limits, **options) if values.verify else ()
        status.update("Writing the report")
        paths = report.write(out_dir, read, findings, verified, command, known)
    if values.format == "text":
        console = Console()
        report.show(console, read, findings, verified, known)
        console.print(f"Report: {paths[0]}, numbers: {paths[1]}", soft_wrap=True, highlight=False)
    elif values.format == "json":
        print(report.numbers(read, findings, verified, command))
    elif values.format == "github":
        print(formats.github(findings, inputs.place(values.model)))
    else:
        print(formats.sarif(findings, inputs.place(values.model), jaxnotes.__version__))
    sys.exit(0 if all(found.hint for found in findings) else FINDINGS_STATUS)


def _options(values: flags.FlagValues, key: jax.Array) -> dict[str, Any]:
    """What `probe.read` gets by keyword."""
    return {
        "key": jax.random.fold_in(key, 1) if values.random_layers else None,
        "train": values.train,
        "clip_norm": values.clip_norm,
        "optimizer": None if values.learning_rate is None else optax.adam(values.learning_rate),
        "summarise_steps": values.summarise_steps,
    }


def _define_flags() -> None:
    here = sys.argv[0]
    define = lambda kind, name, default, help, **o: kind(name, default, help, module_name=here, **o)
    losses = ", ".join(probe.LOSSES)
    define(flags.DEFINE_string, "model", None, "path/to/file.py:build, a function that returns the model.")
    define(flags.DEFINE_string, "batch", "digits", "digits, or a .npz file with arrays inputs and targets.")
    define(flags.DEFINE_string, "loss", "cross_entropy", f"{losses}, or path/to/file.py:loss(outputs, targets).")
    define(flags.DEFINE_string, "out_dir", "out", "Folder that receives diagnosis.html, diagnosis.json and the figure.")
    define(flags.DEFINE_integer, "examples", 128, "Examples of the batch to read.", lower_bound=1)
    define(flags.DEFINE_integer, "seed", 0, "Seed of the model's key and of dropout.", lower_bound=0)
    define(flags.DEFINE_bool, "train", None, "Whether the model trains; the model's own default where not given.")
    define(flags.DEFINE_bool, "random_layers", False, "Give the model a key, for dropout and other random layers.")
    define(flags.DEFINE_bool, "verify", False, "Apply each remedy that changes parameters only to a copy, and measure again.")
    define(flags.DEFINE_bool, "summarise_steps", False, "One row for all steps of a scan.")
    define(flags.DEFINE_float, "clip_norm", None, "Limit of your clipping by global norm, to see whether it acts.")
    define(flags.DEFINE_float, "learning_rate", None, "Learning rate of your Adam, to see whether its steps are large.")
    define(flags.DEFINE_string, "explain", None, "A kind of finding: print what is known of it, and read no model.")
    define(flags.DEFINE_list, "ignore", None, "Kinds of finding to leave out; in place of pyproject.toml's.")
    define(flags.DEFINE_multi_string, "threshold", [], "NAME=VALUE, a threshold; before pyproject.toml's. May be repeated.")
    flags.DEFINE_enum("format", "text", FORMATS, "How findings are printed.", module_name=here)
