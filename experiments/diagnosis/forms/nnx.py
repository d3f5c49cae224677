"""Networks as Flax NNX modules."""

from collections.abc import Callable
from typing import Any

import jax
from flax import nnx
from jax import Array

from experiments.diagnosis.forms.layers import Initializer, Layers, Trainable

CELLS = {"gru": nnx.GRUCell, "lstm": nnx.OptimizedLSTMCell, "rnn": nnx.SimpleCell}


class Network(nnx.Module):
    """A network with the layers that its first call made, in the order of calls."""

    def __init__(self, network: Callable, inputs: tuple, rngs: nnx.Rngs):
        made: list = []
        network(NnxLayers(made, rngs), *inputs)
        self.network, self.layers = network, nnx.List(made)

    def __call__(self, *inputs):
        return self.network(NnxLayers(self.layers), *inputs)


class NnxLayers(Layers):
    """Layers taken one by one from a list, or, with `rngs`, made and put there."""

    def __init__(self, layers: Any, rngs: nnx.Rngs | None = None):
        self.layers, self.rngs, self.position = layers, rngs, 0

    def _next(self, make: Callable[[nnx.Rngs], Any]) -> Any:
        if self.rngs is not None:
            self.layers.append(make(self.rngs))
        self.position += 1
        return self.layers[self.position - 1]

    def dense(self, x: Array, features: int, initializer: Initializer | None = None, bias: float | None = None) -> Array:
        options = {"kernel_init": initializer} if initializer else {}
        constant = nnx.initializers.constant(bias or 0.0)
        return self._next(lambda rngs: nnx.Linear(x.shape[-1], features, bias_init=constant, rngs=rngs, **options))(x)

    def conv(self, x: Array, features: int, stride: int = 1, initializer: Initializer | None = None) -> Array:
        size = (3, 3) if x.ndim == 4 else (3,)
        options = {"kernel_init": initializer} if initializer else {}
        return self._next(lambda rngs: nnx.Conv(x.shape[-1], features, size, stride, rngs=rngs, **options))(x)

    def layer_norm(self, x: Array) -> Array:
        return self._next(lambda rngs: nnx.LayerNorm(x.shape[-1], rngs=rngs))(x)

    def batch_norm(self, x: Array) -> Array:
        return self._next(lambda rngs: nnx.BatchNorm(x.shape[-1], momentum=0.9, rngs=rngs))(x)

    def dropout(self, x: Array, rate: float) -> Array:
        return self._next(lambda rngs: nnx.Dropout(rate, rngs=rngs))(x)

    def embed(self, tokens: Array, entries: int, features: int, initializer: Initializer | None = None) -> tuple[Array, Array]:
        initializer = initializer or nnx.initializers.normal(0.02)
        layer = self._next(lambda rngs: nnx.Embed(entries, features, embedding_init=initializer, rngs=rngs))
        return layer(tokens), layer.embedding[...]

    def recurrent(self, x: Array, cell: str, features: int) -> Array:
        return self._next(lambda rngs: nnx.RNN(CELLS[cell](x.shape[-1], features, rngs=rngs)))(x)

    def attention(self, x: Array, heads: int, mask: Array | None = None) -> Array:
        n = x.shape[-1]
        layer = self._next(lambda rngs: nnx.MultiHeadAttention(num_heads=heads, in_features=n, decode=False, rngs=rngs))
        return layer(x, mask=None if mask is None else mask[None, None])

    def parameter(self, name: str, initializer: Initializer, shape: tuple[int, ...]) -> Array:
        return self._next(lambda rngs: nnx.Param(initializer(rngs.params(), shape)))[...]


def build(network: Callable, inputs: tuple, key: Array) -> nnx.Module:
    """Returns the module."""
    return nnx.jit(lambda key: Network(network, inputs, nnx.Rngs(key)))(key)


def trainable(model: nnx.Module) -> Trainable:
    """Returns the parts, in training mode; random streams are started anew from each step's key."""
    graph, parameters, state = nnx.split(model, nnx.Param, ...)

    def apply(parameters: Any, state: Any, inputs: tuple, key: Any) -> tuple[Any, Any]:
        copy = nnx.merge(graph, parameters, state, copy=True)  # its random streams count on
        copy.train()
        if key is not None:
            nnx.reseed(copy, default=key, dropout=jax.random.fold_in(key, 1))
        outputs = copy(*inputs)
        return outputs, nnx.split(copy, nnx.Param, ...)[2]

    return Trainable(parameters, state, apply, lambda parameters, state: nnx.merge(graph, parameters, state))
