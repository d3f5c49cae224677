"""Networks of linear maps or convolutions, each followed by a normalisation or none and an activation, whose kind is data."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxnotes import training
from jaxnotes.layers import initializers
from jaxnotes.layers.activations import relu, sigmoid
from jaxnotes.layers.convolution import convolution, convolution_init
from jaxnotes.layers.linear import linear, linear_init
from jaxnotes.layers.normalization import batch_norm, layer_norm, norm_init, normalise_by_batch
from jaxnotes.models.mlp import mlp_init

ACTIVATIONS = (relu, sigmoid)
KINDS = ("plain", "normalised", "layer-normalised", "noisy")
CLASSES = 10


class Arm(NamedTuple):
    """A kind of network, as numbers so that one compiled program trains every arm: see `arm`."""

    activation: Array  # index into ACTIVATIONS
    weight_variance: Array
    kind: Array  # index into KINDS


def arm(activation: Callable, weight_variance: float, kind: str) -> Arm:
    """Returns the arm of maps, each followed by what `kind` says and by the activation, with a linear output.

    kind: "plain", "normalised" by the batch, "layer-normalised", or "noisy": normalised by the batch, then noise of another
    distribution at each step.
    """
    return Arm(jnp.int32(ACTIVATIONS.index(activation)), jnp.float32(weight_variance), jnp.int32(KINDS.index(kind)))


class Shape(NamedTuple):
    """Units or channels of every layer, and layers after the first."""

    width: int
    depth: int
    convolutional: bool = False


class Forward(NamedTuple):
    """A forward pass: logits; what enters each hidden layer; what enters its activation, both [depth, batch, …, width]."""

    logits: Array
    inputs: Array
    pre_activations: Array


def init(arm: Arm, key: Array, n_in: int, shape: Shape) -> dict[str, Any]:
    """Returns a first layer, stacked hidden layers and the output layer; plain arms leave scale and shift unused.

    A convolutional network has kernels of 3 × 3; its first layer halves the image's sides.
    """
    initializer, width, depth = initializers.weight_variance(arm.weight_variance), shape.width, shape.depth
    if shape.convolutional:
        key_input, key_hidden, key_output = jax.random.split(key, 3)
        hidden = lambda k: convolution_init(k, width, width, (3, 3), initializer=initializer)
        params = {
            "input": convolution_init(key_input, 1, width, (3, 3), initializer=initializer),
            "hidden": jax.vmap(hidden)(jax.random.split(key_hidden, depth)),
            "output": linear_init(key_output, (-(-_side(n_in) // 2)) ** 2 * width, CLASSES),
        }
    else:
        params = mlp_init(key, n_in, width, depth, CLASSES, initializer=initializer)
    params["input"] |= norm_init(width)
    params["hidden"] |= norm_init((depth, width))
    return params


def forward(arm: Arm, params: dict[str, Any], x: Array, keys: Array | None = None, statistics: Any = None) -> Forward:
    """Returns the network's forward pass from images [batch, pixels].

    Args:
      arm: its kind.
      params: from `init`.
      x: images.
      keys: [depth + 1], one per layer of units, for the noise; None where no arm has any.
      statistics: from `statistics`, by which batch normalisation then goes, as at inference; None: by those of this batch.
    """

    def activation(z: Array) -> Array:
        return jax.lax.switch(arm.activation, ACTIVATIONS, z)

    if params["input"]["weight"].ndim > 2:
        x = x.reshape(len(x), _side(x.shape[1]), -1, 1)
    pick = lambda at: jax.tree.map(lambda a: a[at], (keys, statistics))
    h = activation(pre_activation(arm, params["input"], x, *pick(0), stride=2))

    def step(h: Array, layer: tuple) -> tuple[Array, tuple[Array, Array]]:
        z = pre_activation(arm, layer[0], h, *layer[1])
        return activation(z), (h, z)

    h, (inputs, pre_activations) = jax.lax.scan(step, h, (params["hidden"], pick(slice(1, None))))
    return Forward(linear(params["output"], h.reshape(len(h), -1)), inputs, pre_activations)


def pre_activation(
    arm: Arm, params: dict[str, Array], h: Array, key: Array | None = None, state: Any = None, *, stride: int = 1
) -> Array:
    """Returns what enters the activation of one layer."""
    affine = {name: params[name] for name in ("scale", "shift")}

    def by_batch(z: Array) -> Array:
        return normalise_by_batch(affine, z) if state is None else batch_norm(affine, state, z, train=False)[0]

    kinds = [lambda z: z, by_batch, lambda z: layer_norm(affine, z)]
    if key is not None:
        kinds.append(lambda z: noise(key, by_batch(z)))
    return jax.lax.switch(arm.kind, kinds, mapped(params, h, stride))


def mapped(params: dict[str, Array], h: Array, stride: int = 1) -> Array:
    """The linear map or convolution of a layer."""
    return linear(params, h) if params["weight"].ndim == 2 else convolution(params, h, stride=stride)


def statistics(arm: Arm, params: dict[str, Any], x: Array) -> dict[str, Array]:
    """Returns {"mean", "variance"}, [depth + 1, width] each, of what batch normalisation sees in an MLP over all of x."""
    inputs = forward(arm, params, x).inputs
    moments = lambda z: {"mean": z.mean(0), "variance": z.var(0)}
    first, hidden = moments(mapped(params["input"], x)), jax.vmap(lambda p, h: moments(mapped(p, h)))(params["hidden"], inputs)
    return jax.tree.map(lambda a, b: jnp.concatenate([a[None], b]), first, hidden)


def noise(key: Array, z: Array) -> Array:
    """Returns s·z + m with random s and m, drawn independently for each example and unit.

    The distributions they come from are themselves redrawn for each unit at every step (Santurkar et al. 2018, algorithm 1):
    means of m within ±0.5, means of s in [1, 1.25], spread 0.1.
    """
    key_uniform, key_factor = jax.random.split(key)
    drawn = jax.random.uniform(key_uniform, (len(z) + 2, z.shape[-1]), z.dtype)  # one draw: each is compiled by itself
    mean, scale, shift = drawn[:1] - 0.5, 1 + 0.25 * drawn[1:2], 0.2 * drawn[2:] - 0.1
    return z * (scale + 0.1 * jax.random.normal(key_factor, z.shape, z.dtype)) + mean + shift


def loss(arm: Arm, params: Any, batch: tuple[Array, Array], keys: Array | None) -> tuple[Array, Forward]:
    """Returns the cross-entropy of a batch (images, labels) in nats, and the forward pass behind it."""
    passed = forward(arm, params, batch[0], keys)
    return training.cross_entropy(passed.logits, batch[1]), passed


def accuracy(logits: Array, labels: Array) -> Array:
    """Returns the fraction of examples that are classified right."""
    return jnp.mean(jnp.argmax(logits, -1) == labels)


def _side(pixels: int) -> int:
    return round(pixels**0.5)
