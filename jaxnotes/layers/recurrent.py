"""Recurrent layers: the simple RNN, the LSTM and the GRU; cells for one example and one step, run over time by `lax.scan`.

A layer's input weights meet the whole sequence in one product before the scan, which then holds the recurrent part alone.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxnotes import _checks
from jaxnotes._checks import FINITE, count, entries, floats, function, number
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
      TypeError: no random key, size, function, number or dtype where one is meant.
      ValueError: a size below 1, or an initializer that draws another shape.
    """
    return _gates_init(key, 1, n_in, width, initializer, recurrent_initializer, dtype)


def rnn_cell(params: Params, state: Float[Array, "width"], x: Float[Array, "n_in"]) -> Float[Array, "width"]:
    """One step of the simple RNN (Elman 1990): h' = tanh(x W + b + h U).

    Raises:
      TypeError: x, the state or a parameter is not of a floating type.
      ValueError: x is not of n_in features, or a state or parameters that do not fit.
    """
    x = _checked(params, 1, x, "n_in")
    return _rnn_step(params["recurrent"], _state("state", params, state), linear(params["input"], x))


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
      TypeError: x, the initial state or a parameter is not of a floating type.
      ValueError: the last dimension of x is not n_in, or a state or parameters that do not fit.
    """
    x = _checked(params, 1, x, "time n_in")
    state = _zeros(params, x) if initial is None else _state("initial", params, initial)
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
      TypeError: no random key, size, function, number or dtype where one is meant.
      ValueError: a size below 1, or an initializer that draws another shape.
    """
    number("forget_bias", forget_bias, FINITE)
    params = _gates_init(key, 4, n_in, width, initializer, recurrent_initializer, dtype)
    bias = params["input"]["bias"].at[width : 2 * width].set(forget_bias)
    return {**params, "input": {**params["input"], "bias": bias}}


def lstm_cell(params: Params, state: LSTMState, x: Float[Array, "n_in"]) -> LSTMState:
    """One step of the LSTM (Hochreiter and Schmidhuber 1997) with a forget gate (Gers et al. 2000).

    [i, f, g, o] = x W + b + h U; c' = σ(f) c + σ(i) tanh(g); h' = σ(o) tanh(c').

    Raises:
      TypeError: x, the state or a parameter is not of a floating type.
      ValueError: x is not of n_in features, or a state or parameters that do not fit.
    """
    x = _checked(params, 4, x, "n_in")
    return _lstm_step(params["recurrent"], _lstm_state("state", params, state), linear(params["input"], x))


def lstm(
    params: Params, x: Float[Array, "time n_in"], initial: LSTMState | None = None
) -> tuple[LSTMState, Float[Array, "time width"]]:
    """The LSTM over a sequence: (final state, hidden state after every step); arguments and errors as of `rnn`."""
    x = _checked(params, 4, x, "time n_in")
    state = LSTMState(_zeros(params, x), _zeros(params, x)) if initial is None else _lstm_state("initial", params, initial)
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
      TypeError: no random key, size, function, number or dtype where one is meant.
      ValueError: a size below 1, or an initializer that draws another shape.
    """
    params = _gates_init(key, 3, n_in, width, initializer, recurrent_initializer, dtype)
    return {**params, "recurrent": {**params["recurrent"], "bias": jnp.zeros((width,), dtype)}}


def gru_cell(params: Params, state: Float[Array, "width"], x: Float[Array, "n_in"]) -> Float[Array, "width"]:
    """One step of the GRU (Cho et al. 2014), the reset gate after the product as in cuDNN and Flax.

    r = σ(x W_r + b_r + h U_r), z = σ(x W_z + b_z + h U_z), n = tanh(x W_n + b_n + r (h U_n + c)); h' = (1 − z) n + z h.

    Raises:
      TypeError: x, the state or a parameter is not of a floating type.
      ValueError: x is not of n_in features, or a state or parameters that do not fit.
    """
    x = _checked(params, 3, x, "n_in")
    return _gru_step(params["recurrent"], _state("state", params, state), linear(params["input"], x))


def gru(
    params: Params, x: Float[Array, "time n_in"], initial: Float[Array, "width"] | None = None
) -> tuple[Float[Array, "width"], Float[Array, "time width"]]:
    """The GRU over a sequence: (final state, hidden state after every step); arguments and errors as of `rnn`."""
    x = _checked(params, 3, x, "time n_in")
    state = _zeros(params, x) if initial is None else _state("initial", params, initial)
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


def _checked(params: Params, gates: int, x: Array, shape: str) -> Array:
    """Returns x, after checks of it and of the parameters of a layer with so many gates."""
    into, recurrent = entries("params", params, "input", "recurrent")
    weight = floats("recurrent weight", entries("params['recurrent']", recurrent, "weight")[0], "width gates")
    width = weight.shape[0]
    floats("recurrent weight", weight, "width gates", width=width, gates=gates * width)
    if gates == 3:
        floats("recurrent bias", entries("params['recurrent']", recurrent, "bias")[0], "width", width=width)
    (weight,) = entries("params['input']", into, "weight")
    n_in = floats("weight", weight, "n_in gates", gates=gates * width).shape[0]
    return floats("x", x, shape, n_in=n_in)


def _state(name: str, params: Params, state: Array) -> Array:
    return floats(name, state, "width", width=params["recurrent"]["weight"].shape[0])


def _lstm_state(name: str, params: Params, state: LSTMState) -> LSTMState:
    if not isinstance(state, LSTMState):
        raise TypeError(f"{name} is of type {type(state).__name__}; it must be an LSTMState(memory, hidden)")
    return LSTMState(*(_state(f"{name}.{part}", params, value) for part, value in state._asdict().items()))


def _zeros(params: Params, x: Array) -> Array:
    weight = params["recurrent"]["weight"]
    return jnp.zeros(weight.shape[:1], jnp.result_type(x.dtype, weight.dtype))


def _gates_init(key, gates: int, n_in: int, width: int, initializer, recurrent_initializer, dtype) -> Params:
    """Draws every gate's matrices apart, so that each has the initializer's own variance or orthogonality."""
    _checks.key("key", key)
    n_in, width = count("n_in", n_in), count("width", width)
    function("initializer", initializer)
    function("recurrent_initializer", recurrent_initializer)
    _checks.dtype("dtype", dtype)

    def side_by_side(name: str, draw: Initializer, key: Array, n_in: int) -> Array:
        drawn = jax.vmap(lambda key_gate: draw(key_gate, n_in, width, dtype))(jax.random.split(key, gates))
        drawn = floats(f"what {name} draws", drawn, "gates n_in width", gates=gates, n_in=n_in, width=width)
        return jnp.moveaxis(drawn, 0, 1).reshape(n_in, gates * width)

    key_input, key_recurrent = jax.random.split(key)
    into = side_by_side("initializer", initializer, key_input, n_in)
    return {
        "input": {"weight": into, "bias": jnp.zeros((gates * width,), dtype)},
        "recurrent": {"weight": side_by_side("recurrent_initializer", recurrent_initializer, key_recurrent, width)},
    }
