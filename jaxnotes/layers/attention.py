"""Attention: scaled dot products, multi-head self-attention and the Transformer block, each for one example."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from jaxnotes import _checks
from jaxnotes._checks import booleans, count, entries, flag, floats, function, kept
from jaxnotes.layers.activations import Activation, gelu
from jaxnotes.layers.initializers import Initializer, lecun_normal
from jaxnotes.layers.linear import linear, linear_init
from jaxnotes.layers.normalization import layer_norm, norm_init

Normalise = Callable[[dict[str, Array], Array], Array]  # ({"scale", "shift"}, [time, width]) -> [time, width]


def dot_product_attention(
    query: Float[Array, "time heads features"],
    key: Float[Array, "source heads features"],
    value: Float[Array, "source heads outputs"],
    *,
    causal: bool,
    known: Bool[Array, "source"] | None = None,
) -> Float[Array, "time heads outputs"]:
    """softmax(q kᵀ / √features) v in every head (Vaswani et al. 2017, equation 1).

    The softmax is taken in float32 where the inputs are of a 16-bit type. Scores beyond 3.4e38 give NaN.

    Args:
      query: what each position looks for.
      key: what each position of the source offers to be found by.
      value: what it passes on.
      causal: position t sees positions 0 … t only; needs as many queries as keys.
      known: which positions of the source are there; the others only fill an example up and are not attended to. A query that
        sees none of them gives NaN.

    Raises:
      TypeError: query, key or value are not of a floating type, known is not boolean, or causal is not True or False.
      ValueError: shapes that do not fit, no features, causal with unequal numbers of queries and keys, or no key to attend to.
    """
    flag("causal", causal)
    query = floats("query", query, "time heads features")
    _, heads, features = query.shape
    key = floats("key", key, "source heads features", heads=heads, features=features)
    value = floats("value", value, "source heads outputs", source=key.shape[0], heads=heads)
    if known is not None:
        known = booleans("known", known, "source", source=key.shape[0])
    if causal and query.shape[0] != key.shape[0]:
        raise ValueError(f"causal attention has {query.shape[0]} queries and {key.shape[0]} keys; it needs as many of each")
    if key.shape[0] == 0:
        raise ValueError("there are 0 keys; attention needs at least 1 position to attend to")
    if features == 0:
        raise ValueError("query has 0 features; attention needs at least 1 to compare by")
    wide = query.dtype if query.dtype.itemsize >= 4 else jnp.float32
    scores = query.shape[-1] ** -0.5 * jnp.einsum("thf,shf->hts", query, key, preferred_element_type=wide)
    if causal:
        seen = jnp.tril(jnp.ones(scores.shape[1:], bool))
        scores = jnp.where(seen[None], scores, -jnp.inf)
    if known is not None:
        scores = jnp.where(known[None, None], scores, -jnp.inf)
    weights = jax.nn.softmax(scores, axis=-1).astype(value.dtype)
    return jnp.einsum("hts,shf->thf", weights, value)


def self_attention_init(
    key: Key[Array, ""], width: int, *, initializer: Initializer = lecun_normal, dtype=jnp.float32
) -> dict[str, dict[str, Array]]:
    """Parameters {"query", "key", "value", "output"}, each a linear layer of [width, width].

    The heads lie side by side in the columns of the first three and in the rows of the last.

    Raises:
      TypeError: no random key, size, function or dtype where one is meant.
      ValueError: width below 1.
    """
    count("width", width)
    _checks.key("key", key)
    names = ("query", "key", "value", "output")
    keys = jax.random.split(key, len(names))
    layers = jax.vmap(lambda key_one: linear_init(key_one, width, width, initializer=initializer, dtype=dtype))(keys)
    return {name: jax.tree.map(lambda p, i=i: p[i], layers) for i, name in enumerate(names)}


def self_attention(
    params: dict[str, dict[str, Array]],
    x: Float[Array, "time width"],
    *,
    heads: int,
    causal: bool,
    known: Bool[Array, "time"] | None = None,
) -> Float[Array, "time width"]:
    """Multi-head self-attention (Vaswani et al. 2017, section 3.2.2).

    Args:
      params: of `self_attention_init`.
      x: one example.
      heads: number of heads; each has width / heads features.
      causal: position t sees positions 0 … t only.
      known: see `dot_product_attention`.

    Raises:
      TypeError: x is not of a floating type, known not boolean, heads no integer, or causal not True or False.
      ValueError: heads does not divide the width, shapes that do not fit, or there is no position.
    """
    query_params = entries("params", params, "query", "key", "value", "output")[0]
    width = floats("weight", entries("params['query']", query_params, "weight")[0], "width width_out").shape[0]
    x = floats("x", x, "time width", width=width)
    if count("heads", heads, None) < 1 or width % heads:
        raise ValueError(f"heads is {heads}; it must divide the width, which is {width}")
    split = (x.shape[0], heads, width // heads)
    query, key, value = (kept(name, x, linear(params[name], x)).reshape(split) for name in ("query", "key", "value"))
    attended = dot_product_attention(query, key, value, causal=causal, known=known)
    return linear(params["output"], attended.reshape(x.shape[0], width))


def transformer_block_init(
    key: Key[Array, ""], width: int, hidden: int, *, initializer: Initializer = lecun_normal, dtype=jnp.float32
) -> dict[str, Any]:
    """Parameters of a Transformer block.

    Args:
      key: random key.
      width: features of every position.
      hidden: units of the feed-forward part; 4 width is usual.
      initializer: of all weights.
      dtype: of all parameters.

    Returns:
      {"attention": of `self_attention_init`, "hidden" and "output": linear layers of the feed-forward part,
      "attention_norm" and "feed_forward_norm": of `norm_init`}.

    Raises:
      TypeError: no random key, size, function or dtype where one is meant.
      ValueError: a size below 1.
    """
    _checks.key("key", key)
    width, hidden = count("width", width), count("hidden", hidden)
    key_attention, key_hidden, key_output = jax.random.split(key, 3)
    options = {"initializer": initializer, "dtype": dtype}
    return {
        "attention": self_attention_init(key_attention, width, **options),
        "hidden": linear_init(key_hidden, width, hidden, **options),
        "output": linear_init(key_output, hidden, width, **options),
        "attention_norm": norm_init(width, dtype),
        "feed_forward_norm": norm_init(width, dtype),
    }


def transformer_block(
    params: dict[str, Any],
    x: Float[Array, "time width"],
    *,
    heads: int,
    causal: bool,
    pre_norm: bool,
    normalise: Normalise = layer_norm,
    activation: Activation = gelu,
    known: Bool[Array, "time"] | None = None,
) -> Float[Array, "time width"]:
    """Self-attention, then a feed-forward part at every position, each inside a residual connection.

    Args:
      params: of `transformer_block_init`.
      x: one example.
      heads: attention heads.
      causal: position t sees positions 0 … t only.
      pre_norm: normalise each branch's input, x + F(norm(x)) (Xiong et al. 2020); else the sum, norm(x + F(x)) (Vaswani et al.
        2017).
      normalise: `({"scale", "shift"}, [time, width]) -> [time, width]`; layer normalisation unless another is given.
      activation: of the feed-forward part.
      known: which positions are there; the others only fill an example up, and no position attends to them.

    Raises:
      TypeError: x is not of a floating type, known not boolean, heads no integer, causal or pre_norm not True or False, or
        normalise or activation no function.
      ValueError: heads does not divide the width, shapes that do not fit, or a normalise or activation that changes the shape.
    """
    entries("params", params, "attention", "hidden", "output", "attention_norm", "feed_forward_norm")
    flag("pre_norm", pre_norm)
    function("normalise", normalise)
    function("activation", activation)
    x = floats("x", x, "time width")

    def attend(h: Array) -> Array:
        return self_attention(params["attention"], h, heads=heads, causal=causal, known=known)

    def feed_forward(h: Array) -> Array:
        hidden = linear(params["hidden"], h)
        return kept("the feed-forward part", h, linear(params["output"], kept("activation", hidden, activation(hidden))))

    for branch, name in ((attend, "attention_norm"), (feed_forward, "feed_forward_norm")):
        norm = lambda h, params=params[name]: kept("normalise", h, normalise(params, h))
        x = x + branch(norm(x)) if pre_norm else norm(x + branch(x))
    return x
