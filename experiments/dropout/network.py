"""ReLU networks of linear layers, whose hidden units can be dropped."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxnotes.layers.activations import relu
from jaxnotes.layers.initializers import he_normal
from jaxnotes.layers.linear import linear, linear_init

Params = list[dict[str, Array]]


def initialise(key: Array, sizes: Sequence[int]) -> Params:
    """Returns linear layers from `sizes[0]` inputs to `sizes[-1]` outputs, with He et al.'s (2015) weights and biases 0."""
    keys = jax.random.split(key, len(sizes) - 1)
    layers = zip(keys, pairwise(sizes), strict=True)
    return [linear_init(key, n_in, n_out, initializer=he_normal) for key, (n_in, n_out) in layers]


def forward(params: Params, x: Array, drop: Callable[[int, Array], Array] = lambda layer, h: h) -> Array:
    """Returns the logits; `drop(layer, h)` is applied to the units of each hidden layer, counted from 0."""
    for layer, layer_params in enumerate(params[:-1]):
        x = drop(layer, relu(linear(layer_params, x)))
    return linear(params[-1], x)


def classes(params: Params, x: Array) -> np.ndarray:
    """Returns the most probable class by network and example, of networks stacked in front."""
    return np.asarray(_classes(params, x))


@jax.jit
def _classes(params: Params, x: Array) -> Array:
    return jax.lax.map(lambda one: jnp.argmax(forward(one, x), 1), params)
