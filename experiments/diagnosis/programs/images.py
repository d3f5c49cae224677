"""Pictures: convolutions, patches, mixers."""

import jax
import jax.numpy as jnp
import optax

from experiments.diagnosis.networks import Convolutional
from experiments.diagnosis.program import Program, fault, over
from experiments.diagnosis.tasks import BARS, SIDE

PLAIN = Program(design="convolutional", task=BARS, network=Convolutional())
NORM = Program(design="convolution and batch normalisation", task=BARS, network=Convolutional(norm=True), inference=True)


def _patches(x):
    size = SIDE // 2
    x = x.reshape(*x.shape[:-3], 2, size, 2, size, x.shape[-1])
    return jnp.moveaxis(x, -4, -3).reshape(*x.shape[:-5], 4, -1)


def _vit(layers, x):
    x = layers.dense(_patches(x), 32)
    x = x + layers.parameter("position", jax.nn.initializers.normal(0.02), (4, 32))
    for _ in range(2):
        x = x + layers.attention(layers.layer_norm(x), 2)
        x = x + layers.dense(jax.nn.gelu(layers.dense(layers.layer_norm(x), 64)), 32)
    return layers.dense(layers.layer_norm(x).mean(-2), 4)


def _mixer(layers, x):
    x = layers.dense(_patches(x), 32)
    for _ in range(2):
        h = layers.layer_norm(x).swapaxes(-1, -2)
        x = x + layers.dense(jax.nn.gelu(layers.dense(h, 16)), 4).swapaxes(-1, -2)
        x = x + layers.dense(jax.nn.gelu(layers.dense(layers.layer_norm(x), 64)), 32)
    return layers.dense(layers.layer_norm(x).mean(-2), 4)


def _residual(layers, x):
    x = layers.conv(layers.picture(x), 16)
    for _ in range(3):
        h = jax.nn.relu(layers.batch_norm(layers.conv(x, 16)))
        x = jax.nn.relu(x + layers.batch_norm(layers.conv(h, 16)))
    return layers.dense(layers.global_mean(x), 4)


def _fixup(layers, x):
    """Branches that start at 0, without normalisation."""
    x = jax.nn.relu(layers.conv(layers.picture(x), 16))
    for _ in range(3):
        x = x + layers.conv(jax.nn.relu(layers.conv(x, 16)), 16, initializer=jax.nn.initializers.zeros)
    return layers.dense(layers.global_mean(jax.nn.relu(x)), 4)


HEALTHY = (
    *over(PLAIN),
    *over(NORM, "linen", "nnx", "equinox"),
    *over(Program(design="vision Transformer", task=BARS, network=_vit, optimizer=optax.adam(3e-3))),
    *over(Program(design="mixer", task=BARS, network=_mixer, optimizer=optax.adam(3e-3))),
    *over(Program(design="residual network", task=BARS, network=_residual, inference=True), "linen", "nnx", "equinox"),
    *over(Program(design="branches that start at 0", task=BARS, network=_fixup), "linen", "nnx", "equinox"),
    *over(Program(design="strided, mean over places", task=BARS, network=Convolutional(average=True)), "linen", "equinox"),
)


def _deep(activation):
    def network(layers, x):
        x = layers.picture(x)
        for _ in range(10):
            x = activation(layers.conv(x, 8))
        return layers.dense(layers.flatten(x), 4)

    return network


FAULTY = (
    *over(
        fault(
            PLAIN,
            "softmax twice, pictures",
            "output-activation",
            "UMLAUT: softmax before a loss of logits",
            network=Convolutional(output=jax.nn.softmax),
        ),
        "linen",
        "nnx",
        "equinox",
    ),
    *over(
        fault(
            PLAIN,
            "convolutions without activation",
            "linear-network",
            "DeepFD, UMLAUT: layers without activation",
            network=_deep(lambda x: x),
        ),
        "linen",
        "nnx",
        "function",
    ),
    *over(
        fault(
            PLAIN,
            "sigmoid, ten convolutions",
            ("vanishing-gradient", "initialisation"),
            "AUTOTRAINER: vanishing gradient",
            network=_deep(jax.nn.sigmoid),
        ),
        "linen",
        "function",
    ),
    *over(
        fault(
            PLAIN,
            "sigmoid outputs, pictures",
            "output-activation",
            "DeepDiagnosis: sigmoid at the end of a classifier",
            network=Convolutional(output=jax.nn.sigmoid),
        ),
        "equinox",
        "function",
    ),
    *over(
        fault(
            PLAIN,
            "large kernels",
            ("initialisation", "exploding-gradient", "loss-at-start"),
            "AUTOTRAINER: exploding gradient",
            network=Convolutional(initializer=jax.nn.initializers.normal(3.0)),
        ),
        "linen",
        "nnx",
    ),
    *over(
        fault(
            PLAIN,
            "kernels of 0",
            ("equal-units", "initialisation", "no-gradient"),
            "TheDeepChecker: weights of 0",
            network=Convolutional(initializer=jax.nn.initializers.zeros),
        ),
        "linen",
        "function",
    ),
    *over(
        fault(PLAIN, "convolution at 1e-8", "small-update", "DeepFD: rate too low", optimizer=optax.sgd(1e-7)), "nnx", "equinox"
    ),
)
