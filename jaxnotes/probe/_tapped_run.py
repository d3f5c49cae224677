"""Runs a traced function with zeros added at its taps, and returns the values found there: zeros in, readings out."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
from jax import Array
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal

from jaxnotes.probe._seen_activation import readable_body
from jaxnotes.probe._survey import count
from jaxnotes.probe._tapping import tap_primitive

# What a model prints or hands to the host: a reading runs the model many times, and prints nothing.
TOLD = ("debug_callback", "debug_print")
Meet = Callable[[Array, Any], tuple[Array, Array]]  # (value, what was given for the site) -> (value to go on with, reading)


def evaluate(traced: ClosedJaxpr, arguments: Sequence, given: Sequence[Any], meet: Meet) -> tuple[list, list]:
    """Evaluates a jaxpr; at each tap `meet` decides what goes on and what is read.

    Args:
      traced: a function's jaxpr.
      arguments: its flat arguments.
      given: one entry per site of `survey`, in order: an array with the lengths of the scans around the site in front, or None.
      meet: called at every tap, inside a scan once for all steps.

    Returns:
      (outputs, readings): the flat outputs, and one reading per site with the scans' lengths in front.
    """
    return _run(traced.jaxpr, traced.consts, list(arguments), list(given), meet)


def _run(jaxpr: Jaxpr, consts: Sequence, arguments: list, given: list, meet: Meet) -> tuple[list, list]:
    values = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *arguments), strict=True))
    read = lambda v: v.val if isinstance(v, Literal) else values[v]
    readings, given = [], list(given)
    for equation in jaxpr.eqns:
        inputs = [read(v) for v in equation.invars]
        body = readable_body(equation)
        if equation.primitive is tap_primitive:
            value, reading = meet(inputs[0], given.pop(0))
            outputs = [value]
            readings.append(reading)
        elif equation.primitive.name in TOLD:
            outputs = []
        elif body is not None and (sites := count(body)):
            outputs, found = _run_body(equation, body, inputs, given[:sites], meet)
            readings += found
            del given[:sites]
        else:
            outputs = bind_equation(equation, inputs)
        values.update(zip(equation.outvars, outputs, strict=True))
    return [read(v) for v in jaxpr.outvars], readings


def bind_equation(equation: JaxprEqn, inputs: Sequence) -> list:
    """Applies one equation."""
    parameters = equation.primitive.get_bind_params(equation.params)
    with equation.ctx.manager:
        outputs = equation.primitive.bind(*inputs, **parameters)
    return outputs if equation.primitive.multiple_results else [outputs]


def _run_body(equation, body: Jaxpr, inputs: list, given: list, meet: Meet) -> tuple[list, list]:
    parameters = equation.params
    consts = getattr(parameters.get("jaxpr"), "consts", ())
    if equation.primitive.name == "scan":
        return _run_scan(parameters, body, consts, inputs, given, meet)
    inside = lambda inputs, given: _run(body, consts, inputs, given, meet)
    if "prevent_cse" in parameters:
        inside = jax.checkpoint(inside, prevent_cse=parameters["prevent_cse"], policy=parameters["policy"])
    return inside(inputs, given)


def _run_scan(parameters: dict, body: Jaxpr, body_consts, inputs: list, given: list, meet: Meet) -> tuple[list, list]:
    fixed, carried = parameters["num_consts"], parameters["num_carry"]
    consts, start, rows = inputs[:fixed], inputs[fixed : fixed + carried], inputs[fixed + carried :]

    def step(carry: list, item: tuple[list, list]) -> tuple[list, tuple[list, list]]:
        outputs, readings = _run(body, body_consts, [*consts, *carry, *item[0]], item[1], meet)
        return outputs[:carried], (outputs[carried:], readings)

    options = {name: parameters[name] for name in ("length", "reverse", "unroll")}
    end, (stacked, readings) = jax.lax.scan(step, start, (rows, given), **options)
    return [*end, *stacked], readings
