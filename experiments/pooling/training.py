"""Convolutional classifiers with and without pooling, each at its own tuned learning rate."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.pooling.settings import CLASSES, Pooling
from experiments.study import convergence, tuning
from experiments.study.digits import Digits
from experiments.study.measurement import Evidence, Measurement
from experiments.study.tuning import Tuned, tuned
from jaxnotes import datasets, training
from jaxnotes.layers.activations import relu
from jaxnotes.models.convolutional import convolutional, convolutional_init


class Arm(NamedTuple):
    """What the networks differ in; the names are those of `jaxnotes.models.convolutional`."""

    pool: str
    head: str = "flatten"
    learned: bool = True  # where it is False the convolutions stay as they were drawn


ARMS = {
    "none": Arm("none"),
    "max": Arm("max"),
    "average": Arm("average"),
    "stride": Arm("stride"),
    "frozen": Arm("max", learned=False),
    "none-global": Arm("none", "average"),
    "max-global": Arm("max", "average"),
}


class Task(NamedTuple):
    """What all networks of a data set have in common."""

    shape: tuple[int, ...]  # of an example
    channels: tuple[int, ...]
    kernel: int
    examples: int
    steps: int
    batch: int


class Run(NamedTuple):
    """A trained network; of several, with the seeds in front."""

    params: dict
    losses: Array  # [steps] training loss at each step
    train_accuracy: Array
    validation_accuracy: Array


def logits(params: dict, x: Array, arm: str) -> Array:
    """Returns the output of an arm's network."""
    return convolutional(params, x, activation=relu, pool=ARMS[arm].pool, head=ARMS[arm].head)


def train(task: Task, arm: str, data: Digits, rate: Array, key: Array) -> Run:
    """Trains one network of an arm on examples of its own."""
    pool, head, learned = ARMS[arm]
    key_params, key_examples = jax.random.split(key)
    seen, indices = draw(key_examples, data.train, task=task)
    # All pools halve a map, so that they share the parameters of any of them.
    params = start(key_params, task=task, pool="none" if pool == "none" else "max", head=head)
    return _run(params, seen, indices, data.validation, rate, learned, arm=arm if learned else "max", steps=task.steps)


@partial(jax.jit, static_argnames="task")
def draw(key: Array, available: tuple[Array, Array], *, task: Task) -> tuple[tuple[Array, Array], Array]:
    """Returns the examples that a seed trains on, and the ones of them that each step takes [steps, batch]."""
    key_examples, key_batches = jax.random.split(key)
    images, labels = available
    chosen = jax.random.choice(key_examples, len(labels), (task.examples,), replace=False)
    return (images[chosen], labels[chosen]), datasets.minibatch_indices(key_batches, task.examples, task.batch, task.steps)


@partial(jax.jit, static_argnames=("task", "pool", "head"))
def start(key: Array, *, task: Task, pool: str, head: str) -> dict:
    """Returns the parameters before the first step."""
    return convolutional_init(key, task.shape, task.channels, CLASSES, kernel_size=task.kernel, pool=pool, head=head)


@partial(jax.jit, static_argnames=("arm", "steps"))
def _run(
    params: dict,
    seen: tuple[Array, Array],
    indices: Array,
    validation: tuple[Array, Array],
    rate: Array,
    learned: Array,
    *,
    arm: str,
    steps: int,
) -> Run:
    def loss(params: dict, batch: tuple[Array, Array]) -> Array:
        blocks = jax.tree.map(lambda p: jnp.where(learned, p, jax.lax.stop_gradient(p)), params["blocks"])
        return training.cross_entropy(logits({**params, "blocks": blocks}, batch[0], arm), batch[1])

    optimizer = tuning.warmed_adam(rate, steps)
    state, losses = training.train_on(loss, optimizer)(training.init_state(params, optimizer), seen, indices)
    accuracies = (training.accuracy(logits(state.params, x, arm), labels) for x, labels in (seen, validation))
    return Run(state.params, losses, *accuracies)


def train_arm(settings: Pooling, task: Task, arm: str, data: Digits, key: Array) -> Tuned:
    """Returns the runs of an arm. With one key a seed has the same examples and batches in every arm: arms are paired."""
    return tuned(partial(train, task, arm, data), lambda run: run.validation_accuracy, settings, key)


def over_runs(measure: Callable[..., Any]) -> Callable[..., Any]:
    """Compiles `measure(params, …)` of one network for the parameters of several, the seeds in front; the rest they share."""
    return jax.jit(lambda params, *shared: jax.lax.map(lambda one: measure(one, *shared), params))


def evidence(measurements: list[Measurement], arrays: dict[str, np.ndarray], trained: dict[str, Tuned], *arms: str) -> Evidence:
    """Returns evidence with how each of some arms was tuned and how far it came; frozen kernels need not fit."""
    fits = {
        arm: convergence.fit(trained[arm].runs.losses, trained[arm].runs.train_accuracy, required=ARMS[arm].learned)
        for arm in arms
    }
    return Evidence(tuple(measurements), arrays, {arm: trained[arm].search for arm in arms}, fits)
