"""Adam, RMSProp and SGD when every gradient is multiplied by a constant, and when early layers get less than late ones."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments import remedies_network as network
from experiments.measurement import Evidence, curve, interval
from experiments.remedies_network import choice
from experiments.remedies_training import CLASSES, load
from jaxnotes import datasets, training

EPSILON = 1e-8
SLACK = 1.1  # a scale counts as trained where the loss is at most this times the loss at scale 1
CHOSEN = choice("tanh", 1.0)


def optimizers() -> dict[str, optax.GradientTransformation]:
    """The three, without learning rate; ε as the papers and Optax have it."""
    return {
        "sgd": optax.identity(),
        "rmsprop": optax.scale_by_rms(decay=0.9, eps=EPSILON, eps_in_sqrt=False, bias_correction=True),
        "adam": optax.scale_by_adam(eps=EPSILON),
    }


def adaptive(settings, key: Array) -> dict[str, Evidence]:
    """remedies.adaptive: over how many decades of gradient scale each trains, and how far early layers' updates fall behind."""
    of_scales, of_layers = jax.random.split(key)
    of_tuning, of_seeds = jax.random.split(of_scales)
    keys = jax.random.split(of_seeds, settings.adaptive_seeds)
    exponents = np.arange(-12, 13)
    measurements, arrays = [], {"exponents": exponents}
    data = load()
    for name, optimizer in optimizers().items():
        train = partial(_final_losses, name, data=data, settings=settings)
        rates = jnp.asarray(settings.adaptive_rates, jnp.float32)
        tuning = np.asarray(train(jnp.stack([of_tuning] * len(rates)), rates, jnp.zeros(len(rates))))
        rate = rates[np.nan_to_num(tuning[:, 0], nan=np.inf).argmin()]
        pairs = len(keys) * len(exponents)
        losses, sizes = np.asarray(
            train(jnp.repeat(keys, len(exponents)), jnp.full(pairs, rate), np.tile(exponents, len(keys)))
        ).T
        losses = np.where(np.isfinite(losses), losses, np.inf).reshape(len(keys), -1)
        low, high = zip(*(trained_range(row, exponents) for row in losses), strict=True)
        tuned = (
            f"of 24, loss after {settings.adaptive_steps} steps at most {SLACK} times that at scale 1; learning rate {rate:.1g}"
        )
        measurements.append(interval(f"decades-{name}", np.subtract(high, low), unit="decades", source=tuned))
        if name != "sgd":
            root = np.log10(np.median(sizes.reshape(len(keys), -1)[:, 12]))
            source = "log10 of the smallest scale trained; prediction: the scale at which the gradient's root mean square is ε"
            measurements.append(
                interval(f"onset-{name}", low, unit="decades", prediction=np.log10(EPSILON) - root, source=source)
            )
        arrays |= curve(f"loss-{name}", np.log10(np.minimum(losses, 100.0)))
        ratios = _update_ratios(optimizer, settings, of_layers)
        source = f"log10 RMS of the first step's update of the first over that of the last of {settings.adaptive_layers} sigmoid layers"
        measurements.append(interval(f"update-ratio-{name}", ratios[:, -1], unit="decades", source=source))
        arrays |= curve(f"update-{name}", ratios[:, ::-1])
    return {"remedies.adaptive": Evidence(tuple(measurements), arrays)}


def trained_range(losses: np.ndarray, exponents: np.ndarray) -> tuple[int, int]:
    """(lowest, highest) exponent of the unbroken range around 0 whose loss is at most SLACK times the one at 0."""
    centre = int(np.flatnonzero(exponents == 0)[0])
    good = losses <= SLACK * losses[centre]
    below = np.flatnonzero(~good[:centre])
    above = np.flatnonzero(~good[centre:])
    first = 0 if below.size == 0 else below[-1] + 1
    last = len(good) - 1 if above.size == 0 else centre + above[0] - 1
    return int(exponents[first]), int(exponents[last])


@partial(jax.jit, static_argnames=("name", "settings"))
def _final_losses(name: str, keys: Array, rates: Array, exponents: Array, *, data: datasets.Dataset, settings) -> Array:
    """[runs, 2] means over the last tenth of the steps: the loss, and the gradient's root mean square, both without the scale."""
    optimizer = optimizers()[name]

    def one(item) -> Array:
        key, rate, exponent = item
        of_params, of_batches = jax.random.split(key)
        scale = 10.0**exponent

        def loss(params, batch) -> Array:
            return training.cross_entropy(network.classifier(CHOSEN, params, batch[0]), batch[1])

        params = network.classifier_init(of_params, CHOSEN, data.train_images.shape[1], settings.adaptive_width, 1, CLASSES)
        indices = datasets.minibatch_indices(of_batches, len(data.train_labels), settings.train_batch, settings.adaptive_steps)

        def step(carry, chosen: Array):
            params, state = carry
            value, gradient = jax.value_and_grad(loss)(params, (data.train_images[chosen], data.train_labels[chosen]))
            updates, state = optimizer.update(jax.tree.map(lambda g: scale * g, gradient), state)
            moved = jax.tree.map(lambda p, u: p - rate * u, params, updates)
            return (moved, state), (value, optax.global_norm(gradient))

        _, (losses, sizes) = jax.lax.scan(step, (params, optimizer.init(params)), indices)
        tail, entries = max(settings.adaptive_steps // 10, 1), sum(leaf.size for leaf in jax.tree.leaves(params))
        return jnp.stack([losses[-tail:].mean(), sizes[-tail:].mean() / entries**0.5])

    return jax.lax.map(one, (keys, rates, jnp.asarray(exponents, jnp.float32)))


def _update_ratios(optimizer: optax.GradientTransformation, settings, key: Array) -> np.ndarray:
    """[seeds, layers] log10 RMS of each hidden layer's first update over that of the last; the network is of sigmoids."""
    chosen, data = choice("sigmoid", 1.0), load()
    images, labels = data.train_images[: settings.train_batch], data.train_labels[: settings.train_batch]

    def of_seed(seed_key: Array, images: Array, labels: Array) -> Array:
        width, layers = settings.adaptive_width, settings.adaptive_layers
        params = network.classifier_init(seed_key, chosen, images.shape[1], width, layers, CLASSES)
        gradient = jax.grad(lambda p: training.cross_entropy(network.classifier(chosen, p, images), labels))(params)
        updates, _ = optimizer.update(gradient, optimizer.init(params))
        return 0.5 * jnp.log10(jnp.mean(updates["hidden"]["weight"] ** 2, axis=(1, 2)))

    keys = jax.random.split(key, settings.adaptive_seeds)
    logs = np.asarray(jax.jit(lambda keys, *data: jax.lax.map(lambda k: of_seed(k, *data), keys))(keys, images, labels))
    return (logs - logs[:, -1:])[:, ::-1]
