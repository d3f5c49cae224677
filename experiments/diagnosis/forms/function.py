"""Networks as plain functions of a dictionary of parameters, whose layers are named by `tap`."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from experiments.diagnosis.forms.layers import Initializer, Layers, Trainable, attend
from jaxnotes.probe import tap

LECUN, ZEROS = jax.nn.initializers.lecun_normal(), jax.nn.initializers.zeros


@dataclasses.dataclass(frozen=True)
class Network:
    """A network as a function (parameters, *inputs, key=None) -> outputs."""

    network: Callable

    def __call__(self, parameters: dict, *inputs, key: Array | None = None):
        return self.network(FunctionLayers(parameters, key=key), *inputs)


class FunctionLayers(Layers):
    """Layers whose parameters lie in a dictionary under the names of their taps, or, with `making`, a key, are put there."""

    def __init__(self, parameters: dict, making: Array | None = None, key: Array | None = None):
        self.parameters, self.making, self.key, self.counts = parameters, making, key, {}

    def _own(self, kind: str, **wanted: tuple[Initializer, tuple[int, ...]]) -> tuple[str, dict]:
        """Returns the next name of a kind, and its parameters."""
        number = self.counts[kind] = self.counts.get(kind, -1) + 1
        name = f"{kind}_{number}"
        if self.making is not None:
            keys = jax.random.split(jax.random.fold_in(self.making, len(self.parameters)), len(wanted))
            drawn = zip(wanted.items(), keys, strict=True)
            self.parameters[name] = {part: draw(key, shape, jnp.float32) for (part, (draw, shape)), key in drawn}
        return name, self.parameters[name]

    def dense(self, x: Array, features: int, initializer: Initializer | None = None, bias: float | None = None) -> Array:
        constant = jax.nn.initializers.constant(bias or 0.0)
        kernel = (initializer or LECUN, (x.shape[-1], features))
        name, own = self._own("dense", kernel=kernel, bias=(constant, (features,)))
        return tap(name, x @ own["kernel"] + own["bias"])

    def conv(self, x: Array, features: int, stride: int = 1, initializer: Initializer | None = None) -> Array:
        axes = x.ndim - 2
        kernel = (initializer or LECUN, (*(3,) * axes, x.shape[-1], features))
        name, own = self._own("conv", kernel=kernel, bias=(ZEROS, (features,)))
        numbers = ("NHWC", "HWIO", "NHWC") if axes == 2 else ("NWC", "WIO", "NWC")
        out = jax.lax.conv_general_dilated(x, own["kernel"], (stride,) * axes, "SAME", dimension_numbers=numbers)
        return tap(name, out + own["bias"])

    def layer_norm(self, x: Array) -> Array:
        name, own = self._own("norm", scale=(jax.nn.initializers.ones, x.shape[-1:]), bias=(ZEROS, x.shape[-1:]))
        return tap(name, jax.nn.standardize(x, epsilon=1e-6) * own["scale"] + own["bias"])

    def batch_norm(self, x: Array) -> Array:
        raise NotImplementedError("a function has no running statistics; write the program in another form")

    def dropout(self, x: Array, rate: float) -> Array:
        if self.key is None:
            return x
        keep = jax.random.bernoulli(jax.random.fold_in(self.key, len(self.counts)), 1 - rate, x.shape)
        return jnp.where(keep, x / (1 - rate), 0.0)

    def embed(self, tokens: Array, entries: int, features: int, initializer: Initializer | None = None) -> tuple[Array, Array]:
        table = (initializer or jax.nn.initializers.normal(0.02), (entries, features))
        name, own = self._own("embed", embedding=table)
        return tap(name, own["embedding"][tokens]), own["embedding"]

    def recurrent(self, x: Array, cell: str, features: int) -> Array:
        if cell != "rnn":
            raise NotImplementedError("a function has Elman's cell alone; write the program in another form")
        wanted = {"input": (LECUN, (x.shape[-1], features)), "recurrent": (jax.nn.initializers.orthogonal(), (features,) * 2)}
        name, own = self._own("rnn", **wanted)

        def step(state: Array, x: Array) -> tuple[Array, Array]:
            state = jnp.tanh(tap(name, x @ own["input"] + state @ own["recurrent"]))
            return state, state

        start = jnp.zeros((*x.shape[:-2], features))
        return jnp.moveaxis(jax.lax.scan(step, start, jnp.moveaxis(x, -2, 0))[1], 0, -2)

    def attention(self, x: Array, heads: int, mask: Array | None = None) -> Array:
        split = lambda h: h.reshape(*h.shape[:-1], heads, -1)
        query, key, value = (split(self.dense(x, x.shape[-1])) for _ in range(3))
        mixed = attend(query, key, value, mask)
        return self.dense(mixed.reshape(x.shape), x.shape[-1])

    def parameter(self, name: str, initializer: Initializer, shape: tuple[int, ...]) -> Array:
        return self._own(name, value=(initializer, shape))[1]["value"]


def build(network: Callable, inputs: tuple, key: Array) -> tuple[Network, dict]:
    """Returns (function, parameters)."""

    @jax.jit
    def make(key: Array) -> dict:
        parameters: dict = {}
        network(FunctionLayers(parameters, making=key), *inputs)
        return parameters

    return Network(network), make(key)


def trainable(model: tuple[Callable, Any]) -> Trainable:
    """Returns the parts; there is no state."""
    function, parameters = model

    def apply(parameters: Any, state: tuple, inputs: tuple, key: Any) -> tuple[Any, tuple]:
        return function(parameters, *inputs, **({} if key is None else {"key": key})), state

    return Trainable(parameters, (), apply, lambda parameters, state: (function, parameters))
