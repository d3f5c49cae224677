"""Plain and residual networks of 20 to 10,000 layers trained on MNIST at equal budget, each at its own best learning rate."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.residual.settings import Residual
from experiments.study import digits
from experiments.study.measurement import Evidence, Measurement, curve, exact, interval
from experiments.study.seeds import side_by_side
from experiments.study.tuning import Tuned, adam, described, tuned
from jaxnotes import datasets, training
from jaxnotes.layers.activations import relu
from jaxnotes.layers.initializers import he_normal
from jaxnotes.layers.residual import depth_scale
from jaxnotes.models.mlp import mlp_init
from jaxnotes.models.residual_network import residual_network

ARMS = ("plain", "unscaled", "scaled")
DEPTH_NAMES = ("shallow", "deep", "deepest")
CLASSES = 10


class Run(NamedTuple):
    """What one trained network shows."""

    losses: Array  # [steps] training loss at each step, nats
    train_error: Array  # share of training examples misclassified at the end
    validation_accuracy: Array
    test_accuracy: Array


def scales(arm: str, depth: int) -> dict[str, Array]:
    """Returns what tells an arm from the others; arrays, so that all arms of a depth share a program."""
    shortcut, branch = {"plain": (0.0, 1.0), "unscaled": (1.0, 1.0), "scaled": (1.0, depth_scale(depth))}[arm]
    return {"shortcut_scale": jnp.float32(shortcut), "branch_scale": jnp.float32(branch)}


@partial(jax.jit, static_argnames=("settings", "depth", "steps", "evaluated"))
def train(
    arm_scales: dict[str, Array],
    data: digits.Digits,
    rate: Array,
    key: Array,
    *,
    settings: Residual,
    depth: int,
    steps: int,
    evaluated: int,
) -> Run:
    """Trains one network by Adam and evaluates it on the first `evaluated` examples of each set."""
    key_params, key_batches = jax.random.split(key)
    apply = partial(residual_network, activation=relu, **arm_scales)

    def loss(params, batch: tuple[Array, Array]) -> Array:
        return training.cross_entropy(apply(params, batch[0]), batch[1])

    def accuracy(examples: tuple[Array, Array]) -> Array:
        images, labels = (part[:evaluated] for part in examples)
        return training.accuracy(apply(state.params, images), labels)

    images, labels = data.train
    optimizer = adam(rate, steps)
    params = mlp_init(key_params, images.shape[1], settings.train_width, depth, CLASSES, initializer=he_normal)
    indices = datasets.minibatch_indices(key_batches, len(labels), settings.train_batch, steps)
    state, losses = training.train_on(loss, optimizer)(training.init_state(params, optimizer), data.train, indices)
    return Run(losses, 1 - accuracy(data.train), accuracy(data.validation), accuracy(data.test))


def train_all(settings: Residual, key: Array) -> dict[str, Evidence]:
    """residual.deep and residual.degradation: every arm at every depth, then the first steps at the extreme depth."""
    data = digits.load(side=28)
    key_trained, key_extreme = jax.random.split(key)
    trained = {
        (arm, depth): train_arm(settings, arm, depth, data, key_trained) for arm in ARMS for depth in settings.train_depths
    }
    rates = {arm: trained[arm, settings.train_depths[-1]].rate for arm in ARMS}
    extreme = {arm: first_steps(settings, arm, rates[arm], data, key_extreme) for arm in ARMS}
    searches = {f"{arm}-{depth}": found.search for (arm, depth), found in trained.items()}
    return {
        "residual.deep": _deep(settings, trained, extreme, searches),
        "residual.degradation": _degradation(settings, trained, searches),
    }


def train_arm(settings: Residual, arm: str, depth: int, data: digits.Digits, key: Array) -> Tuned:
    """Returns the runs of an arm at a depth; arms and depths are paired seed by seed."""
    budget = {"settings": settings, "depth": depth, "steps": settings.train_steps, "evaluated": settings.evaluated}
    one = partial(train, scales(arm, depth), data, **budget)
    return tuned(
        lambda rate, key: one(jnp.float32(rate), key),
        lambda run: run.validation_accuracy,
        settings.learning_rates,
        key,
        tuning_seeds=settings.tuning_seeds,
        seeds=settings.train_seeds if arm == "scaled" else settings.control_seeds,
    )


def first_steps(settings: Residual, arm: str, rate: float, data: digits.Digits, key: Array) -> np.ndarray:
    """Returns [seeds, steps] losses of the first steps of networks of the extreme depth."""
    depth, steps = settings.extreme_depth, settings.extreme_steps
    budget = {"settings": settings, "depth": depth, "steps": steps, "evaluated": 1}  # only the losses are read
    one = partial(train, scales(arm, depth), data, jnp.float32(rate), **budget)
    keys = list(jax.random.split(key, settings.extreme_seeds))
    return np.stack(side_by_side(lambda key: np.asarray(one(key).losses), keys))


def _deep(settings: Residual, trained: dict[tuple[str, int], Tuned], extreme: dict[str, np.ndarray], searches) -> Evidence:
    measurements = []
    arrays = {"depths": np.asarray(settings.train_depths), "extreme-depth": np.asarray(settings.extreme_depth)}
    for arm in ARMS:
        for name, depth in zip(DEPTH_NAMES, settings.train_depths, strict=True):
            found = trained[arm, depth]
            source = f"{depth} layers, {settings.train_steps} steps of Adam; {described(found.search)}"
            accuracy, unit = found.runs.test_accuracy, "fraction of the test set"
            measurements.append(interval(f"accuracy-{arm}-{name}", accuracy, unit=unit, source=source))
        values = np.stack([trained[arm, depth].runs.test_accuracy for depth in settings.train_depths], axis=1)
        arrays |= curve(f"accuracy-{arm}", values)
        measured, drawn = _first_steps(settings, arm, extreme[arm])
        measurements.append(measured)
        arrays |= drawn
    return Evidence(tuple(measurements), arrays, searches)


def _first_steps(settings: Residual, arm: str, losses: np.ndarray) -> tuple[Measurement, dict[str, np.ndarray]]:
    """Returns how far the loss falls at the extreme depth, or in how many seeds it is not finite."""
    at = f"{settings.extreme_steps} steps at {settings.extreme_depth} layers"
    finite = np.isfinite(losses).all(axis=1)
    if not finite.all():
        unit, source = f"of {finite.size} seeds", f"loss not finite within {at}"
        return exact(f"non-finite-{arm}-extreme", np.count_nonzero(~finite), unit=unit, source=source), {}
    drop = interval(f"loss-drop-{arm}-extreme", losses[:, 0] - losses[:, -1], unit="nats", source=f"first minus last of {at}")
    return drop, curve(f"loss-{arm}", losses)


def _degradation(settings: Residual, trained: dict[tuple[str, int], Tuned], searches) -> Evidence:
    shallow, deep = settings.train_depths[0], settings.train_depths[-1]
    source = f"training error at {deep} layers minus at {shallow}, equal steps, seeds paired"
    measurements, arrays = [], {"depths": np.asarray(settings.train_depths)}
    for arm in ARMS:
        errors = np.stack([trained[arm, depth].runs.train_error for depth in settings.train_depths], axis=1)
        unit = "fraction of the training set"
        measurements.append(interval(f"{arm}-change", errors[:, -1] - errors[:, 0], unit=unit, source=source))
        arrays |= curve(arm, errors)
    return Evidence(tuple(measurements), arrays, searches)
