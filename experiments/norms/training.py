"""Networks with batch or layer normalisation trained on MNIST, each at its own best learning rate."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.norms.networks import NETWORKS, NORMS, Network
from experiments.study.digits import Digits
from experiments.study.tuning import Tuned, adam, tuned
from jaxnotes import datasets, training

LARGEST = 500  # examples whose batch statistics are taken together when a network is evaluated by those
FIXED_RATE = 3e-3  # of the networks whose running statistics are compared

Examples = tuple[Array, Array]  # images [n, 14, 14, 1] and labels
Trained = tuple[Any, Any]  # parameters and running statistics


class Run(NamedTuple):
    """Accuracies of one trained network."""

    validation: Array  # by running statistics
    inference: Array  # on the test set, by running statistics
    training: Array  # on the test set, by those of test batches of the size trained with; NaN where not asked for


def train_both(
    data: Digits,
    key: Array,
    *,
    name: str,
    batch: int,
    steps: int,
    rates: tuple[float, ...],
    tuning_seeds: int,
    seeds: int,
    by_batch: bool = False,
) -> Mapping[str, Tuned]:
    """Returns by norm the runs of a network at the rate of the best validation accuracy, paired seed by seed."""

    def train_norm(norm: str) -> Tuned:
        index = jnp.int32(NORMS.index(norm))
        one = partial(run, index, data, name=name, batch=batch, steps=steps, by_batch=by_batch)
        return tuned(
            lambda rate, key: one(jnp.float32(rate), key),
            lambda run: run.validation,
            rates,
            key,
            tuning_seeds=tuning_seeds,
            seeds=seeds,
        )

    return {norm: train_norm(norm) for norm in NORMS}


def run(norm: Array, data: Digits, rate: Array, key: Array, *, name: str, batch: int, steps: int, by_batch: bool) -> Run:
    """Trains one network by Adam and evaluates it.

    These are programs of their own, since for another batch size only the batches, the training and the evaluation by batch
    statistics are compiled anew.
    """
    key_params, key_batches = jax.random.split(key)
    indices = datasets.minibatch_indices(key_batches, len(data.train[1]), batch, steps)
    trained = _trained(norm, rate, _start(key_params, name=name), data.train, indices, name=name)
    evaluate = partial(_evaluated, norm, trained, name=name)
    inference = partial(evaluate, train=False, batch=LARGEST)
    by_batches = evaluate(data.test, train=True, batch=min(batch, LARGEST)) if by_batch else np.nan
    return Run(inference(data.validation), inference(data.test), by_batches)


@partial(jax.jit, static_argnames="name")
def _start(key: Array, *, name: str) -> Trained:
    return NETWORKS[name].init(key)


@partial(jax.jit, static_argnames="name")
def _trained(norm: Array, rate: Array, start: Trained, data: Examples, indices: Array, *, name: str) -> Trained:
    return fit(NETWORKS[name], norm, rate, *start, data, indices)


@partial(jax.jit, static_argnames=("name", "train", "batch"))
def _evaluated(norm: Array, trained: Trained, examples: Examples, *, name: str, train: bool, batch: int) -> Array:
    return accuracy(partial(NETWORKS[name].apply, norm, *trained), *examples, train=train, batch=batch)


def fit(network: Network, norm: Array, rate: Array, params, state, data: Examples, indices: Array, **options) -> Trained:
    """Returns parameters and running statistics after a step of Adam for each row of indices."""
    optimizer = adam(rate, len(indices))

    def step(carry: tuple[Any, Any, Any], chosen: Array) -> tuple[tuple[Any, Any, Any], None]:
        params, state, optimizer_state = carry

        def loss(params) -> tuple[Array, Any]:
            logits, new = network.apply(norm, params, state, data[0][chosen], True, **options)
            return training.cross_entropy(logits, data[1][chosen]), new

        gradient, state = jax.grad(loss, has_aux=True)(params)
        updates, optimizer_state = optimizer.update(gradient, optimizer_state)
        return (optax.apply_updates(params, updates), state, optimizer_state), None

    (params, state, _), _ = jax.lax.scan(step, (params, state, optimizer.init(params)), indices)
    return params, state


def accuracy(apply: Callable, x: Array, labels: Array, *, train: bool, batch: int = LARGEST) -> Array:
    """Returns the accuracy of `apply(x, train)` in batches; the remainder that fills no batch is left out."""
    whole = len(labels) // batch * batch
    logits = jax.lax.map(lambda x: apply(x, train)[0], x[:whole].reshape(-1, batch, *x.shape[1:]))
    return training.accuracy(logits.reshape(whole, -1), labels[:whole])


@partial(jax.jit, static_argnames=("batch", "steps"))
def momentum_gap(momenta: Array, key: Array, data: Digits, *, batch: int, steps: int) -> tuple[Array, Array]:
    """Returns test accuracies by running and by batch statistics of an MLP with batch normalisation, at each momentum.

    One training serves all momenta: the running statistics do not act on it.
    """
    network, norm, rate = NETWORKS["mlp"], jnp.int32(NORMS.index("batch")), jnp.float32(FIXED_RATE)
    key_params, key_batches = jax.random.split(key)
    params, state = network.init(key_params)
    indices = datasets.minibatch_indices(key_batches, len(data.train[1]), batch, steps)

    def at(momentum: Array) -> tuple[Array, Array]:
        trained = fit(network, norm, rate, params, state, data.train, indices, momentum=momentum)
        evaluate = partial(accuracy, partial(network.apply, norm, *trained), *data.test)
        return evaluate(train=False), evaluate(train=True)

    return jax.vmap(at)(momenta)
