"""Data that was not scaled, or says nothing."""

import jax
import jax.numpy as jnp
import numpy as np

from experiments.diagnosis.networks import Convolutional, Dense
from experiments.diagnosis.program import Program, fault, over
from experiments.diagnosis.tasks import BARS, BLOBS, CLASSES, CURVE, FEATURES, TABLE

TANH = Program(design="tanh classifier, three layers", task=BLOBS, network=Dense(CLASSES, (32,) * 3, jnp.tanh))
RELU = Program(design="ReLU classifier, three layers", task=BLOBS, network=Dense(CLASSES, (32,) * 3))
CURVES = Program(design="regression, three layers", task=CURVE, network=Dense(1, (32,) * 3), loss="squared_error")
PICTURES = Program(
    design="dense on pictures in 0 … 1",
    task=BARS.changed(lambda x, y: (x.reshape(len(x), -1), y)),
    network=Dense(4, activation=jnp.tanh),
)


def _table(layers, x, category):
    embedded, _ = layers.embed(category, CLASSES, 8)
    return Dense(CLASSES)(layers, jnp.concatenate([x, embedded], -1))


STANDARD = PICTURES.task.changed(lambda x, y: ((x - 0.2) / 0.3, y))
SIZES = np.logspace(-3, 4, FEATURES, dtype=np.float32)
HEALTHY = (
    *over(TANH, "linen", "nnx"),
    *over(RELU, "equinox", "function"),
    *over(CURVES, "linen", "nnx", "function"),
    *over(PICTURES),
    *over(Program(design="numbers and a category", task=TABLE, network=_table)),
    *over(Program(design="pictures of mean 0", task=STANDARD, network=Dense(4)), "linen", "equinox"),
    *over(
        Program(
            design="inputs of size 3",
            task=BLOBS.changed(lambda x, y: (3 * x, y)),
            network=Dense(CLASSES, activation=jax.nn.silu),
        ),
        "nnx",
        "function",
    ),
)

BYTES = PICTURES.task.changed(lambda x, y: (255 * x, y))
FAULTY = (
    *over(fault(PICTURES, "pictures in 0 … 255, tanh", "inputs", "UMLAUT: inputs not normalised", task=BYTES)),
    *over(
        fault(
            PICTURES,
            "pictures in 0 … 255, sigmoid",
            "inputs",
            "DeepFD: inputs not normalised",
            task=BYTES,
            network=Dense(4, activation=jax.nn.sigmoid),
        ),
        "linen",
        "equinox",
    ),
    *over(
        fault(
            PICTURES,
            "pictures in 0 … 255, convolution",
            "inputs",
            "UMLAUT: inputs not normalised",
            task=BARS.changed(lambda x, y: (255 * x, y)),
            network=Convolutional(),
        ),
        "linen",
        "function",
    ),
    *over(
        fault(
            TANH,
            "features of very different sizes",
            "inputs",
            "TheDeepChecker: features not scaled",
            task=BLOBS.changed(lambda x, y: (x * SIZES, y)),
        ),
    ),
    *over(
        fault(
            CURVES,
            "inputs in the ten thousands",
            "inputs",
            "DeepDiagnosis: inputs not scaled",
            task=CURVE.changed(lambda x, y: (1e4 * x, y)),
        ),
        "linen",
        "nnx",
    ),
    *over(
        fault(
            RELU,
            "inputs of a ten thousandth",
            "inputs",
            "TheDeepChecker: inputs scaled twice",
            task=BLOBS.changed(lambda x, y: (1e-4 * x, y)),
        ),
        "equinox",
        "function",
    ),
    *over(
        fault(
            RELU,
            "one example for all",
            ("constant-representation", "inputs"),
            "TheDeepChecker: inputs that are all the same",
            task=BLOBS.changed(lambda x, y: (jnp.broadcast_to(x[:1], x.shape), y)),
        ),
        "linen",
        "nnx",
    ),
    *over(
        fault(
            RELU,
            "one class in a batch",
            "targets",
            "TheDeepChecker: one class in the data, sorted",
            task=BLOBS.changed(lambda x, y: (x, jnp.full_like(y, 2))),
        ),
        "nnx",
        "function",
    ),
    *over(
        fault(
            CURVES,
            "missing values as NaN",
            ("non-finite", "inputs"),
            "TheDeepChecker, AUTOTRAINER: NaN in the inputs",
            task=CURVE.changed(lambda x, y: (x.at[0, 0].set(jnp.nan), y)),
        ),
        "equinox",
        "function",
    ),
    *over(
        fault(
            CURVES,
            "missing values as -9999",
            "inputs",
            "DeepDiagnosis: a placeholder for missing values",
            task=CURVE.changed(lambda x, y: (x.at[::8, 0].set(-9999.0), y)),
        ),
        "linen",
        "function",
    ),
)
