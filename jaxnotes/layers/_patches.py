"""Derivatives of a convolution as products of gathered patches with a matrix."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jax.custom_derivatives import SymbolicZero

from jaxnotes.layers._windows import cells
from jaxnotes.layers.linear import rows_times


def with_derivatives_by_patches(convolve: Callable[[tuple[int, ...], Array, Array], Array]) -> Callable:
    """Returns the same function, whose derivatives are products of matrices.

    XLA's own derivatives of a convolution are convolutions, that by the weight with a kernel as large as the image, which its
    CPU backend runs several times slower.

    Args:
      convolve: (stride, x [batch, *padded, n_in], weight [*kernel, n_in, n_out]) -> [batch, *windows, n_out].
    """
    patched = jax.custom_jvp(convolve, nondiff_argnums=(0,))
    patched.defjvp(_differential, symbolic_zeros=True)
    return patched


def _differential(stride: tuple[int, ...], primals, tangents) -> tuple[Array, Array]:
    """Value and change. The convolution is linear in each argument; the gradients are the products' transposes."""
    (x, weight), (x_change, weight_change) = primals, tangents
    kernel, patches = weight.shape[:-2], _patches(x, weight.shape[:-2], stride)
    y, change = _times(patches, weight), None
    if not isinstance(x_change, SymbolicZero):
        change = _times(_patches(x_change, kernel, stride), weight)
    if not isinstance(weight_change, SymbolicZero):
        by_weight = _times(patches, weight_change)
        change = by_weight if change is None else change + by_weight
    return y, jnp.zeros_like(y) if change is None else change


def _times(patches: Array, weight: Array) -> Array:
    return rows_times(patches, weight.reshape(-1, weight.shape[-1]))


def _patches(x: Array, kernel: tuple[int, ...], stride: tuple[int, ...]) -> Array:
    """Returns [batch, *windows, cells * n_in] what each window sees."""
    return jnp.concatenate(list(cells(x, kernel, stride)), axis=-1)
