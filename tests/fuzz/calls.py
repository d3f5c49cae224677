"""Public functions of layers, models, training and datasets, called with right and wrong arguments, and what came of it."""

import ast
import functools
import importlib
import inspect
import pkgutil
import re
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jaxtyping
import numpy as np
from hypothesis import strategies as st

from jaxnotes import datasets, layers, models, training
from tests.fuzz import values
from tests.fuzz.parameters import params_of
from tests.fuzz.returned import RETURNED
from tests.fuzz.values import World

LIBRARY = Path(layers.__file__).resolve().parent.parent
# Their result is checked in one right call; it takes seconds, and only wrong calls are repeated.
SLOW = ("mnist", "mnist1d", "glove")
# Of a fixed dtype, or wider than their argument.
WIDE = ("mean_and_variance", "global_norm", "direction_cosine", "accuracy", "train_step", "train", "train_on", *SLOW)


class Door(NamedTuple):
    """A public function, by its name, as `linear.linear_init`."""

    name: str
    function: Callable

    @property
    def short(self) -> str:
        return self.name.rpartition(".")[2]


class Call(NamedTuple):
    """A door with its arguments; `wrong` describes the one that was made wrong, "" where none was."""

    door: Door
    arguments: dict[str, Any]
    changed: str
    wrong: str


@functools.cache
def doors() -> tuple[Door, ...]:
    """Every public function that a public module defines, so that a new one is in it; and the functions that some return."""
    modules = [
        importlib.import_module(f"{package.__name__}.{module.name}")
        for package in (layers, models)
        for module in pkgutil.iter_modules(package.__path__)
        if not module.name.startswith("_")
    ]
    modules += [training, datasets]
    found = [
        Door(f"{module.__name__.rpartition('.')[2]}.{name}", function)
        for module in modules
        for name, function in vars(module).items()
        if inspect.isfunction(function) and function.__module__ == module.__name__ and not name.startswith("_")
    ]
    return tuple(found + [Door(f"returned.{function.__name__}", function) for function in RETURNED])


@st.composite
def calls(draw: Callable) -> Call:
    """A door with right arguments, of which one is then made wrong in most calls."""
    door = draw(st.sampled_from(doors()))
    world = draw(worlds())
    arguments = right_arguments(door, world, lambda choices: draw(st.sampled_from(choices)))
    if draw(st.integers(0, 4)) == 0 and door.short not in SLOW:
        return Call(door, arguments, "", "")
    bad = {
        (name, kind): value
        for name, parameter in parameters(door).items()
        for kind, value in values.wrong(door.name, parameter, arguments[name]).items()
    }
    if not bad:
        return Call(door, arguments, "", "")
    (name, kind), value = draw(st.sampled_from(list(bad.items())))
    if kind != values.ALIKE:
        value = jax.tree.map(lambda leaf: jnp.asarray(leaf) if isinstance(leaf, np.ndarray) else leaf, value)
    return Call(door, arguments | {name: value}, name, kind)


def worlds() -> st.SearchStrategy[World]:
    """Sizes, spatial axes, dtype and seed."""
    sizes = st.fixed_dictionaries({name: st.sampled_from(choices) for name, choices in values.SIZES.items()})
    dtypes = st.sampled_from(("float32", "float32", "float32", "bfloat16", "float16"))
    return st.builds(World, sizes, st.sampled_from(((4,), (4, 6))), dtypes, st.integers(0, 2**16))


def parameters(door: Door) -> dict[str, inspect.Parameter]:
    """Of a door, those with a name of their own."""
    found = inspect.signature(door.function).parameters
    return {name: one for name, one in found.items() if one.kind is not inspect.Parameter.VAR_KEYWORD}


def right_arguments(door: Door, world: World, pick: Callable) -> dict[str, Any]:
    """Right arguments of a door; KeyError where a parameter or function is new and this driver knows nothing of it."""
    arguments: dict[str, Any] = {}
    for name, parameter in sorted(parameters(door).items(), key=lambda item: item[0] in values.TREES):  # these need the others
        made = functools.partial(params_of, door.short, name, world, arguments)
        arguments[name] = values.right(door.name, parameter, world, made, pick)
    if arguments.get("train") and "keep_probability" in arguments:
        arguments["key"] = jax.random.key(world.seed)
    if arguments.get("pool") == "polyphase":
        arguments |= {"padding": "SAME"} if "padding" in arguments else {}  # it wants an even number of cells
    if arguments.get("causal") and "query" in arguments:  # as many queries as keys
        arguments["query"] = arguments["key"]
    return arguments


def outcome(call: Call) -> str:
    """What came of a call: "right value", "our error", or a sentence on what is wrong.

    A value is right where the arguments fit the signature and so does the value, its dtype is the arguments' and it is finite.
    An error is ours where a `raise` of this library has it, of ValueError or TypeError, and its message names the argument.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            value = call.door.function(**call.arguments)
    except Exception as error:
        return _judged_error(call, error)
    return _judged_value(call, value)


def _judged_error(call: Call, error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    said = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
    if not isinstance(error, (ValueError, TypeError, ModuleNotFoundError)) or not _is_raised_by_us(frame):
        return f"a foreign error at {Path(frame.filename).name}:{frame.lineno}: {said}"
    if call.wrong in ("", values.ALIKE):
        return f"a right call is refused: {said}"
    if not _names(call) & set(re.findall(r"\w+", said)):
        return f"an error that does not name the argument: {said}"
    return "our error"


def _names(call: Call) -> set[str]:
    """What a message may speak of: arguments, entries of trees, the `params` that a tree is to others, an "unknown" name."""
    paths = jax.tree_util.tree_leaves_with_path(call.arguments)
    entries = {word for path, _ in paths for word in re.findall(r"\w+", jax.tree_util.keystr(path))}
    return {"unknown", "params", *call.arguments, *entries, *re.findall(r"\w+", call.wrong)}


def _is_raised_by_us(frame: traceback.FrameSummary) -> bool:
    path = Path(frame.filename).resolve()
    return path.is_relative_to(LIBRARY) and any(start <= frame.lineno <= end for start, end in _raises(path))


@functools.cache
def _raises(path: Path) -> tuple[tuple[int, int], ...]:
    """The first and last line of every `raise` of a file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return tuple((node.lineno, node.end_lineno or node.lineno) for node in ast.walk(tree) if isinstance(node, ast.Raise))


def _judged_value(call: Call, value: Any) -> str:
    if call.wrong not in ("", values.ALIKE) and not _is_array_of_another_shape(call):
        return "a wrong argument is taken"
    fits = _misfit(call, value)
    if fits:
        return f"the arguments or the value do not fit the signature: {fits}"
    dtypes = {str(leaf.dtype) for leaf in jax.tree.leaves(value) if isinstance(leaf, jax.Array) and _is_float(leaf)}
    given = {str(leaf.dtype) for leaf in jax.tree.leaves(call.arguments) if isinstance(leaf, jax.Array) and _is_float(leaf)}
    if call.door.short not in WIDE and len(given) == 1 and dtypes - given:
        return f"a value of {dtypes} from arguments of {given}"
    if not all(np.isfinite(np.asarray(leaf, np.float32)).all() for leaf in jax.tree.leaves(value) if _is_float(leaf)):
        return "a value that is not finite"
    return "right value"


def _is_float(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.floating)


def _is_array_of_another_shape(call: Call) -> bool:
    return "axis" in call.wrong and isinstance(call.arguments[call.changed], jax.Array)


def _misfit(call: Call, value: Any) -> str:
    """Why arguments and value do not go together by the signature's shapes, as jaxtyping reads them; "" where they do."""
    signature = inspect.signature(call.door.function)
    hints = [
        (name, values.array_annotation(signature.parameters[name].annotation), one) for name, one in call.arguments.items()
    ]
    if call.wrong == values.ALIKE:
        del hints[:]  # NumPy's arrays and raw keys are not in the signature
    if values.array_annotation(signature.return_annotation) is signature.return_annotation:
        hints.append(("return", signature.return_annotation, value))
    with jaxtyping.jaxtyped("context"):
        for name, hint, one in hints:
            if hint is not None and isinstance(one, jax.Array) and not isinstance(one, hint):
                return f"{name} is {one.dtype}{list(one.shape)} and not {hint}"
    return ""
