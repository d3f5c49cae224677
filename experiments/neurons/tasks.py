"""What the networks are trained on: XOR, two moons and MNIST-1D, each in training, validation and test set."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from experiments.neurons.settings import Neurons
from jaxnotes import datasets

Examples = tuple[Array, Array]  # inputs and labels
SEQUENCES, TRAIN = 7500, 4000  # of MNIST-1D; a fifth is to test, and what is left, 2,000, to choose learning rates by
XOR_DEVIATION, MOONS_DEVIATION = 0.3, 0.1  # of the noise around the clusters, and around the half circles


class Sets(NamedTuple):
    """The three sets of a task; no example is in two of them."""

    train: Examples
    validation: Examples
    test: Examples


class Task(NamedTuple):
    """A classification task.

    Attributes:
      sets: draws the task's examples from a key; a task with examples of its own ignores it.
      hidden: units of each of two hidden layers.
      classes: how many there are.
      steps: of Adam.
      batch: examples per step.
    """

    sets: Callable[[Array], Sets]
    hidden: int
    classes: int
    steps: int
    batch: int


def tasks(settings: Neurons) -> dict[str, Task]:
    """Returns the tasks by name."""
    whole = datasets.mnist1d(shuffled=False, examples=SEQUENCES)
    x, labels = whole.train_images, whole.train_labels
    sequences = Sets((x[:TRAIN], labels[:TRAIN]), (x[TRAIN:], labels[TRAIN:]), (whole.test_images, whole.test_labels))
    made = {
        name: Task(partial(drawn_sets, draw, settings.points), settings.toy_width, 2, settings.toy_steps, settings.points)
        for name, draw in DRAWN.items()
    }
    sizes = settings.mnist1d_width, 10, settings.mnist1d_steps, settings.mnist1d_batch
    return made | {"mnist1d": Task(lambda key: sequences, *sizes)}


@partial(jax.jit, static_argnums=(0, 1))
def drawn_sets(draw: Callable[[Array, int], Examples], points: int, key: Array) -> Sets:
    """Returns three independent sets of so many points each."""
    return Sets(*(draw(key, points) for key in jax.random.split(key, 3)))


def xor(key: Array, points: int) -> Examples:
    """Returns Gaussian clusters at (±1, ±1), as many points in each; the class is whether the signs differ."""
    corners = jnp.asarray([[-1.0, -1.0], [1.0, 1.0], [-1.0, 1.0], [1.0, -1.0]])
    labels = jnp.asarray([0, 0, 1, 1], jnp.int32)
    noise = XOR_DEVIATION * jax.random.normal(key, (points // 4, 4, 2))
    return (corners[None] + noise).reshape(points, 2), jnp.tile(labels, points // 4)


def two_moons(key: Array, points: int) -> Examples:
    """Returns two interleaved half circles with Gaussian noise, centred."""
    key_angle, key_noise = jax.random.split(key)
    angle = jax.random.uniform(key_angle, (points // 2,), maxval=jnp.pi)
    outer = jnp.stack([jnp.cos(angle), jnp.sin(angle)], axis=-1)
    both = jnp.concatenate([outer, jnp.asarray([[1.0, 0.5]]) - outer]) - jnp.asarray([[0.5, 0.25]])
    labels = jnp.repeat(jnp.arange(2, dtype=jnp.int32), points // 2)
    return both + MOONS_DEVIATION * jax.random.normal(key_noise, both.shape), labels


DRAWN = {"xor": xor, "moons": two_moons}
TASKS = (*DRAWN, "mnist1d")
