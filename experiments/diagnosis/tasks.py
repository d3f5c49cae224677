"""Small synthetic data, drawn anew from a key: each task is a function key -> (inputs, targets), and a score of its outputs.

The rule behind the labels (centres, directions, grammars) is fixed, so that every draw is of the same task.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

EXAMPLES = 64
FEATURES, CLASSES, SIDE, LENGTH, VOCABULARY = 8, 5, 8, 12, 24


def accuracy(outputs: Array, targets: Array) -> Array:
    """Share of examples whose largest output is the target's, given as an integer or one-hot."""
    targets = targets.argmax(-1) if targets.ndim == outputs.ndim and targets.shape[-1] > 1 else targets
    return jnp.mean(outputs.argmax(-1) == targets.reshape(outputs.shape[:-1]))


def explained(outputs: Array, targets: Array) -> Array:
    """Share of the targets' variance that the outputs explain; below 0 where their mean alone does better."""
    outputs, targets = outputs.reshape(targets.shape).astype(jnp.float32), targets.astype(jnp.float32)
    return 1 - jnp.mean((outputs - targets) ** 2) / jnp.maximum(jnp.var(targets), 1e-12)


def correlation(outputs: Array, targets: Array) -> Array:
    """Correlation of outputs and targets: 1 is best whatever the outputs' scale."""
    return jnp.corrcoef(outputs.ravel(), targets.ravel().astype(outputs.dtype))[0, 1]


@dataclasses.dataclass(frozen=True)
class Task:
    """Data and what counts as good.

    Attributes:
      draw: key -> (inputs, targets); several inputs are a tuple.
      score: (outputs, targets) -> number, larger is better.
      learnt: score that a healthy model passes after 200 steps.
    """

    draw: Callable[[Array], tuple[Any, Any]]
    score: Callable[[Array, Array], Array]
    learnt: float

    def batch(self, key: Array) -> tuple[Any, Any]:
        """Returns a draw, compiled as a whole."""
        return jax.jit(self.draw)(key)

    def changed(self, change: Callable[[Any, Any], tuple[Any, Any]]) -> "Task":
        """Returns the task with other inputs and targets, made of these."""
        return dataclasses.replace(self, draw=lambda key: change(*self.draw(key)))


def fixed(seed: int, *shape: int) -> Array:
    """Normal numbers that belong to a task's rule."""
    return jnp.asarray(np.random.default_rng(seed).standard_normal(shape), jnp.float32)


def _blobs(key: Array) -> tuple[Array, Array]:
    first, second = jax.random.split(key)
    label = jax.random.randint(first, (EXAMPLES,), 0, CLASSES)
    x = fixed(0, CLASSES, FEATURES)[label] + 0.7 * jax.random.normal(second, (EXAMPLES, FEATURES))
    return x / 1.2, label


def _xor(key: Array) -> tuple[Array, Array]:
    x = jax.random.rademacher(key, (EXAMPLES, 2), jnp.float32)
    label = (x[:, 0] * x[:, 1] > 0).astype(jnp.int32)
    return x + 0.1 * jax.random.normal(jax.random.fold_in(key, 1), x.shape), label


def _rings(key: Array) -> tuple[Array, Array]:
    x = jax.random.normal(key, (EXAMPLES, 2))
    return x, (jnp.sum(x**2, -1) > 1.4).astype(jnp.int32)


def _curve(key: Array) -> tuple[Array, Array]:
    x = jax.random.normal(key, (EXAMPLES, FEATURES))
    y = jnp.sin(x @ fixed(1, FEATURES) / 2) + 0.5 * x @ fixed(2, FEATURES) / FEATURES**0.5
    return x, y[:, None] / 0.8


def _several(key: Array) -> tuple[Array, Array]:
    x = jax.random.normal(key, (EXAMPLES, FEATURES))
    return x, jnp.tanh(x @ fixed(3, FEATURES, 3) / 2)


def _halves(key: Array) -> tuple[Array, Array]:
    x = jax.random.normal(key, (EXAMPLES, FEATURES))
    return x, (x @ fixed(4, FEATURES) + x[:, 0] * x[:, 1] > 0).astype(jnp.float32)[:, None]


def _rare(key: Array) -> tuple[Array, Array]:
    x = jax.random.normal(key, (EXAMPLES, FEATURES))
    return x, (x @ fixed(4, FEATURES) > 1.1 * jnp.linalg.norm(fixed(4, FEATURES))).astype(jnp.float32)[:, None]


def _bars(key: Array) -> tuple[Array, Array]:
    """Pictures in 0 … 1 with one bright bar: its direction and half of the picture are the class."""
    keys = jax.random.split(key, 3)
    label = jax.random.randint(keys[0], (EXAMPLES,), 0, 4)
    place = jax.random.randint(keys[1], (EXAMPLES,), 0, SIDE // 2) + SIDE // 2 * (label // 2)
    line = jax.nn.one_hot(place, SIDE)[:, :, None] * jnp.ones(SIDE)
    image = jnp.where((label % 2)[:, None, None] == 1, line, line.swapaxes(1, 2))
    noise = 0.1 * jnp.abs(jax.random.normal(keys[2], image.shape))
    return jnp.clip(image * 0.8 + noise, 0, 1)[..., None], label


def _signals(key: Array) -> tuple[Array, Array]:
    """Sequences of 4 features whose class is the direction of the first step's, seen through noise."""
    x = jax.random.normal(key, (EXAMPLES, LENGTH, 4))
    label = jax.random.randint(jax.random.fold_in(key, 1), (EXAMPLES,), 0, 4)
    return x.at[:, :3].add(2.0 * jnp.eye(4)[label][:, None]), label


def _text(key: Array) -> tuple[Array, Array]:
    """Tokens that go on by a step of the sequence's own, of 1 to 3; the target is the next token."""
    first, second = jax.random.split(key)
    start = jax.random.randint(first, (EXAMPLES, 1), 0, VOCABULARY)
    stride = jax.random.randint(second, (EXAMPLES, 1), 1, 4)
    tokens = (start + stride * jnp.arange(LENGTH + 1)) % VOCABULARY
    return tokens[:, :-1], tokens[:, 1:]


def _words(key: Array) -> tuple[Array, Array]:
    """Bags of tokens: class 1 where more of them are of the upper half."""
    tokens = jax.random.randint(key, (EXAMPLES, LENGTH - 1), 0, VOCABULARY)
    return tokens, ((tokens >= VOCABULARY // 2).sum(-1) > LENGTH // 2 - 1).astype(jnp.int32)


def _noised(key: Array) -> tuple[tuple[Array, Array], Array]:
    """A diffusion model's batch: noised points of two rings and the time as inputs, the noise as target."""
    keys = jax.random.split(key, 3)
    angle, time = jax.random.uniform(keys[0], (EXAMPLES,)) * 2 * jnp.pi, jax.random.uniform(keys[1], (EXAMPLES,))
    noise = jax.random.normal(keys[2], (EXAMPLES, 2))
    points = 1.4 * jnp.stack([jnp.cos(angle), jnp.sin(angle)], -1)
    return (jnp.cos(time * jnp.pi / 2)[:, None] * points + jnp.sin(time * jnp.pi / 2)[:, None] * noise, time), noise


BLOBS = Task(_blobs, accuracy, 0.6)
XOR = Task(_xor, accuracy, 0.9)
RINGS = Task(_rings, accuracy, 0.75)
CURVE = Task(_curve, explained, 0.3)
SEVERAL = Task(_several, explained, 0.4)
HALVES = Task(_halves, correlation, 0.5)
RARE = Task(_rare, correlation, 0.4)
BARS = Task(_bars, accuracy, 0.6)
SIGNALS = Task(_signals, accuracy, 0.5)
TEXT = Task(_text, accuracy, 0.3)
WORDS = Task(_words, accuracy, 0.7)
NOISED = Task(_noised, explained, 0.2)
# Pictures as their own targets.
PICTURES = Task(lambda key: (_bars(key)[0].reshape(EXAMPLES, -1),) * 2, explained, 0.1)
# Blobs with one-hot labels, and classes from 8 features and two categories.
ONE_HOT = BLOBS.changed(lambda x, y: (x, jax.nn.one_hot(y, CLASSES)))


def _mixed(x: Array, y: Array) -> tuple[tuple[Array, Array], Array]:
    category = (y + (x[:, 0] > 0)) % CLASSES
    return (x, category), y


TABLE = BLOBS.changed(_mixed)
