"""Training: one jit-compiled Optax step, and many of them in one scan; the state is a pytree and its buffers are donated."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

Loss = Callable[[Any, Any], Array]  # (params, batch) -> scalar


class TrainState(NamedTuple):
    """All that a step changes."""

    params: Any
    optimizer_state: Any
    step: Int[Array, ""]


def init_state(params: Any, optimizer: optax.GradientTransformation) -> TrainState:
    """The state before the first step."""
    return TrainState(params, optimizer.init(params), jnp.zeros((), jnp.int32))


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
    Donates the state.
    """
    step = _step(loss, optimizer)

    def run(state: TrainState, data: Any, indices: Array) -> tuple[TrainState, Array]:
        return jax.lax.scan(lambda state, chosen: step(state, jax.tree.map(lambda a: a[chosen], data)), state, indices)

    return jax.jit(run, donate_argnums=0)


def _step(loss: Loss, optimizer: optax.GradientTransformation) -> Callable[[TrainState, Any], tuple[TrainState, Array]]:
    def step(state: TrainState, batch: Any) -> tuple[TrainState, Array]:
        value, gradient = jax.value_and_grad(loss)(state.params, batch)
        updates, optimizer_state = optimizer.update(gradient, state.optimizer_state, state.params)
        return TrainState(optax.apply_updates(state.params, updates), optimizer_state, state.step + 1), value

    return step


def cross_entropy(logits: Float[Array, "batch classes"], labels: Int[Array, "batch"]) -> Float[Array, ""]:
    """Mean of -ln softmax(logits)[label], nats."""
    return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()


def accuracy(logits: Float[Array, "batch classes"], labels: Int[Array, "batch"]) -> Float[Array, ""]:
    """Fraction of examples whose largest logit is the label's."""
    return jnp.mean(jnp.argmax(logits, axis=-1).astype(labels.dtype) == labels, dtype=jnp.float32)
