"""Networks with units deleted: how much accuracy that costs, and how correlated the units are."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.dropout.disturbances import DISTURBANCES, changed_by_disturbance, ratio
from experiments.dropout.network import Params
from experiments.dropout.settings import Dropout
from experiments.dropout.training import Pair
from experiments.study.measurement import Evidence, curve, interval
from jaxnotes import training
from jaxnotes.layers.activations import relu
from jaxnotes.layers.linear import linear

SHARE = "fraction of the test set"


def redundancy(settings: Dropout, pair: Pair, key: Array) -> Evidence:
    """dropout.redundancy: accuracy with units deleted, the worst single unit, the correlation of units, disturbed inputs.

    Args:
      settings: fractions deleted and how often; the disturbances.
      pair: networks of two hidden layers, without dropout and with.
      key: random key; the same units are deleted and the same inputs disturbed in both.
    """
    key_units, key_inputs = jax.random.split(key)
    test = pair["plain"].data.test
    keys = jax.random.split(key_units, len(pair["plain"].keys))
    study = jax.jit(lambda params, keys, test: jax.lax.map(lambda one: ablate(settings, *one, test), (params, keys)))
    found = [jax.tree.map(np.asarray, study(arm.tuned.runs.params, keys, test)) for arm in pair.values()]
    curves, worst, correlations = zip(*found, strict=True)
    fractions = np.asarray(settings.ablated)
    half = int(np.abs(fractions - 0.5).argmin())
    deleted = f"{fractions[half]:.0%} of the units of both hidden layers deleted at random, no rescaling"
    measurements = []
    for name, values, unit, source in (
        ("ablation", [accuracies[:, half] for accuracies in curves], SHARE, f"accuracy, {deleted}"),
        ("worst-unit", worst, SHARE, "largest loss of accuracy from deleting one hidden unit"),
        ("correlation", correlations, "", "mean |correlation| of pairs of units, last hidden layer, test set"),
    ):
        change = f"{source}; with dropout minus without, paired by seed"
        measurements.append(interval(f"{name}-change", values[1] - values[0], unit=unit, source=change))
        measurements += [interval(f"{name}-{arm}", v, unit=unit, source=source) for arm, v in zip(pair, values, strict=True)]
    shares = {arm: changed_by_disturbance(settings, networks, key_inputs) for arm, networks in pair.items()}
    for name in DISTURBANCES:
        measurements += ratio(name, DISTURBANCES[name], {arm: by[name] for arm, by in shares.items()})
    arrays = {"fractions": fractions}
    for arm, values in zip(pair, curves, strict=True):
        arrays |= curve(f"accuracy-{arm}", values)
    fits = {name: arm.fit() for name, arm in pair.items()}
    return Evidence(tuple(measurements), arrays, {name: arm.tuned.search for name, arm in pair.items()}, fits)


def ablate(settings: Dropout, params: Params, key: Array, test: tuple[Array, Array]) -> tuple[Array, Array, Array]:
    """Returns the accuracy by fraction of the units deleted, the accuracy that the worst unit costs, and the mean |correlation|
    of units of the last hidden layer.
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
    return accuracies, accuracies[0] - worst, correlation(relu(before_last))


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


def correlation(units: Array) -> Array:
    """Returns the mean |correlation| over pairs of units that vary."""
    centred = units - units.mean(0, keepdims=True)
    scale = jnp.sqrt(jnp.mean(centred**2, 0, keepdims=True))
    alive = scale[0] > 1e-6
    normal = jnp.where(alive[None], centred / jnp.where(scale > 1e-6, scale, 1.0), 0.0)
    matrix = normal.T @ normal / len(units)
    count = jnp.sum(alive.astype(jnp.float32))
    return (jnp.sum(jnp.abs(matrix)) - jnp.trace(matrix)) / (count * (count - 1))
