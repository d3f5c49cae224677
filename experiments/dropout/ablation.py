"""Networks with units deleted: how much accuracy that costs, and how correlated the units are."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.dropout.network import Params
from experiments.dropout.settings import Dropout
from experiments.study.measurement import Evidence, curve, interval
from experiments.study.tuning import Tuned
from jaxnotes import training
from jaxnotes.layers.activations import relu
from jaxnotes.layers.linear import linear


def redundancy(settings: Dropout, pair: dict[str, Tuned], test: tuple[Array, Array], key: Array) -> Evidence:
    """dropout.redundancy: accuracy with units deleted, the worst single unit, and the correlation of units.

    Args:
      settings: fractions deleted and how often.
      pair: networks of two hidden layers, without dropout ("plain") and with ("dropout"), paired by seed.
      test: images and labels.
      key: random key; the same units are deleted in both.
    """
    keys = jax.random.split(key, settings.train_seeds)
    study = jax.jit(lambda params, keys, test: jax.lax.map(lambda one: ablate(settings, *one, test), (params, keys)))
    found = [jax.tree.map(np.asarray, study(tuned.runs.params, keys, test)) for tuned in pair.values()]
    curves, worst, correlation, effective = zip(*found, strict=True)
    fractions = np.asarray(settings.ablated)
    half = int(np.abs(fractions - 0.5).argmin())
    share = "fraction of the test set"
    deleted = f"{fractions[half]:.0%} of the units of both hidden layers deleted at random, no rescaling"
    measurements = []
    for name, named, values, unit, source in (
        ("ablation", "accuracy-ablated", [accuracies[:, half] for accuracies in curves], share, deleted),
        ("worst-unit", "worst-unit", worst, share, "largest loss of accuracy from deleting one hidden unit"),
        ("correlation", "correlation", correlation, "", "mean |correlation| of pairs of units, last hidden layer, test set"),
        ("effective-units", "effective-units", effective, "units", "participation ratio of the units' correlation matrix"),
    ):
        change = f"{source}; with dropout minus without, paired by seed"
        measurements.append(interval(f"{name}-change", values[1] - values[0], unit=unit, source=change))
        measurements += [interval(f"{named}-{arm}", v, unit=unit, source=source) for arm, v in zip(pair, values, strict=True)]
    arrays = {"fractions": fractions}
    for arm, values in zip(pair, curves, strict=True):
        arrays |= curve(f"accuracy-{arm}", values)
    return Evidence(tuple(measurements), arrays, {arm: tuned.search for arm, tuned in pair.items()})


def ablate(settings: Dropout, params: Params, key: Array, test: tuple[Array, Array]) -> tuple[Array, Array, Array, Array]:
    """Returns the accuracy by fraction of the units deleted, the accuracy that the worst unit costs, mean |correlation| of
    units and their effective number, the last two in the last hidden layer.
    """
    x, labels = test
    hidden = relu(linear(params[0], x))
    before_last = linear(params[1], hidden)
    width, draws = hidden.shape[1], settings.ablation_draws
    orders = jax.vmap(lambda key: jax.random.permutation(key, width))(jax.random.split(key, 2 * draws))
    removed = jnp.asarray([math.floor(fraction * width) for fraction in settings.ablated])
    kept = orders.reshape(draws, 2, width)[None] >= removed[:, None, None, None]  # [fractions, draws, hidden layers, width]

    def accuracy(mask: Array) -> Array:
        last = relu(linear(params[1], hidden * mask[0][None])) * mask[1][None]
        return training.accuracy(linear(params[2], last), labels)

    accuracies = jax.lax.map(accuracy, kept.reshape(-1, 2, width).astype(x.dtype)).reshape(-1, draws).mean(1)
    worst = worst_accuracy(params, hidden, before_last, labels)
    return accuracies, accuracies[0] - worst, *correlation(relu(before_last))


def worst_accuracy(params: Params, hidden: Array, before_last: Array, labels: Array) -> Array:
    """Returns the smallest accuracy with one unit of either hidden layer deleted, a rank-one change of what follows it.

    Args:
      params: of the three layers.
      hidden: [examples, width] units of the first hidden layer.
      before_last: [examples, width] pre-activations of the second.
      labels: [examples].
    """

    def without_first(unit: tuple[Array, Array]) -> Array:
        return training.accuracy(linear(params[2], relu(before_last - jnp.outer(*unit))), labels)

    logits = linear(params[2], relu(before_last))

    def without_second(unit: tuple[Array, Array]) -> Array:
        return training.accuracy(logits - jnp.outer(*unit), labels)

    first = jax.lax.map(without_first, (hidden.T, params[1]["weight"]))
    second = jax.lax.map(without_second, (relu(before_last).T, params[2]["weight"]))
    return jnp.minimum(first.min(), second.min())


def correlation(units: Array) -> tuple[Array, Array]:
    """Returns the mean |correlation| r over pairs of units that vary, and the units' participation ratio (Σ 1)² / Σ r²."""
    centred = units - units.mean(0, keepdims=True)
    scale = jnp.sqrt(jnp.mean(centred**2, 0, keepdims=True))
    alive = scale[0] > 1e-6
    normal = jnp.where(alive[None], centred / jnp.where(scale > 1e-6, scale, 1.0), 0.0)
    matrix = normal.T @ normal / len(units)
    count = jnp.sum(alive.astype(jnp.float32))
    pairs = jnp.sum(jnp.abs(matrix)) - jnp.trace(matrix)
    return pairs / (count * (count - 1)), count**2 / jnp.sum(matrix**2)
