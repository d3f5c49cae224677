"""Deep networks of every kind trained on MNIST at equal budget, each at its own best learning rate."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.remedies import network
from experiments.remedies.network import Choice, choice, stacked
from experiments.remedies.settings import Remedies
from experiments.residual.training import adam, batches
from experiments.study.measurement import Measurement, interval
from experiments.study.seeds import side_by_side
from jaxnotes import datasets, training

SIDE, CLASSES = 14, 10
SHARE = "fraction of the test set"


class Outcome(NamedTuple):
    """Results of trained networks, one a seed.

    Attributes:
      accuracy: on the test set; batch normalisation takes the test set's statistics.
      losses: [seeds, steps] training loss at each step, nats.
      learning_rate: the one tuned for this arm.
    """

    accuracy: np.ndarray
    losses: np.ndarray
    learning_rate: float


def arms(depth: int) -> dict[str, Choice]:
    """The deep networks that the claims compare, by name."""
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


def load() -> datasets.Dataset:
    """MNIST averaged to 14 × 14 pixels, as vectors."""
    images = datasets.mnist()
    vectors = lambda x: datasets.standardise(datasets.halved(x))  # noqa: E731
    return images._replace(train_images=vectors(images.train_images), test_images=vectors(images.test_images))


@jax.jit
def run(chosen: Choice, rate: Array, drawn: dict, indices: Array, data: datasets.Dataset):
    """One whole run from parameters before a choice scales them: (test accuracy, losses [steps]). indices: [steps, batch]."""
    optimizer, apply = adam(len(indices)), partial(network.classifier, chosen)

    def loss(params, examples) -> Array:
        return training.cross_entropy(apply(params, examples[0]), examples[1])

    state = training.init_state({**drawn, "hidden": network.scaled(drawn["hidden"], chosen)}, optimizer)
    state.optimizer_state[-1].hyperparams["step_size"] = -rate
    state, losses = training.train_on(loss, optimizer)(state, (data.train_images, data.train_labels), indices)
    return training.accuracy(apply(state.params, data.test_images), data.test_labels), losses


def starts(init: Callable, keys: Array, examples: int, batch: int, steps: int) -> list[tuple[dict, np.ndarray]]:
    """Parameters, of `init(keys)` for all keys at once, and indices [steps, batch] of the examples, both for each key."""
    of_params, of_batches = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
    drawn = jax.tree.map(np.asarray, (init(of_params), batches(of_batches, examples, batch, steps)))
    leaves, structure = jax.tree.flatten(drawn)
    return [jax.tree.unflatten(structure, rows) for rows in zip(*leaves, strict=True)]


def train_all(settings: Remedies, choices: dict[str, Choice], key: Array, *, width: int, depth: int) -> dict[str, Outcome]:
    """Every arm: the learning rate by the last losses on a seed of its own, then the seeds that count, paired over arms."""
    data, rates = load(), np.asarray(settings.learning_rates, np.float32)
    keys = jax.random.split(key, 1 + settings.train_seeds)
    size = {"n_in": data.train_images.shape[1], "width": width, "depth": depth, "n_out": CLASSES}
    init = partial(network.classifier_draws, **size)
    of_tuning, *of_seeds = starts(init, keys, len(data.train_labels), settings.train_batch, settings.train_steps)
    singles = {name: jax.tree.map(lambda a: a[0], stacked([chosen])) for name, chosen in choices.items()}

    def once(item) -> tuple:
        name, rate, drawn = item
        return jax.tree.map(np.asarray, run(singles[name], rate, *drawn, data))

    tried = side_by_side(once, [(name, rate, of_tuning) for name in choices for rate in rates])
    tail = np.asarray([losses[-max(settings.train_steps // 10, 1) :].mean() for _, losses in tried])
    best = np.nan_to_num(tail, nan=np.inf, posinf=np.inf).reshape(len(choices), -1).argmin(1)
    counted = side_by_side(once, [(name, rates[i], k) for name, i in zip(choices, best, strict=True) for k in of_seeds])
    by_arm = [counted[i : i + len(of_seeds)] for i in range(0, len(counted), len(of_seeds))]
    columns = ([np.stack(values) for values in zip(*found, strict=True)] for found in by_arm)
    return {name: Outcome(*column, float(rates[i])) for name, column, i in zip(choices, columns, best, strict=True)}


def accuracy(name: str, outcome: Outcome) -> Measurement:
    """Test accuracy of an arm."""
    return interval(name, outcome.accuracy, unit=SHARE, source=f"Adam at its tuned learning rate {outcome.learning_rate:.1g}")


def gain(name: str, outcome: Outcome, over: Outcome, what: str) -> Measurement:
    """Difference of the test accuracy between two arms, seeds paired; `what` says which."""
    rates = f"tuned learning rates {outcome.learning_rate:.1g} and {over.learning_rate:.1g}"
    return interval(name, outcome.accuracy - over.accuracy, unit=SHARE, source=f"{what}, seeds paired; {rates}")
