"""Plain and residual networks of 20 to 10,000 layers trained on MNIST at equal budget, each at its own best learning rate."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.measurement import Evidence, Measurement, exact, interval, mean_interval
from jaxnotes import datasets, training
from jaxnotes.layers.activations import relu
from jaxnotes.layers.initializers import he_normal
from jaxnotes.layers.residual import depth_scale
from jaxnotes.models.mlp import mlp, mlp_init
from jaxnotes.models.residual_network import residual_network, residual_network_init

ARMS = ("plain", "unscaled", "scaled")
DEPTH_NAMES = ("shallow", "deep", "deepest")
CLASSES = 10


class Outcome(NamedTuple):
    """Results of trained networks, one a seed."""

    losses: np.ndarray  # [seeds, steps] training loss at each step
    train_error: np.ndarray  # [seeds] share of training examples misclassified at the end
    test_accuracy: np.ndarray  # [seeds]
    learning_rate: float  # the one tuned for this arm and depth


def network(arm: str, depth: int, width: int) -> tuple[Callable, Callable]:
    """`(init(key, n_in), apply(params, x))` of an arm: ReLU, He initialisation, no normalisation."""
    initialise, options = (mlp_init, {}) if arm == "plain" else (residual_network_init, {"branch_scale": 1.0})
    if arm == "scaled":
        options["branch_scale"] = depth_scale(depth)
    apply = partial(mlp if arm == "plain" else residual_network, activation=relu, **options)
    return lambda key, n_in: initialise(key, n_in, width, depth, CLASSES, initializer=he_normal), apply


def train_arm(settings, arm: str, depth: int, steps: int, data: datasets.Dataset, key: Array) -> Outcome:
    """Tunes the learning rate on a seed of its own, then trains the seeds that count with it."""
    of_tuning, of_seeds = jax.random.split(key)
    run = _runner(settings, arm, depth, steps, data)
    rates = jnp.asarray(settings.learning_rates, jnp.float32)
    tuning = run(jnp.broadcast_to(of_tuning, rates.shape), rates)[0]
    final = np.nan_to_num(np.asarray(tuning[:, -max(steps // 10, 1) :].mean(1)), nan=np.inf, posinf=np.inf)
    best = rates[int(final.argmin())]
    keys = jax.random.split(of_seeds, settings.train_seeds)
    outcome = run(keys, jnp.broadcast_to(best, keys.shape))
    return Outcome(*map(np.asarray, outcome), float(best))


def _runner(settings, arm: str, depth: int, steps: int, data: datasets.Dataset) -> Callable:
    """A compiled function of keys and learning rates, one run each: (losses, training error, test accuracy)."""
    init, apply = network(arm, depth, settings.train_width)
    optimizer = optax.inject_hyperparams(optax.adam)(learning_rate=1e-3)
    few = slice(settings.evaluated)

    def loss(params, batch) -> Array:
        images, labels = batch
        return training.cross_entropy(apply(params, images), labels)

    fit = training.train_on(loss, optimizer)

    def run(key: Array, rate: Array, data: datasets.Dataset) -> tuple[Array, Array, Array]:
        of_params, of_batches = jax.random.split(key)
        state = training.init_state(init(of_params, data.train_images.shape[1]), optimizer)
        state.optimizer_state.hyperparams["learning_rate"] = rate
        indices = datasets.minibatch_indices(of_batches, len(data.train_labels), settings.train_batch, steps)
        state, losses = fit(state, (data.train_images, data.train_labels), indices)
        train_accuracy = training.accuracy(apply(state.params, data.train_images[few]), data.train_labels[few])
        test_accuracy = training.accuracy(apply(state.params, data.test_images[few]), data.test_labels[few])
        return losses, 1 - train_accuracy, test_accuracy

    # The data is an argument: as a constant of the program it would be folded in at every compilation.
    mapped = jax.jit(lambda keys, rates, data: jax.lax.map(lambda both: run(*both, data), (keys, rates)))
    return lambda keys, rates: mapped(keys, rates, data)


def train_all(settings, key: Array) -> dict[str, Evidence]:
    """residual.deep and residual.degradation: every arm at every depth, then the first steps at the extreme depth."""
    images = datasets.mnist()
    data = images._replace(
        train_images=datasets.standardise(images.train_images), test_images=datasets.standardise(images.test_images)
    )
    depths = settings.train_depths
    outcomes = {}
    for depth in depths:
        for arm in ARMS:
            key, of_arm = jax.random.split(key)
            outcomes[arm, depth] = train_arm(settings, arm, depth, settings.train_steps, data, of_arm)
    extreme = {}
    for arm in ARMS:
        key, of_arm = jax.random.split(key)
        extreme[arm] = train_arm(settings, arm, settings.extreme_depth, settings.extreme_steps, data, of_arm)
    return {
        "residual.deep": _deep(settings, outcomes, extreme),
        "residual.degradation": _degradation(settings, outcomes),
    }


def _deep(settings, outcomes, extreme) -> Evidence:
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
        arrays |= _curve(f"accuracy-{arm}", values)
        measured, curve = _first_steps(settings, arm, extreme[arm])
        measurements.append(measured)
        arrays |= curve
    return Evidence(tuple(measurements), arrays)


def _first_steps(settings, arm: str, outcome: Outcome) -> tuple[Measurement, dict[str, np.ndarray]]:
    """What the first steps do at the extreme depth: how far the loss falls, or in how many seeds it is not finite."""
    losses, at = outcome.losses, f"{settings.extreme_steps} steps at {settings.extreme_depth} layers"
    finite = np.isfinite(losses).all(axis=1)
    if not finite.all():
        unit, source = f"of {finite.size} seeds", f"loss not finite within {at}"
        return exact(f"non-finite-{arm}-extreme", np.count_nonzero(~finite), unit=unit, source=source), {}
    drop = interval(f"loss-drop-{arm}-extreme", losses[:, 0] - losses[:, -1], unit="nats", source=f"first minus last of {at}")
    return drop, _curve(f"loss-{arm}", losses)


def _degradation(settings, outcomes) -> Evidence:
    shallow, deep = settings.train_depths[0], settings.train_depths[-1]
    measurements, arrays = [], {"depths": np.asarray(settings.train_depths)}
    for arm in ARMS:
        change = outcomes[arm, deep].train_error - outcomes[arm, shallow].train_error
        measurements.append(_change(arm, change, shallow, deep))
        errors = np.stack([outcomes[arm, depth].train_error for depth in settings.train_depths], axis=1)
        arrays |= _curve(arm, errors)
    return Evidence(tuple(measurements), arrays)


def _change(arm: str, change: np.ndarray, shallow: int, deep: int) -> Measurement:
    source = f"training error at {deep} layers minus at {shallow}, equal steps"
    return interval(f"{arm}-change", change, unit="fraction of the training set", source=source)


def _curve(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    low, high = mean_interval(values)
    return {f"{name}-mean": values.mean(0), f"{name}-low": low, f"{name}-high": high}
