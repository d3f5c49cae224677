"""Diagnoses your own network: which layer, why, and what to change.

The model comes from a Python file: --model=path/to/file.py:build names a function without arguments, or of a random key, that
returns (flax.linen.Module, variables), a flax.nnx.Module, an equinox.Module, a function that uses probe.tap, or
(function, parameters).

Exit status: 0 where the model is healthy, 3 where there are findings, 2 for bad input.
"""

import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from absl import flags
from rich.console import Console

from experiments import diagnosis_report
from experiments.study import compilation, files, script
from experiments.study.settings import SettingsError
from jaxnotes import datasets, diagnosis, probe

FINDINGS_STATUS = 3


def main(argv) -> None:
    del argv
    values = flags.FLAGS
    out_dir = Path(values.out_dir)
    files.check_writable(out_dir)
    compilation.use_cache()
    key = jax.random.key(values.seed)
    model = _build(values.model, key)
    loss = values.loss if values.loss in probe.LOSSES else _load(values.loss, "--loss")
    options = {
        "key": jax.random.fold_in(key, 1) if values.random_layers else None,
        "train": values.train,
        "clip_norm": values.clip_norm,
        "optimizer": None if values.learning_rate is None else optax.adam(values.learning_rate),
        "summarise_steps": values.summarise_steps,
    }
    batch, report = _read(model, _batches(values.batch, values.examples), loss, options)
    findings = diagnosis.explain(report)
    verified = diagnosis.verify(findings, report, model, batch, loss, **options) if values.verify else ()
    console = Console()
    diagnosis_report.show(console, report, findings, verified, out_dir)
    paths = diagnosis_report.write(out_dir, report, findings, verified, script.command_line())
    console.print(f"Report: {paths[0]}, numbers: {paths[1]}", soft_wrap=True, highlight=False)
    sys.exit(FINDINGS_STATUS if findings else 0)


def command() -> None:
    """The console script `jaxnotes-diagnose`."""
    _define_flags()
    script.start(main, usage=__doc__)


def _build(spelled: str, key: jax.Array) -> Any:
    function = _load(spelled, "--model")
    if not callable(function):
        raise SettingsError(f"--model={spelled} is a {type(function).__name__}; name a function that returns the model")
    required = [
        p for p in inspect.signature(function).parameters.values() if p.default is p.empty and p.kind != p.VAR_POSITIONAL
    ]
    try:
        return function(key) if required else function()
    except Exception as error:
        raise SettingsError(f"--model={spelled} failed: {type(error).__name__}: {error}") from error


def _load(spelled: str, flag: str) -> Any:
    """What `path/to/file.py:name` names."""
    path, colon, name = spelled.rpartition(":")
    if not colon or not name:
        known = f", or one of {', '.join(probe.LOSSES)}" if flag == "--loss" else ""
        raise SettingsError(f"{flag}={spelled} must be path/to/file.py:function{known}")
    if not Path(path).is_file():
        raise SettingsError(f"{flag}={spelled}: there is no file {path}")
    spec = importlib.util.spec_from_file_location(Path(path).stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(Path(path).resolve().parent))  # so that it finds its neighbours
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise SettingsError(f"{flag}={spelled}: {path} cannot be imported: {type(error).__name__}: {error}") from error
    if not hasattr(module, name):
        raise SettingsError(
            f"{flag}={spelled}: {path} has no {name!r}; it has {', '.join(n for n in vars(module) if n[0] != '_')}"
        )
    return getattr(module, name)


def _batches(spelled: str, examples: int) -> list[tuple[Any, Any]]:
    """The batch, or digits in each shape that image models take, in the order in which to try them."""
    if spelled == "digits":
        data = datasets.mnist()
        images, labels = data.train_images[:examples].reshape(-1, 28, 28), data.train_labels[:examples]
        shapes = (images[..., None], images.reshape(len(images), -1), images[:, None])
        return [(shaped, labels) for shaped in shapes]
    if not Path(spelled).is_file():
        raise SettingsError(f"--batch={spelled}: there is no such file; give digits, or a .npz with arrays inputs and targets")
    try:
        with np.load(spelled) as stored:
            arrays = {name: jnp.asarray(stored[name][:examples]) for name in stored.files}
    except (OSError, ValueError) as error:
        raise SettingsError(f"--batch={spelled} is no .npz file of arrays: {error}") from error
    for inputs, targets in (("inputs", "targets"), ("x", "y")):
        if inputs in arrays:
            return [(arrays[inputs], arrays.get(targets))]
    raise SettingsError(f"--batch={spelled} has arrays {', '.join(arrays)}; it must have inputs and targets, or x and y")


def _read(model: Any, batches: list[tuple[Any, Any]], loss: str | Callable, options: dict) -> tuple[Any, probe.Report]:
    """The first batch that fits the model, and its report."""
    failures = []
    for batch in batches:
        try:
            return batch, probe.read(model, batch, loss, **options)
        except probe.ModelError as error:
            raise SettingsError(f"--model: {error}") from error
        except Exception as error:
            failures.append(
                f"inputs of shape {list(batch[0].shape)}: {type(error).__name__}: {str(error).strip().splitlines()[0]}"
            )
    raise SettingsError("the model does not take the batch; " + "; ".join(failures))


def _define_flags() -> None:
    here = sys.argv[0]
    define = lambda kind, name, default, help, **o: kind(name, default, help, module_name=here, **o)  # noqa: E731
    define(flags.DEFINE_string, "model", None, "path/to/file.py:build, a function that returns the model.", required=True)
    define(flags.DEFINE_string, "batch", "digits", "digits, or a .npz file with arrays inputs and targets.")
    define(
        flags.DEFINE_string, "loss", "cross_entropy", "cross_entropy, squared_error, or path/to/file.py:loss(outputs, targets)."
    )
    define(flags.DEFINE_string, "out_dir", "out", "Folder that receives diagnosis.html, diagnosis.json and the figure.")
    define(flags.DEFINE_integer, "examples", 128, "Examples of the batch to read.", lower_bound=1)
    define(flags.DEFINE_integer, "seed", 0, "Seed of the model's key and of dropout.", lower_bound=0)
    define(flags.DEFINE_bool, "train", None, "Whether the model trains; the model's own default where not given.")
    define(flags.DEFINE_bool, "random_layers", False, "Give the model a key, for dropout and other random layers.")
    define(flags.DEFINE_bool, "verify", False, "Apply each remedy that changes parameters only to a copy, and measure again.")
    define(flags.DEFINE_bool, "summarise_steps", False, "One row for all steps of a scan.")
    define(flags.DEFINE_float, "clip_norm", None, "Limit of your clipping by global norm, to see whether it acts.")
    define(flags.DEFINE_float, "learning_rate", None, "Learning rate of your Adam, to see whether its steps are large.")


if __name__ == "__main__":
    command()
