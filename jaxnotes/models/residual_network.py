"""The residual network: pre-activation blocks h + s W φ(h) (He et al. 2016b) between an input and an output layer."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxnotes._checks import FINITE, entries, flag, floats, function, kept, number, stacked
from jaxnotes.layers.activations import Activation
from jaxnotes.layers.initializers import Initializer, he_normal
from jaxnotes.layers.linear import linear
from jaxnotes.layers.residual import residual, zero_initialised
from jaxnotes.models.mlp import mlp_init


def residual_network_init(
    key: Key[Array, ""],
    n_in: int,
    width: int,
    depth: int,
    n_out: int,
    *,
    initializer: Initializer = he_normal,
    bias_variance: float | Float[Array, ""] = 0.0,
    zero_branch: bool = False,
    dtype=jnp.float32,
) -> dict[str, dict[str, Array]]:
    """Parameters {"input", "hidden", "output"} as of `mlp_init`; with `zero_branch` every block starts as the identity.

    Raises:
      TypeError: no random key, size, function, number, dtype or True or False where one is meant.
      ValueError: a size below 1, a negative variance, or an initializer that draws another shape.
    """
    flag("zero_branch", zero_branch)
    params = mlp_init(key, n_in, width, depth, n_out, initializer=initializer, bias_variance=bias_variance, dtype=dtype)
    return {**params, "hidden": zero_initialised(params["hidden"])} if zero_branch else params


def residual_layer(
    activation: Activation, branch_scale: float | Float[Array, ""] = 1.0, shortcut_scale: float | Float[Array, ""] = 1.0
) -> Callable[[dict[str, Array], Array], Array]:
    """One block f(layer_params, h) = shortcut_scale · h + branch_scale · (φ(h) W + b).

    Raises:
      TypeError: the activation is no function, or a scale not one real number.
      ValueError: an infinite or NaN scale.
    """
    function("activation", activation)
    number("branch_scale", branch_scale, FINITE)
    number("shortcut_scale", shortcut_scale, FINITE)

    def branch(layer_params: dict[str, Array], h: Array) -> Array:
        return linear(layer_params, kept("activation", h, activation(h)))

    return partial(residual, branch, branch_scale=branch_scale, shortcut_scale=shortcut_scale)


def residual_network(
    params: dict[str, dict[str, Array]],
    x: Float[Array, "batch n_in"],
    *,
    activation: Activation,
    branch_scale: float | Float[Array, ""] = 1.0,
    shortcut_scale: float | Float[Array, ""] = 1.0,
) -> Float[Array, "batch n_out"]:
    """Returns the output of the network, before any softmax; the last block's output passes an activation first.

    With a shortcut_scale of 0 it is `mlp`; both scales may be arrays, so that plain and residual networks share a program.

    Raises:
      TypeError: x or a parameter is not of a floating type, the activation is no function, or a scale not one real number.
      ValueError: the last dimension of x is not n_in, parameters that do not fit, an activation that changes the shape, or an
        infinite or NaN scale.
    """
    into, hidden, output = entries("params", params, "input", "hidden", "output")
    stacked("params['hidden']", hidden, "layers")
    layer = residual_layer(activation, branch_scale, shortcut_scale)
    h = linear(into, floats("x", x, "batch n_in"))
    h, _ = jax.lax.scan(lambda h, layer_params: (layer(layer_params, h), None), h, hidden)
    return linear(output, activation(h))
