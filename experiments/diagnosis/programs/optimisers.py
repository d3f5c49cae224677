"""Learning rates, decay, clipping, and parameters that the optimiser or the network leaves alone."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from experiments.diagnosis import losses
from experiments.diagnosis.networks import Convolutional, Dense
from experiments.diagnosis.program import Program, fault, over
from experiments.diagnosis.tasks import BARS, BLOBS, CLASSES, CURVE

ADAM = Program(design="Adam", task=BLOBS, network=Dense(CLASSES, activation=jax.nn.silu), optimizer=optax.adam(3e-3))
SGD = Program(design="momentum", task=BLOBS, network=Dense(CLASSES), optimizer=optax.sgd(0.05, momentum=0.9))
DECAY = Program(design="AdamW", task=BLOBS, network=Dense(CLASSES), optimizer=optax.adamw(5e-3, weight_decay=1e-2))
CLIP = Program(design="clipped at 1", task=BLOBS, network=Dense(CLASSES), clip_norm=1.0)
CURVES = Program(design="regression by SGD", task=CURVE, network=Dense(1), loss="squared_error", optimizer=optax.sgd(0.05))
PICTURES = Program(design="convolution by Adam", task=BARS, network=Convolutional(), optimizer=optax.adam(3e-3))


def of_first(tree):
    """Labels "still" for the parameters of the first layer, by name, and "moves" for all others."""
    first = lambda path: set(re.split(r"\W|_", jax.tree_util.keystr(path[:2]))) & {"0"}
    return jax.tree_util.tree_map_with_path(lambda path, leaf: "still" if first(path) else "moves", tree)


def decayed(tree):
    """Marks matrices, which alone decay."""
    return jax.tree.map(lambda leaf: leaf.ndim > 1, tree)


WARM = optax.warmup_cosine_decay_schedule(0.001, 1e-2, 20, 200)
HEALTHY = (
    *over(ADAM, "linen", "nnx"),
    *over(SGD),
    *over(DECAY, "linen", "equinox"),
    *over(CLIP, "nnx", "function"),
    *over(CURVES, "linen", "equinox"),
    *over(PICTURES, "linen", "equinox"),
    *over(Program(design="RMSProp", task=BLOBS, network=Dense(CLASSES), optimizer=optax.rmsprop(3e-3)), "nnx", "function"),
    *over(
        Program(design="decay of matrices alone", task=BLOBS, network=Dense(CLASSES), optimizer=optax.adamw(1e-2, mask=decayed))
    ),
    *over(Program(design="warm-up", task=BLOBS, network=Dense(CLASSES), optimizer=optax.adam(WARM)), "linen", "function"),
)


def _cut(layers, x):
    """The first layer behind a `stop_gradient`."""
    h = jax.lax.stop_gradient(jax.nn.relu(layers.dense(x, 32)))
    return layers.dense(jax.nn.relu(layers.dense(h, 32)), CLASSES)


def _rounded(layers, x):
    h = jnp.round(2 * jnp.tanh(layers.dense(x, 32)))
    return layers.dense(h, CLASSES)


def _chosen(layers, x):
    h = jax.nn.one_hot(layers.dense(x, 16).argmax(-1), 16)
    return layers.dense(h, CLASSES)


def _unused(layers, x):
    h = jax.nn.relu(layers.dense(x, 32))
    jax.nn.relu(layers.dense(h, 32))
    return layers.dense(h, CLASSES)


class Hidden(nnx.Module):
    """Weights of the first layer in a Variable that is no Param."""

    def __init__(self, key, inputs):
        rngs = nnx.Rngs(key)
        self.first = nnx.Variable(jax.random.normal(key, (inputs[0].shape[-1], 32)) / 3)
        self.second, self.last = nnx.Linear(32, 32, rngs=rngs), nnx.Linear(32, CLASSES, rngs=rngs)

    def __call__(self, x):
        return self.last(nnx.relu(self.second(nnx.relu(x @ self.first[...]))))


def _numpy(layers, x):
    """The first layer's weights are a NumPy array, which no optimiser sees."""
    first = np.random.default_rng(0).standard_normal((x.shape[-1], 32)).astype(np.float32) / 3
    return layers.dense(jax.nn.relu(layers.dense(jax.nn.relu(x @ first), 32)), CLASSES)


FROZEN = optax.multi_transform({"still": optax.set_to_zero(), "moves": optax.adam(1e-2)}, of_first)
ALL_FROZEN = optax.multi_transform({"still": optax.set_to_zero()}, lambda tree: jax.tree.map(lambda _: "still", tree))
FAULTY = (
    *over(fault(ADAM, "Adam at 1e-7", "small-update", "UMLAUT, DeepFD: rate too low", optimizer=optax.adam(1e-7))),
    *over(
        fault(SGD, "SGD at 1e-6", "small-update", "AUTOTRAINER, DeepFD: rate too low", optimizer=optax.sgd(1e-6)),
        "linen",
        "nnx",
        "function",
    ),
    *over(
        fault(CURVES, "SGD at 1e-7, regression", "small-update", "DeepDiagnosis: rate too low", optimizer=optax.sgd(1e-7)),
        "equinox",
        "function",
    ),
    *over(
        fault(
            ADAM,
            "decay of the rate to 0",
            "small-update",
            "TheDeepChecker: a schedule at its end",
            optimizer=optax.adam(lambda step: 1e-9),
        ),
        "linen",
        "nnx",
    ),
    *over(fault(ADAM, "Adam at 1", "large-update", "UMLAUT: rate too high", optimizer=optax.adam(1.0))),
    *over(
        fault(
            SGD,
            "SGD at 30",
            ("large-update", "dead-units", "non-finite"),
            "AUTOTRAINER: rate too high",
            optimizer=optax.sgd(30.0),
        ),
        "linen",
        "equinox",
        "function",
    ),
    *over(
        fault(
            CURVES,
            "SGD over the curvature",
            ("large-update", "non-finite"),
            "DeepFD: rate too high, loss to infinity",
            optimizer=optax.sgd(3.0),
        ),
        "linen",
        "nnx",
    ),
    *over(
        fault(
            PICTURES,
            "convolution at a rate of 0.5",
            ("large-update", "dead-units"),
            "UMLAUT: rate too high",
            optimizer=optax.adam(0.5),
        ),
        "nnx",
        "equinox",
    ),
    *over(
        fault(
            DECAY,
            "decay of 10",
            "weight-decay",
            "review: decay outweighs the gradient",
            optimizer=optax.adamw(1e-2, weight_decay=10.0),
        )
    ),
    *over(
        fault(
            SGD,
            "L2 penalty of 1",
            ("weight-decay", "loss"),
            "TheDeepChecker: penalty larger than the loss",
            optimizer=optax.chain(optax.add_decayed_weights(1.0), optax.sgd(0.1)),
        ),
        "linen",
        "function",
    ),
    *over(fault(CLIP, "clipped at 0.0001", "clipping", "review: a limit that always acts", clip_norm=1e-4), "linen", "equinox"),
    *over(fault(CLIP, "clipped at 10,000", "clipping", "review: a limit that never acts", clip_norm=1e4), "nnx", "function"),
    *over(fault(ADAM, "first layer frozen by mask", "no-gradient", "review: optimiser's mask", optimizer=FROZEN)),
    *over(
        fault(
            ADAM,
            "everything frozen",
            ("no-gradient", "small-update"),
            "TheDeepChecker: parameters that never change",
            optimizer=ALL_FROZEN,
        ),
        "linen",
        "function",
    ),
    *over(fault(ADAM, "stop_gradient in the path", "no-gradient", "review: gradient cut", network=_cut)),
    *over(fault(ADAM, "rounding in the path", "no-gradient", "review: rounding", network=_rounded), "linen", "function"),
    *over(fault(ADAM, "argmax in the path", "no-gradient", "review: argmax", network=_chosen), "nnx", "equinox"),
    *over(
        fault(ADAM, "unused layer", "no-gradient", "review: a layer that no output uses", network=_unused), "linen", "equinox"
    ),
    *over(
        fault(ADAM, "Variable in place of Param", "no-gradient", "review: parameters that are none", network=None, make=Hidden),
        "nnx",
    ),
    *over(
        fault(ADAM, "weights in NumPy", "no-gradient", "review: parameters that are none", network=_numpy),
        "function",
        "equinox",
    ),
    *over(
        fault(
            SGD,
            "sum and a rate for means",
            ("loss", "large-update", "dead-units"),
            "review: sum in place of mean",
            loss=losses.summed,
        ),
        "equinox",
    ),
)
