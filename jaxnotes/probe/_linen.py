"""Flax Linen modules, read through Linen's own interceptors."""

import dataclasses
import functools
from collections.abc import Hashable, Mapping
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
    mode,
    switched,
    told,
    training_switch,
)
from jaxnotes.probe._tapping import Mark, bind, bind_outputs

# Layers that differ between training and inference, with the switch that turns them off.
SWITCHES = {nn.BatchNorm: "use_running_average", nn.Dropout: "deterministic"}


def adapt(module: nn.Module, variables: Mapping[str, Any], train: bool | None) -> Adapted:
    """Returns the module applied to its variables; all collections but `params` may change and their changes are dropped.

    Raises:
      ModelError: the variables are not a mapping with the collection "params".
    """
    if not isinstance(variables, Mapping) or "params" not in variables:
        raise ModelError(
            f"a Linen model is read as (module, variables) with variables = module.init(…), which has 'params'; "
            f"got {sorted(variables) if isinstance(variables, Mapping) else type(variables).__name__}"
        )
    switch = training_switch(type(module).__call__, train)
    module = module if switch else _with_switch(module, train)
    state = {name: variables[name] for name in variables if name != "params"}

    def call(parameters, state, inputs, keywords, key):
        rngs = None
        if key is not None:
            rngs = {"params": key, "dropout": jax.random.fold_in(key, 1)}  # Linen takes "params" for any other name
        with nn.intercept_methods(_intercept):
            outputs, _ = module.apply(
                {"params": parameters, **state}, *inputs, rngs=rngs, mutable=list(state), **{**switch, **keywords}
            )
        return outputs

    has_field = any(field.name in TRAINING + INFERENCE for field in dataclasses.fields(module))
    trains = told(switch, train if has_field else None)
    identity = ("linen", _structure(module), tuple(switch.items()), tuple(state))
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
    module = context.module
    if context.method_name != "__call__" or not module.path:
        return next_function(*arguments, **keywords)
    found = {"mode": mode(module, keywords, SWITCHES), "detail": drop_rate(module)}
    mark = Mark("/".join(module.path), type(module).__name__, tuple(module.path), **found)
    if isinstance(module, nn.BatchNorm):
        arguments = (bind(arguments[0], mark.as_role("input")), *arguments[1:])
        for name, role in (("mean", "running-mean"), ("var", "running-variance")):
            if module.has_variable("batch_stats", name):
                bind(module.get_variable("batch_stats", name), mark.as_role(role))
    return bind_outputs(next_function(*arguments, **keywords), mark)
