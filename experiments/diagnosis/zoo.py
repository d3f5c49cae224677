"""Models for the diagnosis to be judged by: healthy ones of many kinds, and ones with a fault planted."""

from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import flax.linen as nn
import jax
import jax.numpy as jnp
import optax
from flax import nnx

from jaxnotes import datasets, probe

WIDTH, CLASSES = 64, 10


class Case(NamedTuple):
    """A model with what `probe.read` gets.

    Attributes:
      model: in one of the forms that `probe.read` takes.
      batch: (inputs, targets).
      options: of `probe.read`.
    """

    model: Any
    batch: tuple[Any, Any]
    options: dict[str, Any] = {}


class Plain(nn.Module):
    """Equal dense layers with an activation function, with or without normalisation, dropout and a shortcut."""

    depth: int = 4
    activation: Callable = nn.relu
    initializer: Callable = nn.initializers.he_normal()
    norm: str = ""
    rate: float = 0.0
    residual: bool = False
    bias: float = 0.0

    @nn.compact
    def __call__(self, x, train: bool = True):
        x = nn.Dense(WIDTH)(x) if self.residual else x
        for _ in range(self.depth):
            h = nn.Dense(WIDTH, kernel_init=self.initializer, bias_init=nn.initializers.constant(self.bias))(x)
            if self.norm == "batch":
                h = nn.BatchNorm(use_running_average=not train, momentum=0.9)(h)
            elif self.norm == "layer":
                h = nn.LayerNorm()(h)
            h = nn.Dropout(self.rate, deterministic=not train)(self.activation(h))
            x = x + h if self.residual else h
        return nn.Dense(CLASSES)(x)


class Convolutional(nn.Module):
    """Two blocks of convolution, activation and pooling."""

    norm: bool = False

    @nn.compact
    def __call__(self, x, train: bool = True):
        x = x.reshape(-1, 28, 28, 1)
        for features in (8, 16):
            x = nn.Conv(features, (3, 3))(x)
            x = nn.BatchNorm(use_running_average=not train)(x) if self.norm else x
            x = nn.max_pool(nn.relu(x), (2, 2), (2, 2))
        return nn.Dense(CLASSES)(nn.relu(nn.Dense(WIDTH)(x.reshape(len(x), -1))))


class Recurrent(nn.Module):
    """A classifier that reads a digit row by row."""

    cell: type = nn.GRUCell

    @nn.compact
    def __call__(self, x):
        return nn.Dense(CLASSES)(nn.RNN(self.cell(32))(x.reshape(-1, 28, 28))[:, -1])


class Transformer(nn.Module):
    """Pre-norm blocks over the rows of a digit."""

    blocks: int = 2

    @nn.compact
    def __call__(self, x):
        x = nn.Dense(WIDTH)(x.reshape(-1, 28, 28))
        x = x + self.param("position", nn.initializers.normal(0.02), (28, WIDTH))
        for _ in range(self.blocks):
            h = nn.LayerNorm()(x)
            x = x + nn.MultiHeadDotProductAttention(4)(h, h)
            x = x + nn.Dense(WIDTH)(nn.gelu(nn.Dense(2 * WIDTH)(nn.LayerNorm()(x))))
        return nn.Dense(CLASSES)(nn.LayerNorm()(x).mean(1))


class NnxNetwork(nnx.Module):
    """Three dense layers with dropout."""

    def __init__(self, rngs: nnx.Rngs):
        self.layers = nnx.List([nnx.Linear(784 if i == 0 else WIDTH, WIDTH, rngs=rngs) for i in range(3)])
        self.dropout, self.out = nnx.Dropout(0.1, rngs=rngs), nnx.Linear(WIDTH, CLASSES, rngs=rngs)

    def __call__(self, x):
        for layer in self.layers:
            x = nnx.silu(layer(x))
        return self.out(self.dropout(x))


def digits(key: jax.Array, examples: int = 64) -> tuple[jax.Array, jax.Array]:
    """Random MNIST digits [n, 784], scaled to mean 0 and variance 1, with their classes."""
    data = datasets.mnist()
    chosen = jax.random.permutation(key, len(data.train_labels))[:examples]
    return (data.train_images[chosen].reshape(examples, -1) - 0.1307) / 0.3081, data.train_labels[chosen]


def case(module: nn.Module, key: jax.Array, examples: int = 64, **options: Any) -> Case:
    """Returns a Linen module at initialisation on random digits."""
    batch = digits(jax.random.fold_in(key, 1), examples)
    variables = module.init({"params": key, "dropout": key}, batch[0])
    return Case((module, variables), batch, {"key": key, **options})


def trained(module: nn.Module, key: jax.Array, steps: int = 100, **options: Any) -> Case:
    """Returns the module of `case` after some steps of Adam, running statistics carried."""
    (module, variables), batch, options = case(module, key, **options)
    tx = optax.adam(1e-3)

    def loss(parameters, state, batch, key):
        out, state = module.apply({"params": parameters, **state}, batch[0], mutable=list(state), rngs={"dropout": key})
        return probe.LOSSES["cross_entropy"](out, batch[1]), state

    def step(carry, key):
        parameters, state, moments = carry
        gradient, state = jax.grad(loss, has_aux=True)(parameters, state, digits(key), key)
        updates, moments = tx.update(gradient, moments)
        return (optax.apply_updates(parameters, updates), state, moments), None

    parameters, state = variables["params"], {name: value for name, value in variables.items() if name != "params"}
    start = (parameters, state, tx.init(parameters))
    (parameters, state, _), _ = jax.jit(lambda s, k: jax.lax.scan(step, s, k))(start, jax.random.split(key, steps))
    return Case((module, {"params": parameters, **state}), batch, options)


def tapped(parameters: list[jax.Array], x: jax.Array) -> jax.Array:
    """Returns a plain function: tanh layers, then a linear one."""
    *hidden, last = parameters
    for i, w in enumerate(hidden):
        x = jnp.tanh(probe.tap(str(i), x @ w))
    return probe.tap(str(len(hidden)), x @ last)


def tapped_case(key: jax.Array) -> Case:
    sizes = (784, WIDTH, WIDTH, WIDTH, CLASSES)
    keys = jax.random.split(key, 4)
    weights = [jax.random.normal(k, (a, b)) / a**0.5 for k, a, b in zip(keys, sizes, sizes[1:], strict=False)]
    return Case((tapped, weights), digits(key))


HEALTHY: dict[str, Callable[[jax.Array], Case]] = {
    "relu": lambda key: case(Plain(), key),
    "relu-deep": lambda key: case(Plain(depth=20), key),
    "tanh-deep": lambda key: case(Plain(depth=20, activation=nn.tanh, initializer=nn.initializers.lecun_normal()), key),
    "gelu-layer-norm-dropout": lambda key: case(Plain(activation=nn.gelu, norm="layer", rate=0.1), key),
    "batch-norm": lambda key: case(Plain(norm="batch"), key),
    "batch-norm-inference": lambda key: trained(Plain(norm="batch"), key, train=False),
    "residual-batch-norm": lambda key: case(Plain(depth=20, norm="batch", residual=True), key),
    "convolutional": lambda key: case(Convolutional(), key),
    "convolutional-trained": lambda key: trained(Convolutional(norm=True), key),
    "gru": lambda key: case(Recurrent(), key),
    "transformer": lambda key: case(Transformer(), key),
    "optimiser": lambda key: case(Plain(), key, optimizer=optax.adam(1e-3), clip_norm=1.0),
    "nnx": lambda key: Case(NnxNetwork(nnx.Rngs(key)), digits(key)),
    "equinox": lambda key: Case(eqx.nn.MLP(784, CLASSES, WIDTH, 3, key=key), digits(key)),
    "tapped": tapped_case,
}


def shifted(key: jax.Array) -> Case:
    """Trained on digits, read at inference on digits of another scale."""
    found = trained(Plain(norm="batch"), key, train=False)
    return found._replace(batch=(found.batch[0] * 8, found.batch[1]))


class LogOfNegative(nn.Module):
    """A logarithm without a guard."""

    @nn.compact
    def __call__(self, x):
        x = nn.relu(nn.Dense(WIDTH)(x))
        x = nn.Dense(WIDTH)(jnp.log(nn.Dense(WIDTH)(x)))
        return nn.Dense(CLASSES)(x)


class DropoutLeftOn(nn.Module):
    """Dropout to which the switch is not passed on."""

    @nn.compact
    def __call__(self, x, train: bool = True):
        x = nn.Dropout(0.5, deterministic=False)(nn.relu(nn.Dense(WIDTH)(x)))
        return nn.Dense(CLASSES)(x)


def constant_inputs(key: jax.Array) -> Case:
    found = case(Plain(), key)
    return found._replace(batch=(jnp.broadcast_to(found.batch[0][:1], found.batch[0].shape), found.batch[1]))


def without_key(key: jax.Array) -> Case:
    found = case(Plain(rate=0.5), key)
    return found._replace(options={})


SMALL, LARGE = nn.initializers.normal(0.01), nn.initializers.normal(1.0)
# name: (the kinds of which one must be found, the model)
FAULTY: dict[str, tuple[tuple[str, ...], Callable[[jax.Array], Case]]] = {
    "small-weights": (("initialisation",), lambda key: case(Plain(depth=6, initializer=SMALL), key)),
    "small-weights-vanish": (("vanishing-gradient",), lambda key: case(Plain(depth=6, initializer=SMALL), key)),
    "large-weights": (("initialisation",), lambda key: case(Plain(depth=8, initializer=LARGE), key)),
    "large-weights-explode": (("exploding-gradient",), lambda key: case(Plain(depth=8, initializer=LARGE), key)),
    "sigmoid-deep": (("vanishing-gradient",), lambda key: case(Plain(depth=10, activation=nn.sigmoid), key)),
    "saturated-tanh": (("saturated-units",), lambda key: case(Plain(activation=nn.tanh, initializer=LARGE), key)),
    "dead-relu": (("dead-units",), lambda key: case(Plain(bias=-10.0), key)),
    "batch-norm-deep": (("batch-norm-explosion",), lambda key: case(Plain(depth=50, norm="batch"), key)),
    "batch-of-two": (("small-batch",), lambda key: case(Plain(norm="batch"), key, examples=2)),
    "other-inputs": (("stale-statistics",), shifted),
    "dropout-left-on": (("dropout",), lambda key: case(DropoutLeftOn(), key, train=False)),
    "no-key": (("dropout",), without_key),
    "constant-inputs": (("constant-representation",), constant_inputs),
    "logarithm": (("non-finite",), lambda key: case(LogOfNegative(), key)),
    "large-steps": (("large-update",), lambda key: case(Plain(), key, optimizer=optax.adam(0.3))),
    "clips-always": (("clipping",), lambda key: case(Plain(), key, clip_norm=1e-3)),
    "clips-never": (("clipping",), lambda key: case(Plain(), key, clip_norm=1e4)),
}
