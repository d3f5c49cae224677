"""Networks as Equinox modules of one example, pictures with channels first."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array

from experiments.diagnosis.forms.layers import Initializer, Layers, Trainable


class Network(eqx.Module):
    """A network with the layers that its first call made; with batch normalisation it takes and returns a state."""

    layers: list
    network: Callable = eqx.field(static=True)

    def __init__(self, network: Callable, inputs: tuple, key: Array):
        made: list = []
        network(EquinoxLayers(made, making=key), *inputs)
        self.layers, self.network = made, network

    def __call__(self, *arguments, key=None):
        state = arguments[-1] if isinstance(arguments[-1], eqx.nn.State) else None
        layers = EquinoxLayers(self.layers, key=key, state=state)
        outputs = self.network(layers, *arguments[: None if state is None else -1])
        return outputs if state is None else (outputs, layers.state)


class Cell(eqx.Module):
    """Elman's cell: tanh(W x + U h + b)."""

    inputs: eqx.nn.Linear
    recurrent: eqx.nn.Linear

    def __init__(self, n_in: int, features: int, *, key: Array):
        first, second = jax.random.split(key)
        self.inputs = eqx.nn.Linear(n_in, features, key=first)
        self.recurrent = eqx.nn.Linear(features, features, use_bias=False, key=second)

    def __call__(self, x, state):
        return jnp.tanh(self.inputs(x) + self.recurrent(state))


CELLS = {"gru": eqx.nn.GRUCell, "lstm": eqx.nn.LSTMCell, "rnn": Cell}


class EquinoxLayers(Layers):
    """Layers taken one by one from a list, or, with `making`, a key, made and put there."""

    def __init__(self, layers: list, making: Array | None = None, key: Array | None = None, state: Any = None):
        self.layers, self.making, self.key, self.state, self.position = layers, making, key, state, 0

    def _next(self, make: Callable[[Array], Any]) -> Any:
        if self.making is not None:
            self.layers.append(make(jax.random.fold_in(self.making, self.position)))
        self.position += 1
        return self.layers[self.position - 1]

    def dense(self, x: Array, features: int, initializer: Initializer | None = None, bias: float | None = None) -> Array:
        def make(key: Array) -> eqx.nn.Linear:
            layer = eqx.nn.Linear(x.shape[-1], features, key=key)
            if initializer:
                weight = initializer(key, (x.shape[-1], features), jnp.float32).T
                layer = eqx.tree_at(lambda linear: (linear.weight, linear.bias), layer, (weight, jnp.zeros(features)))
            return layer if bias is None else eqx.tree_at(lambda linear: linear.bias, layer, jnp.full(features, bias))

        return _over_leading(self._next(make), x)

    def conv(self, x: Array, features: int, stride: int = 1, initializer: Initializer | None = None) -> Array:
        kind = eqx.nn.Conv2d if x.ndim == 3 else eqx.nn.Conv1d

        def make(key: Array) -> Any:
            channels = x.shape[0] if x.ndim == 3 else x.shape[-1]
            layer = kind(channels, features, 3, stride, padding=1, key=key)
            if not initializer:
                return layer
            drawn = initializer(key, (*(3,) * (x.ndim - 1), channels, features), jnp.float32)
            return eqx.tree_at(lambda convolution: convolution.weight, layer, jnp.moveaxis(drawn, (-1, -2), (0, 1)))

        layer = self._next(make)
        return layer(x) if x.ndim == 3 else layer(x.T).T

    def layer_norm(self, x: Array) -> Array:
        return _over_leading(self._next(lambda key: eqx.nn.LayerNorm(x.shape[-1])), x)

    def batch_norm(self, x: Array) -> Array:
        layer = self._next(lambda key: eqx.nn.BatchNorm(x.shape[0], "batch", mode="batch", momentum=0.9))
        if self.making is not None:
            return x
        x, self.state = layer(x, self.state)
        return x

    def dropout(self, x: Array, rate: float) -> Array:
        layer = self._next(lambda key: eqx.nn.Dropout(rate))
        if self.making is not None:
            return x
        return layer(x, key=None if self.key is None else jax.random.fold_in(self.key, self.position))

    def embed(self, tokens: Array, entries: int, features: int, initializer: Initializer | None = None) -> tuple[Array, Array]:
        initializer = initializer or jax.nn.initializers.normal(0.02)
        layer = self._next(lambda key: eqx.nn.Embedding(weight=initializer(key, (entries, features), jnp.float32)))
        return (jax.vmap(layer)(tokens) if tokens.ndim else layer(tokens)), layer.weight

    def recurrent(self, x: Array, cell: str, features: int) -> Array:
        layer = self._next(lambda key: CELLS[cell](x.shape[-1], features, key=key))
        zero = jnp.zeros(features)

        def step(state, x):
            state = layer(x, state)
            return state, state[0] if cell == "lstm" else state

        return jax.lax.scan(step, (zero, zero) if cell == "lstm" else zero, x)[1]

    def attention(self, x: Array, heads: int, mask: Array | None = None) -> Array:
        return self._next(lambda key: eqx.nn.MultiheadAttention(heads, x.shape[-1], key=key))(x, x, x, mask)

    def parameter(self, name: str, initializer: Initializer, shape: tuple[int, ...]) -> Array:
        return self._next(lambda key: initializer(key, shape, jnp.float32))

    def picture(self, x: Array) -> Array:
        return jnp.moveaxis(x, -1, -3)

    def pool(self, x: Array) -> Array:
        return eqx.nn.MaxPool2d(2, 2)(x)

    def global_mean(self, x: Array) -> Array:
        return x.mean((-2, -1))


def _over_leading(layer: Any, x: Array) -> Array:
    """Maps a layer of a vector over all axes but the last."""
    for _ in range(x.ndim - 1):
        layer = jax.vmap(layer)
    return layer(x)


def build(network: Callable, inputs: tuple, key: Array) -> Any:
    """Returns the module, or (module, state) where it has batch normalisation."""
    example = tuple(x[0] for x in inputs)
    model, state = eqx.filter_jit(eqx.nn.make_with_state(Network))(network, example, key)
    return (model, state) if any(isinstance(layer, eqx.nn.BatchNorm) for layer in model.layers) else model


def trainable(model: Any) -> Trainable:
    """Returns the parts of a model, mapped over the examples of a batch."""
    module, state = model if isinstance(model, tuple) else (model, None)
    parameters, static = eqx.partition(module, eqx.is_inexact_array)

    def apply(parameters: Any, state: Any, inputs: tuple, key: Any) -> tuple[Any, Any]:
        module = eqx.combine(parameters, static)
        extra = () if state is None else (state,)
        keys = None if key is None else jax.random.split(key, len(inputs[0]))

        def one(inputs: tuple, key: Any) -> Any:
            return module(*inputs, *extra, **({} if key is None else {"key": key}))

        axes = 0 if state is None else (0, None)
        outputs = jax.vmap(one, in_axes=(0, None if key is None else 0), out_axes=axes, axis_name="batch")(inputs, keys)
        return (outputs, None) if state is None else outputs

    def rebuild(parameters: Any, state: Any) -> Any:
        module = eqx.combine(parameters, static)
        return module if state is None else (module, state)

    return Trainable(parameters, state, apply, rebuild)
