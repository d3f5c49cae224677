"""Characters of news text, and two causal networks that predict the next one, whose normalisation is data.

The text is the Lee corpus (Lee, Pincombe and Welsh 2005): 300 news items of the Australian Broadcasting Corporation, 350,000
characters, inside the package gensim. Losses are nats per character.

A network is a pair `init(key, size) -> (params, running statistics)` and
`apply(norm, params, state, characters, counted, train) -> (logits, running statistics)`; characters: [batch, time] indices in
ALPHABET, or PADDING; counted: [batch, time], the positions of which batch normalisation takes its statistics.
"""

import re
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.study.tuning import adam
from jaxnotes import datasets
from jaxnotes.layers.activations import gelu, tanh
from jaxnotes.layers.attention import self_attention
from jaxnotes.layers.initializers import orthogonal
from jaxnotes.layers.linear import linear, linear_init
from jaxnotes.layers.normalization import EPSILON, MOMENTUM, batch_norm_state, layer_norm, norm_init
from jaxnotes.models.transformer import POSITION_DEVIATION, transformer_init

ALPHABET = " abcdefghijklmnopqrstuvwxyz0.,'-"  # every digit is a 0
PADDING = len(ALPHABET)
SYMBOLS = len(ALPHABET) + 1
NORMS = ("none", "batch", "layer")
HEADS = 4
HELD_OUT = 256  # windows on which a network is validated, and tested


class Text(NamedTuple):
    """Characters as indices in ALPHABET; no news item is in two of the parts."""

    train: Array
    validation: Array
    test: Array


class Size(NamedTuple):
    """A network, and how it is trained.

    Attributes:
      shortest: the sequences' lengths are drawn from here to `time`, and filled up to it; `time` where all are equal.
    """

    kind: str
    width: int
    blocks: int
    time: int
    shortest: int
    batch: int
    steps: int


class Reading(NamedTuple):
    """Losses of one training.

    Attributes:
      losses: [steps] of the training sequences.
      validation: in generation mode on the validation text.
      generation: in generation mode on the test text: each character is predicted from those before it alone, so that batch
        normalisation uses its running statistics. One pass over a window gives what one character at a time gives.
    """

    losses: Array
    validation: Array
    generation: Array
    longer: Array  # as generation, on sequences twice as long; the RNN's alone, since a Transformer has no such positions


def news() -> Text:
    """Returns the corpus, every tenth news item for validation and every tenth for the test.

    Raises:
      MissingPackageError: gensim is not installed.
    """
    path = datasets.package_folder("gensim") / "test" / "test_data" / "lee_background.cor"
    items = path.read_text("latin-1").lower().splitlines()
    codes = {character: code for code, character in enumerate(ALPHABET)}

    def part(chosen: list[str]) -> Array:
        cleaned = re.sub(f"[^{re.escape(ALPHABET)}]+", " ", re.sub(r"\d", "0", " ".join(chosen)))
        return jnp.asarray([codes[character] for character in re.sub(" +", " ", cleaned)], jnp.int32)

    train = [item for i, item in enumerate(items) if i % 10 > 1]
    return Text(part(train), part(items[0::10]), part(items[1::10]))


def windows(text: Array, starts: Array | np.ndarray, time: int) -> Array:
    """Returns [windows, time + 1] pieces of the text."""
    return text[starts[:, None] + np.arange(time + 1)[None]]


def even(text: Array, time: int) -> Array:
    """Returns HELD_OUT pieces that begin at equal distances."""
    return windows(text, np.linspace(0, len(text) - time - 1, HELD_OUT).astype(np.int32), time)


def masked_batch_norm(params: dict, state: dict, h: Array, counted: Array, train: bool) -> tuple[Array, dict]:
    """Returns h [..., width] after batch normalisation over the counted positions [...] alone, and the running statistics.

    Where none is counted the running statistics stay as they are.
    """
    if not train:
        return _finished(params, state, h), state
    axes = tuple(range(h.ndim - 1))
    weights = counted.astype(h.dtype)[..., None]
    total = jnp.maximum(weights.sum(axes), 1)
    mean = (h * weights).sum(axes) / total
    variance = ((h - mean) ** 2 * weights).sum(axes) / total
    seen = {"mean": mean, "variance": variance}
    weight = jnp.where(counted.any(), 1 - MOMENTUM, 0.0)
    new = jax.tree.map(lambda old, new: old + weight * (jax.lax.stop_gradient(new) - old), state, seen)
    return _finished(params, seen, h), new


def _finished(params: dict, statistics: dict, h: Array) -> Array:
    normalised = (h - statistics["mean"]) * jax.lax.rsqrt(statistics["variance"] + EPSILON)
    return normalised * params["scale"] + params["shift"]


def normalise(norm: Array, params: dict, state: dict, h: Array, counted: Array, train: bool) -> tuple[Array, dict]:
    """Returns h [..., width] after no, batch or layer normalisation by index, and the running statistics."""
    forms = (
        lambda state: (h, state),
        lambda state: masked_batch_norm(params, state, h, counted, train),
        lambda state: (layer_norm(params, h), state),
    )
    return jax.lax.switch(norm, forms, state)


def transformer_start(key: Array, size: Size) -> tuple[dict, dict]:
    """Returns parameters and running statistics; characters and positions begin at a scale of about 1."""
    params = transformer_init(key, SYMBOLS, size.width, size.blocks, SYMBOLS, time=size.time)
    params["positions"] = params["positions"] / POSITION_DEVIATION
    params["input"]["weight"] = params["input"]["weight"] * SYMBOLS**0.5
    one = batch_norm_state(size.width)
    blocks = jax.tree.map(lambda a: jnp.broadcast_to(a, (size.blocks, size.width)), {"attention": one, "feed_forward": one})
    return params, {"blocks": blocks, "last": one}


def transformer(norm, params, state, characters: Array, counted: Array, train: bool) -> tuple[Array, dict]:
    """Returns logits and running statistics; pre-norm blocks, statistics over examples and positions."""
    attend = jax.vmap(partial(self_attention, heads=HEADS, causal=True), in_axes=(None, 0))

    def block(h: Array, item: tuple[dict, dict]) -> tuple[Array, dict]:
        p, old = item
        z, first = normalise(norm, p["attention_norm"], old["attention"], h, counted, train)
        h = h + attend(p["attention"], z)
        z, second = normalise(norm, p["feed_forward_norm"], old["feed_forward"], h, counted, train)
        h = h + linear(p["output"], gelu(linear(p["hidden"], z)))
        return h, {"attention": first, "feed_forward": second}

    h = params["input"]["weight"][characters] + params["input"]["bias"] + params["positions"][: characters.shape[1]]
    h, blocks = jax.lax.scan(block, h, (params["blocks"], state["blocks"]))
    h, last = normalise(norm, params["norm"], state["last"], h, counted, train)
    return linear(params["output"], h), {"blocks": blocks, "last": last}


def recurrent_start(key: Array, size: Size) -> tuple[dict, dict]:
    """Returns parameters and running statistics, one row for each step (Cooijmans et al. 2017)."""
    key_input, key_recurrent, key_output = jax.random.split(key, 3)
    params = {
        "input": jax.random.normal(key_input, (SYMBOLS, size.width)),
        "recurrent": orthogonal()(key_recurrent, size.width, size.width, jnp.float32),
        "norm": norm_init(size.width),
        "output": linear_init(key_output, size.width, SYMBOLS),
    }
    return params, jax.tree.map(lambda a: jnp.broadcast_to(a, (size.time, size.width)), batch_norm_state(size.width))


def recurrent(norm, params, state, characters: Array, counted: Array, train: bool) -> tuple[Array, dict]:
    """Returns logits and running statistics of a tanh RNN; steps later than any it was trained on take the last one's."""
    rows = jnp.minimum(jnp.arange(characters.shape[1]), len(state["mean"]) - 1)

    def step(h: Array, item) -> tuple[Array, tuple[Array, dict]]:
        character, c, old = item
        z = params["input"][character] + h @ params["recurrent"]
        z, new = normalise(norm, params["norm"], old, z, c, train)
        return tanh(z), (tanh(z), new)

    start = jnp.zeros((len(characters), params["recurrent"].shape[0]))
    _, (hidden, new) = jax.lax.scan(step, start, (characters.T, counted.T, jax.tree.map(lambda a: a[rows], state)))
    return linear(params["output"], hidden.swapaxes(0, 1)), new if train else state


class Network(NamedTuple):
    """A network as two functions, see the module."""

    init: Callable
    apply: Callable


NETWORKS: Mapping[str, Network] = MappingProxyType(
    {"transformer": Network(transformer_start, transformer), "rnn": Network(recurrent_start, recurrent)}
)


def loss(size: Size, norm: Array, params, state, pieces: Array, valid: Array, train: bool) -> tuple[Array, dict]:
    """Returns the mean loss over the valid positions [batch, time] of pieces [batch, time + 1], and running statistics."""
    characters = jnp.where(valid, pieces[:, :-1], PADDING)
    logits, state = NETWORKS[size.kind].apply(norm, params, state, characters, valid, train)
    each = optax.softmax_cross_entropy_with_integer_labels(logits, pieces[:, 1:])
    return jnp.sum(each * valid) / valid.sum(), state


def batch_of(key: Array, text: Array, size: Size) -> tuple[Array, Array]:
    """Returns pieces [batch, time + 1] that begin anywhere in the text, and which positions are within each one's length."""
    key_starts, key_lengths = jax.random.split(key)
    starts = jax.random.randint(key_starts, (size.batch,), 0, len(text) - size.time)
    lengths = jax.random.randint(key_lengths, (size.batch,), size.shortest, size.time + 1)
    return windows(text, starts, size.time), jnp.arange(size.time)[None] < lengths[:, None]


@partial(jax.jit, static_argnames=("size",))
def run(norm: Array, text: Text, rate: Array, key: Array, *, size: Size) -> Reading:
    """Trains one network by Adam, `norm` an index in NORMS, and reads its losses."""
    key_params, key_batches = jax.random.split(key)
    params, state = NETWORKS[size.kind].init(key_params, size)
    optimizer = adam(rate, size.steps)

    def step(carry: tuple[Any, Any, Any], key: Array) -> tuple[tuple[Any, Any, Any], Array]:
        params, state, optimizer_state = carry
        batch = batch_of(key, text.train, size)
        (value, state), gradient = jax.value_and_grad(partial(loss, size, norm), has_aux=True)(params, state, *batch, True)
        updates, optimizer_state = optimizer.update(gradient, optimizer_state)
        return (optax.apply_updates(params, updates), state, optimizer_state), value

    start = (params, state, optimizer.init(params))
    (params, state, _), losses = jax.lax.scan(step, start, jax.random.split(key_batches, size.steps))

    def held_out(part: Array, time: int) -> Array:
        return loss(size, norm, params, state, even(part, time), jnp.ones((HELD_OUT, time), bool), False)[0]

    longer = held_out(text.test, 2 * size.time) if size.kind == "rnn" else jnp.float32(0)
    return Reading(losses, held_out(text.validation, size.time), held_out(text.test, size.time), longer)
