"""Models as the frameworks' own examples and guides have them, at initialisation, with data and a loss."""

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import flax.linen as nn
import haiku as hk
import jax
import jax.numpy as jnp
import keras
import optax
from flax import nnx

from jaxnotes import probe

EXAMPLES, CLASSES, SIDE, VOCABULARY, POSITIONS = 32, 10, 16, 40, 12
KEY = jax.random.key(0)
IMAGES = jax.random.normal(jax.random.key(1), (EXAMPLES, SIDE, SIDE, 1))
PIXELS = jax.nn.sigmoid(IMAGES)
LABELS = jnp.arange(EXAMPLES) % CLASSES
TEXT = jax.random.randint(jax.random.key(2), (EXAMPLES, POSITIONS + 1), 0, VOCABULARY)
TOKENS, NEXT = TEXT[:, :-1], TEXT[:, 1:]
SERIES = jax.random.normal(jax.random.key(3), (EXAMPLES, POSITIONS, 3))
BINARY = (jnp.arange(EXAMPLES) % 2).astype(jnp.float32)


@dataclasses.dataclass(frozen=True)
class Example:
    """A model as `probe.read` takes it, with its data and loss."""

    model: Any
    batch: tuple
    loss: Callable | str = "cross_entropy"
    options: tuple[tuple[str, Any], ...] = ()


def linen(module: nn.Module, batch: tuple, loss: Callable | str = "cross_entropy", **options: Any) -> Example:
    keys = {"params": KEY, "dropout": KEY, "noise": KEY}
    return Example((module, module.init(keys, batch[0])), batch, loss, tuple(options.items()))


class ImageClassifier(nn.Module):
    """Flax's example `mnist`."""

    @nn.compact
    def __call__(self, x):
        for features in (8, 16):
            x = nn.avg_pool(nn.relu(nn.Conv(features, (3, 3))(x)), (2, 2), (2, 2))
        return nn.Dense(CLASSES)(nn.relu(nn.Dense(32)(x.reshape(len(x), -1))))


class ResidualBlock(nn.Module):
    """Of Flax's example `imagenet`."""

    @nn.compact
    def __call__(self, x, train: bool):
        norm = lambda **options: nn.BatchNorm(use_running_average=not train, momentum=0.9, **options)
        h = nn.relu(norm()(nn.Conv(8, (3, 3), use_bias=False)(x)))
        return nn.relu(x + norm(scale_init=nn.initializers.zeros)(nn.Conv(8, (3, 3), use_bias=False)(h)))


class ResidualNetwork(nn.Module):
    @nn.compact
    def __call__(self, x, train: bool = True):
        x = nn.relu(nn.BatchNorm(use_running_average=not train, momentum=0.9)(nn.Conv(8, (3, 3), use_bias=False)(x)))
        for _ in range(2):
            x = ResidualBlock()(x, train)
        return nn.Dense(CLASSES)(x.mean(axis=(1, 2)))


class LanguageModel(nn.Module):
    """Pre-norm decoder, as Flax's example `lm1b`, with the embedding as last layer."""

    @nn.compact
    def __call__(self, tokens, train: bool = True):
        table = nn.Embed(VOCABULARY, 16, embedding_init=nn.initializers.normal(0.02))
        x = table(tokens) + self.param("positions", nn.initializers.normal(0.02), (POSITIONS, 16))
        for _ in range(2):
            attended = nn.MultiHeadDotProductAttention(2)(nn.LayerNorm()(x), mask=nn.make_causal_mask(tokens))
            x = x + nn.Dropout(0.1, deterministic=not train)(attended)
            x = x + nn.Dense(16)(nn.gelu(nn.Dense(64)(nn.LayerNorm()(x))))
        return table.attend(nn.LayerNorm()(x))


class SequenceClassifier(nn.Module):
    """Flax's example `sst2`."""

    @nn.compact
    def __call__(self, tokens):
        x = nn.RNN(nn.OptimizedLSTMCell(16))(nn.Embed(VOCABULARY, 16)(tokens))
        return nn.Dense(2)(nn.tanh(nn.Dense(16)(x[:, -1])))


class VariationalAutoencoder(nn.Module):
    """Flax's example `vae`: three outputs, and noise from a stream of its own."""

    @nn.compact
    def __call__(self, x):
        h = nn.relu(nn.Dense(64, name="hidden")(x))
        mean, log_variance = nn.Dense(8, name="mean")(h), nn.Dense(8, name="log_variance")(h)
        z = mean + jnp.exp(0.5 * log_variance) * jax.random.normal(self.make_rng("noise"), mean.shape)
        return nn.Dense(SIDE**2, name="pixels")(nn.relu(nn.Dense(64, name="decoded")(z))), mean, log_variance


def evidence_bound(outputs, pixels):
    logits, mean, log_variance = outputs
    divergence = -0.5 * jnp.sum(1 + log_variance - mean**2 - jnp.exp(log_variance), axis=-1)
    return jnp.mean(optax.sigmoid_binary_cross_entropy(logits, pixels).sum(axis=-1) + divergence)


class Convolutions(nnx.Module):
    """Flax NNX's guide on MNIST."""

    def __init__(self, rngs):
        self.conv1, self.batch_norm = nnx.Conv(1, 8, (3, 3), rngs=rngs), nnx.BatchNorm(8, rngs=rngs)
        self.dropout, self.conv2 = nnx.Dropout(0.025, rngs=rngs), nnx.Conv(8, 16, (3, 3), rngs=rngs)
        self.linear1, self.linear2 = nnx.Linear(16 * 4 * 4, 32, rngs=rngs), nnx.Linear(32, CLASSES, rngs=rngs)

    def __call__(self, x):
        x = nnx.avg_pool(nnx.relu(self.batch_norm(self.dropout(self.conv1(x)))), (2, 2), (2, 2))
        x = nnx.avg_pool(nnx.relu(self.conv2(x)), (2, 2), (2, 2))
        return self.linear2(nnx.relu(self.linear1(x.reshape(len(x), -1))))


class Decoder(nnx.Module):
    """A small language model, as NNX's guide on Transformers has it."""

    def __init__(self, rngs):
        self.tokens, self.positions = nnx.Embed(VOCABULARY, 16, rngs=rngs), nnx.Embed(POSITIONS, 16, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(2, 16, 16, decode=False, rngs=rngs)
        self.norm1, self.norm2 = nnx.LayerNorm(16, rngs=rngs), nnx.LayerNorm(16, rngs=rngs)
        self.wide, self.narrow = nnx.Linear(16, 32, rngs=rngs), nnx.Linear(32, 16, rngs=rngs)
        self.head = nnx.Linear(16, VOCABULARY, rngs=rngs)

    def __call__(self, tokens):
        x = self.tokens(tokens) + self.positions(jnp.arange(POSITIONS))
        x = self.norm1(x + self.attention(x, mask=nnx.make_causal_mask(tokens)))
        return self.head(self.norm2(x + self.narrow(nnx.relu(self.wide(x)))))


class Recurrent(nnx.Module):
    def __init__(self, rngs):
        self.cells, self.last = nnx.RNN(nnx.GRUCell(3, 16, rngs=rngs)), nnx.Linear(16, CLASSES, rngs=rngs)

    def __call__(self, x):
        return self.last(self.cells(x)[:, -1])


class Autoencoder(nnx.Module):
    def __init__(self, rngs):
        self.encoder, self.decoder = nnx.Linear(SIDE**2, 32, rngs=rngs), nnx.Linear(32, SIDE**2, rngs=rngs)

    def __call__(self, x):
        return nnx.sigmoid(self.decoder(nnx.relu(self.encoder(x))))


class Digits(eqx.Module):
    """Equinox's example on MNIST, whose outputs are log-probabilities."""

    layers: list

    def __init__(self, key):
        keys = jax.random.split(key, 3)
        pool = eqx.nn.MaxPool2d(kernel_size=2, stride=2)
        dense = eqx.nn.Linear(3 * 6 * 6, 32, key=keys[1]), jax.nn.relu, eqx.nn.Linear(32, CLASSES, key=keys[2])
        self.layers = [eqx.nn.Conv2d(1, 3, 5, key=keys[0]), pool, jax.nn.relu, jnp.ravel, *dense, jax.nn.log_softmax]

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        return x


class Spirals(eqx.Module):
    """Equinox's example of a recurrent network, whose output is a probability."""

    cell: eqx.nn.GRUCell
    last: eqx.nn.Linear

    def __call__(self, x):
        state, _ = jax.lax.scan(lambda state, at: (self.cell(at, state), None), jnp.zeros(16), x)
        return jax.nn.sigmoid(self.last(state))


class VisionTransformer(eqx.Module):
    """Equinox's example of a vision Transformer, of one block."""

    embed: eqx.nn.Linear
    positions: jax.Array
    attention: eqx.nn.MultiheadAttention
    norms: list
    mlp: eqx.nn.MLP
    head: eqx.nn.Linear

    def __init__(self, key):
        keys = jax.random.split(key, 5)
        self.embed, self.head = eqx.nn.Linear(16, 16, key=keys[0]), eqx.nn.Linear(16, CLASSES, key=keys[1])
        self.positions = 0.02 * jax.random.normal(keys[2], (16, 16))
        self.attention = eqx.nn.MultiheadAttention(2, 16, key=keys[3])
        self.norms = [eqx.nn.LayerNorm(16) for _ in range(3)]
        self.mlp = eqx.nn.MLP(16, 16, 32, 1, activation=jax.nn.gelu, key=keys[4])

    def __call__(self, image):
        patches = image.reshape(4, 4, 4, 4).transpose(0, 2, 1, 3).reshape(16, 16)
        x = jax.vmap(self.embed)(patches) + self.positions
        h = jax.vmap(self.norms[0])(x)
        x = x + self.attention(h, h, h)
        x = x + jax.vmap(self.mlp)(jax.vmap(self.norms[1])(x))
        return self.head(jax.vmap(self.norms[2])(x).mean(axis=0))


def haiku(function: Callable, batch: tuple) -> Example:
    transformed = hk.transform(function)
    return Example((transformed, transformed.init(KEY, batch[0])), batch)


def haiku_classifier(x):
    """Haiku's first example."""
    return hk.Sequential([hk.Flatten(), hk.Linear(64), jax.nn.relu, hk.Linear(32), jax.nn.relu, hk.Linear(CLASSES)])(x)


def haiku_recurrence(tokens):
    """Haiku's example `rnn` on characters."""
    x = hk.Embed(VOCABULARY, 16)(tokens)
    outputs, _ = hk.dynamic_unroll(hk.LSTM(16), x, hk.LSTM(16).initial_state(len(tokens)), time_major=False)
    return hk.BatchApply(hk.Linear(VOCABULARY))(outputs)


def haiku_transformer(tokens):
    """A block of Haiku's example `transformer`."""
    initializer = hk.initializers.VarianceScaling(1.0)
    x = hk.Embed(VOCABULARY, 16, w_init=hk.initializers.TruncatedNormal(0.02))(tokens)
    x = x + hk.get_parameter("positions", (POSITIONS, 16), init=hk.initializers.TruncatedNormal(0.02))
    norm = lambda h: hk.LayerNorm(axis=-1, create_scale=True, create_offset=True)(h)
    mask, h = jnp.tril(jnp.ones((1, 1, POSITIONS, POSITIONS))), norm(x)
    x = x + hk.MultiHeadAttention(2, 8, w_init=initializer)(h, h, h, mask=mask)
    x = x + hk.Linear(16)(jax.nn.gelu(hk.Linear(64)(norm(x))))
    return hk.Linear(VOCABULARY)(norm(x))


def keras_residual() -> keras.Model:
    """Keras' guide on the functional API, its small residual network."""
    inputs = keras.Input((SIDE, SIDE, 1))
    x = keras.layers.Conv2D(16, 3, activation="relu")(inputs)
    before = keras.layers.MaxPooling2D(2)(x)
    h = keras.layers.Conv2D(16, 3, activation="relu", padding="same")(before)
    h = keras.layers.Conv2D(16, 3, activation="relu", padding="same")(h)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.add([h, before]))
    x = keras.layers.Dropout(0.5)(keras.layers.Dense(32, activation="relu")(x))
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(x))


def keras_text() -> keras.Model:
    """Keras' example of a bidirectional LSTM on reviews."""
    lstm = keras.layers.Bidirectional(keras.layers.LSTM(16))
    return keras.Sequential([keras.Input((POSITIONS,)), keras.layers.Embedding(VOCABULARY, 16), lstm, keras.layers.Dense(1)])


def keras_autoencoder() -> keras.Model:
    """Keras' example of a convolutional autoencoder."""
    convolution = lambda n: keras.layers.Conv2D(n, 3, activation="relu", padding="same")
    upwards = lambda n: keras.layers.Conv2DTranspose(n, 3, strides=2, activation="relu", padding="same")
    pool = lambda: keras.layers.MaxPooling2D(2, padding="same")
    last = keras.layers.Conv2D(1, 3, activation="sigmoid", padding="same")
    return keras.Sequential(
        [keras.Input((SIDE, SIDE, 1)), convolution(8), pool(), convolution(8), pool(), upwards(8), upwards(8), last]
    )


def plain_perceptron() -> Example:
    """JAX's tutorial on a neural network from scratch."""
    sizes = (SIDE**2, 64, 64, CLASSES)
    draw = lambda key, n, m: {"w": jax.random.normal(key, (m, n)) / math.sqrt(n), "b": jnp.zeros(m)}
    keys = jax.random.split(KEY, 3)
    parameters = {str(i): draw(key, *pair) for i, (key, pair) in enumerate(zip(keys, itertools.pairwise(sizes), strict=True))}

    def predict(parameters, image):
        for i in range(3):
            image = probe.tap(str(i), parameters[str(i)]["w"] @ image + parameters[str(i)]["b"])
            image = jax.nn.relu(image) if i < 2 else image
        return jax.nn.log_softmax(image)

    batched = lambda parameters, images: jax.vmap(predict, (None, 0))(parameters, images)
    return Example((batched, parameters), (IMAGES.reshape(EXAMPLES, -1), LABELS), likelihood)


def scanned_perceptron() -> Example:
    """Blocks with one set of stacked weights, by `lax.scan`, as large models in plain JAX have them."""
    parameters = {
        "blocks": jax.random.normal(KEY, (6, 32, 32)) / math.sqrt(32),
        "last": jax.random.normal(KEY, (32, CLASSES)) / math.sqrt(32),
    }

    def model(parameters, x):
        block = lambda x, w: (x + 0.4 * jnp.tanh(probe.tap("blocks", x @ w)), None)
        return probe.tap("last", jax.lax.scan(block, x, parameters["blocks"])[0] @ parameters["last"])

    x = jax.random.normal(jax.random.key(4), (EXAMPLES, 32))
    return Example((model, parameters), (x, LABELS))


def likelihood(log_probabilities, labels):
    return -jnp.mean(jnp.take_along_axis(log_probabilities, labels[:, None], axis=-1))


def binary(probabilities, labels):
    p = jnp.clip(jnp.reshape(probabilities, labels.shape), 1e-7, 1 - 1e-7)
    return -jnp.mean(labels * jnp.log(p) + (1 - labels) * jnp.log(1 - p))


def binary_logits(logits, labels):
    return jnp.mean(optax.sigmoid_binary_cross_entropy(logits[:, 0], labels))


DIGITS, WORDS = (IMAGES, LABELS), (TOKENS, NEXT)
FLAT = PIXELS.reshape(EXAMPLES, -1)
BY_CHANNEL = IMAGES.transpose(0, 3, 1, 2)
TRAIN = {"train": True, "key": KEY}
MODELS: dict[str, Callable[[], Example]] = {
    "linen, convolutions": lambda: linen(ImageClassifier(), DIGITS),
    "linen, residual": lambda: linen(ResidualNetwork(), DIGITS, train=True),
    "linen, language model": lambda: linen(LanguageModel(), WORDS, **TRAIN),
    "linen, LSTM": lambda: linen(SequenceClassifier(), (TOKENS, LABELS % 2)),
    "linen, variational autoencoder": lambda: linen(VariationalAutoencoder(), (FLAT, FLAT), evidence_bound, key=KEY),
    "nnx, convolutions": lambda: Example(Convolutions(nnx.Rngs(0)), DIGITS, options=(("train", True),)),
    "nnx, language model": lambda: Example(Decoder(nnx.Rngs(0)), WORDS),
    "nnx, GRU": lambda: Example(Recurrent(nnx.Rngs(0)), (SERIES, LABELS)),
    "nnx, autoencoder": lambda: Example(Autoencoder(nnx.Rngs(0)), (FLAT, FLAT), binary),
    "equinox, convolutions": lambda: Example(Digits(KEY), (BY_CHANNEL, LABELS), likelihood),
    "equinox, GRU": lambda: Example(
        Spirals(eqx.nn.GRUCell(3, 16, key=KEY), eqx.nn.Linear(16, 1, key=KEY)), (SERIES, BINARY), binary
    ),
    "equinox, vision Transformer": lambda: Example(VisionTransformer(KEY), (IMAGES[..., 0], LABELS)),
    "haiku, perceptron": lambda: haiku(haiku_classifier, DIGITS),
    "haiku, LSTM": lambda: haiku(haiku_recurrence, WORDS),
    "haiku, Transformer": lambda: haiku(haiku_transformer, WORDS),
    "keras, residual": lambda: Example(keras_residual(), DIGITS, options=tuple(TRAIN.items())),
    "keras, bidirectional LSTM": lambda: Example(keras_text(), (TOKENS, BINARY), binary_logits),
    "keras, autoencoder": lambda: Example(keras_autoencoder(), (PIXELS, PIXELS), binary),
    "function, perceptron": plain_perceptron,
    "function, scanned": scanned_perceptron,
}
