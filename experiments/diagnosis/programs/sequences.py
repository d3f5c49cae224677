"""Sequences read by recurrent networks, convolutions and attention."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import optax

from experiments.diagnosis.networks import Elman, Recurrent
from experiments.diagnosis.program import Program, fault, over
from experiments.diagnosis.tasks import SIGNALS, VOCABULARY, WORDS

GRU = Program(design="GRU", task=SIGNALS, network=Recurrent())
LSTM = Program(design="LSTM", task=SIGNALS, network=Recurrent(cell="lstm"))
RNN = Program(design="recurrent network by hand", task=SIGNALS, network=Elman())
HAVE_CELLS = ("linen", "nnx", "equinox")


def _temporal(layers, x):
    for _ in range(2):
        x = jax.nn.relu(layers.conv(x, 16))
    return layers.dense(x.mean(-2), 4)


def _pooled(layers, x):
    x = layers.dense(x, 24) + layers.parameter("position", jax.nn.initializers.normal(0.1), (x.shape[-2], 24))
    weights = jax.nn.softmax(layers.dense(x, 1), -2)
    return layers.dense(jax.nn.relu(layers.dense(jnp.sum(weights * x, -2), 24)), 4)


def _bag(layers, tokens):
    h, _ = layers.embed(tokens, VOCABULARY, 16, jax.nn.initializers.normal(0.1))
    return layers.dense(jax.nn.relu(layers.dense(h.mean(-2), 16)), 2)


def _read_tokens(layers, tokens):
    h, _ = layers.embed(tokens, VOCABULARY, 16, jax.nn.initializers.normal(1.0))
    return Recurrent(2)(layers, h)


HEALTHY = (
    *over(GRU, *HAVE_CELLS),
    *over(LSTM, *HAVE_CELLS),
    *over(RNN),
    *over(Program(design="Elman's cell", task=SIGNALS, network=Recurrent(cell="rnn"))),
    *over(Program(design="GRU both ways", task=SIGNALS, network=Recurrent(both=True)), "linen", "equinox"),
    *over(Program(design="temporal convolution", task=SIGNALS, network=_temporal)),
    *over(Program(design="attention pooling", task=SIGNALS, network=_pooled)),
    *over(Program(design="bag of words", task=WORDS, network=_bag)),
    *over(Program(design="GRU over words", task=WORDS, network=_read_tokens), "linen", "equinox"),
)

LONG = replace(RNN.network, steps=60)
FAULTY = (
    *over(
        fault(
            RNN,
            "recurrent weights of 0.3",
            ("vanishing-gradient", "no-gradient"),
            "review: gradient lost over time",
            network=replace(LONG, scale=0.3),
        )
    ),
    *over(
        fault(
            RNN,
            "ReLU over time, weights of 1.5",
            ("exploding-gradient", "loss-at-start"),
            "review: gradient explodes over time",
            network=replace(LONG, scale=1.5, activation=jax.nn.relu),
        )
    ),
    *over(
        fault(
            RNN,
            "sigmoid over time",
            ("vanishing-gradient", "no-gradient"),
            "DeepDiagnosis: sigmoid in a recurrent network",
            network=replace(LONG, activation=jax.nn.sigmoid),
        ),
        "linen",
        "function",
    ),
    *over(
        fault(
            GRU,
            "softmax twice, GRU",
            "output-activation",
            "UMLAUT: softmax before a loss of logits",
            network=Recurrent(output=jax.nn.softmax),
        ),
        *HAVE_CELLS,
    ),
    *over(
        fault(
            LSTM,
            "ReLU on an LSTM's logits",
            "output-activation",
            "DeepFD: ReLU at the last layer",
            network=Recurrent(cell="lstm", output=jax.nn.relu),
        ),
        *HAVE_CELLS,
    ),
    *over(fault(GRU, "GRU at 1e-8", "small-update", "DeepFD: rate too low", optimizer=optax.adam(1e-8)), "linen", "equinox"),
    *over(
        fault(LSTM, "LSTM at 1", "large-update", "AUTOTRAINER: oscillating loss", optimizer=optax.adam(1.0)), "linen", "equinox"
    ),
    *over(
        fault(
            GRU,
            "inputs in the thousands, GRU",
            ("inputs", "saturated-units"),
            "DeepDiagnosis: inputs not scaled",
            task=SIGNALS.changed(lambda x, y: (2000 * x, y)),
        ),
        "linen",
        "equinox",
    ),
)
