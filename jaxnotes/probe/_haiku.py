"""Haiku's transformed functions, read through Haiku's own interceptors."""

import contextlib
import dataclasses
import functools
import inspect
from collections.abc import Mapping
from typing import Any

import haiku as hk
import jax.numpy as jnp

from jaxnotes.probe._adapted import Adapted, ModelError, leading_axes, told, training_switch
from jaxnotes.probe._applied import Owners, place
from jaxnotes.probe._tapping import Mark, bind, bind_outputs

AVERAGES = (hk.ExponentialMovingAverage, hk.EMAParamsTree)  # modules that return statistics, and no layer's output


def adapt(transformed: Any, trees: tuple, train: bool | None) -> Adapted:
    """Returns the transformed function applied to `trees`, (params) or (params, state); changes of the state are dropped.

    Raises:
      ModelError: several transformed functions in one, or other trees than the function has.
    """
    if not isinstance(transformed, hk.Transformed | hk.TransformedWithState):
        raise ModelError(
            f"a haiku.{type(transformed).__name__} holds several functions; read one, as "
            "(haiku.TransformedWithState(init, apply), params, state) with one of its apply functions"
        )
    stateful = isinstance(transformed, hk.TransformedWithState)
    needed = ("params", "state") if stateful else ("params",)
    if len(trees) != len(needed) or not all(isinstance(tree, Mapping) for tree in trees):
        raise ModelError(
            f"a haiku.{type(transformed).__name__} is read as (transformed, {', '.join(needed)}) with what its init returns; "
            f"got {', '.join(type(tree).__name__ for tree in trees) or 'it alone'}"
        )
    params, *states = trees
    takes_key = "rng" in inspect.signature(transformed.apply).parameters  # not behind hk.without_apply_rng
    switch = training_switch(transformed.apply, train)

    def call(parameters, state, inputs, keywords, key):
        arguments = (parameters, *state, *((key,) if takes_key else ()), *inputs)
        with applied(parameters):
            outputs = transformed.apply(*arguments, **{**switch, **keywords})
        return outputs[0] if stateful else outputs

    identity = ("haiku", transformed, tuple(switch.items()))
    rebuild = lambda new: (transformed, new, *states)
    trains = told(switch, None)
    return Adapted(call, params, tuple(states), identity, "haiku", leading_axes, rebuild, _misses_key, train=trains)


def _misses_key(error: Exception) -> bool:
    return isinstance(error, ValueError) and "PRNGKey" in str(error)


def applied(parameters: Any) -> contextlib.AbstractContextManager:
    """Returns a context in which modules tap what they return, named after the entries that hold their parameters.

    That is the module's own name, behind that of the stack where it is in `hk.experimental.layer_stack`.
    """
    return hk.intercept_methods(functools.partial(_intercept, Owners(parameters)))


def _intercept(owners: Owners, next_function, arguments, keywords, context):
    module = context.module
    if context.method_name != "__call__" or isinstance(module, AVERAGES):
        return next_function(*arguments, **keywords)
    name, owner = place(owners.entry(module.module_name), ())
    mark = Mark(name, type(module).__name__, owner)
    if isinstance(module, hk.BatchNorm):
        given = inspect.signature(context.orig_method).bind(*arguments, **keywords)
        of_batch = given.arguments["is_training"] or given.arguments.get("test_local_stats", False)
        mark = dataclasses.replace(mark, mode="training" if of_batch else "inference")
        _bind_statistics(module, given.arguments["inputs"], mark)
    return bind_outputs(next_function(*arguments, **keywords), mark)


def _bind_statistics(layer: hk.BatchNorm, inputs: Any, mark: Mark) -> None:
    """Marks a layer's input, its features last, and its running statistics, as they are before the call."""
    bind(jnp.moveaxis(inputs, layer.channel_index, -1), mark.as_role("input"))
    for average, role in ((layer.mean_ema, "running-mean"), (layer.var_ema, "running-variance")):
        bind(average.average.reshape(-1), mark.as_role(role))
