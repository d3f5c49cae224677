"""Weights and biases at the start: units that are equal, dead, saturated; gradients that vanish or explode."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import optax

from experiments.diagnosis.networks import Dense
from experiments.diagnosis.program import Program, fault, over
from experiments.diagnosis.tasks import BLOBS, CLASSES, CURVE

normal, constant = jax.nn.initializers.normal, jax.nn.initializers.constant
HE, LECUN = jax.nn.initializers.he_normal(), jax.nn.initializers.lecun_normal()
RELU = Program(
    design="He, ReLU, six layers", task=BLOBS, network=Dense(CLASSES, (32,) * 6, initializer=HE), optimizer=optax.adam(3e-3)
)
TANH = Program(
    design="LeCun, tanh, ten layers",
    task=BLOBS,
    network=Dense(CLASSES, (32,) * 10, jnp.tanh, initializer=LECUN),
    optimizer=optax.adam(1e-3),
)
TWO = Program(design="two layers, He", task=BLOBS, network=Dense(CLASSES, initializer=HE))
CURVES = Program(
    design="He, regression",
    task=CURVE,
    network=Dense(1, (32,) * 4, initializer=HE),
    loss="squared_error",
    optimizer=optax.adam(3e-3),
)
LEAKY = Program(design="leaky ReLU", task=BLOBS, network=Dense(CLASSES, (32,) * 4, jax.nn.leaky_relu))

HEALTHY = (
    *over(RELU),
    *over(TANH, "linen", "nnx", "function"),
    *over(TWO, "equinox", "function"),
    *over(CURVES, "linen", "equinox"),
    *over(LEAKY, "nnx", "function"),
    *over(
        Program(
            design="orthogonal, tanh",
            task=BLOBS,
            network=Dense(CLASSES, (32,) * 8, jnp.tanh, initializer=jax.nn.initializers.orthogonal()),
            optimizer=optax.adam(1e-3),
        ),
        "linen",
        "function",
    ),
    *over(Program(design="biases of 0.1", task=BLOBS, network=Dense(CLASSES, bias=0.1)), "linen", "nnx"),
)

SMALL, LARGE = normal(0.01), normal(1.0)
FAULTY = (
    *over(
        fault(
            RELU,
            "weights of 0.01",
            ("initialisation", "vanishing-gradient"),
            "DeepFD, AUTOTRAINER: weights too small",
            network=replace(RELU.network, initializer=SMALL),
        )
    ),
    *over(
        fault(
            TANH,
            "weights of 0.01, tanh",
            ("initialisation", "vanishing-gradient"),
            "AUTOTRAINER: vanishing gradient",
            network=replace(TANH.network, initializer=SMALL),
        ),
        "linen",
        "equinox",
    ),
    *over(
        fault(
            RELU,
            "weights of 1",
            ("initialisation", "exploding-gradient"),
            "AUTOTRAINER, DeepFD: weights too large",
            network=replace(RELU.network, initializer=LARGE),
        )
    ),
    *over(
        fault(
            TANH,
            "saturated tanh",
            ("saturated-units", "initialisation"),
            "DeepDiagnosis: saturated activation",
            network=replace(TANH.network, widths=(32,) * 3, initializer=LARGE),
        ),
    ),
    *over(
        fault(
            TWO,
            "biases of -10",
            "dead-units",
            "AUTOTRAINER: dying ReLU",
            network=replace(TWO.network, bias=-10.0),
        )
    ),
    *over(
        fault(
            CURVES,
            "biases of -10, regression",
            "dead-units",
            "AUTOTRAINER, DeepDiagnosis: dying ReLU",
            network=replace(CURVES.network, bias=-10.0),
        ),
        "linen",
        "function",
    ),
    *over(
        fault(
            TWO,
            "all weights 0",
            ("equal-units", "initialisation", "no-gradient"),
            "TheDeepChecker: weights of 0",
            network=replace(TWO.network, initializer=constant(0.0), last=constant(0.0)),
        )
    ),
    *over(
        fault(
            replace(TWO, design="two layers, He"),
            "all weights 0.1",
            ("equal-units", "initialisation"),
            "TheDeepChecker: equal weights",
            network=Dense(CLASSES, activation=jnp.tanh, initializer=constant(0.1), last=constant(0.1)),
        ),
        "linen",
        "nnx",
        "equinox",
    ),
    *over(
        fault(
            TWO,
            "one layer of equal weights",
            ("equal-units", "initialisation"),
            "review: one constant layer",
            network=lambda layers, x: layers.dense(
                jax.nn.relu(layers.dense(jax.nn.relu(layers.dense(x, 32, constant(0.1))), 32)), CLASSES
            ),
        ),
        "linen",
        "function",
    ),
    *over(
        fault(
            TANH,
            "sigmoid, twelve layers",
            ("vanishing-gradient", "initialisation"),
            "AUTOTRAINER: vanishing gradient",
            network=Dense(CLASSES, (32,) * 12, jax.nn.sigmoid),
        ),
    ),
    *over(
        fault(
            TWO,
            "saturated sigmoid",
            ("saturated-units", "initialisation"),
            "DeepDiagnosis: saturated activation",
            network=Dense(CLASSES, activation=jax.nn.sigmoid, initializer=normal(5.0)),
        ),
        "nnx",
        "function",
    ),
    *over(
        fault(
            TWO,
            "last layer of 30",
            ("loss-at-start", "initialisation"),
            "TheDeepChecker: loss far above chance",
            network=replace(TWO.network, last=normal(10.0)),
        ),
        "linen",
        "nnx",
        "function",
    ),
)
