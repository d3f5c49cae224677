"""Networks trained on digits with and without dropout, each at its own learning rate."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from experiments.dropout.network import Params, forward, initialise
from experiments.dropout.settings import Dropout
from experiments.study import tuning
from experiments.study.digits import Digits
from jaxnotes import training
from jaxnotes.layers.dropout import inverted_dropout

PIXELS, CLASSES = 196, 10


class Plan(NamedTuple):
    """What a training program is compiled for.

    Attributes:
      sizes: inputs, units of each hidden layer, classes.
      dropped: the hidden layers on which dropout acts, counted from 0.
      steps: of Adam.
      batch: examples per step.
    """

    sizes: tuple[int, ...]
    dropped: tuple[int, ...]
    steps: int
    batch: int


class Trained(NamedTuple):
    """A trained network and how good it is when no unit is dropped."""

    params: Params
    train_accuracy: Array  # on its own training set
    validation_accuracy: Array
    test_accuracy: Array
    test_loss: Array  # nats


@partial(jax.jit, static_argnames="plan")
def train(plan: Plan, rate: Array, key: Array, keep: Array, examples: Array, data: Digits) -> Trained:
    """Trains one network.

    Args:
      plan: what stays the same for all runs of a program.
      rate: learning rate at the first step.
      key: of the weights, the training set, the batches and the masks; the first three are the same for every `keep`.
      keep: probability to keep a hidden unit; 1 is no dropout.
      examples: how many of the digits are trained on. Batches are drawn with replacement, so that it may be traced.
      data: the digits.

    Returns:
      The network after the last step.
    """
    x, labels = data.train
    key_params, key_order, key_batches, key_masks = jax.random.split(key, 4)
    order = jax.random.permutation(key_order, len(labels))  # the first ones are the training set
    batches = order[jax.random.randint(key_batches, (plan.steps, plan.batch), 0, examples)]

    def loss(params: Params, step: tuple[Array, Array]) -> Array:
        chosen, key_step = step

        def drop(layer: int, h: Array) -> Array:
            if layer not in plan.dropped:
                return h
            return inverted_dropout(h, keep, train=True, key=jax.random.fold_in(key_step, layer))

        return training.cross_entropy(forward(params, x[chosen], drop), labels[chosen])

    optimizer = tuning.adam(rate, plan.steps)
    state = training.init_state(initialise(key_params, plan.sizes), optimizer)
    steps = batches, jax.random.split(key_masks, plan.steps)
    params = training.train(loss, optimizer)(state, steps)[0].params
    right = (jnp.argmax(forward(params, x), 1) == labels)[order]
    train_accuracy = jnp.sum(right & (jnp.arange(len(labels)) < examples)) / examples
    validation_accuracy = training.accuracy(forward(params, data.validation[0]), data.validation[1])
    logits, test_labels = forward(params, data.test[0]), data.test[1]
    test = training.accuracy(logits, test_labels), training.cross_entropy(logits, test_labels)
    return Trained(params, train_accuracy, validation_accuracy, *test)


def tuned_arm(
    settings: Dropout, hidden: tuple[int, ...], dropped: tuple[int, ...], keep: float, examples: int, data: Digits, key: Array
) -> tuning.Tuned:
    """Returns networks trained at the learning rate with the best validation accuracy; arms of one key are paired by seed.

    Args:
      settings: steps, batch, rates and seeds.
      hidden: units of each hidden layer.
      dropped: the hidden layers on which dropout acts, counted from 0.
      keep: probability to keep a unit of these; 1 is no dropout.
      examples: size of the training set.
      data: the digits.
      key: random key.
    """
    plan = Plan((PIXELS, *hidden, CLASSES), dropped, settings.train_steps, settings.train_batch)

    def run(rate: float, key: Array) -> Trained:
        return train(plan, jnp.float32(rate), key, jnp.float32(keep), jnp.int32(examples), data)

    return tuning.tuned(
        run,
        lambda trained: trained.validation_accuracy,
        settings.learning_rates,
        key,
        tuning_seeds=settings.tuning_seeds,
        seeds=settings.train_seeds,
    )
