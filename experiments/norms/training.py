"""Networks with batch or layer normalisation trained on MNIST, each at its own best learning rate, at every batch size."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.norms.networks import NETWORKS, NORMS, Network
from experiments.study.seeds import best_of, side_by_side
from jaxnotes import datasets, training

LARGEST = 500  # examples whose batch statistics are taken together when a network is evaluated by those


class Data(NamedTuple):
    """Images [n, 14, 14] with their labels."""

    train: tuple[Array, Array]
    validation: tuple[Array, Array]
    test: tuple[Array, Array]


class Outcome(NamedTuple):
    """Accuracies of trained networks, one a seed.

    Attributes:
      inference: on the test set, by running statistics.
      training: on the test set, by the statistics of test batches of the size trained with; NaN where not asked for.
      learning_rate: the one tuned for this arm.
    """

    inference: np.ndarray
    training: np.ndarray
    learning_rate: float


def load() -> Data:
    """MNIST averaged to 14 × 14 pixels, standardised by pixel as a whole: 6,000 to train, 2,000 to tune, 2,000 to test."""
    images = datasets.mnist()

    def small(x: Array) -> Array:
        halved = datasets.halved(x)
        return datasets.standardise(halved).reshape(halved.shape)

    x, labels = small(images.train_images), images.train_labels
    return Data(
        (x[VALIDATION:], labels[VALIDATION:]),
        (x[:VALIDATION], labels[:VALIDATION]),
        (small(images.test_images), images.test_labels),
    )


def run(
    norm: Array, rate: Array, key: Array, data: Data, *, name: str, batch: int, steps: int, by_batch: bool
) -> tuple[float, float, float]:
    """One whole run of Adam: accuracies (validation by running statistics, test by them, test by batch statistics or NaN).

    Programs of their own, since only the batches, the training and the last accuracy are compiled anew for another batch size.
    """
    of_params, of_batches = jax.random.split(key)
    indices = datasets.minibatch_indices(of_batches, len(data.train[1]), batch, steps)
    trained = _trained(norm, rate, _start(of_params, name=name), data.train, indices, name=name)
    right = np.asarray(_right(norm, trained, data.validation, data.test, name=name))
    by_batch_too = _accuracy_by_batch(norm, trained, data.test, name=name, batch=min(batch, LARGEST)) if by_batch else np.nan
    return float(right[:VALIDATION].mean()), float(right[VALIDATION:].mean()), float(by_batch_too)


@partial(jax.jit, static_argnames="name")
def _start(key: Array, *, name: str) -> tuple:
    """(params, running statistics) before the first step."""
    return NETWORKS[name].init(key)


@partial(jax.jit, static_argnames="name")
def _trained(norm: Array, rate: Array, start: tuple, data: tuple, indices: Array, *, name: str) -> tuple:
    """(params, running statistics) after the last step."""
    return fit(NETWORKS[name], norm, rate, *start, data, indices)


@partial(jax.jit, static_argnames="name")
def _right(norm: Array, trained: tuple, validation: tuple, test: tuple, *, name: str) -> Array:
    """`correct` by running statistics, of the validation and then the test examples."""
    both = (jnp.concatenate(parts) for parts in zip(validation, test, strict=True))
    return correct(partial(NETWORKS[name].apply, norm, *trained), *both, train=False)


@partial(jax.jit, static_argnames=("name", "batch"))
def _accuracy_by_batch(norm: Array, trained: tuple, test: tuple, *, name: str, batch: int) -> Array:
    return correct(partial(NETWORKS[name].apply, norm, *trained), *test, train=True, batch=batch).mean()


def fit(network: Network, norm: Array, rate: Array, params, state, data: tuple[Array, Array], indices: Array, **options):
    """(params, running statistics) after a step of Adam for each row of indices, the rate falling to 0 as a cosine."""
    decay = optax.cosine_decay_schedule(1.0, len(indices))
    optimizer = optax.chain(optax.scale_by_adam(), optax.scale_by_schedule(decay))

    def step(carry, chosen: Array):
        params, state, optimizer_state = carry

        def loss(params) -> tuple[Array, dict]:
            logits, new = network.apply(norm, params, state, data[0][chosen], True, **options)
            return training.cross_entropy(logits, data[1][chosen]), new

        gradient, state = jax.grad(loss, has_aux=True)(params)
        updates, optimizer_state = optimizer.update(gradient, optimizer_state)
        params = jax.tree.map(lambda p, u: p - rate * u, params, updates)
        return (params, state, optimizer_state), None

    (params, state, _), _ = jax.lax.scan(step, (params, state, optimizer.init(params)), indices)
    return params, state


def correct(apply: Callable, x: Array, labels: Array, *, train: bool, batch: int = LARGEST) -> Array:
    """1 for each example classified rightly, else 0, in batches; the remainder that fills no batch is left out."""
    whole = len(labels) // batch * batch

    def one(batch_of_x: Array) -> Array:
        logits, _ = apply(batch_of_x, train)
        return jnp.argmax(logits, 1)

    found = jax.lax.map(one, x[:whole].reshape(-1, batch, *x.shape[1:])).ravel()
    return (found == labels[:whole]).astype(jnp.float32)


def search(
    rates: tuple[float, ...], data: Data, key: Array, *, name: str, batch: int, steps: int, seeds: int, by_batch: bool = False
) -> dict[str, Outcome]:
    """Both norms: the rate by validation accuracy on a seed of its own, then the seeds that count, paired over the norms."""
    of_tuning, *of_seeds = jax.random.split(key, 1 + seeds)

    def once(item) -> tuple[float, float, float]:
        norm, rate, run_key = item
        index, rate = jnp.asarray(NORMS.index(norm), jnp.int32), jnp.asarray(rate, jnp.float32)
        return run(index, rate, run_key, data, name=name, batch=batch, steps=steps, by_batch=by_batch)

    best = [best_of(lambda rate, norm=norm: once((norm, rate, of_tuning))[0], rates) for norm in NORMS]
    counted = side_by_side(once, [(norm, rate, k) for norm, rate in zip(NORMS, best, strict=True) for k in of_seeds])
    _, inference, in_training = np.moveaxis(np.asarray(counted).reshape(len(NORMS), len(of_seeds), 3), 2, 0)
    return {norm: Outcome(inference[i], in_training[i], best[i]) for i, norm in enumerate(NORMS)}


@partial(jax.jit, static_argnames=("batch", "steps"))
def momentum_gap(momentum: Array, key: Array, data: Data, *, batch: int, steps: int) -> tuple[Array, Array]:
    """Test accuracies of an MLP with batch normalisation (by running statistics, by batch statistics) at some momentum.

    The key alone decides the training: the running statistics do not act on it.
    """
    network, norm = NETWORKS["mlp"], jnp.asarray(0)
    of_params, of_batches = jax.random.split(key)
    params, state = network.init(of_params)
    indices = datasets.minibatch_indices(of_batches, len(data.train[1]), batch, steps)
    params, state = fit(network, norm, jnp.asarray(3e-3), params, state, data.train, indices, momentum=momentum)
    apply = partial(network.apply, norm, params, state)
    return correct(apply, *data.test, train=False).mean(), correct(apply, *data.test, train=True).mean()
