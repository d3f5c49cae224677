"""RNN, LSTM and GRU against Flax Linen's cells on the same parameters, forward and gradient; known values and edges."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnotes.layers.recurrent import (
    LSTMState,
    gru,
    gru_cell,
    gru_init,
    lstm,
    lstm_cell,
    lstm_init,
    rnn,
    rnn_cell,
    rnn_init,
)

N_IN, WIDTH, TIME = 3, 5, 7
FLAX = {"rnn": nn.SimpleCell, "lstm": nn.LSTMCell, "gru": nn.GRUCell}
OURS = {"rnn": (rnn_init, rnn_cell, rnn), "lstm": (lstm_init, lstm_cell, lstm), "gru": (gru_init, gru_cell, gru)}
GATES = {"rnn": [""], "lstm": ["i", "f", "g", "o"], "gru": ["r", "z", "n"]}


def as_flax(kind, params):
    """Our side-by-side gates under Flax's names."""
    gates, named = GATES[kind], {}
    split = lambda p: jnp.split(p, len(gates), axis=-1)
    bias_at = "h" if kind == "lstm" else "i"
    for part, letter in (("input", "i"), ("recurrent", "h")):
        for gate, kernel in zip(gates, split(params[part]["weight"]), strict=True):
            named[letter + gate] = {"kernel": kernel}
    for gate, bias in zip(gates, split(params["input"]["bias"]), strict=True):
        named[bias_at + gate]["bias"] = bias
    if kind == "gru":
        named["hn"]["bias"] = params["recurrent"]["bias"]
    return {"params": named}


def drawn(kind, key):
    """Parameters whose biases are not zero, so that a bias in the wrong place shows."""
    params = OURS[kind][0](key, N_IN, WIDTH)
    return jax.tree.map(lambda p: p + 0.3 * jax.random.normal(jax.random.fold_in(key, p.size), p.shape), params)


def state_of(kind, key):
    h, c = jax.random.normal(key, (2, WIDTH))
    return LSTMState(c, h) if kind == "lstm" else h


def flax_hidden(kind, params, x, state):
    """Hidden states of Flax's cell, step after step."""
    cell, carry, hidden = FLAX[kind](WIDTH), tuple(state) if kind == "lstm" else state, []
    for step in x:
        carry, out = cell.apply(as_flax(kind, params), carry, step)
        hidden.append(out)
    return jnp.stack(hidden)


@pytest.mark.parametrize("kind", list(OURS))
def test_forward_and_gradient_equal_flax(key, kind):
    params, x, state = drawn(kind, key), jax.random.normal(key, (TIME, N_IN)), state_of(kind, key)
    ours = lambda p, x, s: OURS[kind][2](p, x, s)[1]
    theirs = lambda p, x, s: flax_hidden(kind, p, x, s)
    np.testing.assert_allclose(jax.jit(ours)(params, x, state), theirs(params, x, state), rtol=2e-5, atol=1e-6)
    gradients = [
        jax.jit(jax.grad(lambda *a, f=f: jnp.sum(jnp.sin(f(*a))), (0, 1, 2)))(params, x, state) for f in (ours, theirs)
    ]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5), *gradients)


@pytest.mark.parametrize("kind", list(OURS))
def test_the_sequence_is_the_cell_step_after_step(key, kind):
    init, cell, run = OURS[kind]
    params, x = drawn(kind, key), jax.random.normal(key, (TIME, N_IN))
    state = jax.tree.map(jnp.zeros_like, state_of(kind, key))
    final, hidden = jax.jit(run)(params, x)
    for step in range(TIME):
        state = cell(params, state, x[step])
        np.testing.assert_allclose(hidden[step], state.hidden if kind == "lstm" else state, rtol=1e-5, atol=1e-6)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), final, state)


@pytest.mark.parametrize("kind", list(OURS))
def test_parameters_have_each_gates_own_distribution(key, kind):
    gates = len(GATES[kind])
    params = OURS[kind][0](key, 400, 64)
    assert params["input"]["weight"].shape == (400, gates * 64)
    for block in jnp.split(params["recurrent"]["weight"], gates, axis=1):
        np.testing.assert_allclose(block.T @ block, np.eye(64), atol=1e-5)
    # LeCun: variance 1 / n_in; the estimate's relative deviation is √(2 / entries).
    for block in jnp.split(params["input"]["weight"], gates, axis=1):
        assert abs(float(block.var()) * 400 - 1) < 5 * np.sqrt(2 / block.size)


def test_the_forget_bias_alone_moves_the_forget_gate(key):
    for forget_bias in (0.0, 1.0, 2.5):
        bias = np.asarray(lstm_init(key, N_IN, WIDTH, forget_bias=forget_bias)["input"]["bias"])
        np.testing.assert_array_equal(bias, np.repeat([0.0, forget_bias, 0.0, 0.0], WIDTH))


def test_known_steps_at_zero_weights():
    """With weights 0 the LSTM halves what it writes and forgets by σ(bias); the GRU halves its state; the RNN forgets it."""
    zero = lambda p: jax.tree.map(jnp.zeros_like, p)
    key, x, h = jax.random.key(0), jnp.ones(N_IN), jnp.full(WIDTH, 0.8)
    np.testing.assert_allclose(gru_cell(zero(gru_init(key, N_IN, WIDTH)), h, x), 0.4, rtol=1e-6)
    np.testing.assert_array_equal(rnn_cell(zero(rnn_init(key, N_IN, WIDTH)), h, x), np.zeros(WIDTH))
    params = zero(lstm_init(key, N_IN, WIDTH))
    params["input"]["bias"] = lstm_init(key, N_IN, WIDTH, forget_bias=1.0)["input"]["bias"]
    kept = lstm_cell(params, LSTMState(h, h), x)
    np.testing.assert_allclose(kept.memory, 0.8 / (1 + np.exp(-1.0)), rtol=1e-6)
    np.testing.assert_allclose(kept.hidden, 0.5 * np.tanh(0.8 / (1 + np.exp(-1.0))), rtol=1e-6)


@pytest.mark.parametrize("kind", list(OURS))
def test_edges(key, kind):
    init, _, run = OURS[kind]
    params = init(key, N_IN, WIDTH)
    final, hidden = run(params, jnp.zeros((0, N_IN)))
    assert hidden.shape == (0, WIDTH) and all(not np.asarray(leaf).any() for leaf in jax.tree.leaves(final))
    for value in (0.0, 1e-30, 1e30):
        x = jnp.full((TIME, N_IN), value)
        assert np.isfinite(run(params, x)[1]).all()
        gradient = jax.grad(lambda p, x=x: jnp.sum(run(p, x)[1] ** 2))(params)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))
    assert np.isnan(run(params, jnp.full((TIME, N_IN), jnp.nan))[1]).all()


def test_doors(key, unchecked):
    for init, _, run in OURS.values():
        with pytest.raises(ValueError, match=r"x has shape \(7, 4\); it must be \[time, n_in\] with n_in = 3"):
            run(init(key, N_IN, WIDTH), jnp.ones((TIME, 4)))
        with pytest.raises(ValueError, match="n_in is 0; it must be at least 1"):
            init(key, 0, WIDTH)
