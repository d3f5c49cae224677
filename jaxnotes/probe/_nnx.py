"""Flax NNX modules: a clone whose submodules tap what they return."""

import zlib
from collections.abc import Callable
from typing import Any

import jax
from flax import nnx

from jaxnotes.probe._adapted import Adapted, drop_rate, leading_axes, method_of, mode, told, training_switch
from jaxnotes.probe._tapping import Mark, bind, bind_outputs

SWITCHES = {nnx.BatchNorm: "use_running_average", nnx.Dropout: "deterministic"}


def adapt(model: nnx.Module, train: bool | None, method: str | Callable | None = None) -> Adapted:
    """Returns a clone of the model, called by `method`; the model itself, its state and its class stay as they are."""
    function = method_of(type(model), method)
    if train is not None:
        model = nnx.clone(model)
        (model.train if train else model.eval)()
    graph, parameters, state = nnx.split(model, nnx.Param, ...)
    switch = training_switch(function, train)

    def call(parameters, state, inputs, keywords, key):
        copy = nnx.merge(graph, parameters, state)
        if key is not None:
            nnx.reseed(copy, default=key, params=key, dropout=jax.random.fold_in(key, 1))
        modules: list[tuple[tuple, Any]] = list(nnx.iter_modules(copy))
        for path, module in modules:
            if key is not None and _has_no_stream(module):
                module.rngs = nnx.Rngs(dropout=jax.random.fold_in(key, zlib.crc32(repr(path).encode())))
            if path:
                _wrap(module, path)
        return function(copy, *inputs, **{**switch, **keywords})

    identity = ("nnx", graph, tuple(switch.items()), method)
    rebuild = lambda new: nnx.merge(graph, new, state)
    keyless = tuple("/".join(map(str, path)) for path, module in nnx.iter_modules(model) if _has_no_stream(module))
    return Adapted(call, parameters, state, identity, "nnx", leading_axes, rebuild, _misses_key, keyless, told(switch, train))


def _has_no_stream(module: nnx.Module) -> bool:
    """Returns whether a layer drops units and was made without `rngs`."""
    return isinstance(module, nnx.Dropout) and module.rngs is None and module.rate > 0 and not module.deterministic


def _misses_key(error: Exception) -> bool:
    return isinstance(error, ValueError) and "rngs" in str(error)


def _wrap(module: nnx.Module, path: tuple[Any, ...]) -> None:
    """Gives one module of the clone a class of its own, whose call taps; the class it had is left alone."""
    plain: Any = type(module)
    if not callable(module):
        return
    names = tuple(map(str, path))

    def tapped(self, *arguments, **keywords):
        mark = Mark("/".join(names), plain.__name__, names, mode=mode(self, keywords, SWITCHES), detail=drop_rate(self))
        if isinstance(self, nnx.BatchNorm):
            arguments = (bind(arguments[0], mark.as_role("input")), *arguments[1:])
            bind(self.mean[...], mark.as_role("running-mean"))
            bind(self.var[...], mark.as_role("running-variance"))
        return bind_outputs(plain.__call__(self, *arguments, **keywords), mark)

    wrapper = type(plain)(plain.__name__, (plain,), {"__call__": tapped, "__module__": plain.__module__})
    object.__setattr__(module, "__class__", wrapper)
