"""MNIST-1D, original and with its cells shuffled: the four models of Greydanus and Kobak (2020) beside their numbers."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.invariance.settings import Invariance
from experiments.study.measurement import Evidence, interval
from experiments.study.tuning import Tuned, adam, described, tuned
from jaxnotes import datasets, training
from jaxnotes.layers.activations import relu
from jaxnotes.layers.convolution import convolution, convolution_init
from jaxnotes.layers.linear import linear, linear_init
from jaxnotes.layers.recurrent import gru, gru_init

LENGTH, CLASSES, WIDTH, CHANNELS, HIDDEN = 40, 10, 100, 25, 6
VALIDATION = 500  # training sequences held out for choosing learning rates
# Test accuracies of Greydanus and Kobak (2020), table 1: (original, shuffled).
PUBLISHED = {"logistic": (0.32, 0.32), "mlp": (0.68, 0.68), "cnn": (0.94, 0.56), "gru": (0.91, 0.57)}
ORDERS = ("original", "shuffled")


def logistic_init(key: Array) -> dict:
    """Returns the parameters of a logistic regression."""
    return linear_init(key, LENGTH, CLASSES)


def mlp_init(key: Array) -> list:
    """Returns the parameters of two hidden layers of 100 units, the second with a shortcut, and an output layer."""
    sizes = ((LENGTH, WIDTH), (WIDTH, WIDTH), (WIDTH, CLASSES))
    return [linear_init(k, *size) for k, size in zip(jax.random.split(key, 3), sizes, strict=True)]


def mlp(params: list, x: Array) -> Array:
    """Returns the logits."""
    h = relu(linear(params[0], x))
    h = h + relu(linear(params[1], h))
    return linear(params[2], h)


def cnn_init(key: Array) -> dict:
    """Returns those of three convolutions of 25 channels, stride 2, kernels 5, 3 and 3, and a linear layer over 5 positions."""
    *keys_blocks, key_output = jax.random.split(key, 4)
    kernels, channels = (5, 3, 3), (1, CHANNELS, CHANNELS)
    blocks = [convolution_init(k, n, CHANNELS, (size,)) for k, n, size in zip(keys_blocks, channels, kernels, strict=True)]
    return {"blocks": blocks, "output": linear_init(key_output, 5 * CHANNELS, CLASSES)}


def cnn(params: dict, x: Array) -> Array:
    """Returns the logits."""
    h = x[..., None]
    for block in params["blocks"]:
        h = relu(convolution(block, h, stride=2))
    return linear(params["output"], h.reshape(len(h), -1))


def gru_both_init(key: Array) -> dict:
    """Returns those of a GRU of 6 units in either direction, and of an output layer that reads the states of all steps."""
    key_forward, key_backward, key_output = jax.random.split(key, 3)
    cells = {"forward": gru_init(key_forward, 1, HIDDEN), "backward": gru_init(key_backward, 1, HIDDEN)}
    return cells | {"output": linear_init(key_output, 2 * HIDDEN * LENGTH, CLASSES)}


def gru_both(params: dict, x: Array) -> Array:
    """Returns the logits."""

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


class Run(NamedTuple):
    """Accuracies of a trained model; of several, with the seeds in front."""

    validation: Array  # on held-out training sequences
    test: Array


def train(settings: Invariance, model: str, data: datasets.Dataset, rate: float, key: Array) -> Run:
    """Trains one model on all but the sequences held out."""
    key_params, key_batches = jax.random.split(key)
    n = len(data.train_labels) - VALIDATION
    indices = datasets.minibatch_indices(key_batches, n, settings.order_batch, settings.order_steps)
    return _run(jnp.float32(rate), key_params, indices, data, model=model)


@partial(jax.jit, static_argnames="model")
def _run(rate: Array, key: Array, indices: Array, data: datasets.Dataset, *, model: str) -> Run:
    init, apply = MODELS[model]
    optimizer = adam(rate, len(indices))
    images, labels = data.train_images, data.train_labels
    loss = lambda params, batch: training.cross_entropy(apply(params, batch[0]), batch[1])
    state, _ = training.train_on(loss, optimizer)(training.init_state(init(key), optimizer), (images, labels), indices)
    logits = apply(state.params, jnp.concatenate([images[-VALIDATION:], data.test_images]))
    return Run(
        training.accuracy(logits[:VALIDATION], labels[-VALIDATION:]), training.accuracy(logits[VALIDATION:], data.test_labels)
    )


def orders(settings: Invariance, key: Array) -> Evidence:
    """The four models on both orders beside the published accuracies, and what shuffling costs each, for invariance.cnn."""
    data = {order: datasets.mnist1d(shuffled=order == "shuffled") for order in ORDERS}
    unit, losses, accuracies, searches = "fraction of the test set", [], [], {}
    for model in MODELS:
        found = {order: _tuned(settings, model, data[order], key) for order in ORDERS}
        searches |= {f"{model}-{order}": found[order].search for order in ORDERS}
        for order, published in zip(ORDERS, PUBLISHED[model], strict=True):
            runs, search = found[order]
            source = f"Greydanus and Kobak (2020); here {settings.order_steps} Adam steps, {described(search)}"
            name = f"accuracy-{model}-{order}"
            accuracies.append(interval(name, runs.test, unit=unit, prediction=published, source=source))
        loss, source = (
            found["original"].runs.test - found["shuffled"].runs.test,
            "MNIST-1D, original minus shuffled, paired by seed",
        )
        losses.append(interval(f"order-loss-{model}", loss, unit=unit, source=source))
    return Evidence((*losses, *accuracies), {"models": np.asarray(list(MODELS))}, searches)


def _tuned(settings: Invariance, model: str, data: datasets.Dataset, key: Array) -> Tuned:
    return tuned(
        partial(train, settings, model, data),
        lambda run: run.validation,
        settings.order_rates,
        key,
        tuning_seeds=settings.tuning_seeds,
        seeds=settings.order_seeds,
    )
