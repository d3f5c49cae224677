"""Layers, their gradients and the Jacobian tools, with the same in float64.

What is compared is the rounding: that the formulas are right is asserted beside each layer's own tests. An error counts in
units in the last place of the largest entry of its array, since sums cancel.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxnotes import jacobians
from jaxnotes.layers import activations, attention, clipping, convolution, linear, normalization, pooling, recurrent
from tests.precision import ulp

EXAMPLES, FEATURES, DEPTH = 16, 64, 8


class Layer(NamedTuple):
    """A function of arrays, and arrays of float64 that it is called with."""

    function: Callable
    arguments: tuple

    def errors(self, name: str) -> tuple[float, float]:
        """Returns the largest error of the value and of the gradient by all arguments, in units in the last place."""
        narrow = jax.tree.map(lambda array: np.asarray(array).astype(jnp.dtype(name)), self.arguments)
        ours = _value_and_gradient(self.function, narrow)
        with jax.enable_x64(True):
            exact = _value_and_gradient(self.function, jax.tree.map(lambda array: array.astype(np.float64), narrow))
        return tuple(_worst(mine, right, name) for mine, right in zip(ours, exact, strict=True))


def _value_and_gradient(function: Callable, arguments: tuple) -> tuple[Any, Any]:
    """Returns the value, and the gradient of its entries' sum with weights from 1 to 2.5, exact in every format."""
    arguments = jax.tree.map(jnp.asarray, arguments)

    def both(*arguments):
        value, pull_back = jax.vjp(function, *arguments)
        weights = jax.tree.map(
            lambda leaf: (1 + 7 * jnp.arange(leaf.size) % 13 / 8).reshape(leaf.shape).astype(leaf.dtype), value
        )
        return value, pull_back(weights)

    return jax.tree.map(np.asarray, jax.jit(both)(*arguments))


def _worst(found: Any, exact: Any, name: str) -> float:
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(exact), strict=True)
    return max(ulp.worst(mine, right, name, np.full(right.shape, np.abs(right).max())) for mine, right in pairs)


def _layers() -> dict[str, Layer]:
    draws = np.random.default_rng(0)
    normal = lambda *shape, scale=1.0: scale * draws.standard_normal(shape)
    weight = lambda *shape: normal(*shape, scale=np.prod(shape[:-1]) ** -0.5)
    dense = lambda n_in, n_out: {"weight": weight(n_in, n_out), "bias": normal(n_out)}
    norm = {"scale": 1 + normal(FEATURES, scale=0.1), "shift": normal(FEATURES)}
    x, image, series = normal(EXAMPLES, FEATURES), normal(4, 8, 8, 16), normal(12, FEATURES)
    far = x + 100 * normal(FEATURES)  # means of 100 standard deviations
    heads = tuple(normal(12, 4, 16) for _ in range(3))
    cell = lambda gates: {"input": dense(FEATURES, gates * 32), "recurrent": {"weight": weight(32, gates * 32)}}
    gru = cell(3)
    gru["recurrent"]["bias"] = normal(32)
    causal = lambda q, k, v: attention.dot_product_attention(q, k, v, causal=True)
    return {
        "linear": Layer(linear.linear, (dense(FEATURES, 32), x)),
        "convolution": Layer(convolution.convolution, ({"weight": weight(3, 3, 16, 8), "bias": normal(8)}, image)),
        "max pooling": Layer(lambda x: pooling.max_pool(x, 2), (image,)),
        "average pooling": Layer(lambda x: pooling.average_pool(x, 2), (image,)),
        "global average pooling": Layer(pooling.global_average_pool, (image,)),
        "batch normalisation": Layer(normalization.normalise_by_batch, (norm, x)),
        "batch normalisation, means of 100 σ": Layer(normalization.normalise_by_batch, (norm, far)),
        "layer normalisation": Layer(normalization.layer_norm, (norm, x)),
        "RMS normalisation": Layer(lambda scale, x: normalization.rms_norm({"scale": scale}, x), (norm["scale"], x)),
        "group normalisation": Layer(lambda params, x: normalization.group_norm(params, x, groups=4), (norm, x)),
        "attention": Layer(causal, heads),
        "RNN, 12 steps": Layer(lambda params, x: recurrent.rnn(params, x)[1], (cell(1), series)),
        "LSTM, 12 steps": Layer(lambda params, x: recurrent.lstm(params, x)[1], (cell(4), series)),
        "GRU, 12 steps": Layer(lambda params, x: recurrent.gru(params, x)[1], (gru, series)),
        "global norm": Layer(clipping.global_norm, (x,)),
        "clipping by global norm": Layer(lambda x: clipping.clip_by_global_norm(x, 1.0), (x,)),
    }


def _tools() -> dict[str, Layer]:
    draws = np.random.default_rng(1)
    stack = draws.standard_normal((DEPTH, 32, 32)) * 32**-0.5
    x = draws.standard_normal((EXAMPLES, 32))
    layer = lambda weight, h: activations.tanh(linear.rows_times(h, weight))
    loss = lambda h: jnp.mean(h**2)
    tool = lambda function: Layer(function, (stack, x))
    return {
        "gradient norms": tool(lambda w, x: jacobians.gradient_norms(layer, w, x, loss)),
        "log gradient norms": tool(lambda w, x: jacobians.log_gradient_norms(layer, w, x, loss)),
        "end-to-end Jacobians": tool(lambda w, x: jacobians.end_to_end(layer, w, x)),
        "log Frobenius norms": tool(lambda w, x: jacobians.log_frobenius_norms(layer, w, x)),
    }


LAYERS, TOOLS = _layers(), _tools()
