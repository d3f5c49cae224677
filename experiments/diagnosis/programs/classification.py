"""Dense classifiers of several classes: outputs against the loss, and the network's own layers."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import optax

from experiments.diagnosis import losses
from experiments.diagnosis.networks import Dense, identity
from experiments.diagnosis.program import Program, fault, over
from experiments.diagnosis.tasks import BLOBS, CLASSES, ONE_HOT, RINGS, XOR

ZEROS = jax.nn.initializers.zeros
PLAIN = Program(design="two hidden layers", task=BLOBS, network=Dense(CLASSES))
TANH = Program(design="tanh layers", task=BLOBS, network=Dense(CLASSES, activation=jnp.tanh))
PROBABILITIES = Program(
    design="softmax and likelihood of probabilities",
    task=BLOBS,
    network=Dense(CLASSES, output=jax.nn.softmax),
    loss=losses.likelihood_of_probabilities,
)
LOGS = Program(
    design="log-softmax and likelihood of logs",
    task=BLOBS,
    network=Dense(CLASSES, output=jax.nn.log_softmax),
    loss=losses.likelihood_of_logs,
)
HOT = Program(design="one-hot labels", task=ONE_HOT, network=Dense(CLASSES), loss=losses.cross_entropy_one_hot)
RING = Program(design="rings", task=RINGS, network=Dense(2, activation=jnp.tanh))
SIX = Program(design="six layers", task=BLOBS, network=Dense(CLASSES, (32,) * 6, activation=jnp.tanh))

HEALTHY = (
    *over(PLAIN),
    *over(TANH),
    *over(PROBABILITIES, "linen", "function"),
    *over(LOGS, "nnx", "equinox"),
    *over(HOT, "linen", "equinox"),
    *over(RING, "nnx", "function"),
    *over(SIX, "linen", "equinox"),
    *over(Program(design="xor, tanh", task=XOR, network=Dense(2, (8,), jnp.tanh))),
    *over(Program(design="xor, ReLU", task=XOR, network=Dense(2, (16, 16))), "nnx", "equinox"),
    *over(
        Program(design="GELU and layer normalisation", task=BLOBS, network=Dense(CLASSES, activation=jax.nn.gelu, norm="layer"))
    ),
    *over(Program(design="softmax regression", task=BLOBS, network=Dense(CLASSES, ())), "linen", "function"),
    *over(
        Program(design="eight residual layers", task=BLOBS, network=Dense(CLASSES, (32,) * 8, residual=True)), "linen", "nnx"
    ),
    *over(Program(design="zero head", task=BLOBS, network=Dense(CLASSES, last=ZEROS)), "linen", "nnx", "equinox"),
    *over(Program(design="wide layer", task=BLOBS, network=Dense(CLASSES, (256,))), "equinox", "function"),
    *over(Program(design="SELU, ten layers", task=BLOBS, network=Dense(CLASSES, (32,) * 10, jax.nn.selu)), "linen", "nnx"),
    *over(Program(design="smoothed labels", task=BLOBS, network=Dense(CLASSES), loss=losses.smoothed), "nnx", "function"),
)

FAULTY = (
    *over(
        fault(
            PLAIN,
            "softmax twice",
            "output-activation",
            "UMLAUT, DeepFD: softmax before a loss of logits",
            network=Dense(CLASSES, output=jax.nn.softmax),
        )
    ),
    *over(
        fault(
            PLAIN,
            "sigmoid before the softmax",
            "output-activation",
            "DeepDiagnosis: sigmoid at the end of a classifier",
            network=Dense(CLASSES, output=jax.nn.sigmoid),
        ),
        "linen",
        "equinox",
    ),
    *over(
        fault(
            PLAIN,
            "ReLU on the logits",
            "output-activation",
            "DeepFD: ReLU at the last layer",
            network=Dense(CLASSES, output=jax.nn.relu),
        ),
        "nnx",
        "function",
    ),
    *over(
        fault(
            PLAIN,
            "tanh on the logits",
            "output-activation",
            "TheDeepChecker: output activation with a short range",
            network=Dense(CLASSES, output=jnp.tanh),
        ),
        "linen",
        "function",
    ),
    *over(
        fault(
            PROBABILITIES,
            "logits taken for probabilities",
            ("output-activation", "loss"),
            "NeuraLint, DeepFD: likelihood of what is no probability",
            network=Dense(CLASSES),
        ),
        "linen",
        "equinox",
    ),
    *over(
        fault(
            LOGS,
            "likelihood of raw logits",
            ("loss", "output-activation"),
            "review: a loss without bound",
            network=Dense(CLASSES),
        )
    ),
    *over(
        fault(
            PLAIN,
            "softmax over the batch",
            ("mixed-examples", "output-activation"),
            "review: softmax on the axis of the examples",
            network=Dense(CLASSES, output=lambda x: jax.nn.softmax(x, 0)),
        ),
        "linen",
        "nnx",
        "function",
    ),
    *over(fault(PLAIN, "loss climbed", "loss", "TheDeepChecker: sign of the loss lost", loss=losses.climbed), "linen", "nnx"),
    *over(
        fault(PLAIN, "share of errors as loss", ("no-gradient", "loss"), "DeepFD: a metric as loss", loss=losses.constant),
        "linen",
        "equinox",
    ),
    *over(
        fault(
            PLAIN,
            "sum over the batch",
            ("loss", "large-update"),
            "review: a sum in place of a mean",
            loss=losses.summed,
            optimizer=optax.sgd(0.1),
        ),
        "nnx",
        "function",
    ),
    *over(
        fault(
            PLAIN,
            "no activation function",
            "linear-network",
            "DeepFD, UMLAUT: layers without activation",
            network=Dense(CLASSES, (32, 32, 32), activation=identity),
        )
    ),
    *over(
        fault(
            HOT,
            "softmax twice, one-hot labels",
            "output-activation",
            "UMLAUT: softmax before a loss of logits",
            network=Dense(CLASSES, output=jax.nn.softmax),
        ),
        "linen",
        "nnx",
    ),
    *over(
        fault(
            RING,
            "one output for two classes",
            ("output-activation", "labels", "loss"),
            "DeepFD: one unit with a softmax loss",
            network=Dense(1, activation=jnp.tanh),
            loss=lambda o, t: losses.cross_entropy_one_hot(o, t[:, None].astype(o.dtype)),
        ),
        "function",
        "equinox",
    ),
    *over(
        fault(
            SIX,
            "sigmoid, six layers",
            ("vanishing-gradient", "initialisation"),
            "AUTOTRAINER, DeepDiagnosis: sigmoid in depth",
            network=replace(SIX.network, widths=(32,) * 8, activation=jax.nn.sigmoid),
        ),
    ),
    *over(
        fault(
            PLAIN,
            "squared error on class numbers",
            ("loss", "targets", "labels", "shapes"),
            "DeepFD: squared error where classes are meant",
            loss=lambda o, t: jnp.mean((o - t[:, None].astype(o.dtype)) ** 2),
        ),
        "linen",
        "function",
    ),
)
