"""Transformers: a sequence classifier and a causal character model over the same stack of blocks."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from jaxnotes import _checks
from jaxnotes._checks import count, entries, flag, floats, function, integers, kept, stacked
from jaxnotes.layers.attention import Normalise, transformer_block, transformer_block_init
from jaxnotes.layers.linear import linear, linear_init
from jaxnotes.layers.normalization import layer_norm, norm_init

POSITION_DEVIATION = 0.02  # standard deviation of learned positions at initialisation (Radford et al. 2018)


def transformer_init(
    key: Key[Array, ""],
    n_in: int,
    width: int,
    depth: int,
    n_out: int,
    *,
    time: int,
    hidden: int | None = None,
    dtype=jnp.float32,
) -> dict[str, Any]:
    """Parameters of either model; for the character model n_in and n_out are the number of characters.

    Args:
      key: random key.
      n_in: features of every position, or characters.
      width: features inside the blocks.
      depth: blocks.
      n_out: classes, or characters.
      time: longest sequence; a learned position for each.
      hidden: units of the feed-forward parts; 4 width where None.
      dtype: of all parameters.

    Returns:
      {"input": a linear layer (the character model reads its rows), "positions": [time, width], "blocks": stacked on axis 0,
      "norm": of the last block's output in a pre-norm stack, "output": a linear layer}.

    Raises:
      TypeError: no random key, size or dtype where one is meant.
      ValueError: a size below 1.
    """
    _checks.key("key", key)
    sizes = {"n_in": n_in, "width": width, "depth": depth, "n_out": n_out, "time": time}
    for name, size in (sizes if hidden is None else sizes | {"hidden": hidden}).items():
        count(name, size)
    _checks.dtype("dtype", dtype)
    key_input, key_positions, key_blocks, key_output = jax.random.split(key, 4)
    hidden = 4 * width if hidden is None else hidden
    blocks = jax.vmap(lambda key_block: transformer_block_init(key_block, width, hidden, dtype=dtype))(
        jax.random.split(key_blocks, depth)
    )
    deviation = jnp.asarray(POSITION_DEVIATION, dtype)
    return {
        "input": linear_init(key_input, n_in, width, dtype=dtype),
        "positions": deviation * jax.random.normal(key_positions, (time, width), dtype),
        "blocks": blocks,
        "norm": norm_init(width, dtype),
        "output": linear_init(key_output, width, n_out, dtype=dtype),
    }


def transformer_classifier(
    params: dict[str, Any], x: Float[Array, "batch time n_in"], *, heads: int, pre_norm: bool, normalise: Normalise = layer_norm
) -> Float[Array, "batch n_out"]:
    """Returns the logits, before any softmax, from the mean over positions of the last block's output.

    Args:
      params: of `transformer_init`.
      x: sequences no longer than the learned positions.
      heads: attention heads of every block.
      pre_norm: see `transformer_block`.
      normalise: `({"scale", "shift"}, [time, width]) -> [time, width]`. The examples are vmapped with axis name "batch", by
        which a normalisation across them can sum.

    Raises:
      TypeError: x or a parameter is not of a floating type, heads no integer, pre_norm not True or False, or normalise no
        function.
      ValueError: heads does not divide the width, x is not of n_in features, its time is 0 or beyond the positions, or
        parameters that do not fit.
    """
    flag("pre_norm", pre_norm)
    into, output = entries("params", params, "input", "output")
    x = floats("x", x, "batch time n_in")
    _check_time(params, x.shape[1])
    run = partial(_blocks, params, heads=heads, causal=False, pre_norm=pre_norm, normalise=normalise)
    return linear(output, jax.vmap(run, axis_name="batch")(linear(into, x)).mean(axis=1))


def character_model(
    params: dict[str, Any],
    characters: Int[Array, "batch time"],
    *,
    heads: int,
    pre_norm: bool,
    normalise: Normalise = layer_norm,
) -> Float[Array, "batch time n_out"]:
    """Returns the logits of the next character at every position, from this and earlier characters alone.

    A character's features are its row of the input weights, plus the bias; arguments as of `transformer_classifier`.

    Raises:
      TypeError: the characters are not integers, a parameter not of a floating type, heads no integer, pre_norm not True or
        False, or normalise no function.
      ValueError: heads does not divide the width, the time is 0 or beyond the positions, or parameters that do not fit. A
        character outside the alphabet makes its example NaN, since a traced value cannot raise.
    """
    flag("pre_norm", pre_norm)
    into, output = entries("params", params, "input", "output")
    table, bias = entries("params['input']", into, "weight", "bias")
    table = floats("weight", table, "characters width")
    bias = floats("bias", bias, "width", width=table.shape[1])
    characters = integers("characters", characters, "batch time")
    _check_time(params, characters.shape[1])
    known = (characters >= 0) & (characters < table.shape[0])
    rows = jnp.where(known[..., None], table[jnp.where(known, characters, 0)], jnp.nan)
    run = partial(_blocks, params, heads=heads, causal=True, pre_norm=pre_norm, normalise=normalise)
    return linear(output, jax.vmap(run, axis_name="batch")(rows + bias[None, None]))


def _blocks(params: dict[str, Any], h: Array, *, pre_norm: bool, normalise: Normalise, **options: Any) -> Array:
    """One example through positions and blocks; the last normalisation is the pre-norm stack's (Xiong et al. 2020)."""
    (blocks,) = entries("params", params, "blocks")
    stacked("params['blocks']", blocks, "blocks")
    function("normalise", normalise)
    block = partial(transformer_block, pre_norm=pre_norm, normalise=normalise, **options)
    h = h + floats("positions", params["positions"], "time width", width=h.shape[1])[: h.shape[0]]
    h, _ = jax.lax.scan(lambda h, block_params: (block(block_params, h), None), h, blocks)
    return kept("normalise", h, normalise(entries("params", params, "norm")[0], h)) if pre_norm else h


def _check_time(params: dict[str, Any], time: int) -> None:
    longest = floats("positions", entries("params", params, "positions")[0], "time width").shape[0]
    if not 1 <= time <= longest:
        raise ValueError(f"the sequences have {time} positions; the model takes 1 to {longest}")
