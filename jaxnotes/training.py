"""Training: one jit-compiled Optax step, and many of them in one scan; the state is a pytree and its buffers are donated.

A donated state cannot be read again: go on with the returned one. Under `vmap` over seeds or learning rates, batch the whole
state or compile the mapped function, `jax.jit(jax.vmap(run))`: a buffer shared by all cannot be donated to each.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, Integer

from jaxnotes._checks import floats, function, integers, leaves, stacked

Loss = Callable[[Any, Any], Array]  # (params, batch) -> scalar


class TrainState(NamedTuple):
    """All that a step changes."""

    params: Any
    optimizer_state: Any
    step: Int[Array, ""]


def init_state(params: Any, optimizer: optax.GradientTransformation) -> TrainState:
    """Returns the state before the first step; it owns copies, so that donating it leaves the caller's `params` alone.

    Raises:
      TypeError: a leaf of the params is not a floating-point array, or the optimiser is none of Optax.
    """
    leaves("params", params)
    _check_optimizer(optimizer)
    return jax.tree.map(jnp.copy, TrainState(params, optimizer.init(params), jnp.zeros((), jnp.int32)))


def train_step(loss: Loss, optimizer: optax.GradientTransformation) -> Callable[[TrainState, Any], tuple[TrainState, Array]]:
    """One step `(state, batch) -> (state, loss)`, compiled; the loss is the one before the update. Donates the state.

    Raises:
      TypeError: the loss is no function, or the optimiser none of Optax; from the returned function, the state is no
        TrainState, or the loss no array of floats.
      ValueError: from the returned function, the loss is not one number.
    """
    return jax.jit(_step(loss, optimizer), donate_argnums=0)


def train(loss: Loss, optimizer: optax.GradientTransformation) -> Callable[[TrainState, Any], tuple[TrainState, Array]]:
    """Many steps `(state, batches) -> (state, losses [steps])` in one scan, batches stacked on axis 0. Donates the state.

    Errors as of `train_step`; the returned function also raises ValueError where the batches differ in their number of steps.
    """
    step = _step(loss, optimizer)

    def run(state: TrainState, batches: Any) -> tuple[TrainState, Array]:
        stacked("batches", batches, "steps")
        return jax.lax.scan(step, state, batches)

    return jax.jit(run, donate_argnums=0)


def train_on(
    loss: Loss, optimizer: optax.GradientTransformation
) -> Callable[[TrainState, Any, Int[Array, "steps batch"]], tuple[TrainState, Array]]:
    """Many steps `(state, data, indices) -> (state, losses [steps])`; a step's batch is gathered from resident data.

    `data` is a pytree whose leaves have the examples on axis 0; `indices` [steps, batch] names each step's examples.
    Donates the state. An index is not looked at: it must lie in 0 … examples − 1, or JAX takes the nearest example.

    Errors as of `train_step`; the returned function also raises ValueError where the leaves differ in their number of examples
    or the indices have not two axes or name no example, and TypeError where they are not integers.
    """
    step = _step(loss, optimizer)

    def run(state: TrainState, data: Any, indices: Array) -> tuple[TrainState, Array]:
        stacked("data", data, "examples")  # a gather out of range would repeat the shorter array's last example
        indices = integers("indices", indices, "steps batch")
        if indices.shape[1] == 0:
            raise ValueError(f"indices has shape {indices.shape}; a step needs at least one example")
        return jax.lax.scan(lambda state, chosen: step(state, jax.tree.map(lambda a: a[chosen], data)), state, indices)

    return jax.jit(run, donate_argnums=0)


def _check_optimizer(optimizer: optax.GradientTransformation) -> None:
    if not callable(getattr(optimizer, "init", None)) or not callable(getattr(optimizer, "update", None)):
        raise TypeError(f"optimizer is of type {type(optimizer).__name__}; give one of Optax, such as optax.sgd(0.1)")


def _step(loss: Loss, optimizer: optax.GradientTransformation) -> Callable[[TrainState, Any], tuple[TrainState, Array]]:
    function("loss", loss)
    _check_optimizer(optimizer)

    def of_params(params: Any, batch: Any) -> Array:
        return floats("what loss returns", loss(params, batch), "")

    def step(state: TrainState, batch: Any) -> tuple[TrainState, Array]:
        if not isinstance(state, TrainState):
            raise TypeError(f"state is of type {type(state).__name__}; make it with init_state(params, optimizer)")
        leaves("state.params", state.params)
        value, gradient = jax.value_and_grad(of_params)(state.params, batch)
        updates, optimizer_state = optimizer.update(gradient, state.optimizer_state, state.params)
        return TrainState(optax.apply_updates(state.params, updates), optimizer_state, state.step + 1), value

    return step


def cross_entropy(logits: Float[Array, "*batch classes"], labels: Integer[Array, "*batch"]) -> Float[Array, ""]:
    """Returns the mean over all labels of -ln softmax(logits)[label], in nats; NaN where a label is not one of the classes.

    Raises:
      TypeError: the logits are not of a floating type, or the labels not integers.
      ValueError: labels that are not of the logits' shape without its last axis, or no label: there is no mean of nothing.
    """
    logits = floats("logits", logits, "... classes")
    labels = _labels(logits, labels)
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def accuracy(logits: Float[Array, "batch classes"], labels: Int[Array, "batch"]) -> Float[Array, ""]:
    """Fraction of examples whose largest logit is the label's; logits with a NaN have no largest and count as wrong.

    Raises:
      TypeError: the logits are not of a floating type, or the labels not integers.
      ValueError: labels that are not of the logits' shape without its last axis, or no label: there is no mean of nothing.
    """
    logits = floats("logits", logits, "batch classes")
    labels = _labels(logits, labels)
    right = jnp.argmax(logits, axis=-1).astype(labels.dtype) == labels
    return jnp.mean(right & ~jnp.isnan(logits).any(axis=-1), dtype=jnp.float32)


def _labels(logits: Array, labels: Array) -> Array:
    labels = integers("labels", labels)
    if labels.shape != logits.shape[:-1] or 0 in logits.shape:
        raise ValueError(
            f"labels has shape {labels.shape} and logits {logits.shape}; give one integer, the class, for each row of logits, "
            "and at least one row and class"
        )
    return labels
