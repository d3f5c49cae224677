"""Autoencoders, plain and variational."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import optax

from experiments.diagnosis import losses
from experiments.diagnosis.networks import Autoencoder, Variational
from experiments.diagnosis.program import Program, fault, over
from experiments.diagnosis.tasks import PICTURES, correlation

RATE = optax.adam(1e-2)
CROSS = Program(
    design="autoencoder, sigmoid", task=PICTURES, network=Autoencoder(), loss=losses.binary_of_probabilities, optimizer=RATE
)
SQUARES = Program(
    design="autoencoder, squared error", task=PICTURES, network=Autoencoder(), loss="squared_error", optimizer=RATE
)
SHARP = PICTURES.changed(lambda x, _: ((x > 0.5).astype(jnp.float32),) * 2)
LOGITS = replace(SHARP, score=correlation, learnt=0.5)  # whose scale is not that of the pixels
VAE = Program(design="variational autoencoder", task=LOGITS, network=Variational(), loss=losses.elbo, random=True)
BYTES = PICTURES.changed(lambda x, y: (x, 255 * y))
SIGNED = PICTURES.changed(lambda x, y: (4 * (x - 0.2), 4 * (y - 0.2)))


def _denoised(x, y):
    return x + 0.1 * jnp.sin(37 * jnp.arange(x.shape[-1])), y


HEALTHY = (
    *over(CROSS),
    *over(SQUARES, "linen", "nnx", "function"),
    *over(
        Program(
            design="sharp sigmoid outputs",
            task=SHARP,
            network=Autoencoder(16),
            loss=losses.binary_of_probabilities,
            optimizer=RATE,
        )
    ),
    *over(
        Program(
            design="logits of pixels",
            task=LOGITS,
            network=Autoencoder(16, output=lambda x: x),
            loss=losses.binary_of_logits,
            optimizer=RATE,
        ),
        "linen",
        "equinox",
    ),
    *over(VAE, "linen", "equinox", "function"),
    *over(
        Program(design="denoising autoencoder", task=PICTURES.changed(_denoised), network=Autoencoder(), loss="squared_error"),
        "nnx",
        "equinox",
    ),
    *over(
        Program(
            design="tanh autoencoder",
            task=SIGNED,
            network=Autoencoder(activation=jnp.tanh, output=lambda x: x),
            loss="squared_error",
        ),
        "linen",
        "function",
    ),
)

FAULTY = (
    *over(
        fault(
            SQUARES,
            "pixels in 0 … 255 behind a sigmoid",
            ("output-activation", "targets"),
            "DeepFD: targets beyond the sigmoid",
            task=BYTES,
        )
    ),
    *over(
        fault(
            CROSS,
            "standardised pixels, binary loss",
            ("loss", "targets", "output-activation", "labels"),
            "DeepDiagnosis: targets that are no probabilities",
            task=PICTURES.changed(lambda x, y: (4 * (x - 0.2), 4 * (y - 0.2))),
        ),
        "linen",
        "nnx",
        "function",
    ),
    *over(
        fault(
            Program(design="tanh autoencoder", task=SIGNED, network=Autoencoder(activation=jnp.tanh), loss="squared_error"),
            "ReLU outputs, signed targets",
            "output-activation",
            "UMLAUT: ReLU at the end, negative targets",
            network=Autoencoder(activation=jnp.tanh, output=jax.nn.relu),
        ),
        "linen",
        "equinox",
    ),
    *over(
        fault(
            VAE,
            "posterior collapse",
            ("constant-representation", "low-rank-representation"),
            "review: divergence that counts too much",
            loss=losses.heavy_elbo,
        ),
        "linen",
        "equinox",
        "function",
    ),
    *over(
        fault(SQUARES, "encoder that died", "dead-units", "AUTOTRAINER: dying ReLU", network=Autoencoder(bias=-10.0)),
        "nnx",
        "function",
    ),
    *over(
        fault(
            CROSS,
            "sigmoid twice, pixels",
            "output-activation",
            "DeepFD: sigmoid before a loss of logits",
            loss=losses.binary_of_logits,
            task=SHARP,
        ),
    ),
    *over(
        fault(
            SQUARES,
            "code through a sign",
            "no-gradient",
            "review: rounding in the path",
            network=Autoencoder(inside=jnp.sign),
        ),
        "linen",
        "equinox",
    ),
)
