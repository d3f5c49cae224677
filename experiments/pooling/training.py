"""Classifiers of 14×14 digits with and without pooling, each at its own best learning rate, and what their maps hold."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.pooling.readout import features, map_changes
from experiments.pooling.settings import Pooling
from experiments.study.measurement import Evidence, exact, interval
from experiments.study.seeds import best_of, paired, side_by_side
from jaxnotes import datasets, training
from jaxnotes.layers.activations import relu
from jaxnotes.layers.convolution import convolution, convolution_init
from jaxnotes.layers.pooling import average_pool, max_pool
from jaxnotes.models.convolutional import convolutional, convolutional_init

CLASSES = 10
# name: (pool, head, whether the convolutions learn)
ARMS = {
    "none": ("none", "flatten", True),
    "max": ("max", "flatten", True),
    "average": ("average", "flatten", True),
    "blur": ("blur", "flatten", True),
    "stride": ("stride", "flatten", True),
    "frozen": ("max", "flatten", False),
    "none-global": ("none", "average", True),
    "max-global": ("max", "average", True),
}
GAP_ARMS = ("none", "max")  # those that pooling.overfitting judges with a flatten head
SHIFTS = ((0, 1), (0, -1), (1, 0), (-1, 0))


class Run(NamedTuple):
    """Results of trained networks; a seed on axis 0 where there are several."""

    losses: Array  # [steps] training loss at each step
    train_accuracy: Array
    validation_accuracy: Array  # on digits outside the training and test sets
    test_accuracy: Array
    loss_gap: Array  # test minus training cross-entropy, nats
    logit_change: Array  # 1 - correlation of the logits before and after a shift by one pixel
    flips: Array  # share of test predictions that a shift by one pixel changes
    filters: dict  # the first block's parameters


class Outcome(NamedTuple):
    """The tuned learning rate of an arm and the runs with it."""

    learning_rate: float
    runs: Run


def digits(settings: Pooling) -> datasets.Dataset:
    """MNIST halved to [n, 14, 14, 1] by 2×2 means, shifted and scaled to the mean and variance of its pixels."""
    data = datasets.mnist()
    halved = lambda images: (datasets.halved(images)[..., None] - 0.1307) / 0.3081  # noqa: E731
    few = slice(settings.evaluated)
    return datasets.Dataset(halved(data.train_images), data.train_labels, halved(data.test_images[few]), data.test_labels[few])


def train_arm(settings: Pooling, arm: str, data: datasets.Dataset, key: Array) -> Outcome:
    """Tunes the learning rate on a seed of its own by validation accuracy, then trains the seeds that count with it."""
    pool, head, learned = ARMS[arm]
    of_tuning, of_seeds = jax.random.split(key)
    run = lambda key, rate: _run(settings, pool, head, key, jnp.float32(rate), jnp.float32(learned), data)  # noqa: E731
    best = best_of(lambda rate: float(run(of_tuning, rate).validation_accuracy), settings.learning_rates)
    seeds = jax.random.split(of_seeds, settings.gap_seeds if arm in GAP_ARMS else settings.train_seeds)
    runs = side_by_side(lambda key: jax.tree.map(np.asarray, run(key, best)), seeds)
    return Outcome(best, jax.tree.map(lambda *leaves: np.stack(leaves), *runs))


def _run(settings: Pooling, pool: str, head: str, key: Array, rate: Array, learned: Array, data: datasets.Dataset) -> Run:
    """One run; where `learned` is 0 the convolutions stay as they were drawn.

    Of its programs only the training and the logits are compiled anew for another pool.
    """
    of_params, of_subset, of_batches = jax.random.split(key, 3)
    images, labels, indices = _drawn(settings, of_subset, of_batches, data)
    # All pools halve a map: the parameters are those of any of them.
    start = _start(settings, "none" if pool == "none" else "max", head, images.shape[1:], of_params)
    params, losses = _trained(settings, pool, head, start, rate, learned, images, labels, indices)
    logits = partial(_logits, pool, head, params)
    shifted = [logits(jnp.roll(data.test_images, shift, (1, 2))) for shift in SHIFTS]
    seen, test = logits(images), logits(data.test_images)
    return Run(losses=losses, filters=params["blocks"][0], **_scores(seen, labels, test, data.test_labels, shifted))


@partial(jax.jit, static_argnums=0)
def _drawn(settings: Pooling, of_subset: Array, of_batches: Array, data: datasets.Dataset) -> tuple[Array, Array, Array]:
    """Images and labels, the first half of them to train on and the others held out, and each step's examples."""
    n = settings.train_examples
    chosen = jax.random.permutation(of_subset, len(data.train_labels))[: 2 * n]
    indices = datasets.minibatch_indices(of_batches, n, settings.train_batch, settings.train_steps)
    return data.train_images[chosen], data.train_labels[chosen], indices


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _start(settings: Pooling, pool: str, head: str, shape: tuple[int, ...], key: Array) -> dict:
    """The parameters before the first step."""
    return convolutional_init(key, shape, settings.channels, CLASSES, pool=pool, head=head)


@partial(jax.jit, static_argnums=(0, 1, 2))
def _trained(
    settings: Pooling,
    pool: str,
    head: str,
    params: dict,
    rate: Array,
    learned: Array,
    images: Array,
    labels: Array,
    indices: Array,
) -> tuple[dict, Array]:
    """(params, losses [steps]) of Adam on the first half of the images."""
    predict = partial(convolutional, activation=relu, pool=pool, head=head)
    optimizer = optax.inject_hyperparams(optax.adam)(learning_rate=1e-3)

    def loss(params, batch) -> Array:
        # The value of the blocks with a gradient times `learned`: one program for both.
        blocks = jax.tree.map(lambda p: learned * p + jax.lax.stop_gradient((1 - learned) * p), params["blocks"])
        return training.cross_entropy(predict({**params, "blocks": blocks}, batch[0]), batch[1])

    state = training.init_state(params, optimizer)
    state.optimizer_state.hyperparams["learning_rate"] = rate
    n = settings.train_examples
    state, losses = training.train_on(loss, optimizer)(state, (images[:n], labels[:n]), indices)
    return state.params, losses


@partial(jax.jit, static_argnums=(0, 1))
def _logits(pool: str, head: str, params: dict, images: Array) -> Array:
    return convolutional(params, images, activation=relu, pool=pool, head=head)


@jax.jit
def _scores(seen: Array, labels: Array, test: Array, test_labels: Array, shifted: list[Array]) -> dict[str, Array]:
    """A run's results by their names in `Run`, from logits; the first half of `seen` was trained on."""
    (trained, held), (trained_labels, held_labels) = jnp.split(seen, 2), jnp.split(labels, 2)
    moved = jnp.stack(shifted)
    return {
        "train_accuracy": training.accuracy(trained, trained_labels),
        "validation_accuracy": training.accuracy(held, held_labels),
        "test_accuracy": training.accuracy(test, test_labels),
        "loss_gap": training.cross_entropy(test, test_labels) - training.cross_entropy(trained, trained_labels),
        "logit_change": jnp.mean((moved - test[None]) ** 2) / (2 * test.var()),
        "flips": jnp.mean(moved.argmax(-1) != test.argmax(-1)[None], dtype=jnp.float32),
    }


def train_all(settings: Pooling, key: Array) -> dict[str, Evidence]:
    """Every claim about learning: overfitting, features, invariance, and learned kernels against fixed ones."""
    data = digits(settings)
    of_arms, of_features, of_maps = jax.random.split(key, 3)
    # All arms take the same keys: a seed has the same digits and batches in each, so that differences are paired.
    outcomes = {arm: train_arm(settings, arm, data, of_arms) for arm in ARMS}
    filters = jax.tree.map(lambda leaf: leaf[: settings.train_seeds], outcomes["none"].runs.filters)
    return {
        "pooling.overfitting": _overfitting(settings, outcomes),
        "pooling.features": features(settings, filters, data, of_features),
        "pooling.invariance": _invariance(settings, outcomes, map_changes(settings, data, of_maps)),
        "pooling.not-convolution": _not_convolution(settings, outcomes),
    }


def _overfitting(settings: Pooling, outcomes: dict[str, Outcome]) -> Evidence:
    budget = f"{settings.train_examples} digits, {settings.train_steps} Adam steps, own learning rate"
    gap = {arm: outcome.runs.train_accuracy - outcome.runs.test_accuracy for arm, outcome in outcomes.items()}
    measurements = []
    for name, head in (("flatten", ""), ("global", "-global")):
        pooled, plain = f"max{head}", f"none{head}"
        pair = f"2×2 maxima minus no pooling, {name} head; {budget}"
        test = outcomes[pooled].runs.test_accuracy - outcomes[plain].runs.test_accuracy
        loss = outcomes[pooled].runs.loss_gap - outcomes[plain].runs.loss_gap
        measurements += [
            interval(f"gap-change-{name}", gap[pooled] - gap[plain], source=f"training minus test accuracy: {pair}"),
            interval(f"test-change-{name}", test, source=f"test accuracy: {pair}"),
            interval(f"loss-gap-change-{name}", loss, unit="nats", source=f"test minus training cross-entropy: {pair}"),
        ]
    for arm in ("average", "blur", "stride"):
        source = f"{arm} minus no pooling, flatten head; {budget}"
        measurements.append(interval(f"gap-change-{arm}", paired(gap[arm], gap["none"]), source=source))
    for arm, outcome in outcomes.items():
        at = f"{budget} {outcome.learning_rate:.1g}"
        measurements.append(interval(f"train-{arm}", outcome.runs.train_accuracy, unit="fraction", source=f"accuracy, {at}"))
        measurements.append(interval(f"test-{arm}", outcome.runs.test_accuracy, unit="fraction", source=f"accuracy, {at}"))
    losses = {f"loss-{arm}": outcomes[arm].runs.losses.mean(0) for arm in ("none", "max", "none-global", "max-global")}
    return Evidence(tuple(measurements), losses)


def _invariance(settings: Pooling, outcomes: dict[str, Outcome], changes: Evidence) -> Evidence:
    measurements = list(changes.measurements)
    plain = outcomes["none"]
    after = f"shift by one pixel, minus no pooling; {settings.train_seeds} trained networks"
    for arm in ("max", "average", "blur", "stride"):
        logits = paired(outcomes[arm].runs.logit_change, plain.runs.logit_change)
        measurements.append(interval(f"logit-change-{arm}", logits, source=f"1 − correlation of the logits, {after}"))
        flips = paired(outcomes[arm].runs.flips, plain.runs.flips)
        measurements.append(
            interval(f"flips-change-{arm}", flips, unit="of the test set", source=f"predictions changed, {after}")
        )
    for arm in ("none", "max", "average", "blur", "stride"):
        measurements.append(
            interval(f"flips-{arm}", outcomes[arm].runs.flips, unit="of the test set", source="predictions changed")
        )
    return Evidence(tuple(measurements), changes.arrays)


def _not_convolution(settings: Pooling, outcomes: dict[str, Outcome]) -> Evidence:
    n_in, n_out = settings.channels[0], settings.channels[-1]
    params = convolution_init(jax.random.key(0), n_in, n_out, (3, 3))
    x = jax.random.normal(jax.random.key(1), (1, 8, 8, n_in))
    maps = {"pooling": partial(max_pool, window=2), "convolution": partial(convolution, params)}
    mixed = {name: _channels_mixed(f, x) for name, f in maps.items()}
    size = {name: np.prod(jax.eval_shape(f, x).shape[1:3]) / 64 for name, f in maps.items()}
    of_zero = partial(convolutional_init, jax.random.key(0), (14, 14, 1), settings.channels, CLASSES, head="average")
    count = lambda tree: sum(leaf.size for leaf in jax.tree.leaves(tree))  # noqa: E731
    gain = paired(outcomes["max"].runs.test_accuracy, outcomes["frozen"].runs.test_accuracy)
    fixed = jnp.full((2, 2, 1, 1), 0.25)
    as_convolution = convolution({"weight": fixed, "bias": jnp.zeros(1)}, x[..., :1], stride=2, padding="VALID")
    difference = jnp.abs(as_convolution - average_pool(x[..., :1], 2)).max()
    law = "9 n_in n_out + n_out"
    measurements = (
        interval("learned-gain", gain, source="test accuracy, learned minus frozen random kernels, 2×2 maxima behind either"),
        exact(
            "parameters-pooling",
            count(of_zero(pool="max")) - count(of_zero(pool="none")),
            source="added by pooling to the classifier",
        ),
        exact("parameters-convolution", count(params), prediction=9 * n_in * n_out + n_out, source=law),
        *(
            exact(f"channels-mixed-{name}", value, unit="channels", source="other channels that move an output, mean")
            for name, value in mixed.items()
        ),
        *(exact(f"size-ratio-{name}", value, unit="of the cells", source="output over input") for name, value in size.items()),
        exact("average-as-convolution", difference, prediction=0, source="from a fixed 2×2 convolution of ¼, stride 2"),
        *(
            interval(f"test-{arm}", outcomes[arm].runs.test_accuracy, unit="fraction", source="test accuracy")
            for arm in ("max", "frozen", "none")
        ),
    )
    kernels = {
        name: outcomes[arm].runs.filters["weight"][0, :, :, 0] for name, arm in (("learned", "max"), ("fixed", "frozen"))
    }
    return Evidence(measurements, kernels)


def _channels_mixed(f: Callable, x: Array) -> float:
    """Other input channels that an output depends on, mean over output channels, from the Jacobian at one example."""
    jacobian = jax.jit(jax.jacrev(lambda x: f(x).sum((0, 1, 2))))(x)  # [n_out, 1, height, width, n_in]
    touched = np.array(jnp.abs(jacobian).sum((1, 2, 3)) > 0)
    own = np.arange(len(touched)) % touched.shape[1]
    touched[np.arange(len(touched)), own] = False
    return touched.sum(1).mean()
