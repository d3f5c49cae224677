"""`read`: one call that measures every layer of a model on a batch."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jaxnotes.probe._assembly import assemble, in_order, nonfinite_arrays, running_statistics
from jaxnotes.probe._attention import attention
from jaxnotes.probe._batch_reading import read_batch
from jaxnotes.probe._curvature import measure_curvature
from jaxnotes.probe._each_parameter import each_parameter
from jaxnotes.probe._frameworks import adapt
from jaxnotes.probe._jacobian import with_jacobians, with_partial_jacobians, with_singular_values
from jaxnotes.probe._linearity import linearity
from jaxnotes.probe._lookups import lookups
from jaxnotes.probe._losses import LOSSES
from jaxnotes.probe._report import Report
from jaxnotes.probe._request import Request, program_of
from jaxnotes.probe._residuals import residual_sums
from jaxnotes.probe._sizes import norm
from jaxnotes.probe._squares import numbers
from jaxnotes.probe._step import read_step
from jaxnotes.probe._updates import Updates


def read(
    model: Any,
    batch: Any,
    loss: Callable[[Any, Any], Array] | str,
    *,
    key: Array | None = None,
    train: bool | None = None,
    keywords: Mapping[str, Any] | None = None,
    method: str | Callable | None = None,
    batched: bool = False,
    jacobian: bool = True,
    singular_values: bool = False,
    summarise_steps: bool = False,
    probes: int = 16,
    optimizer: optax.GradientTransformation | None = None,
    clip_norm: float | None = None,
    curvature: bool = False,
) -> Report:
    """Measures every layer of a model at its present parameters: activations, gradients, Jacobians.

    One forward and one backward pass give all gradients; the passes are compiled, and kept for models of the same structure and
    batches of the same shape. Nothing of the model is changed.

    Args:
      model: (flax.linen.Module, variables); a flax.nnx.Module; an equinox.Module for one example, or (module, State);
        (haiku.Transformed, params), or (haiku.TransformedWithState, params, state); a keras.Model on the JAX backend, or
        (model, trainable_variables, non_trainable_variables); or a function of the inputs, or (function, parameters), whose
        values are named by `probe.tap`, and whose layers are those of the Linen and Haiku modules that it applies.
      batch: (inputs, targets), examples on the first axis; inputs is an array, a tuple of positional or a dictionary of keyword
        arguments.
      loss: (model outputs, targets) -> mean over the batch, or "cross_entropy" (integer targets) or "squared_error". A function
        of the outputs alone will do too; the batch may then be just an array of inputs.
      key: of dropout and other random layers; they need one in training mode.
      train: whether the model trains, given to it under its own keyword (`train`, `deterministic`, …) or switch. None: the
        model's own default; in training where it must be said.
      keywords: further keyword arguments of the model.
      method: of a Linen, NNX or Equinox module, by name or as a function of the module first; None: `__call__`.
      batched: an Equinox model that takes the whole batch itself.
      jacobian: whether to measure Jacobian norms too, in further passes.
      singular_values: whether to summarise their singular values too, for models with few outputs.
      summarise_steps: one row for all steps of a scan, as of a recurrent network, in place of one row per step.
      probes: random vectors for the Jacobian norms of models with many outputs, and for layer-to-layer gains; at least 2.
      optimizer: its first update is set against the parameters, for `update_ratio`, and taken, for `first_step`.
      clip_norm: the limit of clipping by global norm, to be set against the norm of the whole gradient.
      curvature: whether to measure the loss's largest Hessian eigenvalue too, in 20 products of the Hessian with a vector.

    Returns:
      A `Report`, which prints as a table.

    Raises:
      TypeError: not a model or batch as above.
      ValueError: a loss that is not one number, fewer than 2 probes, or a batch without examples.
    """
    if probes < 2:
        raise ValueError(f"probes is {probes}, expected at least 2: one has no standard error")
    loss = _loss(loss)
    alone = isinstance(loss, OfOutputs) and isinstance(batch, jax.Array | np.ndarray)
    inputs, named, targets = _batch((batch, None) if alone else batch)
    adapted = adapt(model, train, batched, frozenset(named), method)
    request = Request(adapted, loss, inputs, {**(keywords or {}), **named}, targets, key)
    program, request, missing_key = program_of(request)
    arguments = request.arguments()
    passed = program.gradients(arguments, jnp.float32(1))
    updates = None if optimizer is None else Updates(adapted, passed.parameters, optimizer)
    rows = assemble(program, adapted, arguments, passed, updates, summarise_steps)
    notes, crosses = [*program.notes, *program.surveyed.notes], False
    if jacobian:
        rows, crosses, more = with_jacobians(program, rows, arguments, passed.outputs, probes, summarise_steps)
        rows, some = with_partial_jacobians(program, rows, arguments, max(probes // 4, 2), summarise_steps)
        notes += [*more, *some]
    if singular_values and jacobian and not summarise_steps:
        rows, more = with_singular_values(program, rows, arguments, passed.outputs, crosses)
        notes += more
    if adapted.keyless:
        notes.append(
            f"{', '.join(adapted.keyless)}: made without rngs, so that training stops there; read with a key of our own"
        )
    elif missing_key:
        notes.append("the model draws random numbers and got no key; it was read with jax.random.key(0)")
    return Report(
        layers=in_order(rows),
        loss=float(passed.loss),
        examples=program.examples,
        framework=adapted.framework,
        train=adapted.train,
        missing_key=missing_key,
        nonfinite_inputs=nonfinite_arrays({"parameters": adapted.parameters, "state": adapted.state, "batch": batch}),
        crosses_examples=crosses,
        running=running_statistics(program, passed.values),
        clip_norm=clip_norm,
        gradient_norm=norm(passed.parameters),
        notes=tuple(notes),
        **read_batch(program, request, passed, arguments),
        first_step=None if updates is None else read_step(program, arguments, passed, updates),
        parameters=each_parameter(program, adapted, arguments, passed, updates),
        attention=attention(program.sites, passed.values),
        lookups=lookups(program.sites, passed.values),
        linearity=linearity(program.structure),
        curvature=measure_curvature(program, arguments, passed, updates) if curvature else None,
        residuals=dataclasses.replace(program.structure.residuals, sums=residual_sums(program.sites, passed.values)),
        batch_softmax=program.structure.batch_softmax,
        **numbers(program.sites, passed.values)._asdict(),
    )


@dataclasses.dataclass(frozen=True)
class OfOutputs:
    """A loss that needs no targets, with the place for them."""

    loss: Callable

    def __call__(self, outputs: Any, targets: Any) -> Array:
        del targets
        return self.loss(outputs)


def _batch(batch: Any) -> tuple[tuple, dict, Any]:
    """Returns (positional inputs, inputs by keyword, targets)."""
    if isinstance(batch, Mapping):
        names = list(batch)
        shown = names if len(names) == 2 else [names[0] if names else "image", "label"]
        raise TypeError(
            f"batch is a dictionary of {', '.join(map(repr, names))}, expected the pair (inputs, targets): "
            f"pass (batch[{shown[0]!r}], batch[{shown[1]!r}]); inputs by keyword may be a dictionary"
        )
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        got = f"{len(batch)} entries" if isinstance(batch, tuple | list) else type(batch).__name__
        raise TypeError(f"batch has {got}, expected the pair (inputs, targets); targets may be None")
    inputs, targets = batch
    several = isinstance(inputs, tuple) and not hasattr(inputs, "_fields")  # a NamedTuple is one input
    positional = () if isinstance(inputs, Mapping) else inputs if several else (inputs,)
    named = dict(inputs) if isinstance(inputs, Mapping) else {}
    arrays = [leaf for leaf in jax.tree.leaves((positional, named)) if getattr(leaf, "ndim", 0)]
    if not arrays or arrays[0].shape[0] == 0:
        raise ValueError("the batch has no examples; inputs must be arrays with at least one example on the first axis")
    return positional, named, targets


def _loss(loss: Callable | str) -> Callable:
    if isinstance(loss, str) and loss in LOSSES:
        return LOSSES[loss]
    if not callable(loss):
        raise TypeError(f"loss is {loss!r}, expected a function (outputs, targets) -> number, or one of {', '.join(LOSSES)}")
    try:
        parameters = inspect.signature(loss).parameters.values()
    except (TypeError, ValueError):  # a built-in function that does not tell
        return loss
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty]
    return OfOutputs(loss) if len(positional) == 1 and not any(p.kind == p.VAR_POSITIONAL for p in parameters) else loss
