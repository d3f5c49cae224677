"""What the flags of the diagnosis name: a model, a loss, a batch, and the settings to judge by."""

import ast
import importlib.util
import inspect
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from jaxnotes import datasets, diagnosis, probe
from jaxnotes.command import archive
from jaxnotes.command.errors import InputError

Batch = tuple[Array, Array | None]  # (inputs, targets)


class Place(NamedTuple):
    """Where a function is written.

    Attributes:
      path: of the file, as the user gave it.
      line: of the function, from 1.
    """

    path: str
    line: int


def model(spelled: str, key: Array) -> Any:
    """Returns the model that `path/to/file.py:build` returns.

    Raises:
      InputError: there is no such function, or it fails.
    """
    function = _load(spelled, "--model")
    if not callable(function):
        raise InputError(f"--model={spelled} is a {type(function).__name__}; name a function that returns the model")
    parameters = inspect.signature(function).parameters.values()
    takes_key = any(p.default is p.empty and p.kind != p.VAR_POSITIONAL for p in parameters)
    try:
        return function(key) if takes_key else function()
    except Exception as error:
        raise InputError(f"--model={spelled} failed: {type(error).__name__}: {error}") from error


def place(spelled: str) -> Place:
    """Returns where the function of `path/to/file.py:build` is written; line 1 where the file has it from elsewhere."""
    path, _, name = spelled.rpartition(":")
    written = ast.parse(Path(path).read_text(encoding="utf-8")).body
    definitions = (node for node in written if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef))
    return Place(path, next((node.lineno for node in definitions if node.name == name), 1))


def settings(ignore: Sequence[str] | None, thresholds: Sequence[str]) -> diagnosis.Settings:
    """Returns the settings of the nearest pyproject.toml, with those of the flags before them.

    Args:
      ignore: kinds, in place of the file's; None: the file's.
      thresholds: each NAME=VALUE, before the file's of that name.

    Raises:
      InputError: an unknown name or a wrong value, in a flag or in the file.
    """
    given = dict(map(_threshold, thresholds))
    try:
        project = diagnosis.settings()
    except ValueError as error:
        raise InputError(str(error)) from error
    try:
        return project.overridden(ignore, given)
    except ValueError as error:
        raise InputError(f"--ignore and --threshold: {error}") from error


def _threshold(spelled: str) -> tuple[str, float]:
    name, _, value = spelled.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise InputError(f"--threshold={spelled} must be NAME=VALUE, a number") from None


def loss(spelled: str) -> str | Callable:
    """Returns the name of a loss that the probe knows, or the function that `path/to/file.py:loss` names.

    Raises:
      InputError: there is no such function.
    """
    return spelled if spelled in probe.LOSSES else _load(spelled, "--loss")


def batches(spelled: str, examples: int) -> list[Batch]:
    """Returns the batch, or digits in each shape that image models take, in the order in which to try them.

    Raises:
      InputError: there is no such file, or it does not hold a batch.
    """
    if spelled == "digits":
        data = datasets.mnist()
        images, labels = data.train_images[:examples].reshape(-1, 28, 28), data.train_labels[:examples]
        shapes = (images[..., None], images.reshape(len(images), -1), images[:, None])
        return [(shaped, labels) for shaped in shapes]
    if not Path(spelled).is_file():
        raise InputError(f"--batch={spelled}: there is no such file; give digits, or a .npz with arrays inputs and targets")
    try:
        arrays = {name: jnp.asarray(array) for name, array in archive.first_examples(Path(spelled), examples).items()}
    except (TypeError, ValueError) as error:
        raise InputError(f"--batch={spelled} is no .npz file of arrays: {error}") from error
    for inputs, targets in (("inputs", "targets"), ("x", "y")):
        if inputs in arrays:
            return [(arrays[inputs], arrays.get(targets))]
    raise InputError(f"--batch={spelled} has arrays {', '.join(arrays)}; it must have inputs and targets, or x and y")


def read_first(model: Any, batches: list[Batch], loss: str | Callable, options: dict) -> tuple[Batch, probe.Report]:
    """Returns the first batch that fits the model, and the model's report on it.

    Raises:
      InputError: the probe cannot read the model, or no batch fits it.
    """
    failures = []
    for batch in batches:
        try:
            return batch, probe.read(model, batch, loss, **options)
        except probe.ModelError as error:
            raise InputError(f"--model: {error}") from error
        except Exception as error:
            reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
            failures.append(f"inputs of shape {list(batch[0].shape)}: {reason}")
    raise InputError("the model does not take the batch; " + "; ".join(failures))


def _load(spelled: str, flag: str) -> Any:
    """What `path/to/file.py:name` names."""
    path, colon, name = spelled.rpartition(":")
    if not colon or not name:
        known = f", or one of {', '.join(probe.LOSSES)}" if flag == "--loss" else ""
        raise InputError(f"{flag}={spelled} must be path/to/file.py:function{known}")
    if not Path(path).is_file():
        raise InputError(f"{flag}={spelled}: there is no file {path}")
    specification = importlib.util.spec_from_file_location(Path(path).stem, path)
    if specification is None or specification.loader is None:
        raise InputError(f"{flag}={spelled}: {path} is no Python file")
    module = importlib.util.module_from_spec(specification)
    sys.path.insert(0, str(Path(path).resolve().parent))  # so that it finds its neighbours
    try:
        specification.loader.exec_module(module)
    except Exception as error:
        raise InputError(f"{flag}={spelled}: {path} cannot be imported: {type(error).__name__}: {error}") from error
    if not hasattr(module, name):
        names = ", ".join(n for n in vars(module) if n[0] != "_")
        raise InputError(f"{flag}={spelled}: {path} has no {name!r}; it has {names}")
    return getattr(module, name)
