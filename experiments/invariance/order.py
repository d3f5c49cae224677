"""MNIST-1D, original and with its cells shuffled: the four models of Greydanus and Kobak (2020) beside their numbers."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.invariance.settings import Invariance
from experiments.study.measurement import Measurement, interval
from experiments.study.seeds import best_of, side_by_side
from jaxnotes import datasets, training
from jaxnotes.layers.activations import relu
from jaxnotes.layers.convolution import convolution, convolution_init
from jaxnotes.layers.linear import linear, linear_init
from jaxnotes.layers.recurrent import gru, gru_init

LENGTH, CLASSES, WIDTH, CHANNELS, HIDDEN = 40, 10, 100, 25, 6
VALIDATION = 500
# Test accuracies of Greydanus and Kobak (2020), table 1: (original, shuffled).
PUBLISHED = {"logistic": (0.32, 0.32), "mlp": (0.68, 0.68), "cnn": (0.94, 0.56), "gru": (0.91, 0.57)}
ORDERS = ("original", "shuffled")


def logistic_init(key: Array) -> dict:
    """Logistic regression."""
    return linear_init(key, LENGTH, CLASSES)


def mlp_init(key: Array) -> list:
    """Two hidden layers of 100 units, the second with a shortcut."""
    sizes = ((LENGTH, WIDTH), (WIDTH, WIDTH), (WIDTH, CLASSES))
    return [linear_init(k, *size) for k, size in zip(jax.random.split(key, 3), sizes, strict=True)]


def mlp(params: list, x: Array) -> Array:
    """Logits."""
    h = relu(linear(params[0], x))
    h = h + relu(linear(params[1], h))
    return linear(params[2], h)


def cnn_init(key: Array) -> dict:
    """Three convolutions of 25 channels and stride 2, kernels 5, 3 and 3, then a linear layer over 5 positions."""
    *of_blocks, of_output = jax.random.split(key, 4)
    kernels, channels = (5, 3, 3), (1, CHANNELS, CHANNELS)
    blocks = [convolution_init(k, n, CHANNELS, (size,)) for k, n, size in zip(of_blocks, channels, kernels, strict=True)]
    return {"blocks": blocks, "output": linear_init(of_output, 5 * CHANNELS, CLASSES)}


def cnn(params: dict, x: Array) -> Array:
    """Logits."""
    h = x[..., None]
    for block in params["blocks"]:
        h = relu(convolution(block, h, stride=2))
    return linear(params["output"], h.reshape(len(h), -1))


def gru_both_init(key: Array) -> dict:
    """A GRU of 6 units in either direction; the output reads the states of all steps."""
    forward, backward, output = jax.random.split(key, 3)
    cells = {"forward": gru_init(forward, 1, HIDDEN), "backward": gru_init(backward, 1, HIDDEN)}
    return cells | {"output": linear_init(output, 2 * HIDDEN * LENGTH, CLASSES)}


def gru_both(params: dict, x: Array) -> Array:
    """Logits."""

    def states(sequence: Array) -> Array:
        forward = gru(params["forward"], sequence[:, None])[1]
        backward = gru(params["backward"], sequence[::-1, None])[1][::-1]
        return jnp.concatenate([forward, backward], -1).ravel()

    return linear(params["output"], jax.vmap(states)(x))


MODELS: dict[str, tuple[Callable, Callable]] = {
    "logistic": (logistic_init, linear),
    "mlp": (mlp_init, mlp),
    "cnn": (cnn_init, cnn),
    "gru": (gru_both_init, gru_both),
}


@partial(jax.jit, static_argnames="model")
def run(rate: Array, key: Array, indices: Array, data: datasets.Dataset, *, model: str) -> Array:
    """[2] accuracies on held-out training sequences and on the test set after Adam.

    A step for each row of indices, the rate falling as a cosine.
    """
    init, apply = MODELS[model]
    decay = optax.cosine_decay_schedule(1.0, len(indices))
    optimizer = optax.chain(optax.scale_by_adam(), optax.scale_by_schedule(decay))
    x, labels = data.train_images, data.train_labels

    def step(carry, chosen: Array):
        params, state = carry
        gradient = jax.grad(lambda p: training.cross_entropy(apply(p, x[chosen]), labels[chosen]))(params)
        updates, state = optimizer.update(gradient, state)
        return (jax.tree.map(lambda p, u: p - rate * u, params, updates), state), None

    params = init(key)
    (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), indices)
    held_out, test = jnp.split(apply(params, jnp.concatenate([x[-VALIDATION:], data.test_images])), [VALIDATION])
    return jnp.stack([training.accuracy(held_out, labels[-VALIDATION:]), training.accuracy(test, data.test_labels)])


def orders(settings: Invariance, key: Array) -> tuple[list[Measurement], dict[str, np.ndarray]]:
    """Accuracies of the four models on both orders beside the published ones, and what shuffling costs each."""
    of_tuning, *of_seeds = jax.random.split(key, 1 + settings.order_seeds)
    data = {order: datasets.mnist1d(shuffled=order == "shuffled") for order in ORDERS}
    found = np.zeros((len(MODELS), len(ORDERS), settings.order_seeds))
    measurements, losses = [], []
    for i, model in enumerate(MODELS):
        for j, order in enumerate(ORDERS):
            rate, found[i, j] = _tuned(settings, model, data[order], of_tuning, of_seeds)
            source = f"Greydanus and Kobak (2020); here {settings.order_steps} Adam steps at a tuned learning rate {rate:.1g}"
            name, published = f"accuracy-{model}-{order}", PUBLISHED[model][j]
            measured = interval(name, found[i, j], unit="fraction of the test set", prediction=published, source=source)
            measurements.append(measured)
        loss, source = found[i, 0] - found[i, 1], "MNIST-1D, original minus shuffled, paired by seed"
        losses.append(interval(f"order-loss-{model}", loss, unit="fraction of the test set", source=source))
    return [*losses, *measurements], {"models": np.asarray(list(MODELS))}


def _tuned(
    settings: Invariance, model: str, data: datasets.Dataset, of_tuning: Array, of_seeds: list
) -> tuple[float, np.ndarray]:
    """The rate that is best on held-out sequences, and the test accuracies of the seeds with it."""

    def once(rate: float, key: Array) -> np.ndarray:
        of_params, of_batches = jax.random.split(key)
        n = len(data.train_labels) - VALIDATION
        indices = datasets.minibatch_indices(of_batches, n, settings.order_batch, settings.order_steps)
        return np.asarray(run(jnp.float32(rate), of_params, indices, data, model=model))

    best = best_of(lambda rate: once(rate, of_tuning)[0], settings.order_rates)
    return best, np.asarray([test for _, test in side_by_side(lambda k: once(best, k), of_seeds)])
