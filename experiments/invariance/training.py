"""Digits on a larger canvas: networks trained on centred ones, or everywhere, and tested at every position."""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.invariance.settings import Invariance
from experiments.study import digits
from experiments.study.measurement import Evidence, Measurement, Search, interval
from experiments.study.seeds import side_by_side
from experiments.study.tuning import adam, described, tuned
from jaxnotes import datasets, training
from jaxnotes.layers.activations import relu
from jaxnotes.layers.initializers import he_normal
from jaxnotes.models.convolutional import convolutional, convolutional_init
from jaxnotes.models.mlp import mlp, mlp_init

DIGIT, MARGIN, CLASSES = 14, 4, 10
CANVAS = DIGIT + 2 * MARGIN


class Arm(NamedTuple):
    """What the networks differ in; the names are those of `jaxnotes.models.convolutional`."""

    pool: str | None  # None: an MLP
    head: str | None
    everywhere: bool = False  # whether it is trained on all positions


ARMS = {
    "mlp": Arm(None, None),
    "flatten": Arm("max", "flatten"),
    "global": Arm("max", "average"),
    "max-global": Arm("max", "max"),
    "blur": Arm("blur", "average"),
    "max-blur": Arm("max-blur", "average"),
    "trained": Arm("max", "flatten", everywhere=True),
}


class Run(NamedTuple):
    """A trained network."""

    params: Any
    validation_accuracy: Array  # on held-out digits, placed as those trained on


class Shown(NamedTuple):
    """What an arm's networks show, seeds in front, and how their learning rate was chosen."""

    accuracy: np.ndarray  # [seeds, 9, 9] test accuracy by vertical and horizontal shift from the centre
    consistency: np.ndarray  # [seeds] share of test predictions, at the centre, that a shift by one pixel leaves as they are
    search: Search


def load() -> digits.Digits:
    """Returns digits of 14×14 pixels in the centre of a canvas of 22×22, [n, 22, 22, 1]; paper and margin are 0."""
    pad = ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0))
    return digits.Digits(*((jnp.pad(images - images.min(), pad), labels) for images, labels in digits.load(flat=False)))


def network(settings: Invariance, pool: str | None, head: str | None) -> tuple[Callable, Callable]:
    """Returns init(key) and apply(params, images); padding is circular, so that the border of the canvas plays no part."""
    if pool is None:
        init = partial(mlp_init, n_in=CANVAS**2, width=settings.mlp_width, depth=1, n_out=CLASSES, initializer=he_normal)
        return init, lambda params, x: mlp(params, x.reshape(len(x), -1), activation=relu)
    shape = (CANVAS, CANVAS, 1)
    init = partial(convolutional_init, image_shape=shape, channels=settings.channels, n_out=CLASSES, pool=pool, head=head)
    return init, partial(convolutional, activation=relu, pool=pool, head=head, padding="CIRCULAR")


def steps_of(settings: Invariance, arm: str) -> int:
    """Returns the steps of a run: more where all positions are learned, since each is seen less often."""
    return settings.everywhere_steps if ARMS[arm].everywhere else settings.train_steps


def shifted(images: Array, shifts: Array) -> Array:
    """Returns every image moved by its own [n, 2] shift; the margin is empty, so that nothing wraps around up to 4 cells."""
    return jax.vmap(lambda image, shift: jnp.roll(image, shift, (0, 1)))(images, shifts)


def train(settings: Invariance, arm: str, data: digits.Digits, rate: float, key: Array) -> Run:
    """Trains one network of an arm. Arms of the same pool, head and steps share a program."""
    pool, head, everywhere = ARMS[arm]
    key_params, key_batches, key_places, key_held = jax.random.split(key, 4)
    steps, batch, reach = steps_of(settings, arm), settings.train_batch, MARGIN if everywhere else 0
    indices = datasets.minibatch_indices(key_batches, len(data.train[1]), batch, steps)
    places = jax.random.randint(key_places, (steps, batch, 2), -reach, reach + 1)
    held = jax.random.randint(key_held, (len(data.validation[1]), 2), -reach, reach + 1)
    return _run(key_params, jnp.float32(rate), data, (indices, places), held, settings=settings, pool=pool, head=head)


@partial(jax.jit, static_argnames=("settings", "pool", "head"))
def _run(
    key: Array,
    rate: Array,
    data: digits.Digits,
    batches: tuple[Array, Array],
    held: Array,
    *,
    settings: Invariance,
    pool: str | None,
    head: str | None,
) -> Run:
    """Takes a step for each of `batches`, (examples [steps, batch], places [steps, batch, 2]); `held` places the validation."""
    init, apply = network(settings, pool, head)
    (images, labels), (held_images, held_labels) = data.train, data.validation

    def loss(params, batch: tuple[Array, Array]) -> Array:
        examples, places = batch
        return training.cross_entropy(apply(params, shifted(images[examples], places)), labels[examples])

    optimizer = adam(rate, len(batches[0]))
    state, _ = training.train(loss, optimizer)(training.init_state(init(key), optimizer), batches)
    return Run(state.params, training.accuracy(apply(state.params, shifted(held_images, held)), held_labels))


@partial(jax.jit, static_argnames=("settings", "pool", "head"))
def _tested(
    params, images: Array, labels: Array, *, settings: Invariance, pool: str | None, head: str | None
) -> tuple[Array, Array]:
    """Returns [9, 9] accuracies and the consistency of a network on test images at every position."""
    _, apply = network(settings, pool, head)
    moves = jnp.arange(-MARGIN, MARGIN + 1)
    grid = jnp.stack(jnp.meshgrid(moves, moves, indexing="ij"), -1).reshape(-1, 2)
    predictions = jax.lax.map(lambda move: jnp.argmax(apply(params, jnp.roll(images, move, (1, 2))), 1), grid)
    side = len(moves)
    right = jnp.mean(predictions == labels[None], 1, dtype=jnp.float32).reshape(side, side)
    centre, around = side * MARGIN + MARGIN, jnp.asarray([-1, 1, -side, side])
    return right, jnp.mean(predictions[centre + around] == predictions[centre][None], dtype=jnp.float32)


def train_arm(settings: Invariance, arm: str, data: digits.Digits, key: Array) -> Shown:
    """Tunes an arm and tests it at every position. Arms that are given the same key are paired seed by seed."""
    pool, head, everywhere = ARMS[arm]
    seeds = settings.everywhere_seeds if everywhere else settings.train_seeds
    runs, search = tuned(
        partial(train, settings, arm, data),
        lambda run: run.validation_accuracy,
        settings.learning_rates,
        key,
        tuning_seeds=settings.tuning_seeds,
        seeds=seeds,
    )
    images, labels = (part[: settings.evaluated] for part in data.test)
    networks = [jax.tree.map(lambda leaf, seed=seed: leaf[seed], runs.params) for seed in range(seeds)]
    test = lambda params: jax.device_get(_tested(params, images, labels, settings=settings, pool=pool, head=head))
    accuracy, consistency = zip(*side_by_side(test, networks), strict=True)
    return Shown(np.stack(accuracy), np.stack(consistency), search)


def train_all(settings: Invariance, key: Array) -> dict[str, Shown]:
    """Returns what every arm shows, all on the same seeds."""
    data = load()
    return {arm: train_arm(settings, arm, data, key) for arm in ARMS}


def centred(shown: Shown) -> np.ndarray:
    """Returns [seeds] test accuracies at the centre."""
    return shown.accuracy[:, MARGIN, MARGIN]


def drop(shown: Shown) -> np.ndarray:
    """Returns [seeds] accuracy at the centre minus its mean over all positions at the largest shift."""
    rim = np.ones((2 * MARGIN + 1,) * 2, bool)
    rim[1:-1, 1:-1] = False
    return centred(shown) - shown.accuracy[:, rim].mean(1)


def worst(shown: Shown) -> np.ndarray:
    """Returns [seeds] accuracies at the position where their mean over seeds is lowest."""
    by_place = shown.accuracy.reshape(len(shown.accuracy), -1)
    return by_place[:, by_place.mean(0).argmin()]


def generalises(settings: Invariance, trained: dict[str, Shown]) -> Evidence:
    """invariance.generalises: trained at the centre, tested at the rim."""
    arms = ("flatten", "global", "mlp")
    what = f"centre minus mean over the positions {MARGIN} cells off"
    drops = [_share(f"drop-{arm}", drop(trained[arm]), f"{what}; {_budget(settings, arm, trained[arm])}") for arm in arms]
    centres = [_share(f"centred-{arm}", centred(trained[arm])) for arm in arms]
    arrays = {f"accuracy-{arm}": trained[arm].accuracy for arm in arms}
    searches = {arm: trained[arm].search for arm in arms}
    return Evidence((*drops, *centres), arrays | {"shifts": np.arange(-MARGIN, MARGIN + 1)}, searches)


def anywhere(settings: Invariance, trained: dict[str, Shown]) -> Evidence:
    """Returns the worst position of each network, for invariance.cnn."""
    arms = ("flatten", "global", "max-global", "trained")
    measurements = [_share(f"worst-{arm}", worst(trained[arm]), _budget(settings, arm, trained[arm])) for arm in arms]
    measurements += [_share(f"centred-{arm}", centred(trained[arm])) for arm in arms]
    maps = {f"map-{arm}": trained[arm].accuracy.mean(0) for arm in arms}
    return Evidence(tuple(measurements), maps, {arm: trained[arm].search for arm in arms})


def consistencies(settings: Invariance, trained: dict[str, Shown]) -> Evidence:
    """How many predictions survive a shift by one pixel behind each kind of pooling, for invariance.max-pool."""
    arms, unit, measurements = {"max": "global", "blur": "blur", "max-blur": "max-blur"}, "of the predictions", []
    for arm in ("blur", "max-blur"):
        change = trained[arm].consistency - trained["global"].consistency
        source = f"minus max pooling, paired by seed; {_budget(settings, arm, trained[arm])}"
        measurements.append(interval(f"consistency-change-{arm}", change, unit=unit, source=source))
    for name, arm in arms.items():
        measurements += [
            interval(f"consistency-{name}", trained[arm].consistency, unit=unit),
            _share(f"accuracy-{name}", centred(trained[arm])),
        ]
    return Evidence(tuple(measurements), searches={name: trained[arm].search for name, arm in arms.items()})


def _share(name: str, values: np.ndarray, source: str = "at the centre") -> Measurement:
    return interval(name, values, unit="fraction of the test set", source=source)


def _budget(settings: Invariance, arm: str, shown: Shown) -> str:
    return f"{steps_of(settings, arm)} Adam steps, {described(shown.search)}"
