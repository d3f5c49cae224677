"""Convolution over one or two spatial axes, channels last."""

import math
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxnotes import _checks
from jaxnotes._checks import count, counts, entries, floats, function
from jaxnotes.layers._patches import with_derivatives_by_patches
from jaxnotes.layers._windows import padded, per_axis, spatial
from jaxnotes.layers.initializers import Initializer, he_normal

_DIMENSIONS = {1: ("NHC", "HIO", "NHC"), 2: ("NHWC", "HWIO", "NHWC")}


def convolution_init(
    key: Key[Array, ""],
    n_in: int,
    n_out: int,
    kernel_size: Sequence[int],
    *,
    initializer: Initializer = he_normal,
    dtype=jnp.float32,
) -> dict[str, Array]:
    """Parameters of a convolution.

    Args:
      key: random key.
      n_in: input channels.
      n_out: output channels.
      kernel_size: one or two sizes, one per spatial axis.
      initializer: draws [inputs, n_out], where inputs = n_in times the kernel's cells is the fan-in of an output.
      dtype: of both parameters.

    Returns:
      {"weight": [*kernel_size, n_in, n_out], "bias": [n_out]}, the bias 0.

    Raises:
      TypeError: no random key, size, function or dtype where one is meant.
      ValueError: neither one nor two spatial axes, a size below 1, or an initializer that draws another shape.
    """
    _checks.key("key", key)
    n_in, n_out = count("n_in", n_in), count("n_out", n_out)
    kernel = counts("kernel_size", kernel_size)
    if len(kernel) not in _DIMENSIONS:
        raise ValueError(f"kernel_size is {kernel}; give one or two sizes, each at least 1, such as (3, 3)")
    function("initializer", initializer)
    _checks.dtype("dtype", dtype)
    fan_in = math.prod(kernel) * n_in
    drawn = initializer(key, fan_in, n_out, dtype)
    weight = floats("what initializer draws", drawn, "inputs n_out", inputs=fan_in, n_out=n_out)
    return {"weight": weight.reshape(*kernel, n_in, n_out), "bias": jnp.zeros((n_out,), dtype)}


def convolution(
    params: dict[str, Array], x: Float[Array, "batch *spatial n_in"], *, stride: int | Sequence[int] = 1, padding: str = "SAME"
) -> Float[Array, "batch *windows n_out"]:
    """Cross-correlation of x with the kernel, plus the bias: what deep learning calls convolution.

    Equals `flax.linen.Conv`. Reverse and forward derivatives of any order work.

    Args:
      params: {"weight": [*kernel, n_in, n_out], "bias": [n_out]}.
      x: [batch, length, n_in] or [batch, height, width, n_in].
      stride: step between windows, one for all axes or one each.
      padding: SAME (zeros), VALID (none), CIRCULAR (wraps around) or REFLECT.

    Returns:
      [batch, *windows, n_out].

    Raises:
      TypeError: x or a parameter is not of a floating type, or the stride no integer.
      ValueError: shapes that do not fit, an unknown padding, or a stride below 1.
    """
    x, axes = spatial(x)
    weight, bias = entries("params", params, "weight", "bias")
    weight = floats("weight", weight, "... n_in n_out")
    bias = floats("bias", bias, "n_out", n_out=weight.shape[-1])
    if weight.ndim != x.ndim or axes not in _DIMENSIONS or x.shape[-1] != weight.shape[-2] or 0 in weight.shape[:-2]:
        raise ValueError(
            f"x has shape {x.shape} and the weight {weight.shape}; they must be [batch, *spatial, n_in] and "
            "[*kernel, n_in, n_out] with one or two spatial axes"
        )
    stride = per_axis(stride, axes, "stride")
    y = _valid(padded(x, weight.shape[:-2], stride, padding), weight, stride)
    return y + bias.reshape((1,) * (axes + 1) + bias.shape)


@partial(jax.jit, static_argnames="stride")  # so that a call outside of jit is compiled once
def _valid(x: Array, weight: Array, stride: tuple[int, ...]) -> Array:
    """The convolution of x, already padded, with derivatives in the form that is fastest on the platform that runs it."""
    return jax.lax.platform_dependent(x, weight, cpu=partial(_for_cpus, stride), default=partial(_convolve, stride))


def _convolve(stride: tuple[int, ...], x: Array, weight: Array) -> Array:
    return jax.lax.conv_general_dilated(x, weight, stride, "VALID", dimension_numbers=_DIMENSIONS[len(stride)])


_for_cpus = with_derivatives_by_patches(_convolve)
