"""Plain and residual networks of 20 to 1,000 layers, with batch normalisation and without, trained on MNIST at equal budget."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from experiments.residual.paths import by_length
from experiments.residual.settings import Residual
from experiments.study import digits
from experiments.study.tuning import adam
from jaxnotes import datasets, jacobians, training
from jaxnotes.layers.activations import leaky_relu
from jaxnotes.layers.initializers import he_normal
from jaxnotes.layers.linear import linear
from jaxnotes.layers.normalization import norm_init, normalise_by_batch
from jaxnotes.layers.residual import depth_scale, residual
from jaxnotes.models.mlp import mlp_init

CLASSES = 10
PROBED = 256  # training examples on which gradients are measured


class Arm(NamedTuple):
    """A kind of network: blocks shortcut · h + s F(h) with F(h) = W φ(BN(h)) or W φ(h), and φ a leaky ReLU.

    Attributes:
      normalised: whether the branch has batch normalisation.
      shortcut: 1, or 0 for the plain network of the same layers.
      slope: of φ for negative inputs; 0 is ReLU.
      scaled: whether s is 1/√depth and not 1.
    """

    normalised: bool
    shortcut: float
    slope: float = 0.0
    scaled: bool = False

    def numbers(self, depth: int) -> dict[str, Array]:
        """Returns all but `normalised` as arrays, so that such arms of a depth share a program."""
        scale = depth_scale(depth) if self.scaled else 1.0
        named = {"shortcut": self.shortcut, "scale": scale, "slope": self.slope}
        return {name: jnp.float32(number) for name, number in named.items()}


ARMS = {
    "residual": Arm(True, 1.0),
    "plain": Arm(True, 0.0),
    "plain-leaky": Arm(True, 0.0, slope=0.5),  # E φ′² / Var φ is 1.07 against ReLU's 1.47: its gradients hardly grow
    "residual-leaky": Arm(True, 1.0, slope=0.5),  # beside it
    "unnormalised": Arm(False, 1.0),
    "scaled": Arm(False, 1.0, scaled=True),
}


class Run(NamedTuple):
    """What one trained network shows. Batch normalisation takes the statistics of the set that is classified.

    Attributes:
      losses: [steps] training loss at each step, nats.
      train_error: share of all training examples that are misclassified at the end.
      validation, test: accuracies.
      gradients: [2] ln of the gradient at the first block over that behind the last, before and after training.
      share: [depth + 1] share of the squared gradient by path length after training; [0] where not asked for.
    """

    losses: Array
    train_error: Array
    validation: Array
    test: Array
    gradients: Array
    share: Array


def branch(normalised: bool, slope: Array) -> Callable:
    """F(params, h), which is also the output layer."""

    def f(params: dict[str, Array], h: Array) -> Array:
        affine = {name: params[name] for name in ("scale", "shift") if name in params}
        return linear(params, leaky_relu(normalise_by_batch(affine, h) if normalised else h, slope))

    return f


def init(key: Array, normalised: bool, n_in: int, width: int, depth: int) -> dict[str, dict[str, Array]]:
    """Returns the parameters of the input layer, of `depth` stacked branches and of the output layer."""
    params = mlp_init(key, n_in, width, depth, CLASSES, initializer=he_normal)
    if normalised:
        params["hidden"] |= norm_init((depth, width))
        params["output"] |= norm_init(width)
    return params


@partial(jax.jit, static_argnames=("normalised", "settings", "depth", "steps", "paths"))
def train(
    numbers: dict[str, Array],
    data: digits.Digits,
    rate: Array,
    key: Array,
    *,
    normalised: bool,
    settings: Residual,
    depth: int,
    steps: int,
    paths: bool = False,
) -> Run:
    """Trains one network by Adam and evaluates it; `numbers` are those of its arm."""
    key_params, key_batches = jax.random.split(key)
    f = branch(normalised, numbers["slope"])
    block = partial(residual, f, branch_scale=numbers["scale"], shortcut_scale=numbers["shortcut"])

    def apply(params, images: Array) -> Array:
        h = jax.lax.scan(lambda h, p: (block(p, h), None), linear(params["input"], images), params["hidden"])[0]
        return f(params["output"], h)

    def loss(params, batch: tuple[Array, Array]) -> Array:
        return training.cross_entropy(apply(params, batch[0]), batch[1])

    images, labels = data.train
    named = (images[:PROBED], labels[:PROBED])

    def head(params, h: Array) -> Array:
        return training.cross_entropy(f(params["output"], h), named[1])

    def gradient(params) -> Array:
        logs = jacobians.log_gradient_norms(block, params["hidden"], linear(params["input"], named[0]), partial(head, params))
        return logs[0] - logs[-1]

    optimizer = adam(rate, steps)
    params = init(key_params, normalised, images.shape[1], settings.train_width, depth)
    indices = datasets.minibatch_indices(key_batches, len(labels), settings.train_batch, steps)
    before = gradient(params)
    state, losses = training.train_on(loss, optimizer)(training.init_state(params, optimizer), data.train, indices)
    trained = state.params
    share = _share(f, trained, named, head) if paths else jnp.zeros(0)
    train_accuracy, validation, test = (training.accuracy(apply(trained, x), y) for x, y in data)
    return Run(losses, 1 - train_accuracy, validation, test, jnp.stack([before, gradient(trained)]), share)


def _share(f: Callable, params, named: tuple[Array, Array], head: Callable) -> Array:
    """Returns the share of the squared gradient by path length, of the loss at the end of training; its own output gradient."""
    h = linear(params["input"], named[0])
    out = jax.lax.scan(lambda h, p: (residual(f, p, h), None), h, params["hidden"])[0]
    return by_length(f, params["hidden"], h, jax.grad(partial(head, params))(out))["share"]
