"""A small convolutional classifier: blocks of convolution, activation and pooling, then a head."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxnotes import _checks
from jaxnotes._checks import choice, count, counts, entries, function, kept
from jaxnotes.layers.activations import Activation
from jaxnotes.layers.convolution import convolution, convolution_init
from jaxnotes.layers.initializers import Initializer, he_normal
from jaxnotes.layers.linear import linear, linear_init
from jaxnotes.layers.pooling import (
    average_pool,
    blur_pool,
    global_average_pool,
    global_max_pool,
    max_blur_pool,
    max_pool,
    polyphase_pool,
)

# Each halves the map, but for `none`; `stride` lets the convolution do it.
POOLS: Mapping[str, Callable[[Array], Array]] = MappingProxyType(
    {
        "max": partial(max_pool, window=2, padding="SAME"),
        "average": partial(average_pool, window=2, padding="SAME"),
        "blur": partial(blur_pool, stride=2),
        "max-blur": partial(max_blur_pool, window=2),
        "polyphase": partial(polyphase_pool, window=2),
        "stride": lambda x: x,
        "none": lambda x: x,
    }
)
HEADS: Mapping[str, Callable[[Array], Array]] = MappingProxyType(
    {
        "flatten": lambda x: x.reshape(x.shape[0], -1),
        "average": global_average_pool,
        "max": global_max_pool,
    }
)


def convolutional_init(
    key: Key[Array, ""],
    image_shape: Sequence[int],
    channels: Sequence[int],
    n_out: int,
    *,
    kernel_size: int = 3,
    pool: str,
    head: str,
    initializer: Initializer = he_normal,
    dtype=jnp.float32,
) -> dict:
    """Parameters {"blocks": one dictionary per block, "output"} of a classifier.

    Args:
      key: random key.
      image_shape: (height, width, channels), or (length, channels).
      channels: output channels of each block.
      n_out: classes.
      kernel_size: along each axis.
      pool: of every block, one of POOLS.
      head: one of HEADS: `flatten` keeps every position, `average` and `max` keep one value per channel.
      initializer: of the convolutions; the output layer takes LeCun's.
      dtype: of all parameters.

    Raises:
      TypeError: no random key, size, function or dtype where one is meant.
      ValueError: an unknown pool or head, no block, a size below 1, or neither one nor two spatial axes.
    """
    _checks.key("key", key)
    image_shape, channels = counts("image_shape", image_shape), counts("channels", channels)
    if len(image_shape) not in (2, 3):
        raise ValueError(f"image_shape is {image_shape}; it must be (height, width, channels) or (length, channels)")
    if not channels:
        raise ValueError("channels is empty; give the output channels of at least one block, such as (8, 16)")
    count("n_out", n_out)
    kernel = (count("kernel_size", kernel_size),) * (len(image_shape) - 1)
    *key_blocks, key_output = jax.random.split(key, len(channels) + 1)
    sizes = zip(key_blocks, (image_shape[-1], *channels), channels, strict=False)
    blocks = [convolution_init(k, n_in, n, kernel, initializer=initializer, dtype=dtype) for k, n_in, n in sizes]
    image = jax.ShapeDtypeStruct((1, *image_shape), dtype)
    seen = partial(features, activation=lambda h: h, pool=pool, head=head)
    n_features = jax.eval_shape(seen, blocks, image).shape[-1]
    return {"blocks": blocks, "output": linear_init(key_output, n_features, n_out, dtype=dtype)}


def block(
    params: dict[str, Array],
    x: Float[Array, "batch *spatial n_in"],
    *,
    activation: Activation,
    pool: str,
    padding: str = "SAME",
) -> Float[Array, "batch *pooled n_out"]:
    """One block: pool(activation(convolution(x))).

    Raises:
      TypeError: x or a parameter is not of a floating type, or activation is no function.
      ValueError: shapes that do not fit, an unknown pool or padding, or an activation that changes the shape.
    """
    choice("pool", pool, POOLS)
    function("activation", activation)
    maps = convolution(params, x, stride=2 if pool == "stride" else 1, padding=padding)
    return POOLS[pool](kept("activation", maps, activation(maps)))


def features(
    blocks: Sequence[dict[str, Array]],
    x: Float[Array, "batch *spatial n_in"],
    *,
    activation: Activation,
    pool: str,
    head: str,
    padding: str = "SAME",
) -> Float[Array, "batch features"]:
    """What the output layer reads: all blocks, then the head.

    Raises:
      TypeError: x or a parameter is not of a floating type, blocks is no sequence, or activation no function.
      ValueError: shapes that do not fit, no block, an unknown pool, head or padding, or an activation that changes the shape.
    """
    choice("head", head, HEADS)
    if not isinstance(blocks, Sequence) or not blocks:
        raise TypeError(f"blocks is of type {type(blocks).__name__}; it must be a list of at least one block's parameters")
    for params in blocks:  # blocks differ in shape, so that they cannot be stacked for a scan
        x = block(params, x, activation=activation, pool=pool, padding=padding)
    return HEADS[head](x)


def convolutional(
    params: dict,
    x: Float[Array, "batch *spatial n_in"],
    *,
    activation: Activation,
    pool: str,
    head: str,
    padding: str = "SAME",
) -> Float[Array, "batch n_out"]:
    """Returns the output of the classifier, before any softmax.

    Args:
      params: from `convolutional_init` with the same pool and head.
      x: [batch, *spatial, channels].
      activation: after every convolution.
      pool: of every block, one of POOLS.
      head: one of HEADS.
      padding: of the convolutions.

    Raises:
      TypeError: x or a parameter is not of a floating type, or activation is no function.
      ValueError: shapes that do not fit, an unknown pool, head or padding, or an activation that changes the shape.
    """
    blocks, output = entries("params", params, "blocks", "output")
    seen = features(blocks, x, activation=activation, pool=pool, head=head, padding=padding)
    return linear(output, seen)
