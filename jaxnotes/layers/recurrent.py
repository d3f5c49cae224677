"""Recurrent layers: the simple RNN, the LSTM and the GRU; cells for one example and one step, run over time by `lax.scan`.

A layer's input weights meet the whole sequence in one product before the scan, which then holds the recurrent part alone.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxnotes.layers.activations import sigmoid, tanh
from jaxnotes.layers.initializers import Initializer, lecun_normal, orthogonal
from jaxnotes.layers.linear import linear

Params = dict[str, dict[str, Array]]
ORTHOGONAL = orthogonal()


class LSTMState(NamedTuple):
    """What an LSTM carries from step to step."""

    memory: Float[Array, "width"]
    hidden: Float[Array, "width"]


def rnn_init(
    key: Key[Array, ""],
    n_in: int,
    width: int,
    *,
    initializer: Initializer = lecun_normal,
    recurrent_initializer: Initializer = ORTHOGONAL,
    dtype=jnp.float32,
) -> Params:
    """Parameters of a simple RNN.

    Returns:
      {"input": {"weight": [n_in, width], "bias": [width]}, "recurrent": {"weight": [width, width]}}.

    Raises:
      ValueError: a size below 1.
    """
    return _gates_init(key, 1, n_in, width, initializer, recurrent_initializer, dtype)


def rnn_cell(params: Params, state: Float[Array, "width"], x: Float[Array, "n_in"]) -> Float[Array, "width"]:
    """One step of the simple RNN (Elman 1990): h' = tanh(x W + b + h U).

    Raises:
      TypeError: x is not of a floating type.
      ValueError: x is not of n_in features.
    """
    return _rnn_step(params["recurrent"], state, linear(params["input"], x))


def rnn(
    params: Params, x: Float[Array, "time n_in"], initial: Float[Array, "width"] | None = None
) -> tuple[Float[Array, "width"], Float[Array, "time width"]]:
    """The simple RNN over a sequence.

    Args:
      params: of `rnn_init`.
      x: one example; a time of 0 returns the initial state.
      initial: state before the first step; zeros where None.

    Returns:
      (final state, hidden state after every step).

    Raises:
      TypeError: x is not of a floating type.
      ValueError: the last dimension of x is not n_in.
    """
    state = _zeros(params, x) if initial is None else initial
    return _over_time(_rnn_step, lambda state: state, params, state, x)


def lstm_init(
    key: Key[Array, ""],
    n_in: int,
    width: int,
    *,
    forget_bias: float = 1.0,
    initializer: Initializer = lecun_normal,
    recurrent_initializer: Initializer = ORTHOGONAL,
    dtype=jnp.float32,
) -> Params:
    """Parameters of an LSTM, gates side by side in the order input, forget, candidate, output.

    Args:
      key: random key.
      n_in: input features.
      width: units, and cells of memory.
      forget_bias: initial bias of the forget gate; 1 keeps the memory at first (Gers et al. 2000; Jozefowicz et al. 2015).
      initializer: of each gate's input weights.
      recurrent_initializer: of each gate's recurrent weights.
      dtype: of all parameters.

    Returns:
      {"input": {"weight": [n_in, 4 width], "bias": [4 width]}, "recurrent": {"weight": [width, 4 width]}}.

    Raises:
      ValueError: a size below 1.
    """
    params = _gates_init(key, 4, n_in, width, initializer, recurrent_initializer, dtype)
    bias = params["input"]["bias"].at[width : 2 * width].set(forget_bias)
    return {**params, "input": {**params["input"], "bias": bias}}


def lstm_cell(params: Params, state: LSTMState, x: Float[Array, "n_in"]) -> LSTMState:
    """One step of the LSTM (Hochreiter and Schmidhuber 1997) with a forget gate (Gers et al. 2000).

    [i, f, g, o] = x W + b + h U; c' = σ(f) c + σ(i) tanh(g); h' = σ(o) tanh(c').

    Raises:
      TypeError: x is not of a floating type.
      ValueError: x is not of n_in features.
    """
    return _lstm_step(params["recurrent"], state, linear(params["input"], x))


def lstm(
    params: Params, x: Float[Array, "time n_in"], initial: LSTMState | None = None
) -> tuple[LSTMState, Float[Array, "time width"]]:
    """The LSTM over a sequence: (final state, hidden state after every step); arguments and errors as of `rnn`."""
    state = LSTMState(_zeros(params, x), _zeros(params, x)) if initial is None else initial
    return _over_time(_lstm_step, lambda state: state.hidden, params, state, x)


def gru_init(
    key: Key[Array, ""],
    n_in: int,
    width: int,
    *,
    initializer: Initializer = lecun_normal,
    recurrent_initializer: Initializer = ORTHOGONAL,
    dtype=jnp.float32,
) -> Params:
    """Parameters of a GRU, gates side by side in the order reset, update, candidate.

    Returns:
      {"input": {"weight": [n_in, 3 width], "bias": [3 width]}, "recurrent": {"weight": [width, 3 width], "bias": [width]}}; the
      recurrent bias is the candidate's, inside the reset gate.

    Raises:
      ValueError: a size below 1.
    """
    params = _gates_init(key, 3, n_in, width, initializer, recurrent_initializer, dtype)
    return {**params, "recurrent": {**params["recurrent"], "bias": jnp.zeros((width,), dtype)}}


def gru_cell(params: Params, state: Float[Array, "width"], x: Float[Array, "n_in"]) -> Float[Array, "width"]:
    """One step of the GRU (Cho et al. 2014), the reset gate after the product as in cuDNN and Flax.

    r = σ(x W_r + b_r + h U_r), z = σ(x W_z + b_z + h U_z), n = tanh(x W_n + b_n + r (h U_n + c)); h' = (1 − z) n + z h.

    Raises:
      TypeError: x is not of a floating type.
      ValueError: x is not of n_in features.
    """
    return _gru_step(params["recurrent"], state, linear(params["input"], x))


def gru(
    params: Params, x: Float[Array, "time n_in"], initial: Float[Array, "width"] | None = None
) -> tuple[Float[Array, "width"], Float[Array, "time width"]]:
    """The GRU over a sequence: (final state, hidden state after every step); arguments and errors as of `rnn`."""
    state = _zeros(params, x) if initial is None else initial
    return _over_time(_gru_step, lambda state: state, params, state, x)


def _rnn_step(recurrent: dict[str, Array], state: Array, projected: Array) -> Array:
    return tanh(projected + state @ recurrent["weight"])


def _lstm_step(recurrent: dict[str, Array], state: LSTMState, projected: Array) -> LSTMState:
    into, forget, candidate, out = jnp.split(projected + state.hidden @ recurrent["weight"], 4)
    memory = sigmoid(forget) * state.memory + sigmoid(into) * tanh(candidate)
    return LSTMState(memory, sigmoid(out) * tanh(memory))


def _gru_step(recurrent: dict[str, Array], state: Array, projected: Array) -> Array:
    from_input, from_state = jnp.split(projected, 3), jnp.split(state @ recurrent["weight"], 3)
    reset, update = (sigmoid(a + b) for a, b in zip(from_input[:2], from_state[:2], strict=True))
    candidate = tanh(from_input[2] + reset * (from_state[2] + recurrent["bias"]))
    return (1 - update) * candidate + update * state


def _over_time(step: Callable, hidden: Callable, params: Params, state: Any, x: Array) -> tuple[Any, Array]:
    def one(state: Any, projected: Array) -> tuple[Any, Array]:
        state = step(params["recurrent"], state, projected)
        return state, hidden(state)

    return jax.lax.scan(one, state, linear(params["input"], x))


def _zeros(params: Params, x: Array) -> Array:
    weight = params["recurrent"]["weight"]
    return jnp.zeros(weight.shape[:1], jnp.result_type(x.dtype, weight.dtype))


def _gates_init(key, gates: int, n_in: int, width: int, initializer, recurrent_initializer, dtype) -> Params:
    """Draws every gate's matrices apart, so that each has the initializer's own variance or orthogonality."""

    def side_by_side(draw: Initializer, key: Array, n_in: int) -> Array:
        drawn = jax.vmap(lambda key_gate: draw(key_gate, n_in, width, dtype))(jax.random.split(key, gates))
        return jnp.moveaxis(drawn, 0, 1).reshape(n_in, gates * width)

    key_input, key_recurrent = jax.random.split(key)
    return {
        "input": {"weight": side_by_side(initializer, key_input, n_in), "bias": jnp.zeros((gates * width,), dtype)},
        "recurrent": {"weight": side_by_side(recurrent_initializer, key_recurrent, width)},
    }
