"""Regression: range of the output, scale of targets and inputs, shapes."""

from dataclasses import replace

import jax
import jax.numpy as jnp

from experiments.diagnosis import losses
from experiments.diagnosis.networks import Dense, identity
from experiments.diagnosis.program import Program, fault, over
from experiments.diagnosis.tasks import CURVE, NOISED, SEVERAL, explained

PLAIN = Program(design="regression", task=CURVE, network=Dense(1), loss="squared_error")
VECTOR = Program(
    design="regression without the last axis",
    task=CURVE.changed(lambda x, y: (x, y[:, 0])),
    network=lambda layers, x: Dense(1)(layers, x)[..., 0],
    loss="squared_error",
)


def _denoiser(layers, x, time):
    angles = time[..., None] * jnp.pi * jnp.arange(1, 9)
    h = layers.dense(jnp.concatenate([jnp.sin(angles), jnp.cos(angles)], -1), 32)
    x = layers.dense(x, 32)
    for _ in range(2):
        x = x + layers.dense(jax.nn.silu(layers.layer_norm(x) + layers.dense(jax.nn.silu(h), 32)), 32)
    return layers.dense(jax.nn.silu(x), 2)


def _of_mean(outputs, targets):
    return explained(outputs[..., :1], targets)


HEALTHY = (
    *over(PLAIN),
    *over(VECTOR, "linen", "nnx", "function"),
    *over(Program(design="tanh regression", task=CURVE, network=Dense(1, activation=jnp.tanh), loss="squared_error")),
    *over(Program(design="three targets", task=SEVERAL, network=Dense(3), loss="squared_error"), "linen", "equinox"),
    *over(Program(design="targets in -1 … 1, tanh", task=SEVERAL, network=Dense(3, output=jnp.tanh), loss="squared_error")),
    *over(Program(design="Huber's loss", task=CURVE, network=Dense(1), loss=losses.huber), "nnx", "function"),
    *over(Program(design="absolute error", task=CURVE, network=Dense(1), loss=losses.absolute), "linen", "equinox"),
    *over(
        Program(design="mean and scale", task=replace(CURVE, score=_of_mean), network=Dense(2), loss=losses.gaussian),
        "function",
    ),
    *over(
        Program(design="denoiser with time", task=NOISED, network=_denoiser, loss="squared_error"), "linen", "nnx", "equinox"
    ),
    *over(
        Program(
            design="softplus for positive targets",
            task=CURVE.changed(lambda x, y: (x, jnp.exp(y / 2))),
            network=Dense(1, output=jax.nn.softplus),
            loss="squared_error",
        ),
        "linen",
        "function",
    ),
    *over(Program(design="linear regression", task=CURVE, network=Dense(1, ()), loss="squared_error"), "linen", "function"),
)


def thousands(x, y):
    return x, 2000 + 800 * y


FAULTY = (
    *over(
        fault(
            PLAIN,
            "sigmoid at the end of a regression",
            "output-activation",
            "DeepFD, DeepDiagnosis: sigmoid at the end of a regression",
            network=Dense(1, output=jax.nn.sigmoid),
        )
    ),
    *over(
        fault(
            PLAIN,
            "ReLU at the end of a regression",
            "output-activation",
            "UMLAUT, DeepDiagnosis: ReLU at the end, negative targets",
            network=Dense(1, output=jax.nn.relu),
        )
    ),
    *over(
        fault(
            PLAIN,
            "tanh and targets in the thousands",
            ("output-activation", "targets"),
            "DeepFD: tanh at the end, targets not scaled",
            network=Dense(1, output=jnp.tanh),
            task=CURVE.changed(thousands),
        ),
        "linen",
        "nnx",
        "function",
    ),
    *over(
        fault(
            PLAIN,
            "softmax at the end of a regression",
            "output-activation",
            "DeepFD: softmax at the end of a regression",
            network=Dense(1, output=jax.nn.softmax),
        ),
        "nnx",
        "equinox",
    ),
    *over(
        fault(PLAIN, "targets in the thousands", "targets", "TheDeepChecker: targets not scaled", task=CURVE.changed(thousands))
    ),
    *over(
        fault(
            PLAIN,
            "constant targets",
            "targets",
            "TheDeepChecker: constant targets",
            task=CURVE.changed(lambda x, y: (x, jnp.full_like(y, 3.0))),
        ),
        "linen",
        "function",
    ),
    *over(
        fault(
            PLAIN,
            "targets without the last axis",
            "shapes",
            "review: [n, 1] against [n] in a squared error",
            task=CURVE.changed(lambda x, y: (x, y[:, 0])),
            loss=losses.broadcast_squares,
        )
    ),
    *over(
        fault(
            VECTOR,
            "outputs without the last axis",
            "shapes",
            "TheDeepChecker: [n] against [n, 1]",
            task=CURVE,
            loss=losses.broadcast_squares,
        ),
        "nnx",
        "function",
    ),
    *over(
        fault(PLAIN, "difference without the square", "loss", "TheDeepChecker: a loss without bound", loss=losses.signed),
        "linen",
    ),
    *over(
        fault(PLAIN, "minus the squared error", "loss", "TheDeepChecker: sign of the loss lost", loss=losses.climbed_squares),
        "equinox",
        "function",
    ),
    *over(
        fault(PLAIN, "plus in place of minus", "loss", "review: wrong sign on the target", loss=losses.wrong_targets_sign),
        "linen",
        "nnx",
    ),
    *over(
        fault(
            PLAIN,
            "no activation function, regression",
            "linear-network",
            "DeepFD: regression without activation",
            network=Dense(1, (32, 32), activation=identity),
        ),
        "linen",
        "equinox",
    ),
)
