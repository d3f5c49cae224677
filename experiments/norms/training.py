"""Networks with batch, layer or group normalisation trained on MNIST, each at its own best learning rate."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from experiments.norms.networks import NETWORKS, NORMS, Network
from experiments.norms.settings import Norms
from experiments.study.digits import Digits
from experiments.study.tuning import Tuned, adam, tuned
from jaxnotes import datasets, training
from jaxnotes.layers.normalization import MOMENTUM

LARGEST = 500  # examples that are evaluated together
SEEN = 2000  # training digits on which it is read how well a network fits

Examples = tuple[Array, Array]  # images [n, 14, 14, 1] and labels
Trained = tuple[Any, Any]  # parameters and running statistics


class Run(NamedTuple):
    """Losses and accuracies of one trained network; the accuracies by running statistics.

    `by_batch` is the test accuracy by the statistics of LARGEST test examples at once. Where several momenta are compared, the
    accuracies have one entry each.
    """

    losses: Array
    validation: Array
    train: Array
    test: Array
    by_batch: Array


def train_norms(
    data: Digits, key: Array, settings: Norms, *, name: str, batch: int, steps: int, norms: tuple[str, ...] = NORMS
) -> Mapping[str, Tuned]:
    """Returns by norm the runs of a network at the rate of the best validation accuracy, paired seed by seed."""

    def train_norm(norm: str) -> Tuned:
        one = partial(run, jnp.int32(NORMS.index(norm)), data, name=name, batch=batch, steps=steps)
        return tuned(one, lambda run: run.validation[0], settings, key)

    return {norm: train_norm(norm) for norm in norms}


def run(
    norm: Array,
    data: Digits,
    rate: Array,
    key: Array,
    momenta: tuple[float, ...] = (MOMENTUM,),
    *,
    name: str,
    batch: int,
    steps: int,
) -> Run:
    """Trains one network by Adam and evaluates it with the running statistics of each momentum.

    These are programs of their own, since for another batch size only the batches and the training are compiled anew.
    """
    key_params, key_batches = jax.random.split(key)
    indices = datasets.minibatch_indices(key_batches, len(data.train[1]), batch, steps)
    weights = jnp.asarray(momenta, jnp.float32)
    params, states, losses = _trained(norm, rate, weights, _start(key_params, name=name), data.train, indices, name=name)
    few = tuple(part[:SEEN] for part in data.train)
    cases = ((data.validation, False), (few, False), (data.test, False), (data.test, True))
    return Run(losses, *(_evaluated(norm, params, states, examples, name=name, train=train) for examples, train in cases))


@partial(jax.jit, static_argnames="name")
def _start(key: Array, *, name: str) -> Trained:
    return NETWORKS[name].init(key)


@partial(jax.jit, static_argnames="name")
def _trained(norm: Array, rate: Array, momenta: Array, start: Trained, data: Examples, indices: Array, *, name: str):
    return fit(NETWORKS[name], norm, rate, momenta, *start, data, indices)


@partial(jax.jit, static_argnames=("name", "train"))
def _evaluated(norm: Array, params: Any, states: Any, examples: Examples, *, name: str, train: bool) -> Array:
    def at(state: Any) -> Array:
        return accuracy(partial(NETWORKS[name].apply, norm, params, state), *examples, train=train)

    return jax.lax.map(at, states)


def fit(
    network: Network, norm: Array, rate: Array, momenta: Array, params: Any, state: Any, data: Examples, indices: Array
) -> tuple[Any, Any, Array]:
    """Returns parameters, running statistics for each momentum, and losses, after a step of Adam for each row of indices.

    One training serves all momenta: the running statistics do not act on it.
    """
    optimizer = adam(rate, len(indices))
    states = jax.tree.map(lambda leaf: jnp.broadcast_to(leaf, (len(momenta), *leaf.shape)), state)

    def step(carry: tuple[Any, Any, Any], chosen: Array) -> tuple[tuple[Any, Any, Any], Array]:
        params, states, optimizer_state = carry

        def loss(params: Any) -> tuple[Array, Any]:
            logits, new = network.apply(norm, params, state, data[0][chosen], True, 0.0)
            return training.cross_entropy(logits, data[1][chosen]), new

        (value, new), gradient = jax.value_and_grad(loss, has_aux=True)(params)
        states = jax.vmap(lambda old, m: jax.tree.map(lambda a, b: m * a + (1 - m) * b, old, new))(states, momenta)
        updates, optimizer_state = optimizer.update(gradient, optimizer_state)
        return (optax.apply_updates(params, updates), states, optimizer_state), value

    (params, states, _), losses = jax.lax.scan(step, (params, states, optimizer.init(params)), indices)
    return params, states, losses


def accuracy(apply: Callable, x: Array, labels: Array, *, train: bool, batch: int = LARGEST) -> Array:
    """Returns the accuracy of `apply(x, train)` in batches; the remainder that fills no batch is left out."""
    whole = len(labels) // batch * batch
    logits = jax.lax.map(lambda x: apply(x, train)[0], x[:whole].reshape(-1, batch, *x.shape[1:]))
    return training.accuracy(logits.reshape(whole, -1), labels[:whole])
