"""Flax Linen modules, read through Linen's own interceptors."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Hashable, Mapping
from typing import Any

import flax.linen as nn
import jax
from flax.errors import InvalidRngError

from jaxnotes.probe._adapted import (
    INFERENCE,
    TRAINING,
    Adapted,
    ModelError,
    drop_rate,
    leading_axes,
    method_of,
    mode,
    switched,
    told,
    training_switch,
)
from jaxnotes.probe._applied import UNKNOWN, Owners, place
from jaxnotes.probe._tapping import Mark, bind, bind_outputs

# Layers that differ between training and inference, with the switch that turns them off.
SWITCHES = {nn.BatchNorm: "use_running_average", nn.Dropout: "deterministic"}


def adapt(module: nn.Module, variables: Mapping[str, Any], train: bool | None, method: str | Callable | None = None) -> Adapted:
    """Returns a method of the module, applied to its variables; changes of all collections but `params` are dropped.

    Raises:
      ModelError: the variables are not a mapping with the collection "params".
    """
    if not isinstance(variables, Mapping) or "params" not in variables:
        raise ModelError(
            f"a Linen model is read as (module, variables) with variables = module.init(…), which has 'params'; "
            f"got {sorted(variables) if isinstance(variables, Mapping) else type(variables).__name__}"
        )
    function = method_of(type(module), method)
    switch = training_switch(function, train)
    module = module if switch else _with_switch(module, train)
    state = {name: variables[name] for name in variables if name != "params"}

    def call(parameters, state, inputs, keywords, key):
        rngs = None
        if key is not None:
            rngs = {"params": key, "dropout": jax.random.fold_in(key, 1)}  # Linen takes "params" for any other name
        with nn.intercept_methods(_intercept):
            options = {"rngs": rngs, "mutable": list(state), "method": function, **switch, **keywords}
            outputs, _ = module.apply({"params": parameters, **state}, *inputs, **options)
        return outputs

    has_field = any(field.name in TRAINING + INFERENCE for field in dataclasses.fields(module))
    trains = told(switch, train if has_field else None)
    identity = ("linen", _structure(module), tuple(switch.items()), tuple(state), method)
    rebuild = lambda new: (module, {**variables, "params": new})
    return Adapted(call, variables["params"], state, identity, "linen", leading_axes, rebuild, _misses_key, train=trains)


def _misses_key(error: Exception) -> bool:
    return isinstance(error, InvalidRngError)


def _with_switch(module: nn.Module, train: bool | None) -> nn.Module:
    """Returns the module with its own field for training or inference set, where it has one; the module given stays."""
    names = [field.name for field in dataclasses.fields(module) if field.name in TRAINING + INFERENCE]
    if train is None or not names:
        return module
    change: dict[str, Any] = {names[0]: switched(names[0], train)}
    return module.clone(**change)


def _structure(value: Any) -> Hashable:
    """Returns what is equal for modules that compute the same, hashable also where a field is a list or a dictionary."""
    if isinstance(value, nn.Module):
        fields = [(f.name, getattr(value, f.name, None)) for f in dataclasses.fields(value) if f.name != "parent"]
        return type(value), tuple((name, _structure(entry)) for name, entry in fields)
    if isinstance(value, functools.partial):
        return functools.partial, value.func, _structure(value.args), _structure(value.keywords)
    if isinstance(value, Mapping):
        return dict, tuple((name, _structure(entry)) for name, entry in value.items())
    if type(value) in (list, tuple):
        return type(value), tuple(map(_structure, value))
    return value


def _intercept(next_function, arguments, keywords, context):
    path = tuple(context.module.path)
    if context.method_name != "__call__" or not path:
        return next_function(*arguments, **keywords)
    return _tapped(next_function, arguments, keywords, context.module, "/".join(path), path)


def _tapped(next_function, arguments, keywords, module: nn.Module, name: str, owner: tuple[str, ...]):
    """Calls a module and taps what it returns."""
    found = {"mode": mode(module, keywords, SWITCHES), "detail": drop_rate(module)}
    mark = Mark(name, type(module).__name__, owner, **found)
    if isinstance(module, nn.BatchNorm):
        arguments = (bind(arguments[0], mark.as_role("input")), *arguments[1:])
        for statistic, role in (("mean", "running-mean"), ("var", "running-variance")):
            if module.has_variable("batch_stats", statistic):
                bind(module.get_variable("batch_stats", statistic), mark.as_role(role))
    return bind_outputs(next_function(*arguments, **keywords), mark)


def applied(parameters: Any) -> contextlib.AbstractContextManager:
    """Returns a context in which the layers of the modules that a function of these parameters applies tap."""
    return nn.intercept_methods(_Applied(Owners(parameters)))


class _Applied:
    """Linen's interceptor for modules that a function applies: a layer is named by its place in the function's parameters."""

    def __init__(self, owners: Owners):
        self._owners, self._around = owners, [UNKNOWN]  # where each module is that was applied around the present call

    def __call__(self, next_function, arguments, keywords, context):
        module, path = context.module, tuple(context.module.path)
        if path:
            if context.method_name != "__call__":
                return next_function(*arguments, **keywords)
            return _tapped(next_function, arguments, keywords, module, *place(self._around[-1], path))
        held = module.variables.get("params", {})
        self._around.append(self._owners.around(held))
        try:
            if context.method_name != "__call__" or any(isinstance(value, Mapping) for value in held.values()):
                return next_function(*arguments, **keywords)
            own = self._around[-1]
            name = place(own, ())[0] or type(module).__name__  # a layer by itself, and not a model with layers
            return _tapped(next_function, arguments, keywords, module, name, own)
        finally:
            self._around.pop()
