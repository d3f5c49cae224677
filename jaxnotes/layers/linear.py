"""The linear layer: y = x W + b."""

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float, Key

from jaxnotes import _checks
from jaxnotes._checks import NOT_NEGATIVE, count, entries, floats, function, number
from jaxnotes.layers.initializers import Initializer, lecun_normal


def linear_init(
    key: Key[Array, ""],
    n_in: int,
    n_out: int,
    *,
    initializer: Initializer = lecun_normal,
    bias_variance: float | Float[Array, ""] = 0.0,
    dtype=jnp.float32,
) -> dict[str, Array]:
    """Parameters of a linear layer.

    Args:
      key: random key.
      n_in: input features.
      n_out: output features.
      initializer: draws the weight matrix.
      bias_variance: variance of the Gaussian biases; 0 gives zeros.
      dtype: of both parameters.

    Returns:
      {"weight": [n_in, n_out], "bias": [n_out]}.

    Raises:
      TypeError: no random key, size, function, number or dtype where one is meant.
      ValueError: a size below 1, a negative, infinite or NaN variance, or an initializer that draws another shape.
    """
    _checks.key("key", key)
    n_in, n_out = count("n_in", n_in), count("n_out", n_out)
    function("initializer", initializer)
    _checks.dtype("dtype", dtype)
    number("bias_variance", bias_variance, NOT_NEGATIVE)
    key_weight, key_bias = jax.random.split(key)
    drawn = initializer(key_weight, n_in, n_out, dtype)
    weight = floats("what initializer draws", drawn, "n_in n_out", n_in=n_in, n_out=n_out)
    # A draw that is multiplied by 0 would still be compiled.
    if not isinstance(bias_variance, Tracer) and float(bias_variance) == 0:
        return {"weight": weight, "bias": jnp.zeros((n_out,), dtype)}
    bias = jax.random.normal(key_bias, (n_out,), dtype) * jnp.sqrt(jnp.asarray(bias_variance, dtype))
    return {"weight": weight, "bias": bias}


def linear(params: dict[str, Array], x: Float[Array, "*batch n_in"]) -> Float[Array, "*batch n_out"]:
    """x W + b.

    Args:
      params: {"weight": [n_in, n_out], "bias": [n_out]}.
      x: [..., n_in].

    Returns:
      [..., n_out].

    Raises:
      TypeError: x or a parameter is not of a floating type.
      ValueError: the last dimension of x is not n_in, or parameters that do not fit.

    Example:
      >>> params = {"weight": jnp.asarray([[1.0, 2.0], [3.0, 4.0]]), "bias": jnp.asarray([0.5, 0.0])}
      >>> linear(params, jnp.asarray([[1.0, 1.0]])).tolist()
      [[4.5, 6.0]]
    """
    weight, bias = entries("params", params, "weight", "bias")
    weight = floats("weight", weight, "n_in n_out")
    bias = floats("bias", bias, "n_out", n_out=weight.shape[1])
    y = rows_times(floats("x", x, "... n_in", n_in=weight.shape[0]), weight)
    return y + bias.reshape((1,) * (y.ndim - 1) + bias.shape)


def rows_times(x: Float[Array, "*batch n_in"], matrix: Float[Array, "n_in n_out"]) -> Float[Array, "*batch n_out"]:
    """x W, with x as a matrix of its rows: XLA's gradient of a product over several axes is slower, up to thrice on a CPU.

    Raises:
      TypeError: x or the matrix is not of a floating type.
      ValueError: the matrix has not two axes, or the last dimension of x is not its first.
    """
    matrix = floats("matrix", matrix, "n_in n_out")
    x = floats("x", x, "... n_in", n_in=matrix.shape[0])
    if x.ndim <= 2:
        return x @ matrix
    return (jax.lax.collapse(x, 0, x.ndim - 1) @ matrix).reshape(*x.shape[:-1], matrix.shape[1])
