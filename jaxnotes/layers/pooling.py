"""Pooling, channels last: maximum, mean, global, anti-aliased by a blur, and the kind that moves along exactly."""

import functools
import itertools
import math
import operator
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from jaxnotes._checks import count, flag
from jaxnotes.layers._windows import cells, padded, per_axis, spatial

Size = int | Sequence[int]


def max_pool(
    x: Float[Array, "batch *spatial channels"], window: Size, *, stride: Size | None = None, padding: str = "VALID"
) -> Float[Array, "batch *windows channels"]:
    """Largest value of each window; its gradient goes to the first cell that holds it. A NaN in the window is passed on.

    Args:
      x: [batch, *spatial, channels], any number of spatial axes.
      window: size of a window, one for all axes or one each.
      stride: step between windows; the window's size where None.
      padding: VALID, SAME (cells of -inf, never the maximum), CIRCULAR or REFLECT.

    Raises:
      TypeError: x is not of a floating type.
      ValueError: shapes that do not fit, an unknown padding, or a size below 1.

    Example:
      >>> x = jnp.arange(16.0).reshape(1, 4, 4, 1)
      >>> max_pool(x, 2)[0, :, :, 0].tolist()
      [[5.0, 7.0], [13.0, 15.0]]
    """
    x, window, stride = _sizes(x, window, stride)
    seen = cells(padded(x, window, stride, padding, -jnp.inf), window, stride)
    largest = next(seen)
    for cell in seen:
        # jnp.maximum would halve the gradient between equal cells.
        largest = jnp.where((cell > largest) | jnp.isnan(cell), cell, largest)
    return largest


def average_pool(
    x: Float[Array, "batch *spatial channels"],
    window: Size,
    *,
    stride: Size | None = None,
    padding: str = "VALID",
    count_padding: bool = False,
) -> Float[Array, "batch *windows channels"]:
    """Returns the mean of each window.

    [1, 2] with window 2, stride 1 and SAME gives [1.5, 2] without the padded cells and [1.5, 1] with them.

    Args:
      x: [batch, *spatial, channels], any number of spatial axes.
      window: size of a window, one for all axes or one each.
      stride: step between windows; the window's size where None.
      padding: VALID, SAME (zeros), CIRCULAR or REFLECT.
      count_padding: whether SAME's zeros count in the mean, as they do by default in Flax and PyTorch; where False a
        window's sum is divided by the number of its cells inside x, as in TensorFlow.

    Raises:
      TypeError: x is not of a floating type.
      ValueError: shapes that do not fit, an unknown padding, or a size below 1.

    Example:
      >>> x = jnp.asarray([1.0, 2.0]).reshape(1, 2, 1)
      >>> average_pool(x, 2, stride=1, padding="SAME", count_padding=True).ravel().tolist()
      [1.5, 1.0]
      >>> average_pool(x, 2, stride=1, padding="SAME", count_padding=False).ravel().tolist()
      [1.5, 2.0]
    """
    x, window, stride = _sizes(x, window, stride)
    flag("count_padding", count_padding)
    total = functools.reduce(operator.add, cells(padded(x, window, stride, padding), window, stride))
    if padding != "SAME" or count_padding:
        return total / math.prod(window)
    inside = padded(jnp.ones((1, *x.shape[1:-1], 1), x.dtype), window, stride, padding)
    counts = functools.reduce(operator.add, cells(inside, window, stride))
    return total / jnp.broadcast_to(counts, total.shape)


def global_max_pool(x: Float[Array, "batch *spatial channels"]) -> Float[Array, "batch channels"]:
    """Returns the largest value of each channel; the gradient is shared by the cells that hold it.

    Raises:
      TypeError: x is not of a floating type.
      ValueError: x has no spatial axis, or an empty one.
    """
    x, axes = spatial(x)
    return x.max(axis=tuple(range(1, 1 + axes)))


def global_average_pool(x: Float[Array, "batch *spatial channels"]) -> Float[Array, "batch channels"]:
    """Returns the mean of each channel (Lin, Chen and Yan 2014).

    Raises:
      TypeError: x is not of a floating type.
      ValueError: x has no spatial axis, or an empty one.
    """
    x, axes = spatial(x)
    return x.mean(axis=tuple(range(1, 1 + axes)))


def blur_pool(
    x: Float[Array, "batch *spatial channels"], *, stride: Size = 2, filter_size: int = 3, padding: str = "REFLECT"
) -> Float[Array, "batch *windows channels"]:
    """Blurs each channel with a binomial filter, then keeps every `stride`-th cell (Zhang 2019, "BlurPool").

    Args:
      x: [batch, *spatial, channels], any number of spatial axes.
      stride: step between the cells kept, one for all axes or one each.
      filter_size: cells of the filter along each axis: 2 is [1, 1] / 2, 3 is [1, 2, 1] / 4, 5 is [1, 4, 6, 4, 1] / 16.
      padding: REFLECT as in the paper's code, SAME (zeros), CIRCULAR or VALID.

    Raises:
      TypeError: x is not of a floating type.
      ValueError: shapes that do not fit, an unknown padding, or a size below 1.
    """
    x, axes = spatial(x)
    size = count("filter_size", filter_size)
    stride = per_axis(stride, axes, "stride")
    weights = np.asarray([math.comb(size - 1, i) for i in range(size)]) / 2.0 ** (size - 1)
    for axis in range(axes):  # the filter is a product: one axis after the other costs size * axes, not size ** axes
        window = tuple(size if a == axis else 1 for a in range(axes))
        step = tuple(stride[axis] if a == axis else 1 for a in range(axes))
        seen = cells(padded(x, window, step, padding), window, step)
        weighted = (jnp.asarray(weight, x.dtype) * cell for weight, cell in zip(weights, seen, strict=True))
        x = functools.reduce(operator.add, weighted)
    return x


def max_blur_pool(
    x: Float[Array, "batch *spatial channels"],
    window: Size,
    *,
    stride: Size | None = None,
    filter_size: int = 3,
    padding: str = "REFLECT",
) -> Float[Array, "batch *windows channels"]:
    """Anti-aliased max pooling: the maximum at every position, then `blur_pool` (Zhang 2019, "MaxBlurPool").

    Args:
      x: [batch, *spatial, channels], any number of spatial axes.
      window: size of the maximum's window, one for all axes or one each.
      stride: step between the cells kept; the window's size where None.
      filter_size: cells of the blur along each axis.
      padding: of both steps: REFLECT, SAME, CIRCULAR or VALID.

    Raises:
      TypeError: x is not of a floating type.
      ValueError: shapes that do not fit, an unknown padding, or a size below 1.
    """
    x, window, stride = _sizes(x, window, stride)
    return blur_pool(max_pool(x, window, stride=1, padding=padding), stride=stride, filter_size=filter_size, padding=padding)


def polyphase_pool(
    x: Float[Array, "batch *spatial channels"], window: Size, *, stride: Size | None = None
) -> Float[Array, "batch *windows channels"]:
    """Max pooling that moves along with its input exactly (Chaman and Dokmanić 2021, "adaptive polyphase sampling").

    The maximum is taken at every position, which wrap around. Of the stride ** axes ways to keep every `stride`-th of them
    each example takes the one whose values have the largest sum of squares: which cells these are moves along with the input,
    and so the output for a shifted input is the old one, shifted. A global pool behind it is invariant to every shift.

    Args:
      x: [batch, *spatial, channels], any number of spatial axes.
      window: size of the maximum's window, one for all axes or one each.
      stride: step between the cells kept; the window's size where None.

    Raises:
      TypeError: x is not of a floating type.
      ValueError: shapes that do not fit, or spatial axes that are no multiples of the stride.
    """
    x, window, stride = _sizes(x, window, stride)
    if any(n % step for n, step in zip(x.shape[1:-1], stride, strict=True)):
        raise ValueError(f"x has the spatial axes {x.shape[1:-1]}; they must be multiples of the stride {stride}")
    dense = max_pool(x, window, stride=1, padding="CIRCULAR")
    phases = []
    for start in itertools.product(*map(range, stride)):
        kept = tuple(slice(first, None, step) for first, step in zip(start, stride, strict=True))
        phases.append(dense[:, *kept])
    phases = jnp.stack(phases, 1)  # [batch, phases, *windows, channels]
    energy = jnp.sum(phases**2, axis=tuple(range(2, phases.ndim)))
    chosen = jnp.argmax(energy, axis=1).reshape(-1, *(1,) * (phases.ndim - 1))
    return jnp.take_along_axis(phases, chosen, axis=1)[:, 0]


def _sizes(x: Array, window: Size, stride: Size | None) -> tuple[Array, tuple[int, ...], tuple[int, ...]]:
    x, axes = spatial(x)
    window = per_axis(window, axes, "window")
    return x, window, window if stride is None else per_axis(stride, axes, "stride")
