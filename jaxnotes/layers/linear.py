"""The linear layer: y = x W + b."""

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float, Key

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
      ValueError: a size below 1, or a negative, infinite or NaN variance.
    """
    concrete = not isinstance(bias_variance, Tracer)
    if concrete and not 0 <= bias_variance < float("inf"):
        raise ValueError(f"bias_variance is {bias_variance}; it must be finite, and 0 or positive")
    key_weight, key_bias = jax.random.split(key)
    weight = initializer(key_weight, n_in, n_out, dtype)
    if concrete and bias_variance == 0:  # a draw that is multiplied by 0 would still be compiled
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
      TypeError: x is not of a floating type.
      ValueError: the last dimension of x is not n_in.

    Example:
      >>> params = {"weight": jnp.asarray([[1.0, 2.0], [3.0, 4.0]]), "bias": jnp.asarray([0.5, 0.0])}
      >>> linear(params, jnp.asarray([[1.0, 1.0]])).tolist()
      [[4.5, 6.0]]
    """
    weight, bias = params["weight"], params["bias"]
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"x has dtype {x.dtype}; a linear layer takes floats: convert it with x.astype({weight.dtype})")
    if x.ndim == 0 or x.shape[-1] != weight.shape[0]:
        raise ValueError(f"x has shape {x.shape} and the weight {weight.shape}; x must end in {weight.shape[0]} features")
    y = rows_times(x, weight)
    return y + bias.reshape((1,) * (y.ndim - 1) + bias.shape)


def rows_times(x: Float[Array, "*batch n_in"], matrix: Float[Array, "n_in n_out"]) -> Float[Array, "*batch n_out"]:
    """x W, with x as a matrix of its rows: XLA's gradient of a product over several axes is slower, up to thrice on a CPU."""
    if x.ndim <= 2:
        return x @ matrix
    return (jax.lax.collapse(x, 0, x.ndim - 1) @ matrix).reshape(*x.shape[:-1], matrix.shape[1])
