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

Loss = Callable[[Any, Any], Array]  # (params, batch) -> scalar


class TrainState(NamedTuple):
    """All that a step changes."""

    params: Any
    optimizer_state: Any
    step: Int[Array, ""]


def init_state(params: Any, optimizer: optax.GradientTransformation) -> TrainState:
    """Returns the state before the first step; it owns copies, so that donating it leaves the caller's `params` alone."""
    return jax.tree.map(jnp.copy, TrainState(params, optimizer.init(params), jnp.zeros((), jnp.int32)))


def train_step(loss: Loss, optimizer: optax.GradientTransformation) -> Callable[[TrainState, Any], tuple[TrainState, Array]]:
    """One step `(state, batch) -> (state, loss)`, compiled; the loss is the one before the update. Donates the state."""
    return jax.jit(_step(loss, optimizer), donate_argnums=0)


def train(loss: Loss, optimizer: optax.GradientTransformation) -> Callable[[TrainState, Any], tuple[TrainState, Array]]:
    """Many steps `(state, batches) -> (state, losses [steps])` in one scan, batches stacked on axis 0. Donates the state."""
    step = _step(loss, optimizer)
    return jax.jit(lambda state, batches: jax.lax.scan(step, state, batches), donate_argnums=0)


def train_on(
    loss: Loss, optimizer: optax.GradientTransformation
) -> Callable[[TrainState, Any, Int[Array, "steps batch"]], tuple[TrainState, Array]]:
    """Many steps `(state, data, indices) -> (state, losses [steps])`; a step's batch is gathered from resident data.

    `data` is a pytree whose leaves have the examples on axis 0; `indices` [steps, batch] names each step's examples.
    Donates the state. The returned function raises ValueError where the leaves differ in their number of examples.
    """
    step = _step(loss, optimizer)

    def run(state: TrainState, data: Any, indices: Array) -> tuple[TrainState, Array]:
        _check_examples(data)
        return jax.lax.scan(lambda state, chosen: step(state, jax.tree.map(lambda a: a[chosen], data)), state, indices)

    return jax.jit(run, donate_argnums=0)


def _check_examples(data: Any) -> None:
    shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(data)]
    if len({shape[:1] for shape in shapes}) != 1 or () in shapes:
        # Out-of-range gathers clamp silently, so that the shorter array would repeat its last example.
        raise ValueError(f"the data's arrays have shapes {shapes}; all need the same number of examples on axis 0")


def _step(loss: Loss, optimizer: optax.GradientTransformation) -> Callable[[TrainState, Any], tuple[TrainState, Array]]:
    def step(state: TrainState, batch: Any) -> tuple[TrainState, Array]:
        value, gradient = jax.value_and_grad(loss)(state.params, batch)
        updates, optimizer_state = optimizer.update(gradient, state.optimizer_state, state.params)
        return TrainState(optax.apply_updates(state.params, updates), optimizer_state, state.step + 1), value

    return step


def cross_entropy(logits: Float[Array, "*batch classes"], labels: Integer[Array, "*batch"]) -> Float[Array, ""]:
    """Returns the mean over all labels of -ln softmax(logits)[label], in nats; NaN where a label is not one of the classes."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def accuracy(logits: Float[Array, "batch classes"], labels: Int[Array, "batch"]) -> Float[Array, ""]:
    """Fraction of examples whose largest logit is the label's; logits with a NaN have no largest and count as wrong."""
    right = jnp.argmax(logits, axis=-1).astype(labels.dtype) == labels
    return jnp.mean(right & ~jnp.isnan(logits).any(axis=-1), dtype=jnp.float32)
