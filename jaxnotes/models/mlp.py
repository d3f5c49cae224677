"""The plain multilayer perceptron: an input layer, equal hidden layers stacked for `lax.scan`, an output layer."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxnotes import _checks
from jaxnotes._checks import count, entries, floats, function, kept, stacked
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
      TypeError: no random key, size, function, number or dtype where one is meant.
      ValueError: width or depth below 1, a negative variance, or an initializer that draws another shape.
    """
    _checks.key("key", key)
    width, depth = count("width", width), count("depth", depth)
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
      TypeError: no random key, size, function, number or dtype where one is meant.
      ValueError: a size below 1, a negative variance, or an initializer that draws another shape.
    """
    _checks.key("key", key)
    for name, size in (("n_in", n_in), ("width", width), ("depth", depth), ("n_out", n_out)):
        count(name, size)
    key_input, key_hidden, key_output = jax.random.split(key, 3)
    return {
        "input": linear_init(key_input, n_in, width, initializer=initializer, dtype=dtype),
        "hidden": stack_init(key_hidden, width, depth, initializer=initializer, bias_variance=bias_variance, dtype=dtype),
        "output": linear_init(key_output, width, n_out, initializer=lecun_normal, dtype=dtype),
    }


def hidden_layer(activation: Activation) -> Callable[[dict[str, Array], Array], Array]:
    """One hidden layer f(layer_params, h) = φ(h W + b).

    Raises:
      TypeError: the activation is no function.
    """
    function("activation", activation)

    def layer(layer_params: dict[str, Array], h: Array) -> Array:
        h = linear(layer_params, h)
        return kept("activation", h, activation(h))

    return layer


def mlp(
    params: dict[str, dict[str, Array]], x: Float[Array, "batch n_in"], *, activation: Activation
) -> Float[Array, "batch n_out"]:
    """Returns the output of the MLP, before any softmax.

    Raises:
      TypeError: x or a parameter is not of a floating type, or the activation is no function.
      ValueError: the last dimension of x is not n_in, parameters that do not fit, or an activation that changes the shape.
    """
    into, hidden, output = entries("params", params, "input", "hidden", "output")
    stacked("params['hidden']", hidden, "layers")
    layer = hidden_layer(activation)
    h = layer(into, floats("x", x, "batch n_in"))
    h, _ = jax.lax.scan(lambda h, layer_params: (kept("a hidden layer", h, layer(layer_params, h)), None), h, hidden)
    return linear(output, h)
