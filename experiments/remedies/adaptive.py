"""Adam, RMSProp and SGD when every gradient is multiplied by a constant, and when early layers get less than late ones."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.remedies import training as training_of_arms
from experiments.remedies.network import choice, classifier, classifier_init
from experiments.remedies.settings import Remedies
from experiments.remedies.training import CLASSES, EPSILON, OPTIMIZERS, PIXELS
from experiments.study import digits, tuning
from experiments.study.measurement import Evidence, Measurement, Search, curve, interval
from experiments.study.seeds import over_seeds, side_by_side
from experiments.study.tuning import Tuned
from jaxnotes import datasets, training
from jaxnotes.layers.activations import sigmoid, tanh
from jaxnotes.layers.clipping import global_norm
from jaxnotes.layers.initializers import xavier_normal
from jaxnotes.models.mlp import mlp, mlp_init

SLACK = 1.1  # a scale counts as trained where the loss is at most this times the loss at scale 1
EXPONENTS = np.arange(-12, 13)  # of the gradient scales
LABELS = {"sgd": "SGD", "rmsprop": "RMSProp", "adam": "Adam"}


class Readings(NamedTuple):
    """What is read at each step, [steps]: the loss and the root mean square of the gradient's entries, without the scale."""

    losses: Array
    sizes: Array


def adaptive(settings: Remedies, key: Array) -> dict[str, Evidence]:
    """remedies.adaptive: over how many decades of gradient scale each trains, and how far early layers' updates fall behind."""
    key_scales, key_layers, key_depth = jax.random.split(key, 3)
    data = digits.load()
    gradients = _sigmoid_gradients(settings, key_layers, data)
    measurements, arrays, searches = [], {"exponents": EXPONENTS}, {}
    for name in OPTIMIZERS:
        runs, searches[name] = _runs(settings, name, data, key_scales)
        losses = tuning.final_loss(runs.losses)
        arrays |= curve(f"loss-{name}", np.log10(np.minimum(losses, 100.0)))
        measurements += _range(name, losses, runs.sizes, f"{settings.adaptive_steps} steps, {tuning.described(searches[name])}")
        ratios = _update_ratios(name, gradients)
        source = f"RMS of the first step's update, first over last of {settings.adaptive_layers} sigmoid layers"
        measurements.append(interval(f"update-ratio-{name}", ratios[:, 0], unit="decades", source=source))
        arrays |= curve(f"update-{name}", ratios)
    arrays["trained-layers"] = np.asarray([settings.adaptive_depth, settings.adaptive_lost])
    of_depth, arms = _rescued(settings, key_depth, data)
    searches |= training_of_arms.searches(arms, *arms)
    fits = training_of_arms.fits(arms, [name for name in arms if name not in ("adam-few", "rmsprop-few")])
    return {"remedies.adaptive": Evidence((*of_depth, *measurements), arrays, searches, fits)}


def _rescued(settings: Remedies, key: Array, data: digits.Digits) -> tuple[list[Measurement], dict[str, Tuned]]:
    """Returns what each optimiser makes of few and of many sigmoid layers, and what of the inputs reaches the last one."""
    measurements, arms, chosen = [], {}, choice("sigmoid", 1.0)
    for size, depth in (("few", settings.adaptive_depth), ("many", settings.adaptive_lost)):
        for name, label in LABELS.items():
            rates = settings.sgd_rates if name == "sgd" else None
            shape = {"width": settings.train_width, "depth": depth, "steps": settings.adaptive_train_steps}
            trained = training_of_arms.train_all(settings, {"sigmoid": chosen}, key, by=name, rates=rates, **shape)
            arms[f"{name}-{size}"] = trained["sigmoid"]
            measurements.append(training_of_arms.accuracy(f"accuracy-{name}-{size}", trained["sigmoid"], label))
            if name != "sgd":
                what = f"{label} minus SGD, {depth} sigmoid layers"
                gained = training_of_arms.gain(
                    f"accuracy-gain-{name}-{size}", arms[f"{name}-{size}"], arms[f"sgd-{size}"], what
                )
                measurements.append(gained)
        source = f"log10 of the units' spread over digits over their size, layer {depth} of a sigmoid network at initialisation"
        measurements.append(interval(f"signal-{size}", _signal(settings, key, data, depth), unit="decades", source=source))
    return measurements, arms


def _signal(settings: Remedies, key: Array, data: digits.Digits, depth: int) -> np.ndarray:
    """Returns [seeds] log10 of the last layer's spread over digits, relative to its root mean square."""
    images = data.train[0][: settings.train_batch]
    chosen = choice("sigmoid", 1.0)

    def of_seed(key: Array) -> Array:
        size = {"n_in": PIXELS, "width": settings.train_width, "depth": depth, "n_out": settings.train_width}
        h = classifier(chosen, classifier_init(key, chosen, **size), images)
        return jnp.log10(jnp.sqrt(jnp.mean(jnp.var(h, axis=0)) / jnp.mean(h**2)) + 1e-12)

    return over_seeds(of_seed, key, settings.adaptive_seeds)


def _runs(settings: Remedies, name: str, data: digits.Digits, key: Array) -> tuple[Readings, Search]:
    """Returns the runs [seeds, exponents, steps] of an optimiser at the learning rate that is best at scale 1."""
    keys = jax.random.split(key, settings.tuning_seeds + settings.adaptive_seeds)
    tuning_keys, counted = keys[: settings.tuning_seeds], keys[settings.tuning_seeds :]

    def once(rate: float, exponent: float, key: Array) -> Readings:
        found = run(data, jnp.float32(rate), jnp.float32(exponent), key, name=name, settings=settings)
        return jax.tree.map(np.asarray, found)

    score = lambda rate, key: tuning.loss_score(once(rate, 0, key).losses)
    search = tuning.search(score, settings.adaptive_rates, tuning_keys)
    pairs = [(exponent, key) for key in counted for exponent in EXPONENTS]
    runs = side_by_side(lambda pair: once(search.rate, *pair), pairs)
    stacked = jax.tree.map(lambda *leaves: np.reshape(leaves, (len(counted), len(EXPONENTS), -1)), *runs)
    return stacked, search


def _range(name: str, losses: np.ndarray, sizes: np.ndarray, what: str) -> list[Measurement]:
    """Returns how many decades of scale an optimiser trains over, and from which scale on, of losses [seeds, exponents]."""
    low, high = np.asarray([trained_range(row, EXPONENTS) for row in losses]).T
    source = f"of 24 decades; loss at most {SLACK} times that at scale 1; {what}"
    measurements = [interval(f"decades-{name}", high - low, unit="decades", source=source)]
    if name != "sgd":
        size = np.median(sizes[:, EXPONENTS == 0, -(sizes.shape[-1] // 10) :].mean(-1))
        source = "log10 of the smallest scale trained; prediction: the scale at which the gradient's root mean square is ε"
        measurements.append(interval(f"onset-{name}", low, unit="decades", prediction=np.log10(EPSILON / size), source=source))
    return measurements


def trained_range(losses: np.ndarray, exponents: np.ndarray) -> tuple[int, int]:
    """Returns the (lowest, highest) exponent of the unbroken range around 0 whose loss is at most SLACK times the one at 0."""
    centre = int(np.flatnonzero(exponents == 0)[0])
    good = losses <= SLACK * losses[centre]
    below = np.flatnonzero(~good[:centre])
    above = np.flatnonzero(~good[centre:])
    first = 0 if below.size == 0 else below[-1] + 1
    last = len(good) - 1 if above.size == 0 else centre + above[0] - 1
    return int(exponents[first]), int(exponents[last])


@partial(jax.jit, static_argnames=("name", "settings"))
def run(data: digits.Digits, rate: Array, exponent: Array, key: Array, *, name: str, settings: Remedies) -> Readings:
    """Returns the readings of one whole run in which every gradient is multiplied by 10^exponent."""
    key_params, key_batches = jax.random.split(key)
    params = mlp_init(key_params, PIXELS, settings.adaptive_width, 1, CLASSES, initializer=xavier_normal)
    images, labels = data.train
    indices = datasets.minibatch_indices(key_batches, len(labels), settings.train_batch, settings.adaptive_steps)
    entries = sum(leaf.size for leaf in jax.tree.leaves(params))
    optimizer = OPTIMIZERS[name](rate)

    def loss(params: dict, chosen: Array) -> Array:
        return training.cross_entropy(mlp(params, images[chosen], activation=tanh), labels[chosen])

    def step(carry, chosen: Array):
        params, state = carry
        value, gradient = jax.value_and_grad(loss)(params, chosen)
        updates, state = optimizer.update(jax.tree.map(lambda g: 10.0**exponent * g, gradient), state)
        return (optax.apply_updates(params, updates), state), Readings(value, global_norm(gradient) / entries**0.5)

    return jax.lax.scan(step, (params, optimizer.init(params)), indices)[1]


def _sigmoid_gradients(settings: Remedies, key: Array, data: digits.Digits) -> np.ndarray:
    """Returns [seeds, layers, width, width] gradients of the hidden weights of a sigmoid MLP in Xavier initialisation."""
    images, labels = (values[: settings.train_batch] for values in data.train)

    def of_seed(key: Array) -> Array:
        size = (PIXELS, settings.adaptive_width, settings.adaptive_layers, CLASSES)
        params = mlp_init(key, *size, initializer=xavier_normal)
        loss = lambda params: training.cross_entropy(mlp(params, images, activation=sigmoid), labels)
        return jax.grad(loss)(params)["hidden"]["weight"]

    return over_seeds(of_seed, key, settings.adaptive_seeds)


def _update_ratios(name: str, gradients: np.ndarray) -> np.ndarray:
    """Returns [seeds, layers] log10 RMS of each layer's first update over that of the last."""
    optimizer = OPTIMIZERS[name](1.0)
    updates = np.asarray(jax.jit(jax.vmap(lambda g: optimizer.update(g, optimizer.init(g))[0]))(gradients), np.float64)
    logs = 0.5 * np.log10(np.mean(updates**2, axis=(2, 3)))
    return logs - logs[:, -1:]
