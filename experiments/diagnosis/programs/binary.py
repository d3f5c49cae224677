"""Classifiers of two classes with one output."""

from dataclasses import replace

import jax
import jax.numpy as jnp

from experiments.diagnosis import losses
from experiments.diagnosis.networks import Dense, identity
from experiments.diagnosis.program import Program, fault, over
from experiments.diagnosis.tasks import HALVES, RARE

LOGIT = Program(design="one logit", task=HALVES, network=Dense(1), loss=losses.binary_of_logits)
SIGMOID = Program(
    design="sigmoid and binary cross-entropy",
    task=HALVES,
    network=Dense(1, output=jax.nn.sigmoid),
    loss=losses.binary_of_probabilities,
)
BARE = Program(
    design="sigmoid and unguarded cross-entropy",
    task=HALVES,
    network=Dense(1, (16,), jnp.tanh, jax.nn.sigmoid),
    loss=losses.binary_unguarded,
)

HEALTHY = (
    *over(LOGIT),
    *over(SIGMOID),
    *over(BARE, "linen", "function"),
    *over(Program(design="rare class", task=RARE, network=Dense(1), loss=losses.binary_of_logits), "nnx", "equinox"),
    *over(
        Program(design="logistic regression", task=HALVES, network=Dense(1, ()), loss=losses.binary_of_logits),
        "linen",
        "equinox",
    ),
    *over(Program(design="hinge", task=HALVES, network=Dense(1), loss=losses.hinge), "nnx", "function"),
    *over(
        Program(
            design="tanh and squared error on signs",
            task=HALVES.changed(lambda x, y: (x, 2 * y - 1)),
            network=Dense(1, output=jnp.tanh),
            loss="squared_error",
        ),
        "linen",
        "function",
    ),
)

SIGNS = HALVES.changed(lambda x, y: (x, 2 * y - 1))
FAULTY = (
    *over(
        fault(
            LOGIT,
            "sigmoid twice",
            "output-activation",
            "UMLAUT, DeepFD: sigmoid before a loss of logits",
            network=Dense(1, output=jax.nn.sigmoid),
        )
    ),
    *over(
        fault(
            SIGMOID,
            "logit taken for a probability",
            ("output-activation", "loss"),
            "DeepDiagnosis: no sigmoid before the binary loss",
            network=Dense(1),
        )
    ),
    *over(
        fault(
            BARE,
            "logarithm of negative outputs",
            ("output-activation", "non-finite"),
            "TheDeepChecker: logarithm without guard",
            network=Dense(1, (16,), jnp.tanh),
        ),
        "linen",
        "function",
    ),
    *over(
        fault(
            SIGMOID,
            "softmax over one unit",
            "output-activation",
            "DeepFD, UMLAUT: softmax over one unit",
            network=Dense(1, output=jax.nn.softmax),
        )
    ),
    *over(
        fault(
            SIGMOID,
            "ReLU in place of the sigmoid",
            "output-activation",
            "DeepDiagnosis: ReLU at the end of a binary classifier",
            network=Dense(1, output=jax.nn.relu),
        ),
        "linen",
        "nnx",
    ),
    *over(
        fault(
            SIGMOID,
            "tanh in place of the sigmoid",
            "output-activation",
            "DeepFD: tanh before the binary loss",
            network=Dense(1, output=jnp.tanh),
        ),
        "nnx",
        "equinox",
    ),
    *over(
        fault(
            LOGIT, "signs as labels", ("labels", "loss", "targets"), "DeepFD: labels -1 and 1 for the binary loss", task=SIGNS
        ),
        "linen",
        "function",
    ),
    *over(
        fault(
            LOGIT,
            "one class only",
            "targets",
            "TheDeepChecker: one class in the data",
            task=HALVES.changed(lambda x, y: (x, jnp.zeros_like(y))),
        ),
        "linen",
        "equinox",
    ),
    *over(
        fault(
            LOGIT,
            "labels without the last axis",
            "shapes",
            "review: [n, 1] against [n]",
            task=HALVES.changed(lambda x, y: (x, y[:, 0])),
        )
    ),
    *over(
        fault(
            replace(LOGIT, design="one logit"),
            "no activation function, binary",
            "linear-network",
            "UMLAUT: layers without activation",
            network=Dense(1, (32, 32), activation=identity),
        ),
        "nnx",
        "function",
    ),
)
