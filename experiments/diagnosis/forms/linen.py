"""Networks as Flax Linen modules."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
from jax import Array

from experiments.diagnosis.forms.layers import Initializer, Layers, Trainable

CELLS = {"gru": nn.GRUCell, "lstm": nn.OptimizedLSTMCell, "rnn": nn.SimpleCell}


class Network(nn.Module):
    """A network with Linen's layers."""

    network: Callable

    @nn.compact
    def __call__(self, *inputs, train: bool = True):
        return self.network(LinenLayers(self, train), *inputs)


class LinenLayers(Layers):
    """Layers made where they are called, inside `Network`."""

    def __init__(self, module: nn.Module, train: bool):
        self.module, self.train = module, train

    def dense(self, x: Array, features: int, initializer: Initializer | None = None, bias: float | None = None) -> Array:
        return nn.Dense(
            features,
            kernel_init=initializer or nn.linear.default_kernel_init,
            bias_init=nn.initializers.constant(bias or 0.0),
        )(x)

    def conv(self, x: Array, features: int, stride: int = 1, initializer: Initializer | None = None) -> Array:
        size = (3, 3) if x.ndim == 4 else (3,)
        strides = (stride,) * len(size)
        return nn.Conv(features, size, strides, kernel_init=initializer or nn.linear.default_kernel_init)(x)

    def layer_norm(self, x: Array) -> Array:
        return nn.LayerNorm()(x)

    def batch_norm(self, x: Array) -> Array:
        return nn.BatchNorm(use_running_average=not self.train, momentum=0.9)(x)

    def dropout(self, x: Array, rate: float) -> Array:
        return nn.Dropout(rate, deterministic=not self.train)(x)

    def embed(self, tokens: Array, entries: int, features: int, initializer: Initializer | None = None) -> tuple[Array, Array]:
        layer = nn.Embed(entries, features, embedding_init=initializer or nn.initializers.normal(0.02))
        return layer(tokens), layer.embedding

    def recurrent(self, x: Array, cell: str, features: int) -> Array:
        return nn.RNN(CELLS[cell](features))(x)

    def attention(self, x: Array, heads: int, mask: Array | None = None) -> Array:
        return nn.MultiHeadDotProductAttention(heads)(x, x, mask=None if mask is None else mask[None, None])

    def parameter(self, name: str, initializer: Initializer, shape: tuple[int, ...]) -> Array:
        return self.module.param(name, initializer, shape)


def build(network: Callable, inputs: tuple, key: Array) -> tuple[nn.Module, dict]:
    """Returns (module, variables)."""
    module = Network(network)
    return module, dict(jax.jit(module.init)({"params": key, "dropout": key}, *inputs))


def trainable(model: tuple[nn.Module, dict]) -> Trainable:
    """Returns the parts; a module without the keyword `train` is called as it is."""
    module, variables = model
    state = {name: value for name, value in variables.items() if name != "params"}

    def apply(parameters: Any, state: dict, inputs: tuple, key: Any) -> tuple[Any, dict]:
        rngs = None if key is None else {"dropout": key}
        outputs, new = module.apply({"params": parameters, **state}, *inputs, rngs=rngs, mutable=list(state))
        return outputs, dict(new)

    rebuild = lambda parameters, state: (module, {"params": parameters, **state})
    return Trainable(variables["params"], state, apply, rebuild)
