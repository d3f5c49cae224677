"""The functions that public functions return, as functions of their own, so that they are called too."""

import functools
from collections.abc import Callable
from typing import Any

import optax
from jaxtyping import Array, Float, Integer, Key

from jaxnotes import training
from jaxnotes.layers import activations, initializers
from jaxnotes.models import mlp, residual_network
from tests.fuzz.values import mean_square

OPTIMIZER = optax.sgd(0.1)


def derivative(activation: Callable, x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    return activations.derivative(activation)(x)


def weight_variance(key: Key[Array, ""], n_in: int, n_out: int, dtype) -> Float[Array, "n_in n_out"]:
    return initializers.weight_variance(2.0)(key, n_in, n_out, dtype)


def orthogonal(key: Key[Array, ""], n_in: int, n_out: int, dtype) -> Float[Array, "n_in n_out"]:
    return initializers.orthogonal(0.5)(key, n_in, n_out, dtype)


def hidden_layer(params: dict, x: Float[Array, "*batch width"], activation: Callable) -> Float[Array, "*batch width"]:
    return mlp.hidden_layer(activation)(params, x)


def residual_layer(params: dict, x: Float[Array, "*batch width"], activation: Callable) -> Float[Array, "*batch width"]:
    return residual_network.residual_layer(activation)(params, x)


@functools.cache
def _compiled(form: Callable) -> Callable:
    return form(mean_square, OPTIMIZER)


def train_step(tree: Any, data: Float[Array, "n features"]) -> Float[Array, ""]:
    return _compiled(training.train_step)(training.init_state(tree, OPTIMIZER), data)[1]


def train(tree: Any, data: Float[Array, "steps n features"]) -> Float[Array, "steps"]:
    return _compiled(training.train)(training.init_state(tree, OPTIMIZER), data)[1]


def train_on(tree: Any, data: Float[Array, "n features"], indices: Integer[Array, "steps batch"]) -> Float[Array, "steps"]:
    return _compiled(training.train_on)(training.init_state(tree, OPTIMIZER), data, indices)[1]


RETURNED = (derivative, weight_variance, orthogonal, hidden_layer, residual_layer, train_step, train, train_on)
# Public functions that return one of the above, or a function that is called as itself.
WHO_RETURN = {function.__name__ for function in RETURNED} | {"by_name"}
