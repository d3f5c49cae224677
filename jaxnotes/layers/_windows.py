"""Sliding windows over the spatial axes of channels-last arrays: their shape, their padding and their cells."""

import itertools
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnotes._checks import choice, count, counts, floats

# What fills the cells outside of the array; VALID has none.
MODES = {"VALID": None, "SAME": "constant", "CIRCULAR": "wrap", "REFLECT": "reflect"}


def per_axis(value: int | Sequence[int], axes: int, name: str) -> tuple[int, ...]:
    """Returns a size for each spatial axis, from one for all or one each.

    Raises:
      TypeError: no integers.
      ValueError: not one or `axes` numbers, or one below 1.
    """
    # The message on a size below 1 is the one below.
    values = counts(name, value, None) if isinstance(value, Sequence) else (count(name, value, None),) * axes
    if len(values) != axes or min(values, default=1) < 1:
        raise ValueError(f"{name} is {value} over {axes} spatial axes; give one size or {axes}, each at least 1")
    return values


def spatial(x: Array) -> tuple[Array, int]:
    """Returns x and the number of its spatial axes, those between batch and channels.

    Raises:
      TypeError: x is not of a floating type.
      ValueError: x has no spatial axis, or an empty one.
    """
    x = floats("x", x)
    if x.ndim < 3 or 0 in x.shape[1:-1]:
        raise ValueError(f"x has shape {x.shape}; it must be [batch, *spatial, channels] with no empty spatial axis")
    return x, x.ndim - 2


def amounts(sizes: Sequence[int], window: Sequence[int], stride: Sequence[int], padding: str) -> list[tuple[int, int]]:
    """Cells that `padding` adds before and after each axis.

    SAME gives ceil(size / stride) windows and puts an odd cell at the end, as XLA does; CIRCULAR and REFLECT add
    (window - 1) // 2 before and window // 2 after, as Flax does.

    Raises:
      ValueError: an unknown padding, or windows that do not fit.
    """
    choice("padding", padding, MODES)
    if padding == "VALID":
        if any(w > n for w, n in zip(window, sizes, strict=True)):
            raise ValueError(f"a window of {tuple(window)} does not fit into {tuple(sizes)}; take padding='SAME' or a smaller")
        return [(0, 0)] * len(window)
    if padding == "SAME":
        totals = [max((-(-n // s) - 1) * s + w - n, 0) for n, w, s in zip(sizes, window, stride, strict=True)]
        return [(total // 2, total - total // 2) for total in totals]
    if padding == "REFLECT" and any(w // 2 >= n for w, n in zip(window, sizes, strict=True)):
        raise ValueError(f"{tuple(sizes)} is too small to be reflected into windows of {tuple(window)}; use padding='SAME'")
    return [((w - 1) // 2, w // 2) for w in window]


def padded(
    x: Float[Array, "batch *spatial channels"], window: Sequence[int], stride: Sequence[int], padding: str, fill: float = 0.0
) -> Float[Array, "batch *padded channels"]:
    """x with its spatial axes padded for these windows; SAME fills with `fill`."""
    pads = [(0, 0), *amounts(x.shape[1:-1], window, stride, padding), (0, 0)]
    mode = MODES[padding]
    if mode is None or not any(map(any, pads)):
        return x
    options = {"constant_values": jnp.asarray(fill, x.dtype)} if mode == "constant" else {}
    return jnp.pad(x, pads, mode=mode, **options)


def cells(x: Float[Array, "batch *spatial channels"], window: Sequence[int], stride: Sequence[int]) -> Iterator[Array]:
    """For each cell of the window, in row-major order, the array [batch, *windows, channels] of what it sees."""
    windows = [(n - w) // s + 1 for n, w, s in zip(x.shape[1:-1], window, stride, strict=True)]
    for start in itertools.product(*map(range, window)):
        stop = [i + (n - 1) * s + 1 for i, n, s in zip(start, windows, stride, strict=True)]
        yield jax.lax.slice(x, (0, *start, 0), (x.shape[0], *stop, x.shape[-1]), (1, *stride, 1))
