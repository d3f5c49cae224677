"""Networks of linear maps, each followed by batch normalisation or not and an activation, whose kind is data."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxnotes import training
from jaxnotes.layers import initializers
from jaxnotes.layers.activations import relu, sigmoid
from jaxnotes.layers.linear import linear
from jaxnotes.layers.normalization import batch_norm, batch_norm_state, norm_init
from jaxnotes.models.mlp import mlp_init

ACTIVATIONS = (relu, sigmoid)
KINDS = ("plain", "normalised", "noisy")
CLASSES = 10


class Arm(NamedTuple):
    """A kind of network, as numbers so that one compiled program trains every arm: see `arm`."""

    activation: Array  # index into ACTIVATIONS
    weight_variance: Array
    kind: Array  # index into KINDS


def arm(activation: Callable, weight_variance: float, kind: str) -> Arm:
    """Returns the arm of linear maps, each followed by what `kind` says and by the activation, with a linear output.

    kind: "plain", "normalised", or "noisy": normalised, then noise of another distribution at each step.
    """
    return Arm(jnp.int32(ACTIVATIONS.index(activation)), jnp.float32(weight_variance), jnp.int32(KINDS.index(kind)))


class Forward(NamedTuple):
    """A forward pass: logits; what enters each hidden layer; what enters its activation, both [depth, batch, width]."""

    logits: Array
    inputs: Array
    pre_activations: Array


def init(arm: Arm, key: Array, n_in: int, width: int, depth: int) -> dict[str, Any]:
    """Returns a first layer, `depth` stacked hidden layers and the output layer; plain arms leave scale and shift unused."""
    initializer = initializers.weight_variance(arm.weight_variance)
    params = mlp_init(key, n_in, width, depth, CLASSES, initializer=initializer)
    params["input"] |= norm_init(width)
    params["hidden"] |= norm_init((depth, width))
    return params


def forward(arm: Arm, params: dict[str, Any], x: Array, keys: Array | None) -> Forward:
    """Returns the network's forward pass in training.

    keys: [depth + 1], one per layer of units, for the noise; None where no arm has any.
    """

    def activation(z: Array) -> Array:
        return jax.lax.switch(arm.activation, ACTIVATIONS, z)

    key_first, keys_hidden = (None, None) if keys is None else (keys[0], keys[1:])
    h = activation(pre_activation(arm, params["input"], x, key_first))

    def step(h: Array, layer: tuple[Any, Array | None]) -> tuple[Array, tuple[Array, Array]]:
        z = pre_activation(arm, layer[0], h, layer[1])
        return activation(z), (h, z)

    h, (inputs, pre_activations) = jax.lax.scan(step, h, (params["hidden"], keys_hidden))
    return Forward(linear(params["output"], h), inputs, pre_activations)


def pre_activation(arm: Arm, params: dict[str, Array], h: Array, key: Array | None) -> Array:
    """Returns what enters the activation of one layer."""
    affine = {name: params[name] for name in ("scale", "shift")}
    kinds = [lambda z: z, lambda z: normalise(z, affine)]
    if key is not None:
        kinds.append(lambda z: noise(key, normalise(z, affine)))
    return jax.lax.switch(arm.kind, kinds, linear(params, h))


def normalise(z: Array, affine: Mapping[str, Array] | None = None) -> Array:
    """Returns z [batch, features] normalised by the batch's own statistics; affine: scale and shift."""
    return batch_norm({} if affine is None else affine, batch_norm_state(z.shape[-1], z.dtype), z, train=True)[0]


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
