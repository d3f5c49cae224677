"""Recurrent sequence classifier: an RNN, LSTM or GRU whose last hidden state a linear layer reads."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

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
      ValueError: an unknown cell, or a size below 1.
    """
    initialise, _ = _named(cell)
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
      TypeError: x is not of a floating type.
      ValueError: an unknown cell, or the last dimension of x is not n_in.
    """
    _, run = _named(cell)

    def last_hidden(sequence: Array) -> Array:
        state, _ = run(params["recurrent"], sequence)
        return state.hidden if isinstance(state, LSTMState) else state

    return linear(params["output"], jax.vmap(last_hidden)(x))


def _named(cell: str) -> tuple:
    if cell not in CELLS:
        raise ValueError(f"unknown cell {cell!r}; choose one of {', '.join(CELLS)}")
    return CELLS[cell]
