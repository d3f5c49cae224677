"""Networks trained with and without dropout: how one is trained, and how its keep probability and learning rate are tuned."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.dropout.network import Params, forward, initialise
from experiments.dropout.settings import Dropout
from experiments.study import tuning
from experiments.study.convergence import fit
from experiments.study.digits import Digits
from experiments.study.measurement import Fit
from experiments.study.seeds import side_by_side
from jaxnotes import training
from jaxnotes.layers.dropout import inverted_dropout


class Plan(NamedTuple):
    """What a training program is compiled for.

    Attributes:
      hidden: units of each hidden layer.
      dropped: the hidden layers on which dropout acts, counted from 0.
      steps: of Adam.
      batch: examples per step.
    """

    hidden: tuple[int, ...]
    dropped: tuple[int, ...]
    steps: int
    batch: int


class Trained(NamedTuple):
    """A trained network and how good it is when no unit is dropped; losses are in nats."""

    params: Params
    losses: Array  # [steps], of the network with its units dropped
    train_accuracy: Array  # on its own training set
    train_loss: Array
    validation_accuracy: Array
    test_accuracy: Array
    test_loss: Array


class Arm(NamedTuple):
    """Networks of one kind, trained with one keep probability at its tuned learning rate.

    Attributes:
      plan: what they are and how long they are trained.
      data: the task.
      examples: size of the training set.
      keep: probability to keep a unit; 1 is no dropout.
      keys: [seeds, 2] of the runs.
      tuned: the runs and how their rate was chosen.
    """

    plan: Plan
    data: Digits
    examples: int
    keep: float
    keys: Array
    tuned: tuning.Tuned

    @property
    def described(self) -> str:
        """What was chosen and how, for the source of a measurement."""
        return f"keep probability {self.keep:g}, {tuning.described(self.tuned.search)}"

    def fit(self, *, required: bool = True) -> Fit:
        """How far the training came; `required` as in `study.measurement.Fit`."""
        return fit(self.tuned.runs.losses, self.tuned.runs.train_accuracy, required=required)


Pair = dict[str, Arm]  # "plain" and "dropout", paired by seed


@partial(jax.jit, static_argnames="plan")
def train(plan: Plan, rate: Array, keys: Array, keep: Array, examples: Array, data: Digits) -> Trained:
    """Trains one network.

    Args:
      plan: what stays the same for all runs of a program.
      rate: learning rate at the first step.
      keys: [2] of the weights, batches and masks; and of the training set. Masks aside, they mean the same for every `keep`.
      keep: probability to keep a hidden unit; 1 is no dropout.
      examples: how many of the training examples are used. Batches are drawn with replacement, so that it may be traced.
      data: the task.

    Returns:
      The network after the last step.
    """
    x, labels = data.train
    key_params, key_batches, key_masks = jax.random.split(keys[0], 3)
    order = jax.random.permutation(keys[1], len(labels))  # the first ones are the training set
    batches = order[jax.random.randint(key_batches, (plan.steps, plan.batch), 0, examples)]

    def loss(params: Params, step: tuple[Array, Array]) -> Array:
        chosen, key_step = step

        def drop(layer: int, h: Array) -> Array:
            if layer not in plan.dropped:
                return h
            return inverted_dropout(h, keep, train=True, key=jax.random.fold_in(key_step, layer))

        return training.cross_entropy(forward(params, x[chosen], drop), labels[chosen])

    optimizer = tuning.adam(rate, plan.steps)
    state = training.init_state(initialise(key_params, (x.shape[1], *plan.hidden, 10)), optimizer)
    state, losses = training.train(loss, optimizer)(state, (batches, jax.random.split(key_masks, plan.steps)))

    def read(inputs: Array, labels: Array, counts: Array | float = 1.0) -> tuple[Array, Array]:
        """Returns accuracy and loss over the examples that count."""
        logs = jax.nn.log_softmax(forward(state.params, inputs))
        right = (jnp.argmax(logs, 1) == labels).astype(logs.dtype)
        told = jnp.take_along_axis(logs, labels[:, None], 1)[:, 0]
        weights = jnp.broadcast_to(jnp.asarray(counts, logs.dtype), labels.shape)
        return jnp.sum(weights * right) / jnp.sum(weights), -jnp.sum(weights * told) / jnp.sum(weights)

    own = jnp.zeros(len(labels)).at[order].set((jnp.arange(len(labels)) < examples).astype(x.dtype))
    return Trained(state.params, losses, *read(x, labels, own), read(*data.validation)[0], *read(*data.test))


def tuned_arm(
    settings: Dropout, plan: Plan, keep: float, examples: int, data: Digits, key: Array, seeds: int | None = None
) -> Arm:
    """Returns networks trained at the learning rate with the best validation accuracy.

    Arms of one key are paired by seed: same weights at the start, training set and batches.
    """

    def run(rate: Array, key: Array) -> Trained:
        return train(plan, rate, jax.random.split(key), jnp.float32(keep), jnp.int32(examples), data)

    keys = jax.random.split(key, settings.tuning_seeds + (seeds or settings.train_seeds))
    tuned = tuning.tuned(run, lambda trained: trained.validation_accuracy, settings, key, seeds=seeds)
    return Arm(plan, data, examples, keep, jax.vmap(jax.random.split)(keys[settings.tuning_seeds :]), tuned)


def tuned_pair(settings: Dropout, plan: Plan, examples: int, data: Digits, key: Array, seeds: int | None = None) -> Pair:
    """Returns networks without dropout ("plain") and with ("dropout"), each at its own learning rate.

    The keep probability is that of `settings.keeps` with the best mean validation accuracy on the tuning seeds, at the learning
    rate of the networks without dropout.
    """
    plain = tuned_arm(settings, plan, 1.0, examples, data, key, seeds)
    keys = jax.vmap(jax.random.split)(jax.random.split(key, settings.tuning_seeds))
    tries = [(keep, pair) for keep in settings.keeps for pair in keys]
    found = side_by_side(lambda at: float(again(plain, *at).validation_accuracy), tries)
    keep = settings.keeps[int(np.argmax(np.reshape(found, (len(settings.keeps), -1)).mean(1)))]
    return {"plain": plain, "dropout": tuned_arm(settings, plan, keep, examples, data, key, seeds)}


def again(arm: Arm, keep: float, keys: Array) -> Trained:
    """Returns one more run of an arm's networks, at its learning rate, with another keep probability or other keys."""
    return train(arm.plan, jnp.float32(arm.tuned.rate), keys, jnp.float32(keep), jnp.int32(arm.examples), arm.data)
