"""A program trained for some steps on fresh batches, and how good it is then."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import optax
from jax import Array

from experiments.diagnosis.forms import Trainable, trainable
from experiments.diagnosis.program import Program, positional
from jaxnotes import probe

STEPS = 200


class Trained(NamedTuple):
    """A program after training.

    Attributes:
      model: as `probe.read` takes it.
      score: of the task, on a fresh batch in training mode; of several outputs the first one counts.
    """

    model: Any
    score: float


class Training:
    """The training of a program, compiled once for all its models.

    Args:
      program: what is trained.
      model: any of its models, for the structure.
      steps: of the optimiser, each on a fresh batch.
    """

    def __init__(self, program: Program, model: Any, steps: int = STEPS):
        self.form, self.steps = program.form, steps
        self._run = jax.jit(_training(program, trainable(program.form, model)))

    def __call__(self, model: Any, key: Array) -> Trained:
        """Trains a model, which itself stays as it is."""
        parts = trainable(self.form, model)
        keys = jax.random.split(key, self.steps + 1)
        parameters, state, score = self._run(parts.parameters, parts.state, keys)
        return Trained(parts.rebuild(parameters, state), float(score))


def _training(program: Program, parts: Trainable) -> Callable[[Any, Any, Array], tuple]:
    """(parameters, state, keys) -> the same after a step with each key but the first, and the score on the first's batch."""
    loss = probe.LOSSES[program.loss] if isinstance(program.loss, str) else program.loss
    optimizer = program.optimizer
    if program.clip_norm is not None:
        optimizer = optax.chain(optax.clip_by_global_norm(program.clip_norm), optimizer)

    def objective(parameters: Any, state: Any, key: Array) -> tuple[Array, tuple]:
        inputs, targets = program.task.draw(key)
        outputs, new = parts.apply(parameters, state, positional(inputs), key if program.random else None)
        first = outputs[0] if isinstance(outputs, tuple) else outputs
        return loss(outputs, targets), (new, first, targets)

    def step(carry: tuple, key: Array) -> tuple[tuple, None]:
        parameters, state, moments = carry
        gradient, (new, *_) = jax.grad(objective, has_aux=True)(parameters, state, key)
        updates, moments = optimizer.update(gradient, moments, parameters)
        return (optax.apply_updates(parameters, updates), new if program.carries else state, moments), None

    def run(parameters: Any, state: Any, keys: Array) -> tuple:
        start = (parameters, state, optimizer.init(parameters))
        (parameters, state, _), _ = jax.lax.scan(step, start, keys[1:])
        again = jax.tree.map(lambda leaf: leaf, state)  # Equinox lets a state be used once
        _, (_, outputs, targets) = objective(parameters, again, keys[0])
        return parameters, state, program.task.score(outputs, targets)

    return run
