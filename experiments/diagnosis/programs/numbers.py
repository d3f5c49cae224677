"""Values that a number format, a logarithm or a difference loses."""

import jax
import jax.numpy as jnp

from experiments.diagnosis.program import Program, fault, over
from experiments.diagnosis.tasks import BLOBS, CLASSES
from jaxnotes import probe

ones = jax.nn.initializers.ones


def _root_mean_square(half, wide, size=1.0):
    """RMS normalisation in a format, its squares in float32 where `wide`; `size` is that of what it normalises."""

    def network(layers, x):
        h = (size * layers.dense(x, 32)).astype(half)
        squares = jnp.square(h.astype(jnp.float32) if wide else h)
        scale = layers.parameter("scale", ones, (32,)).astype(half)
        h = probe.tap("normalised", h / jnp.sqrt(squares.mean(-1, keepdims=True) + 1e-5).astype(half) * scale)
        return layers.dense(jax.nn.relu(layers.dense(h.astype(jnp.float32), 32)), CLASSES)

    return network


def _offset(mean, spread):
    def network(layers, x):
        h = layers.layer_norm(spread * layers.dense(x, 32) + mean)
        return layers.dense(jax.nn.relu(layers.dense(h, 32)), CLASSES)

    return network


def _through(function):
    def network(layers, x):
        h = jax.nn.relu(layers.dense(x, 32))
        return layers.dense(function(layers.dense(h, 32)), CLASSES)

    return network


def _gated(guard):
    """A norm with a learnt size, whose root has no slope at 0."""

    def network(layers, x):
        h = jax.nn.relu(layers.dense(x, 32))
        alpha = layers.parameter("alpha", jax.nn.initializers.zeros, (32,))
        return layers.dense(h * (1 + jnp.sqrt(jnp.abs(alpha) + guard)), CLASSES)

    return network


def _half(scale):
    """Two layers in float16, with a factor on the way back that the loss undoes."""

    def network(layers, x):
        h = jax.nn.relu(layers.dense(x, 32))
        weight = layers.parameter("half", jax.nn.initializers.lecun_normal(), (32, 32))
        h = probe.tap("half", (h.astype(jnp.float16) @ weight.astype(jnp.float16)))
        return layers.dense(jax.nn.relu(h).astype(jnp.float32) * scale, CLASSES)

    return network


RMS = Program(design="RMS normalisation, squares in float32", task=BLOBS, network=_root_mean_square(jnp.float16, True))
BFLOAT = Program(design="RMS normalisation in bfloat16", task=BLOBS, network=_root_mean_square(jnp.bfloat16, True))
NORM = Program(design="layer normalisation of mean 1", task=BLOBS, network=_offset(1.0, 1.0))
GUARDED = Program(design="guarded logarithm", task=BLOBS, network=_through(lambda h: jnp.log1p(jnp.abs(h))))
ROOT = Program(design="guarded root", task=BLOBS, network=_gated(1e-3))
HALF = Program(design="a layer in float16", task=BLOBS, network=_half(1.0))

HEALTHY = (
    *over(RMS, "linen", "function"),
    *over(BFLOAT, "nnx", "function"),
    *over(NORM, "linen", "equinox"),
    *over(GUARDED, "linen", "function"),
    *over(ROOT, "nnx", "function"),
    *over(HALF, "linen", "function"),
)

FAULTY = (
    *over(
        fault(
            RMS,
            "squares in float16",
            ("number-format", "non-finite"),
            "review: squares overflow in float16",
            network=_root_mean_square(jnp.float16, False, 600.0),
        )
    ),
    *over(
        fault(
            RMS,
            "squares vanish in float16",
            "number-format",
            "review: squares underflow in float16",
            network=_root_mean_square(jnp.float16, False, 1e-5),
        ),
        "nnx",
        "function",
    ),
    *over(
        fault(HALF, "gradients lost in float16", "number-format", "review: gradient entries flushed to 0", network=_half(1e-6)),
        "linen",
        "equinox",
        "function",
    ),
    *over(
        fault(
            NORM,
            "mean of 30,000, spread of 0.001",
            "cancellation",
            "review: large mean, tiny spread",
            network=_offset(3e4, 1e-3),
        )
    ),
    *over(
        fault(
            GUARDED,
            "logarithm of negatives",
            "non-finite",
            "TheDeepChecker: logarithm without guard",
            network=_through(jnp.log),
        ),
        "linen",
        "nnx",
        "function",
    ),
    *over(
        fault(
            GUARDED,
            "exponential of a square",
            ("non-finite", "loss-at-start"),
            "AUTOTRAINER: exploding values",
            network=_through(lambda h: jnp.exp((5 * h) ** 2)),
        ),
        "linen",
        "equinox",
    ),
    *over(
        fault(ROOT, "slope of a root at 0", "non-finite", "review: infinite gradient of a parameter", network=_gated(0.0)),
        "linen",
        "nnx",
        "function",
    ),
    *over(
        fault(
            GUARDED,
            "division by 0",
            "non-finite",
            "TheDeepChecker: division without guard",
            network=_through(lambda h: h / jnp.floor(jnp.abs(h) / 1e6)),
        ),
        "equinox",
        "function",
    ),
)
