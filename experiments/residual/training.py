"""Plain and residual networks of 20 to 10,000 layers trained on MNIST at equal budget, each at its own best learning rate."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.residual.settings import Residual
from experiments.study.measurement import Evidence, Measurement, curve, exact, interval
from experiments.study.seeds import side_by_side
from jaxnotes import datasets, training
from jaxnotes.layers.activations import relu
from jaxnotes.layers.initializers import he_normal
from jaxnotes.layers.residual import depth_scale
from jaxnotes.models.mlp import mlp_init
from jaxnotes.models.residual_network import residual_network

ARMS = ("plain", "unscaled", "scaled")
DEPTH_NAMES = ("shallow", "deep", "deepest")
CLASSES = 10


class Outcome(NamedTuple):
    """Results of trained networks, one a seed."""

    losses: np.ndarray  # [seeds, steps] training loss at each step
    train_error: np.ndarray  # [seeds] share of training examples misclassified at the end
    test_accuracy: np.ndarray  # [seeds]
    learning_rate: float  # the one tuned for this arm and depth


def scales(arm: str, depth: int) -> dict[str, Array]:
    """What tells an arm from the others; arrays, so that all arms of a depth share a program."""
    shortcut, branch = {"plain": (0.0, 1.0), "unscaled": (1.0, 1.0), "scaled": (1.0, depth_scale(depth))}[arm]
    return {"shortcut_scale": jnp.float32(shortcut), "branch_scale": jnp.float32(branch)}


@partial(jax.jit, static_argnames=("n_in", "width", "depth"))
def initial_state(keys: Array, rates: Array, *, n_in: int, width: int, depth: int) -> training.TrainState:
    """Networks before their first step, one a key and learning rate; compiled once a depth and not once an arm."""

    def one(key: Array, rate: Array) -> training.TrainState:
        # What Adam starts from does not depend on the number of steps.
        state = training.init_state(mlp_init(key, n_in, width, depth, CLASSES, initializer=he_normal), adam(1))
        state.optimizer_state[-1].hyperparams["step_size"] = -rate
        return state

    return jax.vmap(one)(keys, rates)


@partial(jax.jit, static_argnums=(1, 2, 3))
def batches(keys: Array, examples: int, batch: int, steps: int) -> Array:
    """[runs, steps, batch] the examples of each step, one row a key."""
    return jax.vmap(lambda key: datasets.minibatch_indices(key, examples, batch, steps))(keys)


def adam(steps: int) -> optax.GradientTransformation:
    """Adam whose learning rate, part of its state, falls to 0 as a cosine over the run."""
    decay = optax.scale_by_schedule(optax.cosine_decay_schedule(1.0, steps))
    return optax.chain(optax.scale_by_adam(), decay, optax.inject_hyperparams(optax.scale)(step_size=0.0))


def train_arm(settings: Residual, arm: str, depth: int, data: datasets.Dataset, key: Array) -> Outcome:
    """Tunes the learning rate on a seed of its own, at the full budget, then trains the seeds that count with it."""
    of_tuning, of_seeds = jax.random.split(key)
    run, rates = runner(settings, arm, depth, settings.train_steps, data), np.asarray(settings.learning_rates)
    tuning = run_pairs(run, jnp.stack([of_tuning] * len(rates)), rates)[0]
    final = np.nan_to_num(tuning[:, -max(settings.train_steps // 10, 1) :].mean(1), nan=np.inf, posinf=np.inf)
    seeds = settings.train_seeds if arm == "scaled" else settings.control_seeds
    return train_seeds(run, float(rates[final.argmin()]), jax.random.split(of_seeds, seeds))


def train_seeds(run: Callable, rate: float, keys: Array) -> Outcome:
    """Trains a seed for each key at one learning rate."""
    return Outcome(*run_pairs(run, keys, np.full(len(keys), rate)), rate)


def run_pairs(run: Callable, keys: Array, rates: np.ndarray) -> tuple[np.ndarray, ...]:
    """Independent runs, two in a program and two programs at a time.

    Of an odd number the last is run twice and counted once.
    """
    n, last = len(rates), len(rates) - 1
    pairs = [np.asarray([i, min(i + 1, last)]) for i in range(0, n, 2)]
    found = side_by_side(lambda pair: run(keys[pair], rates[pair]), pairs)
    return tuple(np.concatenate(parts)[:n] for parts in zip(*found, strict=True))


def runner(settings: Residual, arm: str, depth: int, steps: int, data: datasets.Dataset, *, scored: bool = True) -> Callable:
    """A function of keys and learning rates, whole runs side by side: (losses [runs, steps], training error, test accuracy).

    The last two are NaN where they are not `scored`.
    """
    few, of_arm = slice(settings.evaluated), scales(arm, depth)

    def run(keys: Array, rates: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        of_params, of_batches = jnp.moveaxis(jax.vmap(jax.random.split)(keys), 1, 0)
        size = {"n_in": data.train_images.shape[1], "width": settings.train_width, "depth": depth}
        state = initial_state(of_params, jnp.asarray(rates, jnp.float32), **size)
        indices = batches(of_batches, len(data.train_labels), settings.train_batch, steps)
        state, losses = fit(state, of_arm, (data.train_images, data.train_labels), indices)
        if not scored:
            return np.asarray(losses), np.full(len(rates), np.nan), np.full(len(rates), np.nan)
        train_accuracy = scores(state.params, of_arm, data.train_images[few], data.train_labels[few])
        test_accuracy = scores(state.params, of_arm, data.test_images[few], data.test_labels[few])
        return np.asarray(losses), 1 - np.asarray(train_accuracy), np.asarray(test_accuracy)

    return run


@partial(jax.jit, donate_argnums=0)
def fit(state: training.TrainState, of_arm: dict[str, Array], data: tuple[Array, Array], indices: Array):
    """Whole runs side by side, `state` and `indices` [runs, steps, batch]: (states at the end, losses [runs, steps])."""

    def loss(params, batch) -> Array:
        return training.cross_entropy(residual_network(params, batch[0], activation=relu, **of_arm), batch[1])

    return jax.vmap(training.train_on(loss, adam(indices.shape[1])), in_axes=(0, None, 0))(state, data, indices)


@jax.jit
def scores(params, of_arm: dict[str, Array], images: Array, labels: Array) -> Array:
    """[runs] accuracies."""
    apply = partial(residual_network, activation=relu, **of_arm)
    return jax.vmap(lambda params: training.accuracy(apply(params, images), labels))(params)


def train_all(settings: Residual, key: Array) -> dict[str, Evidence]:
    """residual.deep and residual.degradation: every arm at every depth, then the first steps at the extreme depth."""
    images = datasets.mnist()
    data = images._replace(
        train_images=datasets.standardise(images.train_images), test_images=datasets.standardise(images.test_images)
    )
    outcomes, extreme = {}, {}
    for arm in ARMS:
        for depth in settings.train_depths:
            key, of_arm = jax.random.split(key)
            outcomes[arm, depth] = train_arm(settings, arm, depth, data, of_arm)
        key, of_arm = jax.random.split(key)
        run = runner(settings, arm, settings.extreme_depth, settings.extreme_steps, data, scored=False)
        rate = outcomes[arm, settings.train_depths[-1]].learning_rate
        extreme[arm] = train_seeds(run, rate, jax.random.split(of_arm, settings.extreme_seeds))
    return {
        "residual.deep": _deep(settings, outcomes, extreme),
        "residual.degradation": _degradation(settings, outcomes),
    }


def _deep(settings: Residual, outcomes, extreme) -> Evidence:
    measurements = [
        exact(f"depth-{name}", depth, unit="layers", source="hidden layers")
        for name, depth in (*zip(DEPTH_NAMES, settings.train_depths, strict=True), ("extreme", settings.extreme_depth))
    ]
    arrays = {"depths": np.asarray(settings.train_depths)}
    for arm in ARMS:
        for name, depth in zip(DEPTH_NAMES, settings.train_depths, strict=True):
            outcome = outcomes[arm, depth]
            source = (
                f"{depth} layers, Adam at its tuned learning rate {outcome.learning_rate:.1g}, {settings.train_steps} steps"
            )
            measured = interval(f"accuracy-{arm}-{name}", outcome.test_accuracy, unit="fraction of the test set", source=source)
            measurements.append(measured)
        values = np.stack([outcomes[arm, depth].test_accuracy for depth in settings.train_depths], axis=1)
        arrays |= curve(f"accuracy-{arm}", values)
        measured, drawn = _first_steps(settings, arm, extreme[arm])
        measurements.append(measured)
        arrays |= drawn
    return Evidence(tuple(measurements), arrays)


def _first_steps(settings: Residual, arm: str, outcome: Outcome) -> tuple[Measurement, dict[str, np.ndarray]]:
    """What the first steps do at the extreme depth: how far the loss falls, or in how many seeds it is not finite."""
    losses, at = outcome.losses, f"{settings.extreme_steps} steps at {settings.extreme_depth} layers"
    finite = np.isfinite(losses).all(axis=1)
    if not finite.all():
        unit, source = f"of {finite.size} seeds", f"loss not finite within {at}"
        return exact(f"non-finite-{arm}-extreme", np.count_nonzero(~finite), unit=unit, source=source), {}
    drop = interval(f"loss-drop-{arm}-extreme", losses[:, 0] - losses[:, -1], unit="nats", source=f"first minus last of {at}")
    return drop, curve(f"loss-{arm}", losses)


def _degradation(settings: Residual, outcomes) -> Evidence:
    shallow, deep = settings.train_depths[0], settings.train_depths[-1]
    measurements, arrays = [], {"depths": np.asarray(settings.train_depths)}
    for arm in ARMS:
        change = outcomes[arm, deep].train_error - outcomes[arm, shallow].train_error
        measurements.append(_change(arm, change, shallow, deep))
        errors = np.stack([outcomes[arm, depth].train_error for depth in settings.train_depths], axis=1)
        arrays |= curve(arm, errors)
    return Evidence(tuple(measurements), arrays)


def _change(arm: str, change: np.ndarray, shallow: int, deep: int) -> Measurement:
    source = f"training error at {deep} layers minus at {shallow}, equal steps"
    return interval(f"{arm}-change", change, unit="fraction of the training set", source=source)
