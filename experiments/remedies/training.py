"""Deep networks of every kind trained on MNIST at equal budget, each at its own best learning rate."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from experiments.remedies import network
from experiments.remedies.network import Choice, choice
from experiments.remedies.settings import Remedies
from experiments.study import digits, tuning
from experiments.study.measurement import Measurement, Search, interval
from experiments.study.seeds import paired
from experiments.study.tuning import Tuned
from jaxnotes import datasets, training

PIXELS, CLASSES = 14 * 14, 10
SHARE = "fraction of the test set"


class Outcome(NamedTuple):
    """How a network trained.

    Attributes:
      losses: [steps] at each step, nats.
      validation: accuracy on the validation set; -inf where a loss was not finite.
      test: accuracy on the test set. Batch normalisation takes the statistics of the set that is classified.
    """

    losses: Array
    validation: Array
    test: Array


def arms(depth: int) -> dict[str, Choice]:
    """Returns the deep networks that the claims compare, by name."""
    return {
        "relu": choice("relu", 2.0),
        "relu-xavier": choice("relu", 1.0),
        "relu-large": choice("relu", 8.0),
        "relu-large-layer": choice("relu", 8.0, norm="layer"),
        "relu-residual": choice("relu", 2.0, shortcut=True, branch_scale=depth**-0.5),
        "leaky-relu": choice("leaky_relu", 2.0),
        "elu": choice("elu", 2.0),
        "tanh": choice("tanh", 1.0),
        "sigmoid": choice("sigmoid", 1.0),
        "sigmoid-batch": choice("sigmoid", 1.0, norm="batch"),
        "sigmoid-layer": choice("sigmoid", 1.0, norm="layer"),
        "sigmoid-residual": choice("sigmoid", 1.0, shortcut=True),
    }


@partial(jax.jit, static_argnames=("width", "depth", "steps", "batch"))
def run(
    chosen: Choice, data: digits.Digits, rate: Array, key: Array, *, width: int, depth: int, steps: int, batch: int
) -> Outcome:
    """Returns the outcome of one whole training; draws depend on the key and not on the choice."""
    key_params, key_batches = jax.random.split(key)
    params = network.classifier_init(key_params, chosen, n_in=PIXELS, width=width, depth=depth, n_out=CLASSES)
    indices = datasets.minibatch_indices(key_batches, len(data.train[1]), batch, steps)
    optimizer, apply = tuning.adam(rate, steps), partial(network.classifier, chosen)

    def loss(params: dict, examples: tuple[Array, Array]) -> Array:
        images, labels = examples
        return training.cross_entropy(apply(params, images), labels)

    state, losses = training.train_on(loss, optimizer)(training.init_state(params, optimizer), data.train, indices)
    validation, test = (training.accuracy(apply(state.params, x), y) for x, y in (data.validation, data.test))
    return Outcome(losses, jnp.where(jnp.isfinite(losses).all(), validation, -jnp.inf), test)


def train_all(settings: Remedies, choices: dict[str, Choice], key: Array, *, width: int, depth: int) -> dict[str, Tuned]:
    """Returns the tuned runs of every arm, whose seeds are paired over arms and over calls with the same key."""
    data = digits.load()
    size = {"width": width, "depth": depth, "steps": settings.train_steps, "batch": settings.train_batch}

    def tuned(chosen: Choice) -> Tuned:
        return tuning.tuned(
            lambda rate, key: run(chosen, data, jnp.float32(rate), key, **size),
            lambda outcome: outcome.validation,
            settings.learning_rates,
            key,
            tuning_seeds=settings.tuning_seeds,
            seeds=settings.train_seeds,
        )

    return {name: tuned(chosen) for name, chosen in choices.items()}


def accuracy(name: str, arm: Tuned) -> Measurement:
    """Returns the test accuracy of an arm."""
    return interval(name, arm.runs.test, unit=SHARE, source=f"Adam, {tuning.described(arm.search)}")


def gain(name: str, arm: Tuned, over: Tuned, what: str) -> Measurement:
    """Returns the difference of the test accuracy between two arms, seeds paired; `what` says which."""
    source = f"{what}, seeds paired; {tuning.described(arm.search)}, against {tuning.described(over.search)}"
    return interval(name, paired(arm.runs.test, over.runs.test), unit=SHARE, source=source)


def searches(trained: dict[str, Tuned], *names: str) -> dict[str, Search]:
    """Returns how the learning rates of some arms were chosen."""
    return {name: trained[name].search for name in names}
