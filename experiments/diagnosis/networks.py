"""Networks that several families use, as data: functions of (layers, *inputs), see `forms`."""

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from experiments.diagnosis import tasks
from experiments.diagnosis.forms.layers import Initializer, Layers, attend

WIDTH = 32


def identity(x: Array) -> Array:
    """No activation function."""
    return x


@dataclasses.dataclass(frozen=True)
class Dense:
    """Dense layers with an activation function, then a linear one.

    Attributes:
      outputs: of the last layer.
      widths: of the hidden layers.
      activation: after each hidden layer.
      output: activation function of the last layer.
      initializer, bias: of hidden layers.
      last: initialiser of the last layer.
      norm: "", "layer" or "batch", before the activation function.
      rate: of dropout after it.
      residual: whether hidden layers are added to what they read.
    """

    outputs: int
    widths: tuple[int, ...] = (WIDTH, WIDTH)
    activation: Callable = jax.nn.relu
    output: Callable = identity
    initializer: Initializer | None = None
    bias: float | None = None
    last: Initializer | None = None
    norm: str = ""
    rate: float = 0.0
    residual: bool = False

    def __call__(self, layers: Layers, x: Array) -> Array:
        for width in self.widths:
            h = layers.dense(x, width, self.initializer, self.bias)
            h = getattr(layers, f"{self.norm}_norm")(h) if self.norm else h
            h = self.activation(h)
            h = layers.dropout(h, self.rate) if self.rate else h
            x = x + h if self.residual and x.shape == h.shape else h
        return self.output(layers.dense(x, self.outputs, self.last))


@dataclasses.dataclass(frozen=True)
class Convolutional:
    """Two blocks of convolution, activation and pooling, then a dense layer."""

    outputs: int = 4
    channels: tuple[int, ...] = (8, 16)
    activation: Callable = jax.nn.relu
    output: Callable = identity
    initializer: Initializer | None = None
    norm: bool = False
    average: bool = False

    def __call__(self, layers: Layers, x: Array) -> Array:
        x = layers.picture(x)
        for channels in self.channels:
            x = layers.conv(x, channels, initializer=self.initializer)
            x = layers.batch_norm(x) if self.norm else x
            x = layers.pool(self.activation(x))
        x = layers.global_mean(x) if self.average else layers.flatten(x)
        return self.output(layers.dense(x, self.outputs))


@dataclasses.dataclass(frozen=True)
class Recurrent:
    """A recurrent layer, whose last state a dense layer reads."""

    outputs: int = 4
    cell: str = "gru"
    features: int = 24
    both: bool = False
    output: Callable = identity

    def __call__(self, layers: Layers, x: Array) -> Array:
        h = layers.recurrent(x, self.cell, self.features)[..., -1, :]
        if self.both:
            h = jnp.concatenate([h, layers.recurrent(x[..., ::-1, :], self.cell, self.features)[..., -1, :]], -1)
        return self.output(layers.dense(h, self.outputs))


@dataclasses.dataclass(frozen=True)
class Elman:
    """A recurrent network written by hand: h = activation(W x + U h), over a repeated sequence of `steps`."""

    scale: float = 1.0
    activation: Callable = jnp.tanh
    steps: int = tasks.LENGTH
    features: int = 24

    def __call__(self, layers: Layers, x: Array) -> Array:
        recurrent = layers.parameter("recurrent", _scaled_orthogonal(self.scale), (self.features, self.features))
        inputs = layers.dense(x, self.features)
        padding = [(0, 0)] * (x.ndim - 2) + [(0, self.steps - x.shape[-2]), (0, 0)]
        inputs = jnp.moveaxis(jnp.pad(inputs, padding), -2, 0)
        step = lambda h, u: (self.activation(u + h @ recurrent), None)
        h, _ = jax.lax.scan(step, jnp.zeros(inputs.shape[1:]), inputs)
        return layers.dense(h, 4)


def _scaled_orthogonal(scale: float) -> Initializer:
    return jax.nn.initializers.orthogonal(scale)


@dataclasses.dataclass(frozen=True)
class LanguageModel:
    """Pre-norm Transformer over tokens.

    Attributes:
      blocks: how many.
      table: initialiser of the embedding, which gives the logits too where `tied`.
      scale: of the attention's scores; None is 1/√features.
      mask: "causal", or what is wrong: "none" lets each query look at all keys, "ahead" at one too many, "upper" at what comes
        after it, alone; "empty" at nothing.
      own: whether attention is written out, with `scale`, in place of the framework's layer.
      spread: initialiser of queries and keys where `own`.
      order: "pre", "post" or "none": where layer normalisation stands.
      output: of the logits.
    """

    blocks: int = 2
    table: Initializer = jax.nn.initializers.normal(0.02)
    tied: bool = True
    scale: float | None = None
    mask: str = "causal"
    own: bool = False
    spread: Initializer | None = None
    order: str = "pre"
    output: Callable = identity
    heads: int = 2

    def __call__(self, layers: Layers, tokens: Array) -> Array:
        x, table = layers.embed(tokens, tasks.VOCABULARY, WIDTH, self.table)
        x = x + layers.parameter("position", jax.nn.initializers.normal(0.02), (tokens.shape[-1], WIDTH))
        for _ in range(self.blocks):
            x = self._block(layers, x)
        x = x if self.order != "pre" else layers.layer_norm(x)
        return self.output(x @ table.T if self.tied else layers.dense(x, tasks.VOCABULARY))

    def _block(self, layers: Layers, x: Array) -> Array:
        for branch in (self._attention, self._feed_forward):
            if self.order == "post":
                x = layers.layer_norm(x + branch(layers, x))
            else:
                x = x + branch(layers, layers.layer_norm(x) if self.order == "pre" else x)
        return x

    def _feed_forward(self, layers: Layers, x: Array) -> Array:
        return layers.dense(jax.nn.gelu(layers.dense(x, 2 * WIDTH)), WIDTH)

    def _attention(self, layers: Layers, x: Array) -> Array:
        steps = x.shape[-2]
        everything = jnp.ones((steps, steps), bool)
        causal, ahead = jnp.tril(everything), jnp.tril(everything, 1)
        mask = {"causal": causal, "none": None, "ahead": ahead, "upper": ~causal, "empty": ~everything}[self.mask]
        if not self.own:
            return layers.attention(x, self.heads, mask)
        split = lambda h: h.reshape(*h.shape[:-1], self.heads, -1)
        query, key = (split(layers.dense(x, WIDTH, self.spread)) for _ in range(2))
        mixed = attend(query, key, split(layers.dense(x, WIDTH)), mask, self.scale)
        return layers.dense(mixed.reshape(x.shape), WIDTH)


@dataclasses.dataclass(frozen=True)
class Autoencoder:
    """Dense encoder and decoder of pictures with a small code."""

    code: int = 8
    activation: Callable = jax.nn.relu
    output: Callable = jax.nn.sigmoid
    inside: Callable = identity
    bias: float | None = None

    def __call__(self, layers: Layers, x: Array) -> Array:
        size = x.shape[-1]
        h = self.activation(layers.dense(x, WIDTH, None, self.bias))
        h = self.inside(layers.dense(h, self.code))
        h = self.activation(layers.dense(h, WIDTH))
        return self.output(layers.dense(h, size))


@dataclasses.dataclass(frozen=True)
class Variational:
    """Variational autoencoder; the noise of the code is drawn from the key, or is 0 without one."""

    code: int = 4

    def __call__(self, layers: Layers, x: Array) -> tuple[Array, Array, Array]:
        h = jax.nn.relu(layers.dense(x, WIDTH))
        mean, log_variance = layers.dense(h, self.code), layers.dense(h, self.code)
        key = getattr(layers, "key", None)
        noise = jax.random.normal(jax.random.key(0) if key is None else key, mean.shape)
        z = mean + jnp.exp(log_variance / 2) * noise
        return layers.dense(jax.nn.relu(layers.dense(z, WIDTH)), x.shape[-1]), mean, log_variance
