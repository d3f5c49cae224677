"""Convolution over one or two spatial axes, channels last, with a derivative that is fast on CPUs."""

import math
from collections.abc import Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax.custom_derivatives import SymbolicZero
from jaxtyping import Array, Float, Key

from jaxnotes.layers._windows import cells, padded, per_axis, spatial_axes
from jaxnotes.layers.initializers import Initializer, he_normal
from jaxnotes.layers.linear import rows_times

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
      kernel_size: one or two sizes, one a spatial axis.
      initializer: draws [inputs, n_out], where inputs = n_in times the kernel's cells is the fan-in of an output.
      dtype: of both parameters.

    Returns:
      {"weight": [*kernel_size, n_in, n_out], "bias": [n_out]}, the bias 0.

    Raises:
      ValueError: neither one nor two spatial axes, or a size below 1.
    """
    kernel = tuple(kernel_size)
    if len(kernel) not in _DIMENSIONS or min(kernel) < 1:
        raise ValueError(f"kernel_size is {kernel}; give one or two sizes, each at least 1, such as (3, 3)")
    weight = initializer(key, math.prod(kernel) * n_in, n_out, dtype)
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
      TypeError: x is not of a floating type.
      ValueError: shapes that do not fit, an unknown padding, or a stride below 1.
    """
    weight, bias = params["weight"], params["bias"]
    axes = spatial_axes(x)
    if weight.ndim != x.ndim or axes not in _DIMENSIONS or x.shape[-1] != weight.shape[-2]:
        raise ValueError(
            f"x has shape {x.shape} and the weight {weight.shape}; they must be [batch, *spatial, n_in] and "
            "[*kernel, n_in, n_out] with one or two spatial axes"
        )
    stride = per_axis(stride, axes, "stride")
    y = _valid(padded(x, weight.shape[:-2], stride, padding), weight, stride)
    return y + bias.reshape((1,) * (axes + 1) + bias.shape)


def _valid(x: Array, weight: Array, stride: tuple[int, ...]) -> Array:
    """The convolution of x, already padded, in the form that is fastest; both are equal in value."""
    return _by_patches(stride, x, weight) if jax.default_backend() == "cpu" else _by_xla(x, weight, stride)


def _by_xla(x: Array, weight: Array, stride: tuple[int, ...]) -> Array:
    return jax.lax.conv_general_dilated(x, weight, stride, "VALID", dimension_numbers=_DIMENSIONS[len(stride)])


@partial(jax.custom_jvp, nondiff_argnums=(0,))
def _by_patches(stride: tuple[int, ...], x: Array, weight: Array) -> Array:
    """XLA's convolution where no derivative is taken."""
    return _by_xla(x, weight, stride)


def _differential(stride: tuple[int, ...], primals, tangents) -> tuple[Array, Array]:
    """The convolution is linear in each argument; value and both changes are products of gathered patches with a matrix.

    The gradients are their transposes, which are products too. XLA's own are convolutions, that of the weight with a kernel
    as large as the image, which its CPU backend runs several times slower.
    """
    (x, weight), (x_change, weight_change) = primals, tangents
    kernel, patches = weight.shape[:-2], _patches(x, weight.shape[:-2], stride)
    y, change = _times(patches, weight), None
    if not isinstance(x_change, SymbolicZero):
        change = _times(_patches(x_change, kernel, stride), weight)
    if not isinstance(weight_change, SymbolicZero):
        of_weight = _times(patches, weight_change)
        change = of_weight if change is None else change + of_weight
    return y, jnp.zeros_like(y) if change is None else change


def _times(patches: Array, weight: Array) -> Array:
    return rows_times(patches, weight.reshape(-1, weight.shape[-1]))


def _patches(x: Array, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Array:
    """[batch, *windows, cells * n_in] what each window sees."""
    return jnp.concatenate(list(cells(x, kernel, stride)), axis=-1)


_by_patches.defjvp(_differential, symbolic_zeros=True)
