"""Networks with and without batch normalisation trained by SGD on MNIST: saturation, covariate shift, learning rates."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.normalization.settings import Normalization
from experiments.study.measurement import Evidence, Measurement, curve, exact, interval
from jaxnotes import datasets, training
from jaxnotes.layers.activations import relu, saturated_fraction, sigmoid
from jaxnotes.layers.initializers import weight_variance
from jaxnotes.layers.linear import linear
from jaxnotes.layers.normalization import batch_norm, batch_norm_state, norm_init
from jaxnotes.models.mlp import mlp_init

ACTIVATIONS = (relu, sigmoid)
KINDS = ("plain", "normalised", "noisy")
CLASSES = 10
DECADES = "log10"
MINIMUM_TRAINED = 0.5 * np.log(CLASSES)  # nats: a run whose last losses are below half of chance has trained


class Arm(NamedTuple):
    """A kind of network, as numbers so that one compiled program trains every arm: see `arm`."""

    activation: Array  # index into ACTIVATIONS
    weight_variance: Array
    kind: Array  # index into KINDS


def arm(activation: Callable, weight_variance: float, kind: str) -> Arm:
    """Linear maps, each followed by what `kind` says and by the activation; a linear output.

    kind: "plain", "normalised", or "noisy": normalised, then noise of another distribution at each step.
    """
    return Arm(jnp.int32(ACTIVATIONS.index(activation)), jnp.float32(weight_variance), jnp.int32(KINDS.index(kind)))


class Run(NamedTuple):
    """What one training run shows; in front, the runs."""

    losses: Array  # [steps]
    readings: Any  # of each point of the way, [points, ...]


def mnist_vectors() -> datasets.Dataset:
    """MNIST averaged over 2×2 pixels to 14×14, standardised, as vectors of 196 numbers."""
    data = datasets.mnist()
    shrink = jax.jit(lambda images: datasets.standardise(datasets.halved(images)))
    return data._replace(train_images=shrink(data.train_images), test_images=shrink(data.test_images))


def init(arm: Arm, key: Array, n_in: int, width: int, depth: int) -> dict[str, Any]:
    """Parameters of a first layer, `depth` stacked hidden layers and the output layer; scale and shift rest in plain arms."""
    params = mlp_init(key, n_in, width, depth, CLASSES, initializer=weight_variance(arm.weight_variance))
    params["input"] |= norm_init(width)
    params["hidden"] |= norm_init((depth, width))
    return params


class Forward(NamedTuple):
    """A forward pass: logits; what enters each hidden layer; what enters its activation, both [depth, batch, width]."""

    logits: Array
    inputs: Array
    pre_activations: Array


def forward(arm: Arm, params: dict[str, Any], x: Array, keys: Array | None) -> Forward:
    """The network in training; keys: one a layer of units, [depth + 1], for the noise; None where no arm has any."""

    def activation(z: Array) -> Array:
        return jax.lax.switch(arm.activation, ACTIVATIONS, z)

    first, rest = (None, None) if keys is None else (keys[0], keys[1:])
    h = activation(pre_activation(arm, params["input"], x, first))

    def step(h: Array, layer: tuple[Any, Array | None]) -> tuple[Array, tuple[Array, Array]]:
        z = pre_activation(arm, layer[0], h, layer[1])
        return activation(z), (h, z)

    h, (inputs, pre_activations) = jax.lax.scan(step, h, (params["hidden"], rest))
    return Forward(linear(params["output"], h), inputs, pre_activations)


def pre_activation(arm: Arm, params: dict[str, Array], h: Array, key: Array | None) -> Array:
    """What enters the activation of one layer."""
    affine = {name: params[name] for name in ("scale", "shift")}

    def normalised(z: Array) -> Array:
        return batch_norm(affine, batch_norm_state(z.shape[-1]), z, train=True)[0]

    kinds = [lambda z: z, normalised]
    if key is not None:
        kinds.append(lambda z: noise(key, normalised(z)))
    return jax.lax.switch(arm.kind, kinds, linear(params, h))


def noise(key: Array, z: Array) -> Array:
    """s z + m with s and m drawn an example and unit, from distributions that are drawn a unit and step.

    Santurkar et al. (2018), algorithm 1: means of m within ±0.5, of s between 1 and 1.25; spread 0.1.
    """
    of_uniform, of_factor = jax.random.split(key)
    drawn = jax.random.uniform(of_uniform, (len(z) + 2, z.shape[-1]), z.dtype)  # one draw: each is compiled by itself
    mean, scale, shift = drawn[:1] - 0.5, 1 + 0.25 * drawn[1:2], 0.2 * drawn[2:] - 0.1
    return z * (scale + 0.1 * jax.random.normal(of_factor, z.shape, z.dtype)) + mean + shift


def loss_of(arm: Arm, params: Any, batch: tuple[Array, Array], keys: Array | None) -> tuple[Array, Forward]:
    """Cross-entropy of a batch (images, labels), nats, and the forward pass behind it."""
    passed = forward(arm, params, batch[0], keys)
    return training.cross_entropy(passed.logits, batch[1]), passed


class Moment(NamedTuple):
    """A network about to take a step: what a reading is made of."""

    params: Any
    gradients: Any
    passed: Forward
    rate: Array
    batch: tuple[Array, Array]
    keys: Array | None  # of this step's noise
    next_keys: Array | None  # of the next step's


def trainer(settings: Normalization, depth: int, read: Callable, *, noisy: bool = False) -> Callable:
    """`train(arm, keys, rates, data)`: a `Run` for each pair of key and rate, by plain SGD; one program for all arms.

    `read(arm, moment)` is called at the start of each of `settings.points` equal stretches; noisy: whether an arm has noise.
    """
    steps = settings.train_steps

    def run(arm: Arm, data: datasets.Dataset, key: Array, rate: Array) -> Run:
        of_params, of_batches, of_noise = jax.random.split(key, 3)
        indices = datasets.minibatch_indices(of_batches, len(data.train_labels), settings.train_batch, steps)
        keys = jax.random.split(of_noise, (steps + 1, depth + 1)) if noisy else None

        def step(params: Any, at: tuple) -> tuple[Any, tuple[Array, Any]]:
            chosen, keys, next_keys, reads = at
            batch = data.train_images[chosen], data.train_labels[chosen]
            (loss, passed), gradients = jax.value_and_grad(partial(loss_of, arm), has_aux=True)(params, batch, keys)
            reading = partial(read, arm, Moment(params, gradients, passed, rate, batch, keys, next_keys))
            nothing = jax.tree.map(lambda a: jnp.zeros(a.shape, a.dtype), jax.eval_shape(reading))
            return _descend(params, gradients, rate), (loss, jax.lax.cond(reads, reading, lambda: nothing))

        params = init(arm, of_params, data.train_images.shape[1], settings.train_width, depth)
        every = steps // settings.points
        noise_keys = (keys[:-1], keys[1:]) if noisy else (None, None)
        losses, readings = jax.lax.scan(step, params, (indices, *noise_keys, jnp.arange(steps) % every == 0))[1]
        return Run(losses, jax.tree.map(lambda a: a[::every], readings))

    mapped = jax.jit(lambda arm, data, keys, rates: jax.lax.map(lambda both: run(arm, data, *both), (keys, rates)))
    programs = []  # the compiled one, before the threads that share it
    size = -(-settings.train_seeds // 2)  # runs a program: one size, so one compilation, for tuning and for what counts

    def train(arm: Arm, keys: Array, rates, data: datasets.Dataset) -> Run:
        n, rates = len(rates), np.asarray(rates, np.float32)
        chunks = np.resize(np.arange(n), (-(-n // size), size))  # the last is filled up with runs that are not counted
        if not programs:
            programs.append(mapped.lower(arm, data, keys[chunks[0]], rates[chunks[0]]).compile())

        def of_chunk(chunk: np.ndarray) -> Run:
            return jax.tree.map(np.asarray, programs[0](arm, data, keys[chunk], rates[chunk]))

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
    """Every key at every rate, of one arm's `train(keys, rates, data)`: [keys, rates, ...]."""
    shape = (len(keys), len(rates))
    runs = train(jnp.repeat(keys, len(rates)), np.tile(np.asarray(rates), len(keys)), data)
    return jax.tree.map(lambda a: a.reshape(shape + a.shape[1:]), runs)


def tuned_rate(train: Callable, key: Array, settings: Normalization, data: datasets.Dataset) -> float:
    """The rate with the lowest mean final loss over tuning seeds, which count for nothing else."""
    runs = sweep(train, jax.random.split(key, settings.tuning_seeds), settings.learning_rates, data)
    return settings.learning_rates[int(final_loss(runs.losses).mean(0).argmin())]


def read_saturation(arm: Arm, moment: Moment) -> Array:
    """Fraction of saturated units over all hidden layers, of sigmoids."""
    del arm
    return saturated_fraction(sigmoid, moment.passed.pre_activations)


def saturation(settings: Normalization, key: Array) -> dict[str, Evidence]:
    """normalization.range: sigmoid networks with large initial weights, saturated units on the way of training."""
    data, measurements, arrays = mnist_vectors(), [], {}
    of_tuning, of_seeds = jax.random.split(key)
    keys, trained = jax.random.split(of_seeds, settings.train_seeds), {}
    train_arm = trainer(settings, settings.train_depth, read_saturation)
    for name in ("plain", "normalised"):
        train = partial(train_arm, arm(sigmoid, settings.large_variance, name))
        rate = tuned_rate(train, of_tuning, settings, data)
        runs = train(keys, np.full(len(keys), rate), data)
        trained[name] = runs.readings[:, -1]
        law = "P(|z| > 4.357) of a standard normal z: slope below 5% of its maximum"
        prediction, source = (1.32e-5, law) if name == "normalised" else (None, "slope below 5% of its maximum")
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


def point_steps(settings: Normalization) -> np.ndarray:
    """The step at which each stretch starts."""
    return np.arange(settings.points) * (settings.train_steps // settings.points)


def rate_limits(settings: Normalization, key: Array) -> dict[str, Evidence]:
    """normalization.learning-rate: every rate of a grid, with and without, for ReLU and sigmoid units."""
    data, measurements, arrays = mnist_vectors(), [], {"rates": np.asarray(settings.rate_grid)}
    train_arm = trainer(settings, settings.rate_depth, lambda *_: ())
    for activation, of_weights in ((relu, 2.0), (sigmoid, 1.0)):
        key, of_arms = jax.random.split(key)
        keys = jax.random.split(of_arms, settings.tuning_seeds + settings.train_seeds)
        largest, fastest, name = {}, {}, activation.__name__
        for label in ("plain", "normalised"):
            train = partial(train_arm, arm(activation, of_weights, label))
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


def _limits(settings: Normalization, name: str, losses: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[Measurement]]:
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


def steps_to(settings: Normalization, losses: np.ndarray) -> np.ndarray:
    """[...] first step at which the mean of the last ten losses is below the target; all steps where it never is."""
    window = 10
    capped = np.minimum(np.nan_to_num(losses, nan=1e3, posinf=1e3), 1e3)  # larger ones would round the sums that follow
    sums = np.cumsum(capped, axis=-1, dtype=np.float64)
    means = (sums[..., window:] - sums[..., :-window]) / window
    below = means < settings.target_loss
    return np.where(below.any(-1), below.argmax(-1) + window, losses.shape[-1]).astype(float)
