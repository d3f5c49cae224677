"""Networks with and without batch normalisation trained by SGD on MNIST: saturation, covariate shift, learning rates."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.measurement import Evidence, Measurement, curve, exact, interval
from jaxnotes import datasets, training
from jaxnotes.layers.activations import relu, saturated_fraction, sigmoid
from jaxnotes.layers.initializers import weight_variance
from jaxnotes.layers.linear import linear
from jaxnotes.layers.normalization import batch_norm, batch_norm_state, norm_init
from jaxnotes.models.mlp import mlp_init

CLASSES = 10
DECADES = "log10"
MINIMUM_TRAINED = 0.5 * np.log(CLASSES)  # nats: a run whose last losses are below half of chance has trained


class Arm(NamedTuple):
    """A kind of network: linear maps, each followed by the normalisation and the activation; a linear output."""

    activation: Callable
    weight_variance: float
    normalised: bool
    noisy: bool = False  # noise after the normalisation, of another distribution at each step


class Run(NamedTuple):
    """What one training run shows; in front, the runs."""

    losses: Array  # [steps]
    readings: Any  # of each point of the way, [points, ...]


def mnist_vectors() -> datasets.Dataset:
    """MNIST averaged over 2×2 pixels to 14×14, standardised, as vectors of 196 numbers."""
    data = datasets.mnist()
    shrink = lambda images: datasets.standardise(datasets.halved(images))  # noqa: E731
    return data._replace(train_images=shrink(data.train_images), test_images=shrink(data.test_images))


def init(arm: Arm, key: Array, n_in: int, width: int, depth: int) -> dict[str, Any]:
    """Parameters of a first layer, `depth` stacked hidden layers and the output layer."""
    params = mlp_init(key, n_in, width, depth, CLASSES, initializer=weight_variance(arm.weight_variance))
    if arm.normalised:
        params["input"] |= norm_init(width)
        params["hidden"] |= norm_init((depth, width))
    return params


class Forward(NamedTuple):
    """A forward pass: logits; what enters each hidden layer; what enters its activation, both [depth, batch, width]."""

    logits: Array
    inputs: Array
    pre_activations: Array


def forward(arm: Arm, params: dict[str, Any], x: Array, keys: Array) -> Forward:
    """The network in training; keys: one a layer of units, [depth + 1], for the noise."""
    h = arm.activation(pre_activation(arm, params["input"], x, keys[0]))

    def step(h: Array, layer: tuple[Any, Array]) -> tuple[Array, tuple[Array, Array]]:
        z = pre_activation(arm, layer[0], h, layer[1])
        return arm.activation(z), (h, z)

    h, (inputs, pre_activations) = jax.lax.scan(step, h, (params["hidden"], keys[1:]))
    return Forward(linear(params["output"], h), inputs, pre_activations)


def pre_activation(arm: Arm, params: dict[str, Array], h: Array, key: Array) -> Array:
    """What enters the activation of one layer."""
    z = linear(params, h)
    if arm.normalised:
        affine = {name: params[name] for name in ("scale", "shift")}
        z, _ = batch_norm(affine, batch_norm_state(z.shape[-1]), z, train=True)
    return noise(key, z) if arm.noisy else z


def noise(key: Array, z: Array) -> Array:
    """s z + m with s and m drawn an example and unit, from distributions that are drawn a unit and step.

    Santurkar et al. (2018), algorithm 1: means of m within ±0.5, of s between 1 and 1.25; spread 0.1.
    """
    of_mean, of_scale, of_shift, of_factor = jax.random.split(key, 4)
    unit = (1, z.shape[-1])
    mean, scale = jax.random.uniform(of_mean, unit, z.dtype, -0.5, 0.5), jax.random.uniform(of_scale, unit, z.dtype, 1, 1.25)
    shift = mean + jax.random.uniform(of_shift, z.shape, z.dtype, -0.1, 0.1)
    return z * (scale + 0.1 * jax.random.normal(of_factor, z.shape, z.dtype)) + shift


def loss_of(arm: Arm, params: Any, batch: tuple[Array, Array], keys: Array) -> Array:
    """Cross-entropy of a batch (images, labels), nats."""
    return training.cross_entropy(forward(arm, params, batch[0], keys).logits, batch[1])


def trainer(settings, arm: Arm, depth: int, points: int, read: Callable) -> Callable:
    """A compiled function of keys, learning rates and data: a `Run` for each pair of key and rate, by plain SGD.

    `read(arm, params, gradients, rate, batch, keys, next_keys)` is called at the start of each of `points` equal stretches.
    """
    steps = settings.train_steps // points

    def gradient_of(params: Any, data: datasets.Dataset, chosen: Array, keys: Array):
        batch = data.train_images[chosen], data.train_labels[chosen]
        return jax.value_and_grad(partial(loss_of, arm))(params, batch, keys), batch

    def run(key: Array, rate: Array, data: datasets.Dataset) -> Run:
        of_params, of_batches, of_noise = jax.random.split(key, 3)
        indices = datasets.minibatch_indices(of_batches, len(data.train_labels), settings.train_batch, steps * points)
        noise_keys = jax.random.split(of_noise, (points, steps, depth + 1))

        def step(params: Any, at: tuple[Array, Array]) -> tuple[Any, Array]:
            (loss, gradients), _ = gradient_of(params, data, *at)
            return _descend(params, gradients, rate), loss

        def stretch(params: Any, at: tuple[Array, Array]) -> tuple[Any, tuple[Array, Any]]:
            chosen, keys = at
            (_, gradients), batch = gradient_of(params, data, chosen[0], keys[0])
            reading = read(arm, params, gradients, rate, batch, keys[0], keys[-1])
            params, losses = jax.lax.scan(step, params, at)
            return params, (losses, reading)

        params = init(arm, of_params, data.train_images.shape[1], settings.train_width, depth)
        at = indices.reshape(points, steps, -1), noise_keys
        losses, readings = jax.lax.scan(stretch, params, at)[1]
        return Run(losses.ravel(), readings)

    mapped = jax.jit(lambda keys, rates, data: jax.lax.map(lambda both: run(*both, data), (keys, rates)))
    programs = []  # the compiled one, before the threads that share it
    size = -(-settings.train_seeds // 2)  # runs a program: one size, so one compilation, for tuning and for what counts

    def train(keys: Array, rates, data: datasets.Dataset) -> Run:
        n, rates = len(rates), np.asarray(rates, np.float32)
        chunks = np.resize(np.arange(n), (-(-n // size), size))  # the last is filled up with runs that are not counted
        if not programs:
            programs.append(mapped.lower(keys[chunks[0]], rates[chunks[0]], data).compile())

        def of_chunk(chunk: np.ndarray) -> Run:
            return jax.tree.map(np.asarray, programs[0](keys[chunk], rates[chunk], data))

        with ThreadPoolExecutor(2) as pool:  # products this small leave a second core idle
            return jax.tree.map(lambda *parts: np.concatenate(parts)[:n], *pool.map(of_chunk, chunks))

    return train


def _descend(params: Any, gradients: Any, rate: Array) -> Any:
    return jax.tree.map(lambda p, g: p - rate * g, params, gradients)


def final_loss(losses: np.ndarray) -> np.ndarray:
    """Mean of the last tenth of the steps; infinite where the run is not finite."""
    last = losses[..., -max(losses.shape[-1] // 10, 1) :].mean(-1)
    return np.where(np.isfinite(losses).all(-1), last, np.inf)


def sweep(train: Callable, keys: Array, rates: tuple[float, ...], data: datasets.Dataset) -> Run:
    """Every key at every rate: [keys, rates, ...]."""
    shape = (len(keys), len(rates))
    runs = train(jnp.repeat(keys, len(rates)), np.tile(np.asarray(rates), len(keys)), data)
    return jax.tree.map(lambda a: a.reshape(shape + a.shape[1:]), runs)


def tuned_rate(train: Callable, key: Array, settings, data: datasets.Dataset) -> float:
    """The rate with the lowest mean final loss over tuning seeds, which count for nothing else."""
    runs = sweep(train, jax.random.split(key, settings.tuning_seeds), settings.learning_rates, data)
    return settings.learning_rates[int(final_loss(runs.losses).mean(0).argmin())]


def read_saturation(arm: Arm, params, gradients, rate, batch, keys, next_keys) -> Array:
    """Fraction of saturated units over all hidden layers."""
    return saturated_fraction(arm.activation, forward(arm, params, batch[0], keys).pre_activations)


def saturation(settings, key: Array) -> dict[str, Evidence]:
    """normalization.range: sigmoid networks with large initial weights, saturated units on the way of training."""
    data, measurements, arrays = mnist_vectors(), [], {}
    of_tuning, of_seeds = jax.random.split(key)
    keys, trained = jax.random.split(of_seeds, settings.train_seeds), {}
    for name in ("plain", "normalised"):
        arm = Arm(sigmoid, settings.large_variance, name == "normalised")
        train = trainer(settings, arm, settings.train_depth, settings.points, read_saturation)
        rate = tuned_rate(train, of_tuning, settings, data)
        runs = train(keys, np.full(len(keys), rate), data)
        trained[name] = runs.readings[:, -1]
        law = "P(|z| > 4.357) of a standard normal z: slope below 5% of its maximum"
        prediction, source = (1.32e-5, law) if arm.normalised else (None, "slope below 5% of its maximum")
        initial = interval(
            f"saturated-{name}-initial", runs.readings[:, 0], unit="of the units", prediction=prediction, source=source
        )
        at_end = f"last of {settings.points} points over {settings.train_steps} SGD steps, tuned learning rate {rate:.1g}"
        final = interval(f"saturated-{name}-trained", trained[name], unit="of the units", source=at_end)
        measurements += [initial, final]
        arrays |= curve(f"saturated-{name}", runs.readings) | curve(f"loss-{name}", smooth(runs.losses, settings.points))
    change = trained["normalised"] - trained["plain"]
    measurements.append(interval("saturated-change", change, unit="of the units", source="after training, with minus without"))
    arrays |= {"steps": point_steps(settings), "weight-variance": np.asarray(settings.large_variance)}
    return {"normalization.range": Evidence(tuple(measurements), arrays)}


def smooth(losses: np.ndarray, points: int) -> np.ndarray:
    """[runs, points] mean loss of each stretch."""
    return losses.reshape(len(losses), points, -1).mean(2)


def point_steps(settings) -> np.ndarray:
    """The step at which each stretch starts."""
    return np.arange(settings.points) * (settings.train_steps // settings.points)


def rate_limits(settings, key: Array) -> dict[str, Evidence]:
    """normalization.learning-rate: every rate of a grid, with and without, for ReLU and sigmoid units."""
    data, measurements, arrays = mnist_vectors(), [], {"rates": np.asarray(settings.rate_grid)}
    for activation, of_weights in ((relu, 2.0), (sigmoid, 1.0)):
        key, of_arms = jax.random.split(key)
        keys = jax.random.split(of_arms, settings.tuning_seeds + settings.train_seeds)
        largest, fastest, name = {}, {}, activation.__name__
        for label in ("plain", "normalised"):
            arm = Arm(activation, of_weights, label == "normalised")
            train = trainer(settings, arm, settings.rate_depth, settings.points, lambda *_: ())
            losses = sweep(train, keys, settings.rate_grid, data).losses
            largest[label], fastest[label], found = _limits(settings, f"{label}-{name}", losses)
            measurements += found
            capped = np.minimum(np.nan_to_num(final_loss(losses), posinf=10.0), 10.0)
            arrays |= curve(f"loss-{label}-{name}", capped[settings.tuning_seeds :])
            arrays |= curve(f"steps-{label}-{name}", steps_to(settings, losses)[settings.tuning_seeds :])
        source = "with over without, largest rate of the grid that trains, paired by seed"
        measurements.append(
            interval(f"rate-change-{name}", np.log10(largest["normalised"] / largest["plain"]), unit=DECADES, source=source)
        )
        source = f"steps without over steps with, to {settings.target_loss:g} nats, each at its best rate"
        measurements.append(
            interval(f"speed-up-{name}", np.log10(fastest["plain"] / fastest["normalised"]), unit=DECADES, source=source)
        )
    return {"normalization.learning-rate": Evidence(tuple(measurements), arrays)}


def _limits(settings, name: str, losses: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[Measurement]]:
    """Largest rate that trains and steps at the best rate, both a seed, and what to report of them."""
    grid = np.asarray(settings.rate_grid)
    tuning, seeds = losses[: settings.tuning_seeds], losses[settings.tuning_seeds :]
    trains = final_loss(seeds) < MINIMUM_TRAINED
    largest = np.where(trains, grid, grid[0]).max(1)  # none trains: the smallest rate, a bound in favour of the arm
    best = int(steps_to(settings, tuning).mean(0).argmin())
    steps = steps_to(settings, seeds)[:, best]
    capped = f"; {np.count_nonzero(steps >= settings.train_steps)} of {len(steps)} seeds did not get there and count in full"
    criterion = f"last losses below {MINIMUM_TRAINED:.3g} nats; grid from {grid[0]:.2g} to {grid[-1]:.3g}"
    return (
        largest,
        steps,
        [
            interval(f"log-rate-{name}", np.log10(largest), unit=DECADES, source=criterion),
            interval(f"steps-{name}", steps, unit="steps", source=f"at learning rate {grid[best]:.3g}{capped}"),
            exact(f"best-rate-{name}", grid[best], source="fewest steps on the tuning seeds"),
        ],
    )


def steps_to(settings, losses: np.ndarray) -> np.ndarray:
    """[...] first step at which the mean of the last ten losses is below the target; all steps where it never is."""
    window = 10
    capped = np.minimum(np.nan_to_num(losses, nan=1e3, posinf=1e3), 1e3)  # larger ones would round the sums that follow
    sums = np.cumsum(capped, axis=-1, dtype=np.float64)
    means = (sums[..., window:] - sums[..., :-window]) / window
    below = means < settings.target_loss
    return np.where(below.any(-1), below.argmax(-1) + window, losses.shape[-1]).astype(float)
