"""Equinox modules: a tree in which every submodule taps what it returns."""

import dataclasses
import types
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from jaxnotes.probe._adapted import Adapted, ModelError, drop_rate, method_of, mode, trailing_axes
from jaxnotes.probe._tapping import Mark, bind, bind_outputs

AXIS = "batch"  # the name that Equinox's batch normalisation is usually given

SWITCHES = {eqx.nn.BatchNorm: "inference", eqx.nn.Dropout: "inference"}


def adapt(
    model: eqx.Module,
    state: eqx.nn.State | None,
    train: bool | None,
    batched: bool,
    named: frozenset[str] = frozenset(),
    method: str | Callable | None = None,
) -> Adapted:
    """The model mapped over the examples, as Equinox's modules take one each, or, `batched`, called with the whole batch.

    With a `state` the model is called as model(x, state) and returns (output, state). Of the arguments by keyword those `named`
    are inputs, mapped over too.

    Raises:
      ModelError: batch normalisation layers under axes of different names.
    """
    if train is not None:
        model = eqx.nn.inference_mode(model, value=not train)
    parameters, static = eqx.partition(model, eqx.is_inexact_array)
    arrays, static = eqx.partition(static, eqx.is_array)
    axis_name, function = _axis_name(model), method_of(type(model), method)

    def call(parameters, rest, inputs, keywords, key):
        arrays, state = rest
        tapped = _tapped(eqx.combine(parameters, arrays, static), ())
        extra = () if state is None else (state,)

        by_name = {name: value for name, value in keywords.items() if name in named}
        same = {name: value for name, value in keywords.items() if name not in named}

        def one(inputs, by_name, key):
            return function(tapped, *inputs, *extra, **by_name, **same, **({} if key is None else {"key": key}))

        if batched:
            outputs = one(inputs, by_name, key)
        else:
            examples = _examples(inputs, by_name)
            keys = None if key is None else jax.random.split(key, examples)
            in_axes, out_axes = (0, 0, None if key is None else 0), 0 if state is None else (0, None)
            outputs = jax.vmap(one, in_axes, out_axes, axis_name=axis_name)(inputs, by_name, keys)
        return outputs if state is None else outputs[0]

    identity = ("equinox", *_hashable(static), batched, named, method)

    def rebuild(new):
        model = eqx.combine(new, arrays, static)
        return model if state is None else (model, state)

    return Adapted(call, parameters, (arrays, state), identity, "equinox", trailing_axes, rebuild, _misses_key, train=train)


def _misses_key(error: Exception) -> bool:
    return isinstance(error, RuntimeError | TypeError)  # of Dropout, and of a model that splits the key it did not get


def _axis_name(model: eqx.Module) -> Any:
    """Returns the name under which batch normalisation layers look for the examples."""
    modules = jax.tree.leaves(model, is_leaf=lambda node: isinstance(node, eqx.nn.BatchNorm))
    names = dict.fromkeys(node.axis_name for node in modules if isinstance(node, eqx.nn.BatchNorm))
    if len(names) > 1:
        raise ModelError(f"batch normalisation layers have the axis names {', '.join(map(repr, names))}; give them one name")
    return next(iter(names), AXIS)


def _examples(inputs: tuple, by_name: dict[str, Any]) -> int:
    """Returns the number of examples that a model for one example is mapped over.

    Raises:
      ValueError: an input without an axis of examples, or of another length.
    """
    flat = jax.tree_util.tree_flatten_with_path((inputs, by_name))[0]
    length = lambda leaf: tuple(leaf.shape[:1]) if hasattr(leaf, "shape") else ()
    lengths: dict[str, tuple[int, ...]] = {jax.tree_util.keystr(path[1:]): length(leaf) for path, leaf in flat}
    if len(set(lengths.values())) != 1 or () in lengths.values():
        shown = ", ".join(f"input{path}: {length[0] if length else 'none'}" for path, length in lengths.items())
        raise ValueError(
            f"an Equinox model is mapped over the first axis of every input; their lengths are {shown}; "
            "hand what is the same for all examples over in keywords={…}, or read with batched=True"
        )
    return next(iter(lengths.values()))[0]


def _hashable(static: Any) -> tuple:
    leaves, structure = jax.tree.flatten(static)
    return tuple(leaves), structure


def _tapped(node: Any, path: tuple[str, ...]) -> Any:
    """Returns the same tree with a tapping class for each module in it, the innermost first."""
    if isinstance(node, eqx.Module) and not isinstance(node, eqx.nn.State):
        fields = {f.name: getattr(node, f.name) for f in dataclasses.fields(node) if hasattr(node, f.name)}
        plain = type(node)
        wrap = path and callable(node)
        copy = object.__new__(_tapping_class(plain) if wrap else plain)
        for name, value in fields.items():
            object.__setattr__(copy, name, _tapped(value, (*path, name)))
        if wrap:
            object.__setattr__(copy, "probe_path", path)
        return copy
    if isinstance(node, list | tuple) and type(node) in (list, tuple):
        return type(node)(_tapped(child, (*path, str(i))) for i, child in enumerate(node))
    if type(node) is dict:
        return {name: _tapped(child, (*path, str(name))) for name, child in node.items()}
    return node


def _bind_statistics(layer: eqx.nn.BatchNorm, x: jax.Array, state: eqx.nn.State, mark: Mark) -> None:
    """Marks a layer's input, its features last, and its running statistics, as they are before the call."""
    if layer.ema_state_index is not None:
        mean, variance = state.get(layer.ema_state_index)
    elif layer.batch_counter is not None and layer.batch_state_index is not None:
        count = state.get(layer.batch_counter)
        seen = jnp.where(count == 0, 1, 1 - layer.momentum**count)  # what the layer itself divides by
        mean, variance = (value / seen for value in state.get(layer.batch_state_index))
    else:
        return
    bind(jnp.moveaxis(x, 0, -1), mark.as_role("input"))
    bind(mean, mark.as_role("running-mean"))
    bind(variance, mark.as_role("running-variance"))


@lru_cache(maxsize=256)
def _tapping_class(plain: type) -> type:
    """Returns a class like `plain` whose call taps; `plain` itself is left alone."""

    def tapped(self: Any, *arguments, **keywords):
        found = {"mode": mode(self, keywords, SWITCHES), "detail": drop_rate(self)}
        mark = Mark("/".join(self.probe_path), plain.__name__, self.probe_path, **found)
        if isinstance(self, eqx.nn.BatchNorm):
            _bind_statistics(self, arguments[0], arguments[1], mark)
        outputs = plain.__call__(self, *arguments, **keywords)
        if isinstance(outputs, tuple) and len(outputs) == 2 and isinstance(outputs[1], eqx.nn.State):
            return bind_outputs(outputs[0], mark), outputs[1]  # a state is no layer's output
        return bind_outputs(outputs, mark)

    def body(namespace: dict) -> None:
        namespace["__annotations__"] = {"probe_path": tuple}
        namespace["probe_path"] = eqx.field(static=True, default=())
        namespace["__call__"] = tapped
        namespace["__module__"] = plain.__module__

    return types.new_class(plain.__name__, (plain,), exec_body=body)
