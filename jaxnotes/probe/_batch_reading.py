"""Readings of what is around the layers: the inputs, the targets, the outputs and the loss."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxnotes.probe._data import read_inputs, read_targets
from jaxnotes.probe._dependence import read_dependence
from jaxnotes.probe._future import read_future
from jaxnotes.probe._loss_response import LossResponse, examples_to_ask, made_up_entries, respond
from jaxnotes.probe._outputs import read_outputs
from jaxnotes.probe._program import Passed, Program
from jaxnotes.probe._request import Request


def read_batch(program: Program, request: Request, passed: Passed, arguments: list[Array]) -> dict[str, Any]:
    """Returns the fields `inputs`, `targets`, `dependence`, `future`, `outputs` and `loss_response` of a report."""
    data, _ = request.divided_keywords()
    inputs = (*request.inputs, data) if data else request.inputs
    found: dict[str, Any] = {"inputs": read_inputs(inputs), "targets": read_targets(request.targets, inputs)}
    found["dependence"] = read_dependence((request.inputs, data), request.targets)
    found["future"] = read_future(program, arguments, passed, _one_array(request.targets))
    if len(passed.outputs) == program.output_tree.num_leaves == 1 and _is_batch(passed.outputs[0]):
        (output,), targets = passed.outputs, _one_array(request.targets)
        comparable = targets if targets is not None and targets.size == output.size else None
        found["outputs"] = read_outputs(output, program.last_activation, comparable)
        found["loss_response"] = _ask(program, output, request.targets, targets)
    return found


def _is_batch(output: Array) -> bool:
    return output.ndim > 0 and output.size > 0 and jnp.issubdtype(output.dtype, jnp.floating)


def _one_array(targets: Any) -> Array | None:
    leaves = [leaf for leaf in jax.tree.leaves(targets) if getattr(leaf, "ndim", 0)]
    return leaves[0] if len(leaves) == 1 else None


def _ask(program: Program, output: Array, targets: Any, array: Array | None) -> LossResponse:
    """Returns the loss's answers on the first examples."""
    examples, of = output.shape[0], examples_to_ask(output.shape)
    cut = lambda leaf: leaf[:of] if getattr(leaf, "ndim", 0) and leaf.shape[0] == examples else leaf
    asked = cut(output)
    answered = jax.device_get(program.answers(asked, jax.tree.map(cut, targets), *made_up_entries(asked.shape)))
    answered = {name: float(value) for name, value in answered.items() if np.ndim(value) == 0}
    return respond(answered, asked.shape, None if array is None else cut(array))
