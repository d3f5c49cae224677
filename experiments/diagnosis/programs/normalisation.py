"""Batch normalisation and dropout: modes, statistics, keys."""

from dataclasses import replace

import equinox as eqx
import flax.linen as nn
import jax
import optax
from flax import nnx

from experiments.diagnosis.networks import Convolutional, Dense
from experiments.diagnosis.program import Program, fault, over
from experiments.diagnosis.tasks import BARS, BLOBS, CLASSES

HAVE_NORM = ("linen", "nnx", "equinox")
NORM = Program(design="batch normalisation", task=BLOBS, network=Dense(CLASSES, norm="batch"), inference=True)
TRAINING = replace(NORM, design="batch normalisation, in training", inference=False)
DROP = Program(design="dropout of 0.2", task=BLOBS, network=Dense(CLASSES, rate=0.2), random=True)
DEEP = Program(
    design="residual batch normalisation, twenty layers",
    task=BLOBS,
    network=Dense(CLASSES, (32,) * 20, norm="batch", residual=True),
    inference=True,
)

HEALTHY = (
    *over(NORM, *HAVE_NORM),
    *over(TRAINING, *HAVE_NORM),
    *over(DROP),
    *over(
        Program(design="dropout of 0.5, wide", task=BLOBS, network=Dense(CLASSES, (128, 128), rate=0.5), random=True),
        "linen",
        "equinox",
    ),
    *over(
        Program(
            design="batch normalisation and dropout",
            task=BLOBS,
            network=Dense(CLASSES, norm="batch", rate=0.1),
            random=True,
            inference=True,
        ),
        "linen",
        "nnx",
    ),
    *over(DEEP, "linen", "nnx"),
)


class LeftOn(nn.Module):
    """Dropout to which the switch is not passed on."""

    @nn.compact
    def __call__(self, x, train: bool = True):
        for _ in range(2):
            x = nn.Dropout(0.5, deterministic=False)(nn.relu(nn.Dense(64)(x)))
        return nn.Dense(CLASSES)(x)


class Slow(nn.Module):
    """Batch normalisation with a momentum that never moves."""

    @nn.compact
    def __call__(self, x, train: bool = True):
        for _ in range(2):
            x = nn.relu(nn.BatchNorm(not train, momentum=1.0)(nn.Dense(32)(x) * 4 + 3))
        return nn.Dense(CLASSES)(x)


def made(module):
    """Returns how a Linen module is made for a program."""
    return lambda key, inputs: (module, dict(module.init({"params": key, "dropout": key}, *inputs)))


class NoStreams(nnx.Module):
    """Dropout without random streams."""

    def __init__(self, key, inputs):
        rngs = nnx.Rngs(key)
        self.first, self.last = nnx.Linear(inputs[0].shape[-1], 32, rngs=rngs), nnx.Linear(32, CLASSES, rngs=rngs)
        self.dropout = nnx.Dropout(0.5)

    def __call__(self, x):
        return self.last(self.dropout(nnx.relu(self.first(x))))


class LeftOnEquinox(eqx.Module):
    """Dropout whose call sets `inference` to False."""

    first: eqx.nn.Linear
    last: eqx.nn.Linear
    dropout: eqx.nn.Dropout

    def __init__(self, key, inputs):
        one, two = jax.random.split(key)
        self.first = eqx.nn.Linear(inputs[0].shape[-1], 64, key=one)
        self.last, self.dropout = eqx.nn.Linear(64, CLASSES, key=two), eqx.nn.Dropout(0.5)

    def __call__(self, x, key=None):
        return self.last(self.dropout(jax.nn.relu(self.first(x)), key=key, inference=False))


def few(x, y):
    return x[:3], y[:3]


def shifted(x, y):
    return 6 * x + 5, y


FAULTY = (
    *over(
        fault(TRAINING, "batches of three", "small-batch", "DeepFD: batch too small", task=BLOBS.changed(few)),
        *HAVE_NORM,
    ),
    *over(
        fault(
            NORM,
            "statistics not carried",
            "stale-statistics",
            "review: updated statistics dropped",
            carries=False,
            task=BLOBS.changed(shifted),
        ),
        *HAVE_NORM,
    ),
    *over(
        fault(
            replace(NORM, design="convolution and batch normalisation"),
            "statistics not carried, pictures",
            "stale-statistics",
            "review: updated statistics dropped",
            network=Convolutional(norm=True),
            task=BARS.changed(lambda x, y: (6 * x + 5, y)),
            carries=False,
        ),
        *HAVE_NORM,
    ),
    *over(
        fault(
            NORM,
            "other inputs at inference",
            ("stale-statistics", "inputs"),
            "UMLAUT: inputs scaled in training alone",
            later=BLOBS.changed(lambda x, y: (8 * x + 5, y)),
        ),
        *HAVE_NORM,
    ),
    *over(
        fault(NORM, "momentum of 1", "stale-statistics", "review: momentum too high", network=None, make=made(Slow())), "linen"
    ),
    *over(
        fault(
            TRAINING,
            "fifty layers of batch normalisation",
            ("batch-norm-explosion", "exploding-gradient"),
            "review: gradient grows with depth",
            network=Dense(CLASSES, (32,) * 50, norm="batch"),
            optimizer=optax.adam(1e-3),
        ),
        "linen",
        "nnx",
    ),
    *over(
        fault(
            DROP,
            "dropout left on",
            "dropout",
            "NeuraLint: dropout at inference",
            network=None,
            make=made(LeftOn()),
            inference=True,
        ),
        "linen",
    ),
    *over(
        fault(
            DROP,
            "dropout left on, Equinox",
            "dropout",
            "NeuraLint: dropout at inference",
            network=None,
            make=LeftOnEquinox,
            inference=True,
        ),
        "equinox",
    ),
    *over(
        fault(
            DROP, "no random streams", "dropout", "review: dropout without a stream", network=None, make=NoStreams, random=False
        ),
        "nnx",
    ),
    *over(fault(DROP, "no key", "dropout", "review: dropout without a key", random=False), "linen", "equinox"),
    *over(
        fault(
            DROP,
            "dropout of 0.95",
            ("dropout",),
            "TheDeepChecker: dropout too high for the width",
            network=Dense(CLASSES, rate=0.95),
        ),
    ),
    *over(
        fault(
            DROP,
            "dropout on the outputs",
            ("dropout",),
            "NeuraLint: dropout behind the last layer",
            network=lambda layers, x: layers.dropout(Dense(CLASSES)(layers, x), 0.5),
        ),
        "linen",
        "nnx",
    ),
    *over(
        fault(DROP, "dropout of 1", ("dropout", "no-gradient"), "review: gradient exactly 0", network=Dense(CLASSES, rate=1.0)),
        "linen",
        "equinox",
    ),
)
