"""Labels that do not fit the loss. Where a framework would stop by itself, `probe.read` is to say so in one line."""

import jax
import jax.numpy as jnp

from experiments.diagnosis import losses
from experiments.diagnosis.networks import Dense, LanguageModel
from experiments.diagnosis.program import Program, fault, over
from experiments.diagnosis.tasks import BLOBS, CLASSES, ONE_HOT, TEXT, Task, accuracy, fixed

PLAIN = Program(design="classes 0 … 4", task=BLOBS, network=Dense(CLASSES))
PADDED = TEXT.changed(lambda x, y: (x, y.at[:, -3:].set(-100)))
LANGUAGE = Program(
    design="padding masked",
    task=Task(PADDED.draw, lambda o, t: accuracy(o, t) * 4 / 3, 0.3),
    network=LanguageModel(),
    loss=losses.masked,
)


def _many(key):
    x = jax.random.normal(key, (64, 8))
    return x, (x @ fixed(5, 8, 20)).argmax(-1)


HEALTHY = (
    *over(PLAIN, "linen", "function"),
    *over(LANGUAGE, "linen", "nnx"),
    *over(
        Program(design="twenty classes", task=Task(_many, accuracy, 0.25), network=Dense(20)), "linen", "equinox", "function"
    ),
    *over(
        Program(design="small integers", task=BLOBS.changed(lambda x, y: (x, y.astype(jnp.uint8))), network=Dense(CLASSES)),
        "nnx",
    ),
)

FAULTY = (
    *over(
        fault(
            PLAIN,
            "labels 1 … 5",
            "labels",
            "DeepFD: labels one beyond the last class",
            task=BLOBS.changed(lambda x, y: (x, y + 1)),
        )
    ),
    *over(
        fault(
            PLAIN,
            "label -1 for unknown",
            "labels",
            "review: -1 wraps in silence",
            task=BLOBS.changed(lambda x, y: (x, jnp.where(x[:, 0] > 1, -1, y))),
        ),
        "linen",
        "nnx",
    ),
    *over(
        fault(LANGUAGE, "-100 for padding", "labels", "review: -100 without a mask", task=PADDED, loss="cross_entropy"),
        "linen",
        "equinox",
    ),
    *over(
        fault(
            PLAIN,
            "float labels",
            "labels",
            "DeepFD: labels of the wrong type",
            task=BLOBS.changed(lambda x, y: (x, y.astype(jnp.float32))),
        ),
        "linen",
        "function",
    ),
    *over(
        fault(PLAIN, "one-hot where integers are meant", "labels", "DeepFD, UMLAUT: one-hot labels", task=ONE_HOT),
        "nnx",
        "equinox",
    ),
    *over(
        fault(
            PLAIN,
            "labels with a last axis",
            ("labels", "shapes"),
            "DeepFD: labels [n, 1]",
            task=BLOBS.changed(lambda x, y: (x, y[:, None])),
        ),
        "linen",
        "function",
    ),
)
