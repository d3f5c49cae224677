"""A task that needs its layers: label a position by the sum of its neighbours, with convolutions of three cells.

Inputs are standard normal numbers on a circle, and a position's label is the sign of the sum over the REACH neighbours on
either side and itself. L layers see L neighbours on either side. Whoever sees m of the M numbers is right with a probability of
at most 1/2 + arcsin(√(m/M))/π: the sums of m and of M numbers are Gaussian with correlation √(m/M).
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.study import tuning
from jaxnotes import training
from jaxnotes.layers.activations import relu
from jaxnotes.layers.convolution import convolution, convolution_init
from jaxnotes.layers.linear import linear, linear_init

REACH, POSITIONS, KERNEL = 9, 32, 3
CIRCLES, TEST = 16, 512  # per step, and to test


class Outcome(NamedTuple):
    """How a network trained: losses [steps] on fresh circles, nats, and accuracy on others."""

    losses: Array
    test: Array


def best_accuracy(depth: int) -> float:
    """Returns what no network of this many layers exceeds."""
    seen, wanted = 2 * min(depth, REACH) + 1, 2 * REACH + 1
    return 0.5 + float(np.arcsin(np.sqrt(seen / wanted))) / np.pi


def examples(key: Array, circles: int) -> tuple[Array, Array]:
    """Returns x [circles, POSITIONS, 1] and labels [circles, POSITIONS]."""
    x = jax.random.normal(key, (circles, POSITIONS))
    total = sum(jnp.roll(x, shift, axis=1) for shift in range(-REACH, REACH + 1))
    return x[..., None], (total > 0).astype(jnp.int32)


def network_init(key: Array, channels: int, depth: int) -> dict:
    """Returns parameters {"input", "hidden", "output"} of `depth` convolutions in He initialisation and a readout."""
    key_input, key_hidden, key_output = jax.random.split(key, 3)
    layer = lambda key, n_in: convolution_init(key, n_in, channels, (KERNEL,))
    hidden = jax.vmap(lambda key: layer(key, channels))(jax.random.split(key_hidden, depth - 1))
    return {"input": layer(key_input, 1), "hidden": hidden, "output": linear_init(key_output, channels, 2)}


def network(params: dict, x: Array) -> Array:
    """Returns logits [circles, POSITIONS, 2]."""
    layer = lambda h, params: relu(convolution(params, h, padding="CIRCULAR"))
    h, _ = jax.lax.scan(lambda h, params: (layer(h, params), None), layer(x, params["input"]), params["hidden"])
    return linear(params["output"], h)


def parameters(channels: int | np.ndarray, depth: int) -> int | np.ndarray:
    """Returns the number of weights and biases."""
    return (KERNEL + 1) * channels + (depth - 1) * (KERNEL * channels + 1) * channels + 2 * (channels + 1)


def equal_parameters(channels: int, depth: int, other_depth: int) -> int:
    """Returns the channels at which a network of `other_depth` has as many parameters as one of `channels` and `depth`."""
    total = parameters(channels, depth)
    widths = np.arange(1, total)
    return int(widths[np.abs(parameters(widths, other_depth) - total).argmin()])


@partial(jax.jit, static_argnames=("channels", "depth", "steps"))
def run(rate: Array, key: Array, *, channels: int, depth: int, steps: int) -> Outcome:
    """Returns the outcome of one whole training, on circles that are fresh at every step."""
    key_params, key_train, key_test = jax.random.split(key, 3)
    optimizer = tuning.warmed_adam(rate, steps)

    def loss(params: dict, key: Array) -> Array:
        x, labels = examples(key, CIRCLES)
        return training.cross_entropy(network(params, x), labels)

    state = training.init_state(network_init(key_params, channels, depth), optimizer)
    state, losses = training.train(loss, optimizer)(state, jax.random.split(key_train, steps))
    x, labels = examples(key_test, TEST)
    return Outcome(losses, training.accuracy(network(state.params, x).reshape(-1, 2), labels.ravel()))
