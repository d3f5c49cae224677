"""Digits on a larger canvas: networks trained on centred ones, or everywhere, and tested at every position."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.invariance.settings import Invariance
from experiments.study.measurement import Evidence, Measurement, interval
from experiments.study.seeds import best_of, side_by_side
from jaxnotes import datasets, training
from jaxnotes.layers.activations import relu
from jaxnotes.layers.initializers import he_normal
from jaxnotes.models.convolutional import convolutional, convolutional_init
from jaxnotes.models.mlp import mlp, mlp_init

DIGIT, MARGIN, CLASSES = 14, 4, 10
CANVAS = DIGIT + 2 * MARGIN
VALIDATION = 1000  # training digits held out for choosing learning rates
# name: (pool, head, whether it is trained on all positions); no pool is the MLP
ARMS = {
    "mlp": (None, None, False),
    "flatten": ("max", "flatten", False),
    "global": ("max", "average", False),
    "max-global": ("max", "max", False),
    "blur": ("blur", "average", False),
    "max-blur": ("max-blur", "average", False),
    "trained": ("max", "flatten", True),
}


class Run(NamedTuple):
    """What a trained network shows; seeds in front."""

    accuracy: np.ndarray  # [9, 9] test accuracy by vertical and horizontal shift from the centre
    consistency: np.ndarray  # share of test predictions, at the centre, that a shift by one pixel leaves as they are


class Outcome(NamedTuple):
    """The tuned learning rate of an arm and the runs with it."""

    learning_rate: float
    runs: Run


def digits() -> datasets.Dataset:
    """MNIST halved to 14 × 14, from 0 to 1, on a canvas of 22 × 22 in the centre: [n, 22, 22, 1]."""
    data, pad = datasets.mnist(), ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0))
    place = lambda images: jnp.pad(datasets.halved(images)[..., None], pad)  # noqa: E731
    return data._replace(train_images=place(data.train_images), test_images=place(data.test_images))


def network(arm: str, settings: Invariance) -> tuple[Callable, Callable]:
    """(init(key), apply(params, images)) of an arm; circular padding, so that the border of the canvas plays no part."""
    pool, head, _ = ARMS[arm]
    if pool is None:
        init = partial(mlp_init, n_in=CANVAS**2, width=settings.mlp_width, depth=1, n_out=CLASSES, initializer=he_normal)
        return init, lambda params, x: mlp(params, x.reshape(len(x), -1), activation=relu)
    shape = (CANVAS, CANVAS, 1)
    init = partial(convolutional_init, image_shape=shape, channels=settings.channels, n_out=CLASSES, pool=pool, head=head)
    return init, partial(convolutional, activation=relu, pool=pool, head=head, padding="CIRCULAR")


def steps_of(settings: Invariance, arm: str) -> int:
    """Steps of a run: more where all positions are learned, since each is seen less often."""
    return settings.everywhere_steps if ARMS[arm][2] else settings.train_steps


def shifted(images: Array, shifts: Array) -> Array:
    """Every image moved by its own [n, 2] shift; the margin is empty, so that nothing wraps around up to 4 cells."""
    return jax.vmap(lambda image, shift: jnp.roll(image, shift, (0, 1)))(images, shifts)


@partial(jax.jit, static_argnames=("settings", "steps"))
def _drawn(of_batches: Array, of_places: Array, labels: Array, *, settings: Invariance, steps: int) -> tuple[Array, Array]:
    """Each step's examples [steps, batch], and a shift for every one of them [steps, batch, 2]."""
    n, batch = len(labels) - VALIDATION, settings.train_batch
    draw = lambda key: _places(key, batch)  # noqa: E731
    return datasets.minibatch_indices(of_batches, n, batch, steps), jax.vmap(draw)(jax.random.split(of_places, steps))


def _places(key: Array, n: int) -> Array:
    """[n, 2] shifts to anywhere on the canvas."""
    return jax.random.randint(key, (n, 2), -MARGIN, MARGIN + 1)


def trained(settings: Invariance, arm: str, data: datasets.Dataset, key: Array, rate: float) -> dict | list:
    """The parameters after one whole run. Arms of the same shapes share a program wherever they can."""
    of_params, of_batches, of_places = jax.random.split(key, 3)
    _, head, anywhere = ARMS[arm]
    indices, places = _drawn(of_batches, of_places, data.train_labels, settings=settings, steps=steps_of(settings, arm))
    # All pools halve a map, and either mean leaves a number a channel: the parameters are those of one of these three.
    start = _start(of_params, settings=settings, arm={None: "mlp", "flatten": "flatten"}.get(head, "global"))
    places, network_of = (places, "flatten") if anywhere else (jnp.zeros_like(places), arm)
    return _fit(jnp.float32(rate), start, data, indices, places, settings=settings, arm=network_of)


@partial(jax.jit, static_argnames=("settings", "arm"))
def _start(key: Array, *, settings: Invariance, arm: str) -> dict | list:
    return network(arm, settings)[0](key)


@partial(jax.jit, static_argnames=("settings", "arm"))
def _fit(
    rate: Array, params, data: datasets.Dataset, indices: Array, places: Array, *, settings: Invariance, arm: str
) -> dict | list:
    """The parameters after a step of Adam for each row of indices, images moved to their places; the rate falls as a cosine."""
    _, apply = network(arm, settings)
    decay = optax.cosine_decay_schedule(1.0, len(indices))
    optimizer = optax.chain(optax.scale_by_adam(), optax.scale_by_schedule(decay))

    def step(carry, item):
        params, state = carry
        chosen, place = item
        x, labels = shifted(data.train_images[chosen], place), data.train_labels[chosen]
        gradient = jax.grad(lambda p: training.cross_entropy(apply(p, x), labels))(params)
        updates, state = optimizer.update(gradient, state)
        return (jax.tree.map(lambda p, u: p - rate * u, params, updates), state), None

    return jax.lax.scan(step, (params, optimizer.init(params)), (indices, places))[0][0]


@partial(jax.jit, static_argnames=("settings", "arm"))
def _shown(params, images: Array, labels: Array, *, settings: Invariance, arm: str) -> Run:
    """What a network makes of test images at every position."""
    _, apply = network(arm, settings)
    moves = jnp.arange(-MARGIN, MARGIN + 1)
    grid = jnp.stack(jnp.meshgrid(moves, moves, indexing="ij"), -1).reshape(-1, 2)
    predictions = jax.lax.map(lambda move: jnp.argmax(apply(params, jnp.roll(images, move, (1, 2))), 1), grid)
    right = jnp.mean(predictions == labels[None], 1, dtype=jnp.float32).reshape(len(moves), len(moves))
    side = len(moves)
    centre, around = side * MARGIN + MARGIN, jnp.asarray([-1, 1, -side, side])
    return Run(right, jnp.mean(predictions[centre + around] == predictions[centre][None], dtype=jnp.float32))


@partial(jax.jit, static_argnames=("settings", "arm"))
def _validation(params, key: Array, images: Array, labels: Array, *, settings: Invariance, arm: str) -> Array:
    """Accuracy on held-out digits, placed as those trained on."""
    images = shifted(images, _places(key, len(images))) if ARMS[arm][2] else images
    return training.accuracy(network(arm, settings)[1](params, images), labels)


def train_arm(settings: Invariance, arm: str, data: datasets.Dataset, key: Array) -> Outcome:
    """The rate by validation accuracy on a seed of its own, then the seeds that count, paired over the arms."""
    seeds = settings.everywhere_seeds if ARMS[arm][2] else settings.train_seeds
    of_tuning, *of_seeds = jax.random.split(key, 1 + seeds)
    of_held = jax.random.split(jax.random.split(of_tuning, 3)[2])[0]  # that of the first step's places
    held = data.train_images[-VALIDATION:], data.train_labels[-VALIDATION:]
    shown = data.test_images[: settings.evaluated], data.test_labels[: settings.evaluated]

    def validation(rate: float) -> float:
        params = trained(settings, arm, data, of_tuning, rate)
        return float(_validation(params, of_held, *held, settings=settings, arm=arm))

    def run(key: Array) -> Run:
        params = trained(settings, arm, data, key, best)
        return jax.tree.map(np.asarray, _shown(params, *shown, settings=settings, arm=arm))

    best = best_of(validation, settings.learning_rates)
    return Outcome(best, jax.tree.map(lambda *leaves: np.stack(leaves), *side_by_side(run, of_seeds)))


def train_all(settings: Invariance, key: Array) -> dict[str, Outcome]:
    """Every arm on the same seeds."""
    data = digits()
    return {arm: train_arm(settings, arm, data, key) for arm in ARMS}


def centred(outcome: Outcome) -> np.ndarray:
    """[seeds] test accuracy at the centre."""
    return outcome.runs.accuracy[:, MARGIN, MARGIN]


def drop(outcome: Outcome) -> np.ndarray:
    """[seeds] accuracy at the centre minus its mean over all positions at the largest shift."""
    edge = np.ones((2 * MARGIN + 1,) * 2, bool)
    edge[1:-1, 1:-1] = False
    return centred(outcome) - outcome.runs.accuracy[:, edge].mean(1)


def worst(outcome: Outcome) -> np.ndarray:
    """[seeds] accuracy at the position where its mean over seeds is lowest."""
    by_place = outcome.runs.accuracy.reshape(len(outcome.runs.accuracy), -1)
    return by_place[:, by_place.mean(0).argmin()]


def generalises(settings: Invariance, outcomes: dict[str, Outcome]) -> Evidence:
    """invariance.generalises: trained at the centre, tested at the rim."""
    measurements, arrays = [], {"shifts": np.arange(-MARGIN, MARGIN + 1)}
    for arm in ("flatten", "global", "mlp"):
        source = f"centre minus mean over the positions {MARGIN} cells off; {_budget(settings, arm, outcomes[arm])}"
        measurements.append(interval(f"drop-{arm}", drop(outcomes[arm]), unit="fraction of the test set", source=source))
        arrays[f"accuracy-{arm}"] = outcomes[arm].runs.accuracy
    measurements += [_accuracy(f"centred-{arm}", centred(outcomes[arm])) for arm in ("flatten", "global", "mlp")]
    return Evidence(tuple(measurements), arrays)


def anywhere(settings: Invariance, outcomes: dict[str, Outcome]) -> tuple[list[Measurement], dict[str, np.ndarray]]:
    """The worst position of each network, for invariance.cnn."""
    arms = ("flatten", "global", "max-global", "trained")
    measurements = [_accuracy(f"worst-{arm}", worst(outcomes[arm]), _budget(settings, arm, outcomes[arm])) for arm in arms]
    measurements += [_accuracy(f"centred-{arm}", centred(outcomes[arm])) for arm in arms]
    return measurements, {f"map-{arm}": outcomes[arm].runs.accuracy.mean(0) for arm in arms}


def consistencies(settings: Invariance, outcomes: dict[str, Outcome]) -> list[Measurement]:
    """How many predictions survive a shift by one pixel behind each kind of pooling, for invariance.max-pool."""
    plain, measurements = outcomes["global"].runs.consistency, []
    for arm in ("blur", "max-blur"):
        change = outcomes[arm].runs.consistency - plain
        source = f"minus max pooling, paired by seed; {_budget(settings, arm, outcomes[arm])}"
        measurements.append(interval(f"consistency-change-{arm}", change, unit="of the predictions", source=source))
    for name, arm in (("max", "global"), ("blur", "blur"), ("max-blur", "max-blur")):
        measured = interval(f"consistency-{name}", outcomes[arm].runs.consistency, unit="of the predictions")
        measurements += [measured, _accuracy(f"accuracy-{name}", centred(outcomes[arm]))]
    return measurements


def _accuracy(name: str, values: np.ndarray, source: str = "at the centre") -> Measurement:
    return interval(name, values, unit="fraction of the test set", source=source)


def _budget(settings: Invariance, arm: str, outcome: Outcome) -> str:
    return f"{steps_of(settings, arm)} Adam steps at a tuned learning rate {outcome.learning_rate:.1g}"
