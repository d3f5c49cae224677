"""Equinox modules: a tree in which every submodule taps what it returns."""

import dataclasses
import types
from functools import lru_cache
from typing import Any

import equinox as eqx
import jax

from jaxnotes.probe._adapted import Adapted, mode, trailing_axes
from jaxnotes.probe._tapping import Mark, bind_outputs

AXIS = "batch"  # the name that Equinox's batch normalisation is usually given

SWITCHES = {eqx.nn.BatchNorm: "inference", eqx.nn.Dropout: "inference"}


def adapt(model: eqx.Module, state: eqx.nn.State | None, train: bool | None, batched: bool) -> Adapted:
    """The model mapped over the examples, as Equinox's modules take one each, or, `batched`, called with the whole batch.

    With a `state` the model is called as model(x, state) and returns (output, state).
    """
    if train is not None:
        model = eqx.nn.inference_mode(model, value=not train)
    parameters, static = eqx.partition(model, eqx.is_inexact_array)
    arrays, static = eqx.partition(static, eqx.is_array)

    def call(parameters, rest, inputs, keywords, key):
        arrays, state = rest
        tapped = _tapped(eqx.combine(parameters, arrays, static), ())
        extra = () if state is None else (state,)

        def one(inputs, key):
            return tapped(*inputs, *extra, **keywords, **({} if key is None else {"key": key}))

        if batched:
            outputs = one(inputs, key)
        else:
            keys = None if key is None else jax.random.split(key, len(jax.tree.leaves(inputs)[0]))
            axes = 0 if state is None else (0, None)
            outputs = jax.vmap(one, in_axes=(0, None if key is None else 0), out_axes=axes, axis_name=AXIS)(inputs, keys)
        return outputs if state is None else outputs[0]

    identity = ("equinox", *_hashable(static), batched)

    def rebuild(new):
        model = eqx.combine(new, arrays, static)
        return model if state is None else (model, state)

    return Adapted(call, parameters, (arrays, state), identity, "equinox", trailing_axes, rebuild, (RuntimeError,), train)


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


@lru_cache(maxsize=256)
def _tapping_class(plain: type) -> type:
    """Returns a class like `plain` whose call taps; `plain` itself is left alone."""

    def tapped(self, *arguments, **keywords):
        outputs = plain.__call__(self, *arguments, **keywords)
        mark = Mark("/".join(self.probe_path), plain.__name__, self.probe_path, mode=mode(self, keywords, SWITCHES))
        if isinstance(outputs, tuple) and len(outputs) == 2 and isinstance(outputs[1], eqx.nn.State):
            return bind_outputs(outputs[0], mark), outputs[1]  # a state is no layer's output
        return bind_outputs(outputs, mark)

    def body(namespace: dict) -> None:
        namespace["__annotations__"] = {"probe_path": tuple}
        namespace["probe_path"] = eqx.field(static=True, default=())
        namespace["__call__"] = tapped
        namespace["__module__"] = plain.__module__

    return types.new_class(plain.__name__, (plain,), exec_body=body)
