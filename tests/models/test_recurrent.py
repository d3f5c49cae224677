"""Recurrent classifier against Flax Linen's RNN with the same parameters, forward and gradient."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnotes.models.recurrent import CELLS, recurrent_classifier, recurrent_classifier_init

BATCH, TIME, N_IN, WIDTH, CLASSES = 4, 6, 3, 5, 2
FLAX = {"rnn": (nn.SimpleCell, [""], "i"), "lstm": (nn.LSTMCell, ["i", "f", "g", "o"], "h"), "gru": (nn.GRUCell, "rzn", "i")}


def flax_logits(cell, params, x):
    module, gates, bias_at = FLAX[cell]
    recurrent, named = params["recurrent"], {}
    for part, letter in (("input", "i"), ("recurrent", "h")):
        kernels = jnp.split(recurrent[part]["weight"], len(gates), axis=1)
        named |= {letter + gate: {"kernel": kernel} for gate, kernel in zip(gates, kernels, strict=True)}
    for gate, bias in zip(gates, jnp.split(recurrent["input"]["bias"], len(gates)), strict=True):
        named[bias_at + gate]["bias"] = bias
    if cell == "gru":
        named["hn"]["bias"] = recurrent["recurrent"]["bias"]
    hidden = nn.RNN(module(WIDTH)).apply({"params": {"cell": named}}, x)
    return hidden[:, -1] @ params["output"]["weight"] + params["output"]["bias"][None]


@pytest.mark.parametrize("cell", list(CELLS))
def test_forward_and_gradient_equal_flax(key, cell):
    params = recurrent_classifier_init(key, N_IN, WIDTH, CLASSES, cell=cell)
    x = jax.random.normal(key, (BATCH, TIME, N_IN))
    ours, theirs = (lambda p: recurrent_classifier(p, x, cell=cell)), (lambda p: flax_logits(cell, p, x))
    np.testing.assert_allclose(jax.jit(ours)(params), jax.jit(theirs)(params), rtol=2e-5, atol=1e-6)
    gradients = [jax.jit(jax.grad(lambda p, f=f: jnp.sum(f(p) ** 2)))(params) for f in (ours, theirs)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-4, atol=1e-5), *gradients)


def test_options_reach_the_cell(key):
    params = recurrent_classifier_init(key, N_IN, WIDTH, CLASSES, cell="lstm", forget_bias=3.0)
    assert np.asarray(params["recurrent"]["input"]["bias"]).sum() == 3.0 * WIDTH


def test_doors(key, unchecked):
    with pytest.raises(ValueError, match="unknown cell 'mgu'; choose one of rnn, lstm, gru"):
        recurrent_classifier_init(key, N_IN, WIDTH, CLASSES, cell="mgu")
    params = recurrent_classifier_init(key, N_IN, WIDTH, CLASSES, cell="gru")
    with pytest.raises(ValueError, match=r"x has shape \(6, 4\); it must be \[time, n_in\] with n_in = 3"):
        recurrent_classifier(params, jnp.ones((BATCH, TIME, 4)), cell="gru")
