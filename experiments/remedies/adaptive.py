"""Adam, RMSProp and SGD when every gradient is multiplied by a constant, and when early layers get less than late ones."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.remedies.settings import Remedies
from experiments.remedies.training import CLASSES, load, starts
from experiments.study.measurement import Evidence, Measurement, curve, interval
from jaxnotes import datasets, training
from jaxnotes.layers.activations import sigmoid, tanh
from jaxnotes.layers.initializers import xavier_normal
from jaxnotes.models.mlp import mlp, mlp_init

EPSILON = 1e-8
SLACK = 1.1  # a scale counts as trained where the loss is at most this times the loss at scale 1
EXPONENTS = np.arange(-12, 13)  # of the gradient scales


def optimizers() -> dict[str, optax.GradientTransformation]:
    """The three, without learning rate; ε as the papers and Optax have it."""
    return {
        "sgd": optax.identity(),
        "rmsprop": optax.scale_by_rms(decay=0.9, eps=EPSILON, eps_in_sqrt=False, bias_correction=True),
        "adam": optax.scale_by_adam(eps=EPSILON),
    }


def adaptive(settings: Remedies, key: Array) -> dict[str, Evidence]:
    """remedies.adaptive: over how many decades of gradient scale each trains, and how far early layers' updates fall behind."""
    of_scales, of_layers = jax.random.split(key)
    data = load()
    size = (data.train_images.shape[1], settings.adaptive_width, 1, CLASSES)
    init = jax.jit(jax.vmap(lambda k: mlp_init(k, *size, initializer=xavier_normal)))
    keys = jax.random.split(of_scales, 1 + settings.adaptive_seeds)
    begun = starts(init, keys, len(data.train_labels), settings.train_batch, settings.adaptive_steps)
    measurements, arrays, gradients = [], {"exponents": EXPONENTS}, _sigmoid_gradients(settings, of_layers, data)
    for name, optimizer in optimizers().items():
        measured, losses = _scales(settings, name, begun, data)
        arrays |= curve(f"loss-{name}", np.log10(np.minimum(losses, 100.0)))
        ratios = _update_ratios(optimizer, gradients)
        source = f"RMS of the first step's update, first over last of {settings.adaptive_layers} sigmoid layers"
        measurements += [*measured, interval(f"update-ratio-{name}", ratios[:, 0], unit="decades", source=source)]
        arrays |= curve(f"update-{name}", ratios)
    return {"remedies.adaptive": Evidence(tuple(measurements), arrays)}


def _scales(settings: Remedies, name: str, begun: list[tuple], data: datasets.Dataset) -> tuple[list[Measurement], np.ndarray]:
    """(measurements, [seeds, exponents] losses), at the learning rate that is best at scale 1 on a seed of its own."""
    of_tuning, *of_seeds = begun
    tried = np.resize(np.asarray(settings.adaptive_rates, np.float32), len(EXPONENTS))
    train = partial(_final_losses, name, data)
    tuning = np.asarray(train(*of_tuning, tried, np.zeros(len(tried), np.float32)))[:, 0]
    rate = tried[np.nan_to_num(tuning, nan=np.inf).argmin()]
    rates, exponents = np.full(len(EXPONENTS), rate), EXPONENTS.astype(np.float32)
    losses, sizes = np.moveaxis(np.asarray([train(*start, rates, exponents) for start in of_seeds]), 2, 0)
    losses = np.where(np.isfinite(losses), losses, np.inf)
    low, high = np.asarray([trained_range(row, EXPONENTS) for row in losses]).T
    source = f"of 24 decades; loss after {settings.adaptive_steps} steps at most {SLACK} times that at scale 1, rate {rate:.1g}"
    measurements = [interval(f"decades-{name}", high - low, unit="decades", source=source)]
    if name != "sgd":
        predicted = np.log10(EPSILON / np.median(sizes[:, EXPONENTS == 0]))
        source = "log10 of the smallest scale trained; prediction: the scale at which the gradient's root mean square is ε"
        measurements.append(interval(f"onset-{name}", low, unit="decades", prediction=predicted, source=source))
    return measurements, losses


def trained_range(losses: np.ndarray, exponents: np.ndarray) -> tuple[int, int]:
    """(lowest, highest) exponent of the unbroken range around 0 whose loss is at most SLACK times the one at 0."""
    centre = int(np.flatnonzero(exponents == 0)[0])
    good = losses <= SLACK * losses[centre]
    below = np.flatnonzero(~good[:centre])
    above = np.flatnonzero(~good[centre:])
    first = 0 if below.size == 0 else below[-1] + 1
    last = len(good) - 1 if above.size == 0 else centre + above[0] - 1
    return int(exponents[first]), int(exponents[last])


@partial(jax.jit, static_argnames=("name",))
def _final_losses(name: str, data: datasets.Dataset, params: dict, indices: Array, rates: Array, exponents: Array) -> Array:
    """[runs, 2] means over the last tenth of the steps: loss and root mean square of the gradient, without the scale.

    All runs start from the same parameters and differ in learning rate and exponent of the gradient's scale.
    """
    optimizer, apply, tail = optimizers()[name], partial(mlp, activation=tanh), max(len(indices) // 10, 1)
    entries = sum(leaf.size for leaf in jax.tree.leaves(params))

    def loss(params, batch) -> Array:
        return training.cross_entropy(apply(params, batch[0]), batch[1])

    def one(item) -> Array:
        rate, exponent = item

        def step(carry, chosen: Array):
            params, state = carry
            value, gradient = jax.value_and_grad(loss)(params, (data.train_images[chosen], data.train_labels[chosen]))
            updates, state = optimizer.update(jax.tree.map(lambda g: 10.0**exponent * g, gradient), state)
            moved = jax.tree.map(lambda p, u: p - rate * u, params, updates)
            return (moved, state), (value, optax.global_norm(gradient))

        _, (losses, sizes) = jax.lax.scan(step, (params, optimizer.init(params)), indices)
        return jnp.stack([losses[-tail:].mean(), sizes[-tail:].mean() / entries**0.5])

    return jax.lax.map(one, (rates, exponents))


def _sigmoid_gradients(settings: Remedies, key: Array, data: datasets.Dataset) -> Array:
    """[seeds, layers, width, width] gradients of the hidden weights of a sigmoid MLP in Xavier initialisation."""
    images, labels = data.train_images[: settings.train_batch], data.train_labels[: settings.train_batch]

    def of_seed(seed_key: Array, images: Array, labels: Array) -> Array:
        size = (images.shape[1], settings.adaptive_width, settings.adaptive_layers, CLASSES)
        params = mlp_init(seed_key, *size, initializer=xavier_normal)
        loss = lambda params: training.cross_entropy(mlp(params, images, activation=sigmoid), labels)  # noqa: E731
        return jax.grad(loss)(params)["hidden"]["weight"]

    keys = jax.random.split(key, settings.adaptive_seeds)
    return jax.jit(lambda keys, *batch: jax.lax.map(lambda k: of_seed(k, *batch), keys))(keys, images, labels)


def _update_ratios(optimizer: optax.GradientTransformation, gradients: Array) -> np.ndarray:
    """[seeds, layers] log10 RMS of each layer's first update over that of the last."""
    updates = np.asarray(jax.jit(jax.vmap(lambda g: optimizer.update(g, optimizer.init(g))[0]))(gradients), np.float64)
    logs = 0.5 * np.log10(np.mean(updates**2, axis=(2, 3)))
    return logs - logs[:, -1:]
