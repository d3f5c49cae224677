"""An MLP, a CNN, an RNN and a Transformer whose normalisation, batch or layer, is data; running statistics in and out.

Each is a pair `init(key) -> (params, state)` and
`apply(norm, params, state, x, train) -> (logits, running statistics)`; x: [batch, 14, 14, 1].
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxnotes.layers.activations import gelu, relu, tanh
from jaxnotes.layers.attention import self_attention, self_attention_init
from jaxnotes.layers.convolution import convolution, convolution_init
from jaxnotes.layers.initializers import he_normal
from jaxnotes.layers.linear import linear, linear_init
from jaxnotes.layers.normalization import MOMENTUM, batch_norm, batch_norm_state, group_norm, layer_norm, norm_init
from jaxnotes.layers.pooling import global_average_pool, max_pool
from jaxnotes.layers.recurrent import rnn_init

NORMS = ("batch", "layer")
SIDE, CLASSES = 14, 10
WIDTH = {"mlp": 64, "cnn": 16, "rnn": 48, "transformer": 32}
BLOCKS, HEADS = 2, 2


class Network(NamedTuple):
    """A network as two functions, see the module."""

    init: Callable
    apply: Callable


def normalise(norm: Array, params: dict, state: dict, h: Array, train: bool, momentum=MOMENTUM) -> tuple[Array, dict]:
    """Returns h after batch or layer normalisation by index; the state of layer normalisation passes through unused.

    Layer normalisation takes all axes of an image and the features of anything else.
    """

    def batch(state: dict) -> tuple[Array, dict]:
        return batch_norm(params, state, h, train=train, momentum=momentum)

    def layer(state: dict) -> tuple[Array, dict]:
        return (group_norm(params, h, groups=1) if h.ndim == 4 else layer_norm(params, h)), state

    return jax.lax.switch(norm, (batch, layer), state)


def mlp_init(key: Array) -> tuple[dict, list]:
    """Returns two hidden layers, each normalised before its ReLU."""
    width = WIDTH["mlp"]
    keys = jax.random.split(key, 3)
    sizes = ((SIDE**2, width), (width, width), (width, CLASSES))
    layers = [linear_init(k, *size, initializer=he_normal) for k, size in zip(keys, sizes, strict=True)]
    return {"layers": layers, "norms": [norm_init(width)] * 2}, [batch_norm_state(width)] * 2


def mlp(norm, params, state, x: Array, train: bool, momentum=MOMENTUM) -> tuple[Array, list]:
    """Returns logits and running statistics."""
    h, seen = x.reshape(len(x), -1), []
    for layer, norm_params, norm_state in zip(params["layers"], params["norms"], state, strict=False):
        h, new = normalise(norm, norm_params, norm_state, linear(layer, h), train, momentum)
        h, seen = relu(h), [*seen, new]
    return linear(params["layers"][-1], h), seen


def cnn_init(key: Array) -> tuple[dict, list]:
    """Returns two convolutions of 3 × 3, each normalised before its ReLU and pooled, then the mean over positions."""
    width = WIDTH["cnn"]
    key_first, key_second, key_output = jax.random.split(key, 3)
    layers = [convolution_init(key_first, 1, width, (3, 3)), convolution_init(key_second, width, width, (3, 3))]
    params = {"layers": layers, "norms": [norm_init(width)] * 2, "output": linear_init(key_output, width, CLASSES)}
    return params, [batch_norm_state(width)] * 2


def cnn(norm, params, state, x: Array, train: bool) -> tuple[Array, list]:
    """Returns logits and running statistics."""
    h, seen = x, []
    for layer, norm_params, norm_state in zip(params["layers"], params["norms"], state, strict=True):
        h, new = normalise(norm, norm_params, norm_state, convolution(layer, h), train)
        h, seen = max_pool(relu(h), window=2), [*seen, new]
    return linear(params["output"], global_average_pool(h)), seen


def recurrent_init(key: Array) -> tuple[dict, dict]:
    """Returns a tanh RNN over the rows, its pre-activations normalised; batch statistics of their own for every step.

    Cooijmans et al. (2017): the statistics of the first steps differ from those of later ones.
    """
    width = WIDTH["rnn"]
    key_recurrent, key_output = jax.random.split(key)
    output = linear_init(key_output, width, CLASSES)
    params = {"recurrent": rnn_init(key_recurrent, SIDE, width), "norm": norm_init(width), "output": output}
    return params, jax.tree.map(lambda a: jnp.broadcast_to(a, (SIDE, width)), batch_norm_state(width))


def recurrent(norm, params, state, x: Array, train: bool) -> tuple[Array, dict]:
    """Returns logits and running statistics."""
    cell = params["recurrent"]

    def step(h: Array, item) -> tuple[Array, dict]:
        row, step_state = item
        z = linear(cell["input"], row) + h @ cell["recurrent"]["weight"]
        z, new = normalise(norm, params["norm"], step_state, z, train)
        return tanh(z), new

    start = jnp.zeros((len(x), WIDTH["rnn"]), x.dtype)
    h, seen = jax.lax.scan(step, start, (jnp.swapaxes(x[..., 0], 0, 1), state))
    return linear(params["output"], h), seen


def transformer_init(key: Array) -> tuple[dict, dict]:
    """Returns two pre-norm blocks over the rows with learned positions, then the mean over positions."""
    width = WIDTH["transformer"]
    key_input, key_positions, key_blocks, key_output = jax.random.split(key, 4)

    def block(key: Array) -> dict:
        key_attention, key_hidden, key_output = jax.random.split(key, 3)
        norms = {"attention_norm": norm_init(width), "feed_forward_norm": norm_init(width)}
        hidden, output = linear_init(key_hidden, width, 4 * width), linear_init(key_output, 4 * width, width)
        return {"attention": self_attention_init(key_attention, width), "hidden": hidden, "output": output, **norms}

    params = {
        "input": linear_init(key_input, SIDE, width),
        "positions": 0.02 * jax.random.normal(key_positions, (SIDE, width)),
        "blocks": jax.vmap(block)(jax.random.split(key_blocks, BLOCKS)),
        "output": linear_init(key_output, width, CLASSES),
    }
    one = {"attention_norm": batch_norm_state(width), "feed_forward_norm": batch_norm_state(width)}
    return params, jax.tree.map(lambda a: jnp.broadcast_to(a, (BLOCKS, width)), one)


def transformer(norm, params, state, x: Array, train: bool) -> tuple[Array, dict]:
    """Returns logits and running statistics; batch normalisation takes its statistics over examples and positions."""
    attend = jax.vmap(partial(self_attention, heads=HEADS, causal=False), in_axes=(None, 0))

    def block(h: Array, item) -> tuple[Array, dict]:
        p, block_state = item
        z, first = normalise(norm, p["attention_norm"], block_state["attention_norm"], h, train)
        h = h + attend(p["attention"], z)
        z, second = normalise(norm, p["feed_forward_norm"], block_state["feed_forward_norm"], h, train)
        h = h + linear(p["output"], gelu(linear(p["hidden"], z)))
        return h, {"attention_norm": first, "feed_forward_norm": second}

    h = linear(params["input"], x[..., 0]) + params["positions"][None]
    h, seen = jax.lax.scan(block, h, (params["blocks"], state))
    return linear(params["output"], h.mean(1)), seen


NETWORKS: Mapping[str, Network] = MappingProxyType(
    {
        "cnn": Network(cnn_init, cnn),
        "mlp": Network(mlp_init, mlp),
        "rnn": Network(recurrent_init, recurrent),
        "transformer": Network(transformer_init, transformer),
    }
)
