"""The plain multilayer perceptron: an input layer, equal hidden layers stacked for `lax.scan`, an output layer."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxnotes.layers.activations import Activation
from jaxnotes.layers.initializers import Initializer, he_normal, lecun_normal
from jaxnotes.layers.linear import linear, linear_init


def stack_init(
    key: Key[Array, ""],
    width: int,
    depth: int,
    *,
    initializer: Initializer = he_normal,
    bias_variance: float | Float[Array, ""] = 0.0,
    dtype=jnp.float32,
) -> dict[str, Array]:
    """Parameters of `depth` linear layers of equal width: {"weight": [depth, width, width], "bias": [depth, width]}.

    Raises:
      ValueError: width or depth below 1, or a negative variance.
    """
    if depth < 1:
        raise ValueError(f"depth is {depth}; a stack needs at least 1 layer")
    options = {"initializer": initializer, "bias_variance": bias_variance, "dtype": dtype}
    return jax.vmap(lambda key_layer: linear_init(key_layer, width, width, **options))(jax.random.split(key, depth))


def mlp_init(
    key: Key[Array, ""],
    n_in: int,
    width: int,
    depth: int,
    n_out: int,
    *,
    initializer: Initializer = he_normal,
    bias_variance: float | Float[Array, ""] = 0.0,
    dtype=jnp.float32,
) -> dict[str, dict[str, Array]]:
    """Parameters {"input", "hidden", "output"} of an MLP with `depth` hidden layers after the input layer.

    Args:
      key: random key.
      n_in: input features.
      width: units of every hidden layer.
      depth: hidden layers of shape [width, width].
      n_out: output features.
      initializer: of the input and hidden weights; the output layer, which no activation follows, takes LeCun's.
      bias_variance: variance of the hidden biases.
      dtype: of all parameters.

    Raises:
      ValueError: a size below 1 or a negative variance.
    """
    key_input, key_hidden, key_output = jax.random.split(key, 3)
    return {
        "input": linear_init(key_input, n_in, width, initializer=initializer, dtype=dtype),
        "hidden": stack_init(key_hidden, width, depth, initializer=initializer, bias_variance=bias_variance, dtype=dtype),
        "output": linear_init(key_output, width, n_out, initializer=lecun_normal, dtype=dtype),
    }


def hidden_layer(activation: Activation) -> Callable[[dict[str, Array], Array], Array]:
    """One hidden layer f(layer_params, h) = φ(h W + b)."""
    return lambda layer_params, h: activation(linear(layer_params, h))


def mlp(
    params: dict[str, dict[str, Array]], x: Float[Array, "batch n_in"], *, activation: Activation
) -> Float[Array, "batch n_out"]:
    """Returns the output of the MLP, before any softmax.

    Raises:
      TypeError: x is not of a floating type.
      ValueError: the last dimension of x is not n_in.
    """
    layer = hidden_layer(activation)
    h = layer(params["input"], x)
    h, _ = jax.lax.scan(lambda h, layer_params: (layer(layer_params, h), None), h, params["hidden"])
    return linear(params["output"], h)
