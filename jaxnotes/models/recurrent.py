"""Recurrent sequence classifier: an RNN, LSTM or GRU whose last hidden state a linear layer reads."""

import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxnotes import _checks
from jaxnotes._checks import choice, count, entries, floats
from jaxnotes.layers.linear import linear, linear_init
from jaxnotes.layers.recurrent import LSTMState, gru, gru_init, lstm, lstm_init, rnn, rnn_init

CELLS: Mapping[str, tuple] = MappingProxyType({"rnn": (rnn_init, rnn), "lstm": (lstm_init, lstm), "gru": (gru_init, gru)})


def recurrent_classifier_init(
    key: Key[Array, ""], n_in: int, width: int, n_out: int, *, cell: str, dtype=jnp.float32, **options: Any
) -> dict[str, Any]:
    """Parameters {"recurrent", "output"} of a classifier.

    Args:
      key: random key.
      n_in: features of every time step.
      width: units.
      n_out: classes.
      cell: "rnn", "lstm" or "gru".
      dtype: of all parameters.
      **options: of the cell's own initialisation, such as `forget_bias`.

    Raises:
      TypeError: no random key, size or dtype where one is meant.
      ValueError: an unknown cell, an option that it has not, or a size below 1.
    """
    _checks.key("key", key)
    for name, size in (("n_in", n_in), ("width", width), ("n_out", n_out)):
        count(name, size)
    initialise, _ = _named(cell)
    for option in options:
        choice("option", option, tuple(inspect.signature(initialise).parameters)[3:])
    key_recurrent, key_output = jax.random.split(key)
    return {
        "recurrent": initialise(key_recurrent, n_in, width, dtype=dtype, **options),
        "output": linear_init(key_output, width, n_out, dtype=dtype),
    }


def recurrent_classifier(
    params: dict[str, Any], x: Float[Array, "batch time n_in"], *, cell: str
) -> Float[Array, "batch n_out"]:
    """Returns the logits, before any softmax, from the hidden state after the last step.

    Raises:
      TypeError: x or a parameter is not of a floating type.
      ValueError: an unknown cell, the last dimension of x is not n_in, or parameters that do not fit.
    """
    _, run = _named(cell)
    recurrent, output = entries("params", params, "recurrent", "output")
    x = floats("x", x, "batch time n_in")

    def last_hidden(sequence: Array) -> Array:
        state, _ = run(recurrent, sequence)
        return state.hidden if isinstance(state, LSTMState) else state

    return linear(output, jax.vmap(last_hidden)(x))


def _named(cell: str) -> tuple:
    choice("cell", cell, CELLS)
    return CELLS[cell]
