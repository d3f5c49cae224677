"""Deep networks of every kind trained on MNIST at equal budget, each at its own best learning rate."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from experiments.remedies import network
from experiments.remedies.gains import CRITICAL, VARIANCES
from experiments.remedies.network import Choice, choice
from experiments.remedies.settings import Remedies
from experiments.study import convergence, digits, tuning
from experiments.study.measurement import Fit, Measurement, Search, fraction, interval
from experiments.study.seeds import paired
from experiments.study.tuning import Tuned
from jaxnotes import datasets, training

PIXELS, CLASSES = 14 * 14, 10
EPSILON = 1e-8  # as the papers and Optax have it
OPTIMIZERS = {
    "sgd": optax.sgd,
    "rmsprop": partial(optax.rmsprop, decay=0.9, eps=EPSILON, eps_in_sqrt=False, bias_correction=True),
    "adam": partial(optax.adam, eps=EPSILON),
}
FACTORS = {"": 1.0, "-quarter": 0.25, "-he": 2**0.5, "-four": 4.0}  # standard deviation of the weights over Xavier's
SHARE = "fraction of the test set"


class Outcome(NamedTuple):
    """How a network trained.

    Attributes:
      losses: [steps] at each step, nats.
      validation: accuracy on the validation set; -inf where a loss was not finite.
      train: accuracy on the training set.
      test: accuracy on the test set. Batch normalisation takes the statistics of the set that is classified.
    """

    losses: Array
    validation: Array
    train: Array
    test: Array


def arms(depth: int) -> dict[str, Choice]:
    """Returns the networks that the claims compare, by name; those of FACTORS are called as in `initialised`."""
    return {
        **initialised("tanh"),
        **initialised("sigmoid"),
        "sigmoid-critical": choice("sigmoid", CRITICAL["sigmoid"]),
        "relu": choice("relu", VARIANCES["He"]),
        "relu-xavier": choice("relu", VARIANCES["Xavier"]),
        "relu-large": choice("relu", VARIANCES["8"]),
        "relu-large-layer": choice("relu", VARIANCES["8"], norm="layer"),
        "relu-residual": choice("relu", VARIANCES["He"], shortcut=True, branch_scale=depth**-0.5),
        "large-residual": choice("relu", VARIANCES["8"], shortcut=True),
        "large-residual-batch": choice("relu", VARIANCES["8"], norm="batch", shortcut=True),
        "leaky-relu": choice("leaky_relu", CRITICAL["leaky_relu"]),
        "elu": choice("elu", CRITICAL["elu"]),
        "sigmoid-batch": choice("sigmoid", VARIANCES["Xavier"], norm="batch"),
        "sigmoid-layer": choice("sigmoid", VARIANCES["Xavier"], norm="layer"),
        "sigmoid-residual": choice("sigmoid", VARIANCES["Xavier"], shortcut=True),
    }


def initialised(activation: str) -> dict[str, Choice]:
    """Returns an activation in Xavier initialisation, by its own name, and in the others of FACTORS."""
    return {activation + suffix: choice(activation, factor**2) for suffix, factor in FACTORS.items()}


@partial(jax.jit, static_argnames=("width", "depth", "steps", "batch", "by"))
def run(
    chosen: Choice,
    data: digits.Digits,
    rate: Array,
    key: Array,
    *,
    width: int,
    depth: int,
    steps: int,
    batch: int,
    by: str = "adam",
) -> Outcome:
    """Returns the outcome of one whole training; draws depend on the key and not on the choice."""
    key_params, key_batches = jax.random.split(key)
    params = network.classifier_init(key_params, chosen, n_in=PIXELS, width=width, depth=depth, n_out=CLASSES)
    indices = datasets.minibatch_indices(key_batches, len(data.train[1]), batch, steps)
    optimizer, apply = OPTIMIZERS[by](optax.cosine_decay_schedule(rate, steps)), partial(network.classifier, chosen)

    def loss(params: dict, examples: tuple[Array, Array]) -> Array:
        images, labels = examples
        return training.cross_entropy(apply(params, images), labels)

    state, losses = training.train_on(loss, optimizer)(training.init_state(params, optimizer), data.train, indices)
    sets = (data.validation, data.train, data.test)
    validation, train, test = (training.accuracy(apply(state.params, x), y) for x, y in sets)
    return Outcome(losses, jnp.where(jnp.isfinite(losses).all(), validation, -jnp.inf), train, test)


def train_all(
    settings: Remedies,
    choices: dict[str, Choice],
    key: Array,
    *,
    width: int,
    depth: int,
    by: str = "adam",
    rates: Sequence[float] | None = None,
    steps: int | None = None,
) -> dict[str, Tuned]:
    """Returns the tuned runs of every arm, whose seeds are paired over arms and over calls with the same key."""
    data = digits.load()
    size = {"width": width, "depth": depth, "steps": steps or settings.train_steps, "batch": settings.train_batch, "by": by}
    validation = lambda outcome: outcome.validation
    return {
        name: tuning.tuned(partial(_run, chosen, data, size), validation, settings, key, rates=rates)
        for name, chosen in choices.items()
    }


def _run(chosen: Choice, data: digits.Digits, size: dict, rate: Array, key: Array) -> Outcome:
    return run(chosen, data, rate, key, **size)


def accuracy(name: str, arm: Tuned, by: str = "Adam", prediction: float | None = None) -> Measurement:
    """Returns the test accuracy of an arm."""
    source = f"{by}, {tuning.described(arm.search)}"
    return fraction(name, arm.runs.test, unit=SHARE, prediction=prediction, source=source)


def gain(name: str, arm: Tuned, over: Tuned, what: str) -> Measurement:
    """Returns the difference of the test accuracy between two arms, seeds paired; `what` says which."""
    source = f"{what}, seeds paired; {tuning.described(arm.search)}, against {tuning.described(over.search)}"
    return interval(name, paired(arm.runs.test, over.runs.test), unit=SHARE, source=source)


def searches(trained: dict[str, Tuned], *names: str) -> dict[str, Search]:
    """Returns how the learning rates of some arms were chosen."""
    return {name: trained[name].search for name in names}


def fits(trained: dict[str, Tuned], controls: Sequence[str] = ()) -> dict[str, Fit]:
    """Returns how far each arm came; those named in `controls` need not come to an end."""
    return convergence.fits(trained, lambda runs: runs.train, controls)
