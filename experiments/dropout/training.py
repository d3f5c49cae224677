"""Networks trained on MNIST with and without dropout, each at its own best learning rate: generalisation and robustness."""

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.dropout.settings import POOL, Dropout
from experiments.study.measurement import Evidence, curve, exact, interval
from jaxnotes import datasets, training
from jaxnotes.layers.activations import relu
from jaxnotes.layers.dropout import inverted_dropout
from jaxnotes.layers.linear import linear

PIXELS, CLASSES = 196, 10
ARMS = ("plain", "dropout")
SIZES = ("tiny", "medium", "large")


class Data(NamedTuple):
    """Images as vectors with their labels; `valid` chooses learning rates, `test` is only reported."""

    pool: tuple[Array, Array]
    valid: tuple[Array, Array]
    test: tuple[Array, Array]


class Draws(NamedTuple):
    """All randomness of a seed but the masks', drawn once and shared by its runs, whatever their network.

    Drawn apart from the training, since each compiled program that draws costs seconds more.
    """

    normals: Array  # of the initial weights
    order: Array  # of the pool; a training set is its first examples
    batches: Array  # [steps, batch] uniform in [0, 1): each step's examples, as fractions of the training set
    masks: Array  # [steps] keys


class Run(NamedTuple):
    """What a training run needs; each field has the runs in front.

    Attributes:
      seed: index of its draws.
      rate: learning rate of Adam.
      keep: probability to keep a hidden unit; 1 is no dropout.
      examples: size of the training set.
    """

    seed: Array
    rate: Array
    keep: Array
    examples: Array


class Outcome(NamedTuple):
    """Results of runs, all at inference."""

    params: list
    train_accuracy: np.ndarray
    valid_accuracy: np.ndarray
    test_accuracy: np.ndarray
    test_loss: np.ndarray  # nats
    rate: float


def load() -> Data:
    """MNIST averaged to 14 × 14 pixels: 6,000 examples to train on, 2,000 to tune on, 2,000 to test on."""
    images = datasets.mnist()
    vectors = lambda x: datasets.standardise(datasets.halved(x))  # noqa: E731
    x, labels = vectors(images.train_images), images.train_labels
    return Data((x[:POOL], labels[:POOL]), (x[POOL:], labels[POOL:]), (vectors(images.test_images), images.test_labels))


@partial(jax.jit, static_argnums=(1, 2, 3))
def draw(keys: Array, normals: int, steps: int, batch: int) -> Draws:
    """The draws of each key."""

    def of_key(key: Array) -> Draws:
        of_normals, of_order, of_batches, of_masks = jax.random.split(key, 4)
        order = jnp.argsort(jax.random.uniform(of_order, (POOL,)))
        batches = jax.random.uniform(of_batches, (steps, batch))
        return Draws(jax.random.normal(of_normals, (normals,)), order, batches, jax.random.split(of_masks, steps))

    return jax.lax.map(of_key, keys)


def weights_in(sizes: Sequence[int]) -> int:
    """Weights of a network without its biases."""
    return sum(n_in * n_out for n_in, n_out in pairwise(sizes))


def initialise(normals: Array, sizes: Sequence[int]) -> list:
    """Linear layers from `sizes[0]` inputs to `sizes[-1]` outputs: He initialisation of the normals, biases 0."""
    params, start = [], 0
    for n_in, n_out in pairwise(sizes):
        weight = normals[start : start + n_in * n_out].reshape(n_in, n_out) * jnp.asarray((2 / n_in) ** 0.5, normals.dtype)
        params.append({"weight": weight, "bias": jnp.zeros((n_out,), normals.dtype)})
        start += n_in * n_out
    return params


def forward(params: list, x: Array, drop: Callable[[int, Array], Array] = lambda layer, h: h) -> Array:
    """Logits of the ReLU network; `drop(layer, h)` is applied to each hidden layer's units."""
    for layer, of_layer in enumerate(params[:-1]):
        x = drop(layer, relu(linear(of_layer, x)))
    return linear(params[-1], x)


def trainer(sizes: Sequence[int], dropped: Sequence[int]) -> Callable[[Run, Draws, Data], tuple]:
    """A compiled function of many runs, one after the other; dropout acts on the hidden layers in `dropped`.

    Batches are drawn with replacement, so that one compiled program serves every size of the training set.
    """
    optimizer = optax.inject_hyperparams(optax.adam)(learning_rate=1e-3)

    def one(run: Run, draws: Draws, data: Data) -> tuple:
        x, labels = data.pool

        def loss(params, step) -> Array:
            chosen, key = step

            def drop(layer: int, h: Array) -> Array:
                key_of_layer = jax.random.fold_in(key, layer)
                return inverted_dropout(h, run.keep, train=True, key=key_of_layer) if layer in dropped else h

            return training.cross_entropy(forward(params, x[chosen], drop), labels[chosen])

        state = training.init_state(initialise(draws.normals, sizes), optimizer)
        state.optimizer_state.hyperparams["learning_rate"] = run.rate
        chosen = draws.order[(draws.batches * run.examples).astype(jnp.int32)]
        params = training.train(loss, optimizer)(state, (chosen, draws.masks))[0].params
        used = (jnp.arange(POOL) < run.examples).astype(jnp.float32)
        right = jnp.argmax(forward(params, x), 1).astype(jnp.int32) == labels
        train_accuracy = jnp.sum(used * right[draws.order]) / jnp.sum(used)
        valid_accuracy = training.accuracy(forward(params, data.valid[0]), data.valid[1])
        logits = forward(params, data.test[0])
        test = training.accuracy(logits, data.test[1]), training.cross_entropy(logits, data.test[1])
        return params, train_accuracy, valid_accuracy, *test

    def all_runs(runs: Run, draws: Draws, data: Data) -> tuple:
        return jax.lax.map(lambda run: one(run, jax.tree.map(lambda a: a[run.seed], draws), data), runs)

    # Data and draws are arguments: constants of the program would be folded in at every compilation.
    return jax.jit(all_runs)


def tuned_arms(settings: Dropout, sizes, dropped, draws: Draws, data: Data, arms: Sequence[tuple[float, int]]) -> list[Outcome]:
    """For each arm (keep probability, examples): the rate by validation accuracy, then the seeds that count.

    The first `tuning_seeds` of the draws tune, the others count. A seed has the same training set in every arm.
    """
    train = trainer(sizes, dropped)
    rates = np.asarray(settings.learning_rates, np.float32)
    seeds = np.arange(settings.tuning_seeds + settings.train_seeds)
    tuning, counting = np.split(seeds, [settings.tuning_seeds])
    chunk = math.gcd(len(rates) * len(tuning), len(counting))
    grid = [(keep, examples, rate) for keep, examples in arms for rate in rates]
    scores = _train(train, _runs(tuning, grid), draws, data, chunk)[2].reshape(len(arms), len(rates), -1).mean(2)
    best = rates[scores.argmax(1)]
    chosen = [(keep, examples, rate) for (keep, examples), rate in zip(arms, best, strict=True)]
    trained = _train(train, _runs(counting, chosen), draws, data, chunk)
    by_arm = jax.tree.map(lambda a: a.reshape(len(arms), len(counting), *a.shape[1:]), trained)
    return [Outcome(*jax.tree.map(lambda a, i=i: a[i], by_arm), float(rate)) for i, rate in enumerate(best)]


def _train(train, runs: Run, draws: Draws, data: Data, chunk: int):
    """Runs in chunks of one size, so that tuning and the runs that count share a compiled program; two chunks at a time."""
    chunks = [jax.tree.map(lambda a, at=at: a[at : at + chunk], runs) for at in range(0, len(runs.rate), chunk)]

    def of_chunk(part: Run):
        return jax.tree.map(np.asarray, train(part, draws, data))

    first = of_chunk(chunks[0])  # compiles
    with ThreadPoolExecutor(2) as pool:  # products this small leave a second core idle
        return jax.tree.map(lambda *parts: np.concatenate(parts), first, *pool.map(of_chunk, chunks[1:]))


def _runs(seeds: np.ndarray, arms: Sequence[tuple[float, int, float]]) -> Run:
    """Every seed for each arm (keep, examples, rate), the seeds varying fastest."""
    columns = (np.repeat(np.asarray(column, np.float32), len(seeds)) for column in zip(*arms, strict=True))
    keep, examples, rate = columns
    return Run(np.tile(seeds, len(arms)).astype(np.int32), rate, keep, examples)


def train_all(settings: Dropout, key: Array) -> dict[str, Evidence]:
    """dropout.overfitting and dropout.redundancy: the second ablates the networks that the first trained."""
    of_draws, of_ablation = jax.random.split(key)
    data, draws = load(), draws_of(settings, of_draws)
    arms = [(keep, examples) for examples in settings.examples for keep in (1.0, settings.keep)]
    wide = tuned_arms(settings, network(settings.wide), (0, 1), draws, data, arms)
    narrow = tuned_arms(settings, network(settings.narrow), (0, 1), draws, data, arms[-2:])
    pairs = dict(zip((*SIZES, "narrow"), zip(*[iter(wide + narrow)] * 2, strict=True), strict=True))
    return {
        "dropout.overfitting": _overfitting(settings, pairs),
        "dropout.redundancy": _redundancy(settings, pairs["large"], data, of_ablation),
    }


def network(width: int) -> tuple[int, ...]:
    """Layer sizes of two hidden layers of one width."""
    return PIXELS, width, width, CLASSES


def draws_of(settings: Dropout, key: Array) -> Draws:
    """Draws for the tuning seeds and those that count, enough for every network of the topic."""
    ensemble = PIXELS, settings.small_units, settings.ensemble_units, CLASSES
    most = max(weights_in(sizes) for sizes in (network(settings.wide), network(settings.narrow), ensemble))
    keys = jax.random.split(key, settings.tuning_seeds + settings.train_seeds)
    return draw(keys, most, settings.train_steps, settings.train_batch)


def _overfitting(settings: Dropout, pairs: dict[str, tuple[Outcome, Outcome]]) -> Evidence:
    """Dropout minus none, paired by seed, of test accuracy and of the gap between training and test accuracy."""
    measurements = [
        exact(f"examples-{name}", n, unit="examples", source="size of the training set")
        for name, n in zip(SIZES, settings.examples, strict=True)
    ]
    measurements += [
        exact(f"width-{name}", width, unit="units", source="each of two hidden layers")
        for name, width in (("wide", settings.wide), ("narrow", settings.narrow))
    ]
    arrays = {"examples": np.asarray(settings.examples)}
    for name, pair in pairs.items():
        gaps = [outcome.train_accuracy - outcome.test_accuracy for outcome in pair]
        rates = " and ".join(f"{outcome.rate:.1g}" for outcome in pair)
        source = f"with dropout minus without, tuned learning rates {rates} (without, with)"
        change = pair[1].test_accuracy - pair[0].test_accuracy
        measurements += [
            interval(f"gap-change-{name}", gaps[1] - gaps[0], unit="training minus test accuracy", source=source),
            interval(f"accuracy-change-{name}", change, unit="fraction of the test set", source=source),
            interval(f"loss-change-{name}", pair[1].test_loss - pair[0].test_loss, unit="nats", source=source),
        ]
        for arm, outcome, gap in zip(ARMS, pair, gaps, strict=True):
            measured = interval(f"accuracy-{arm}-{name}", outcome.test_accuracy, unit="fraction of the test set")
            measurements.append(measured)
            arrays |= curve(f"gap-{arm}-{name}", gap)
    return Evidence(tuple(measurements), arrays)


def _redundancy(settings: Dropout, pair: tuple[Outcome, Outcome], data: Data, key: Array) -> Evidence:
    """Accuracy with units deleted, the worst single unit, and the correlation of hidden units; paired by seed."""
    study = jax.jit(lambda params, keys, data: jax.lax.map(lambda one: _ablate(settings, *one, data), (params, keys)))
    keys = jax.random.split(key, settings.train_seeds)  # the same units are deleted in both arms
    found = [jax.tree.map(np.asarray, study(outcome.params, keys, data)) for outcome in pair]
    fractions = np.asarray(settings.ablated)
    half = int(np.abs(fractions - 0.5).argmin())
    curves, worst, correlation, effective = zip(*found, strict=True)
    share, source = "fraction of the test set", "with dropout minus without, paired by seed"
    deleted = f"{fractions[half]:.0%} of the units of both hidden layers deleted, no rescaling"
    measurements = [exact("ablated-percent", 100 * fractions[half], unit="%", source="units deleted at random")]
    for name, values, unit, how in (
        ("ablation", [c[:, half] for c in curves], share, deleted),
        ("worst-unit", worst, share, "largest loss of accuracy from deleting one hidden unit"),
        ("correlation", correlation, "", "mean |correlation| of pairs of units of the last hidden layer, test set"),
        ("effective-units", effective, "units", "participation ratio of the units' correlation matrix"),
    ):
        measurements.append(interval(f"{name}-change", values[1] - values[0], unit=unit, source=f"{how}; {source}"))
        named = "accuracy-ablated" if name == "ablation" else name
        measurements += [interval(f"{named}-{a}", v, unit=unit, source=how) for a, v in zip(ARMS, values, strict=True)]
    arrays = {"fractions": fractions}
    for arm, values in zip(ARMS, curves, strict=True):
        arrays |= curve(f"accuracy-{arm}", values)
    return Evidence(tuple(measurements), arrays)


def _ablate(settings: Dropout, params: list, key: Array, data: Data) -> tuple[Array, Array, Array, Array]:
    """(accuracy by fraction deleted, worst single unit's loss of accuracy, mean |correlation|, effective units)."""
    x, labels = data.test
    hidden = relu(linear(params[0], x))

    def outcome(masks: tuple[Array, Array]) -> Array:
        last = relu(linear(params[1], hidden * masks[0][None])) * masks[1][None]
        return training.accuracy(linear(params[2], last), labels)

    width = hidden.shape[1]
    draws = jax.vmap(lambda k: jax.random.permutation(k, width))(jax.random.split(key, 2 * settings.ablation_draws))
    removed = jnp.asarray([math.floor(f * width) for f in settings.ablated])
    masks = (draws[None] >= removed[:, None, None]).astype(jnp.float32)  # [fractions, draws of either layer, width]
    masks = masks.reshape(-1, settings.ablation_draws, 2, width).reshape(-1, 2, width)
    accuracies = jax.lax.map(lambda m: outcome((m[0], m[1])), masks).reshape(len(settings.ablated), -1).mean(1)
    last = linear(params[1], hidden)
    return accuracies, accuracies[0] - _worst(params, hidden, last, labels), *_correlation(relu(last))


def _worst(params: list, hidden: Array, last: Array, labels: Array) -> Array:
    """Smallest accuracy with any one unit of either hidden layer deleted, by rank-one changes of what follows it.

    Args:
      params: of the three layers.
      hidden: [examples, width] units of the first hidden layer.
      last: [examples, width] pre-activations of the second.
      labels: [examples].
    """

    def without_first(unit: tuple[Array, Array]) -> Array:
        return training.accuracy(linear(params[2], relu(last - jnp.outer(*unit))), labels)

    logits = linear(params[2], relu(last))

    def without_second(unit: tuple[Array, Array]) -> Array:
        return training.accuracy(logits - jnp.outer(*unit), labels)

    first = jax.lax.map(without_first, (hidden.T, params[1]["weight"]))
    second = jax.lax.map(without_second, (relu(last).T, params[2]["weight"]))
    return jnp.minimum(first.min(), second.min())


def _correlation(units: Array) -> tuple[Array, Array]:
    """Mean |correlation| over pairs of units that vary, and their participation ratio (Σ1)² / Σ r²."""
    centred = units - units.mean(0, keepdims=True)
    scale = jnp.sqrt(jnp.mean(centred**2, 0, keepdims=True))
    alive = scale[0] > 1e-6
    normal = jnp.where(alive[None], centred / jnp.where(scale > 1e-6, scale, 1.0), 0.0)
    matrix = normal.T @ normal / len(units)
    count = jnp.sum(alive.astype(jnp.float32))
    pairs = jnp.sum(jnp.abs(matrix)) - jnp.trace(matrix)
    return pairs / (count * (count - 1)), count**2 / jnp.sum(matrix**2)
