"""Flax Linen modules, read through Linen's own interceptors."""

import inspect
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
from flax.errors import InvalidRngError

from jaxnotes.probe._adapted import INFERENCE, TRAINING, Adapted, ModelError, leading_axes, mode
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

    told = next((value if name in TRAINING else not value for name, value in switch.items()), None)
    identity = ("linen", module, tuple(switch.items()), tuple(state))
    rebuild = lambda new: (module, {**variables, "params": new})
    return Adapted(call, variables["params"], state, identity, "linen", leading_axes, rebuild, (InvalidRngError,), told)


def training_switch(function, train: bool | None) -> dict[str, bool]:
    """Returns the keyword, with its value, by which a model is told to train; where it must be said and is not, to train."""
    for name, parameter in inspect.signature(function).parameters.items():
        if name in TRAINING + INFERENCE and (train is not None or parameter.default is inspect.Parameter.empty):
            training = train is not False
            return {name: training if name in TRAINING else not training}
    return {}


def _intercept(next_function, arguments, keywords, context):
    module = context.module
    if context.method_name != "__call__" or not module.path:
        return next_function(*arguments, **keywords)
    mark = Mark("/".join(module.path), type(module).__name__, tuple(module.path), mode=mode(module, keywords, SWITCHES))
    if isinstance(module, nn.BatchNorm):
        arguments = (bind(arguments[0], mark.as_role("input")), *arguments[1:])
        for name, role in (("mean", "running-mean"), ("var", "running-variance")):
            if module.has_variable("batch_stats", name):
                bind(module.get_variable("batch_stats", name), mark.as_role(role))
    return bind_outputs(next_function(*arguments, **keywords), mark)
