"""Classifiers of 14×14 digits with and without pooling, each at its own tuned learning rate, and what their maps hold."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.pooling.readout import features, map_changes
from experiments.pooling.settings import Pooling
from experiments.study import digits
from experiments.study.measurement import Evidence, Measurement, exact, interval
from experiments.study.tuning import Tuned, adam, described, tuned
from jaxnotes import datasets, training
from jaxnotes.layers.activations import relu
from jaxnotes.layers.convolution import convolution, convolution_init
from jaxnotes.layers.pooling import average_pool, max_pool
from jaxnotes.models.convolutional import convolutional, convolutional_init

IMAGE, CLASSES = (14, 14, 1), 10
SHIFTS = ((0, 1), (0, -1), (1, 0), (-1, 0))


class Arm(NamedTuple):
    """What the networks differ in; the names are those of `jaxnotes.models.convolutional`."""

    pool: str
    head: str = "flatten"
    learned: bool = True  # where it is False the convolutions stay as they were drawn


ARMS = {
    "none": Arm("none"),
    "max": Arm("max"),
    "average": Arm("average"),
    "blur": Arm("blur"),
    "stride": Arm("stride"),
    "frozen": Arm("max", learned=False),
    "none-global": Arm("none", "average"),
    "max-global": Arm("max", "average"),
}


class Run(NamedTuple):
    """What a trained network shows; of several networks, with the seeds in front."""

    losses: Array  # [steps] training loss at each step
    train_accuracy: Array
    validation_accuracy: Array
    test_accuracy: Array
    loss_gap: Array  # test minus training cross-entropy, nats
    logit_change: Array  # 1 - correlation of the test logits before and after a shift by one pixel
    flips: Array  # share of test predictions that a shift by one pixel changes
    filters: dict  # the first block's parameters


def load(settings: Pooling) -> digits.Digits:
    """Returns the digits as images [n, 14, 14, 1]; to validate and to test, as many as are evaluated."""
    train, *others = digits.load(flat=False)
    few = slice(settings.evaluated)
    return digits.Digits(train, *((images[few], labels[few]) for images, labels in others))


def train(settings: Pooling, arm: str, data: digits.Digits, rate: float, key: Array) -> Run:
    """Trains one network of an arm on digits of its own."""
    pool, head, learned = ARMS[arm]
    key_params, key_digits = jax.random.split(key)
    seen, indices = draw(key_digits, data.train, settings=settings)
    # All pools halve a map, so that they share the parameters of any of them.
    params = start(key_params, settings=settings, pool="none" if pool == "none" else "max", head=head)
    return _run(params, seen, indices, data, jnp.float32(rate), learned, settings=settings, pool=pool, head=head)


@partial(jax.jit, static_argnames="settings")
def draw(key: Array, available: tuple[Array, Array], *, settings: Pooling) -> tuple[tuple[Array, Array], Array]:
    """Returns the digits that a seed trains on, and the ones of them that each step takes [steps, batch]."""
    key_digits, key_batches = jax.random.split(key)
    images, labels = available
    n = settings.train_examples
    chosen = jax.random.choice(key_digits, len(labels), (n,), replace=False)
    indices = datasets.minibatch_indices(key_batches, n, settings.train_batch, settings.train_steps)
    return (images[chosen], labels[chosen]), indices


@partial(jax.jit, static_argnames=("settings", "pool", "head"))
def start(key: Array, *, settings: Pooling, pool: str, head: str) -> dict:
    """Returns the parameters before the first step."""
    return convolutional_init(key, IMAGE, settings.channels, CLASSES, pool=pool, head=head)


@partial(jax.jit, static_argnames=("settings", "pool", "head"))
def _run(
    params: dict,
    seen: tuple[Array, Array],
    indices: Array,
    data: digits.Digits,
    rate: Array,
    learned: Array,
    *,
    settings: Pooling,
    pool: str,
    head: str,
) -> Run:
    apply = partial(convolutional, activation=relu, pool=pool, head=head)

    def loss(params: dict, batch: tuple[Array, Array]) -> Array:
        blocks = jax.tree.map(lambda p: jnp.where(learned, p, jax.lax.stop_gradient(p)), params["blocks"])
        return training.cross_entropy(apply({**params, "blocks": blocks}, batch[0]), batch[1])

    optimizer = adam(rate, settings.train_steps)
    state, losses = training.train_on(loss, optimizer)(training.init_state(params, optimizer), seen, indices)
    logits = partial(apply, state.params)
    (images, labels), (test_images, test_labels) = seen, data.test
    train, test = logits(images), logits(test_images)
    moved = jax.lax.map(lambda shift: logits(jnp.roll(test_images, shift, (1, 2))), jnp.asarray(SHIFTS))
    return Run(
        losses=losses,
        train_accuracy=training.accuracy(train, labels),
        validation_accuracy=training.accuracy(logits(data.validation[0]), data.validation[1]),
        test_accuracy=training.accuracy(test, test_labels),
        loss_gap=training.cross_entropy(test, test_labels) - training.cross_entropy(train, labels),
        logit_change=jnp.mean((moved - test[None]) ** 2) / (2 * test.var()),
        flips=jnp.mean(moved.argmax(-1) != test.argmax(-1)[None], dtype=jnp.float32),
        filters=state.params["blocks"][0],
    )


def train_arm(settings: Pooling, arm: str, data: digits.Digits, key: Array) -> Tuned:
    """Returns the runs of an arm. With one key a seed has the same digits and batches in every arm, so that arms are paired."""
    return tuned(
        partial(train, settings, arm, data),
        lambda run: run.validation_accuracy,
        settings.learning_rates,
        key,
        tuning_seeds=settings.tuning_seeds,
        seeds=settings.train_seeds,
    )


def train_all(settings: Pooling, key: Array) -> dict[str, Evidence]:
    """Measures every claim about learning: overfitting, features, invariance, and learned kernels against fixed ones."""
    data = load(settings)
    key_arms, key_features, key_maps, key_kernels = jax.random.split(key, 4)
    trained = {arm: train_arm(settings, arm, data, key_arms) for arm in ARMS}
    filters = trained["none"].runs.filters
    return {
        "pooling.overfitting": _overfitting(settings, trained),
        "pooling.features": _with_searches(*features(settings, filters, data, key_features), trained, ("none",)),
        "pooling.invariance": _invariance(settings, trained, *map_changes(settings, data.test[0], key_maps)),
        "pooling.not-convolution": _not_convolution(settings, trained, key_kernels),
    }


def _with_searches(
    measurements: list[Measurement], arrays: dict[str, np.ndarray], trained: dict[str, Tuned], arms: tuple[str, ...]
) -> Evidence:
    return Evidence(tuple(measurements), arrays, {arm: trained[arm].search for arm in arms})


def _overfitting(settings: Pooling, trained: dict[str, Tuned]) -> Evidence:
    budget = f"{settings.train_examples} digits, {settings.train_steps} Adam steps, each at its tuned learning rate"
    runs = {arm: found.runs for arm, found in trained.items()}
    gap = {arm: run.train_accuracy - run.test_accuracy for arm, run in runs.items()}
    measurements = []
    for name, pooled, plain in (("flatten", "max", "none"), ("global", "max-global", "none-global")):
        pair = f"2×2 maxima minus no pooling, {name} head; {budget}"
        test = runs[pooled].test_accuracy - runs[plain].test_accuracy
        loss = runs[pooled].loss_gap - runs[plain].loss_gap
        measurements += [
            interval(f"gap-change-{name}", gap[pooled] - gap[plain], source=f"training minus test accuracy: {pair}"),
            interval(f"test-change-{name}", test, source=f"test accuracy: {pair}"),
            interval(f"loss-gap-change-{name}", loss, unit="nats", source=f"test minus training cross-entropy: {pair}"),
        ]
    for arm in ("average", "blur", "stride"):
        source = f"{arm} minus no pooling, flatten head; {budget}"
        measurements.append(interval(f"gap-change-{arm}", gap[arm] - gap["none"], source=source))
    for arm, run in runs.items():
        source = f"accuracy, {described(trained[arm].search)}"
        measurements.append(interval(f"train-{arm}", run.train_accuracy, unit="fraction", source=source))
        measurements.append(interval(f"test-{arm}", run.test_accuracy, unit="fraction", source=source))
    losses = {f"loss-{arm}": runs[arm].losses.mean(0) for arm in ("none", "max", "none-global", "max-global")}
    return _with_searches(measurements, losses, trained, tuple(ARMS))


def _invariance(
    settings: Pooling, trained: dict[str, Tuned], measurements: list[Measurement], arrays: dict[str, np.ndarray]
) -> Evidence:
    pooled = ("max", "average", "blur", "stride")
    plain = trained["none"].runs
    after = f"shift by one pixel, minus no pooling; {settings.train_seeds} trained networks"
    for arm in pooled:
        run = trained[arm].runs
        logits, flips = run.logit_change - plain.logit_change, run.flips - plain.flips
        source = f"predictions changed, {after}"
        measurements += [
            interval(f"logit-change-{arm}", logits, source=f"1 − correlation of the logits, {after}"),
            interval(f"flips-change-{arm}", flips, unit="of the test set", source=source),
        ]
    for arm in ("none", *pooled):
        source = f"predictions changed by a shift by one pixel, {described(trained[arm].search)}"
        measurements.append(interval(f"flips-{arm}", trained[arm].runs.flips, unit="of the test set", source=source))
    return _with_searches(measurements, arrays, trained, ("none", *pooled))


def _not_convolution(settings: Pooling, trained: dict[str, Tuned], key: Array) -> Evidence:
    n_in, n_out = settings.channels[0], settings.channels[-1]
    key_params, key_map = jax.random.split(key)
    params = convolution_init(key_params, n_in, n_out, (3, 3))
    x = jax.random.normal(key_map, (1, 8, 8, n_in))
    maps = {"pooling": partial(max_pool, window=2), "convolution": partial(convolution, params)}
    mixed = {name: channels_mixed(f, x) for name, f in maps.items()}
    size = {name: np.prod(jax.eval_shape(f, x).shape[1:3]) / 64 for name, f in maps.items()}
    classifier = partial(convolutional_init, key_params, IMAGE, settings.channels, CLASSES, head="average")
    count = lambda tree: sum(leaf.size for leaf in jax.tree.leaves(tree))
    added = count(classifier(pool="max")) - count(classifier(pool="none"))
    fixed = {"weight": jnp.full((2, 2, 1, 1), 0.25), "bias": jnp.zeros(1)}
    as_convolution = convolution(fixed, x[..., :1], stride=2, padding="VALID")
    difference = jnp.abs(as_convolution - average_pool(x[..., :1], 2)).max()
    accuracy = {arm: trained[arm].runs.test_accuracy for arm in ("max", "frozen", "none")}
    gain, law = accuracy["max"] - accuracy["frozen"], "9 n_in n_out + n_out"
    measurements = [
        interval("learned-gain", gain, source="test accuracy, learned minus frozen random kernels, 2×2 maxima behind either"),
        exact("parameters-pooling", added, source="added by pooling to the classifier"),
        exact("parameters-convolution", count(params), prediction=9 * n_in * n_out + n_out, source=law),
        *(
            exact(f"channels-mixed-{name}", value, unit="channels", source="other channels that move an output, mean")
            for name, value in mixed.items()
        ),
        *(exact(f"size-ratio-{name}", value, unit="of the cells", source="output over input") for name, value in size.items()),
        exact("average-as-convolution", difference, prediction=0, source="from a fixed 2×2 convolution of ¼, stride 2"),
    ]
    for arm, values in accuracy.items():
        source = f"test accuracy, {described(trained[arm].search)}"
        measurements.append(interval(f"test-{arm}", values, unit="fraction", source=source))
    filters = {name: trained[arm].runs.filters["weight"] for name, arm in (("learned", "max"), ("fixed", "frozen"))}
    kernels = {name: weight[0, :, :, 0] for name, weight in filters.items()}
    return _with_searches(measurements, kernels, trained, tuple(accuracy))


def channels_mixed(f: Callable, x: Array) -> float:
    """Returns how many input channels other than its own move an output, the mean over output channels, from the Jacobian."""
    jacobian = jax.jit(jax.jacrev(lambda x: f(x).sum((0, 1, 2))))(x)  # [n_out, 1, height, width, n_in]
    touched = np.array(jnp.abs(jacobian).sum((1, 2, 3)) > 0)
    own = np.arange(len(touched)) % touched.shape[1]
    touched[np.arange(len(touched)), own] = False
    return touched.sum(1).mean()
