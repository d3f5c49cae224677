"""Checks of what a public function is given, one short line per argument; a message names the value, what fits and what to do.

They look at what is known while JAX traces: kinds, dtypes, shapes, and the values of concrete numbers. They add no operation to
a program and never raise on the values of traced arrays.
"""

import math
import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer

FLOATS = ("float16", "bfloat16", "float32", "float64")


class Span(NamedTuple):
    """Which numbers are meant, in words and as a test."""

    words: str
    holds: Callable[[float], bool]


FINITE = Span("be finite", math.isfinite)
NOT_NEGATIVE = Span("be finite, and 0 or positive", lambda value: 0 <= value < math.inf)
POSITIVE = Span("be positive and finite", lambda value: 0 < value < math.inf)
LIMIT = Span("be 0 or positive", lambda value: value >= 0)
SHARE = Span("lie between 0 and 1", lambda value: 0 <= value <= 1)
PROPER_SHARE = Span("lie between 0 and 1, both excluded", lambda value: 0 < value < 1)


def floats(name: str, value: Any, shape: str = "...", /, **sizes: int) -> jax.Array:
    """Returns the value as a JAX array of floats.

    Args:
      name: what the message calls it.
      value: an array of JAX or NumPy, or a Python float.
      shape: its axes by name, such as "... n_in"; the dots stand for any number of axes.
      **sizes: of the named axes that are known.

    Raises:
      TypeError: it is no array, or of another dtype: integers, bool and complex numbers are not taken for floats.
      ValueError: another shape.
    """
    dtype = _dtype(name, value, "floats")
    if not jnp.issubdtype(dtype, jnp.floating):
        one = _variable(name)
        complex_numbers = jnp.issubdtype(dtype, jnp.complexfloating)
        advice = f"take {one}.real" if complex_numbers else f"convert it with {one}.astype('float32')"
        raise TypeError(f"{name} has dtype {dtype}; floats are expected: {advice}")
    return _shaped(name, value, shape, sizes)


def integers(name: str, value: Any, shape: str = "...", /, **sizes: int) -> jax.Array:
    """`floats` for arrays of integers; bool is not taken for one."""
    dtype = _dtype(name, value, "integers")
    if not jnp.issubdtype(dtype, jnp.integer):
        raise TypeError(f"{name} has dtype {dtype}; integers are expected: convert it with {_variable(name)}.astype('int32')")
    return _shaped(name, value, shape, sizes)


def booleans(name: str, value: Any, shape: str = "...", /, **sizes: int) -> jax.Array:
    """`floats` for arrays of True and False."""
    dtype = _dtype(name, value, "True and False")
    if dtype != np.bool_:
        raise TypeError(f"{name} has dtype {dtype}; True and False are expected: compare, as in {_variable(name)} != 0")
    return _shaped(name, value, shape, sizes)


def key(name: str, value: Any) -> None:
    """Takes one random key: a typed one, `jax.random.key(0)`, or the raw numbers of `jax.random.PRNGKey(0)`.

    Raises:
      TypeError: anything else, such as the seed itself.
      ValueError: several keys.
    """
    typed = isinstance(value, jax.Array) and jnp.issubdtype(value.dtype, jax.dtypes.prng_key)
    if not typed and not (isinstance(value, jax.Array | np.ndarray) and value.dtype == np.uint32):
        raise TypeError(f"{name} is {_named(value)}; a random key is expected: make one with jax.random.key(0)")
    single = () if typed else _raw_key_shape()
    if value.shape != single:
        raise ValueError(f"{name} is {_named(value)}; one key is expected: take {name}[0], or jax.vmap over several keys")


def number(name: str, value: Any, span: Span = FINITE, why: str = "") -> None:
    """Takes one real number, of Python, NumPy or JAX; its size is looked at where it is concrete.

    Raises:
      TypeError: no number, an array of integers, bool or complex numbers, or several numbers.
      ValueError: outside of the span.
    """
    reason = f"is {why} and " if why else ""
    if isinstance(value, jax.Array | np.ndarray):
        # A Python integer that went through jit is of a weak type.
        kind = jnp.number if getattr(value, "weak_type", False) else jnp.floating
        if value.ndim or not jnp.issubdtype(value.dtype, kind) or jnp.issubdtype(value.dtype, jnp.complexfloating):
            raise TypeError(f"{name} is {_named(value)}; it {reason}must be one real number: give a float")
    elif isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} is {_named(value)}; it {reason}must be one real number: give a float")
    if _is_concrete(value) and not span.holds(float(value)):
        raise ValueError(f"{name} is {value}; it {reason}must {span.words}")


def count(name: str, value: Any, low: int | None = 1, high: int | None = None) -> int:
    """Returns the value as an integer between two bounds, where these are given.

    Raises:
      TypeError: no integer, or a traced one: sizes decide which program is compiled.
      ValueError: below `low` or above `high`.
    """
    if isinstance(value, Tracer):
        raise TypeError(f"{name} is traced; it must be known when JAX traces: name it in static_argnames of jax.jit")
    try:
        if isinstance(value, bool):
            raise TypeError
        found = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is {_named(value)}; it must be an integer") from None
    if low is not None and (found < low or (high is not None and found > high)):
        span = f"be at least {low}" if high is None else f"lie between {low} and {high}"
        raise ValueError(f"{name} is {found}; it must {span}")
    return found


def counts(name: str, value: Any, low: int | None = 1) -> tuple[int, ...]:
    """Returns the value, a sequence of integers, as a tuple; each is at least `low`, unless that is None."""
    if not isinstance(value, Sequence | np.ndarray) or isinstance(value, str | bytes):
        raise TypeError(f"{name} is {_named(value)}; it must be a tuple of integers, such as (3, 3)")
    return tuple(count(f"{name}[{position}]", one, low) for position, one in enumerate(value))


def axes(name: str, value: Any, array: jax.Array) -> tuple[int, ...]:
    """Returns the axes that the value names, one or several different ones of the array, as positive numbers in order.

    Raises:
      TypeError: no integer and no sequence of them.
      ValueError: none, one named twice, or one that the array lacks.
    """
    # Which of them exist is said below, with the shape.
    given = counts(name, value, None) if isinstance(value, Sequence) else (count(name, value, None),)
    found = sorted(axis + array.ndim if axis < 0 else axis for axis in given)
    if not found or len(set(found)) < len(found) or not 0 <= found[0] <= found[-1] < array.ndim:
        raise ValueError(f"{name} is {value} and x has shape {array.shape}; name one or more different axes of x")
    return tuple(found)


def flag(name: str, value: Any) -> None:
    """Takes True or False, known when JAX traces.

    Raises:
      TypeError: anything else, such as the text "False", which Python takes for true.
    """
    if isinstance(value, Tracer):
        raise TypeError(f"{name} is traced; it must be known when JAX traces: name it in static_argnames of jax.jit")
    if not isinstance(value, bool) and (getattr(value, "dtype", None) != np.bool_ or np.ndim(value)):
        raise TypeError(f"{name} is {_named(value)}; it must be True or False")


def choice(name: str, value: Any, choices: Collection[str]) -> None:
    """Takes one of the choices.

    Raises:
      ValueError: another value; the message lists the choices.
    """
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"unknown {name} {value!r}; choose one of {', '.join(choices)}")


def function(name: str, value: Any) -> None:
    """Takes anything that can be called.

    Raises:
      TypeError: it cannot.
    """
    if not callable(value):
        raise TypeError(f"{name} is {_named(value)}; a function is expected, such as jax.numpy.tanh")


def kept(name: str, before: jax.Array, after: Any) -> jax.Array:
    """Returns what a given function made of an array of floats, which must have the array's shape.

    Raises:
      TypeError: it made no array of floats.
      ValueError: it made one of another shape.
    """
    after = floats(f"the output of {name}", after)
    if after.shape != before.shape:
        raise ValueError(f"{name} maps shape {before.shape} to {after.shape}; it must keep the shape")
    return after


def dtype(name: str, value: Any) -> None:
    """Takes a dtype of floating numbers.

    Raises:
      TypeError: anything else.
    """
    try:
        found = None if value is None else jnp.dtype(value).name
    except TypeError:
        found = None
    if found not in FLOATS:
        raise TypeError(f"{name} is {found or repr(value)}; parameters are floats: choose one of {', '.join(FLOATS)}")


def entries(name: str, value: Any, *names: str) -> tuple[Any, ...]:
    """Returns what a dictionary of parameters holds under these names.

    Raises:
      TypeError: it is no dictionary.
      ValueError: a name is missing.
    """
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} is {_named(value)}; a dictionary with {', '.join(names) or 'arrays'} is expected")
    missing = [one for one in names if one not in value]
    if missing:
        held = ", ".join(map(str, value)) or "nothing"
        raise ValueError(f"{name} lacks {', '.join(missing)}; it holds {held}: give what the matching _init returns")
    return tuple(value[one] for one in names)


def leaves(name: str, value: Any) -> None:
    """Takes a tree whose leaves are arrays of floats.

    Raises:
      TypeError: another leaf; the message says where it is.
    """
    for path, leaf in jax.tree_util.tree_leaves_with_path(value):
        dtype = getattr(leaf, "dtype", None)
        if dtype is None or not jnp.issubdtype(dtype, jnp.floating):
            place = f"the leaf {jax.tree_util.keystr(path)} of {name}" if path else name
            raise TypeError(f"{place} is {_named(leaf)}; trees of floating-point arrays are expected: convert it")


def same_shapes(name: str, value: Any, other_name: str, other: Any) -> None:
    """Takes two trees of the same structure, whose leaves have the same shapes.

    Raises:
      ValueError: they differ.
    """
    structure, other_structure = jax.tree.structure(value), jax.tree.structure(other)
    if structure != other_structure:
        raise ValueError(f"{name} and {other_name} are trees {structure} and {other_structure}; give two of the same structure")
    shapes, other_shapes = (list(map(np.shape, jax.tree.leaves(tree))) for tree in (value, other))
    if shapes != other_shapes:
        raise ValueError(f"{name} has the shapes {shapes} and {other_name} {other_shapes}; give two trees of the same shapes")


def stacked(name: str, value: Any, what: str) -> int:
    """Returns the size that all leaves of a tree share on axis 0.

    Raises:
      ValueError: there is no leaf, one is a scalar, or the sizes differ.
    """
    shapes = [np.shape(leaf) for leaf in jax.tree.leaves(value)]
    if len({shape[:1] for shape in shapes}) != 1 or () in shapes:
        raise ValueError(f"{name} has arrays of the shapes {shapes}; all need the same number of {what} on axis 0")
    return shapes[0][0]


def not_negative(name: str, value: jax.Array) -> None:
    """Raises ValueError where a concrete array holds a negative number."""
    if _is_concrete(value) and value.size and (lowest := np.min(np.asarray(value))) < 0:
        raise ValueError(f"{name} holds {lowest}; it must be 0 or positive everywhere: make it anew from data")


def _dtype(name: str, value: Any, kind: str) -> np.dtype:
    if isinstance(value, float):
        return np.dtype(np.float32)
    if not isinstance(value, jax.Array | np.ndarray | np.generic) and not hasattr(value, "__jax_array__"):
        raise TypeError(f"{name} is {_named(value)}; an array of {kind} is expected: convert it with jnp.asarray")
    return value.dtype


def _shaped(name: str, value: Any, shape: str, sizes: Mapping[str, int]) -> jax.Array:
    array = value if isinstance(value, jax.Array) else jnp.asarray(value)
    words = shape.split()
    if not _fits(array.shape, words, sizes):
        known = " and ".join(f"{word} = {sizes[word]}" for word in dict.fromkeys(words) if word in sizes)
        expected = f"[{', '.join(words)}]" + (f" with {known}" if known else "")
        raise ValueError(f"{name} has shape {array.shape}; it must be {expected}{_remedy(name, array.ndim, words)}")
    return array


def _fits(shape: tuple[int, ...], words: list[str], sizes: Mapping[str, int]) -> bool:
    if "..." in words:
        front, back = words.index("..."), len(words) - words.index("...") - 1
        if len(shape) < front + back:
            return False
        shape = shape[:front] + shape[len(shape) - back :]
        words = words[:front] + words[front + 1 :]
    return len(shape) == len(words) and all(size == sizes.get(word, size) for size, word in zip(shape, words, strict=True))


def _remedy(name: str, ndim: int, words: list[str]) -> str:
    least = len(words) - ("..." in words)
    if ndim < least:
        return f": add the axes that are missing, as in {_variable(name)}[None]"
    if ndim > least and "..." not in words:
        return ": jax.vmap maps over further axes"
    return ": give arrays whose sizes agree"


def _variable(name: str) -> str:
    """What stands for the value in a line of code: the name itself, where it is one."""
    return name if name.isidentifier() else "it"


def _named(value: Any) -> str:
    """dtype[shape] of an array, else the kind of the value and the value, cut to one short line."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{value.dtype}{list(value.shape)}"
    if value is None or isinstance(value, bool):
        return repr(value)
    text = " ".join(repr(value).split())
    return f"the {type(value).__name__} {text if len(text) <= 60 else text[:57] + '…'}"


def _is_concrete(value: Any) -> bool:
    """Whether this process knows the numbers: they are not traced, nor parts of them with another process."""
    return not isinstance(value, Tracer) and getattr(value, "is_fully_addressable", True)


def _raw_key_shape() -> tuple[int, ...]:
    return jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0))).shape
