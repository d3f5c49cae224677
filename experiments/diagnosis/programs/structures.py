"""Adapters, conditions, experts, and representations that collapse or grow."""

import jax
import jax.numpy as jnp
import optax

from experiments.diagnosis.program import Program, fault, over
from experiments.diagnosis.tasks import BLOBS, CLASSES, CURVE, FEATURES, NOISED, Task

normal, zeros, lecun = jax.nn.initializers.normal, jax.nn.initializers.zeros, jax.nn.initializers.lecun_normal()


def _adapter(first, second):
    def network(layers, x):
        for _ in range(2):
            low = layers.dense(layers.dense(x, 4, first), 32, second)
            x = jax.nn.relu(layers.dense(x, 32) + low)
        return layers.dense(x, CLASSES)

    return network


def _experts(layers, x):
    weights = jax.nn.softmax(layers.dense(x, 3))
    outputs = jnp.stack([layers.dense(jax.nn.relu(layers.dense(x, 16)), CLASSES) for _ in range(3)], -1)
    return jnp.sum(outputs * weights[..., None, :], -1)


def _conditioned(layers, x, time):
    """Scale and shift from a time embedding, zero at the start."""
    condition = jax.nn.silu(layers.dense(jnp.cos(time[..., None] * jnp.arange(8)), 16))
    h = layers.dense(x, 32)
    for _ in range(2):
        scale, shift, gate = jnp.split(layers.dense(condition, 96, zeros), 3, -1)
        h = h + gate * layers.dense(jax.nn.silu(layers.layer_norm(h) * (1 + scale) + shift), 32)
    return layers.dense(h, 2)


def _highway(layers, x):
    x = jnp.tanh(layers.dense(x, 32))
    for _ in range(4):
        gate = jax.nn.sigmoid(layers.dense(x, 32, bias=-2.0))
        x = gate * jnp.tanh(layers.dense(x, 32)) + (1 - gate) * x
    return layers.dense(x, CLASSES)


def _dense_connections(layers, x):
    for _ in range(4):
        x = jnp.concatenate([x, jax.nn.relu(layers.dense(x, 12))], -1)
    return layers.dense(x, CLASSES)


def _glu(layers, x):
    for _ in range(2):
        x = jax.nn.silu(layers.dense(x, 32)) * layers.dense(x, 32)
    return layers.dense(x, CLASSES)


def _sine(layers, x):
    return layers.dense(jnp.sin(layers.dense(jnp.sin(layers.dense(x, 32)), 32)), 1)


def _growing(blocks, scale):
    """With one initialiser in every form: Equinox's own draws a third of the variance, with which nothing grows."""

    def network(layers, x):
        x = layers.dense(x, 32)
        for _ in range(blocks):
            x = x + scale * layers.dense(jax.nn.relu(layers.dense(x, 32, lecun)), 32, lecun)
        return layers.dense(x, CLASSES)

    return network


LORA = Program(design="adapter, B zero", task=BLOBS, network=_adapter(normal(0.3), zeros))
CONDITION = Program(design="condition that starts at zero", task=NOISED, network=_conditioned, loss="squared_error")
HIGHWAY = Program(design="highway", task=BLOBS, network=_highway)


def _siamese(layers, x):
    """Two views of an example, encoded; outputs [..., 2, features]."""
    views = jnp.stack([x, jnp.roll(x, 1, -1)], -2)
    return layers.dense(jax.nn.relu(layers.dense(views, 32)), 16)


def contrast(outputs, targets):
    """InfoNCE over the batch."""
    del targets
    one, two = (outputs[..., i, :] / (jnp.linalg.norm(outputs[..., i, :], axis=-1, keepdims=True) + 1e-6) for i in (0, 1))
    logits = one @ two.T * 5
    return -jnp.mean(jnp.diag(jax.nn.log_softmax(logits)))


def attraction(outputs, targets):
    """Views attract one another and nothing repels: the constant is best."""
    del targets
    return jnp.mean((outputs[..., 0, :] - outputs[..., 1, :]) ** 2)


def matched(outputs, targets):
    """Share of examples whose second view is nearest to the first."""
    del targets
    one, two = (outputs[..., i, :] / (jnp.linalg.norm(outputs[..., i, :], axis=-1, keepdims=True) + 1e-6) for i in (0, 1))
    return jnp.mean((one @ two.T).argmax(-1) == jnp.arange(len(one)))


VIEWS = Task(lambda key: (jax.random.normal(key, (64, FEATURES)),) * 2, matched, 0.4)
GROWING = Program(design="eight blocks of a third", task=BLOBS, network=_growing(8, 0.3), optimizer=optax.adam(3e-3))
CONTRAST = Program(design="contrastive", task=VIEWS, network=_siamese, loss=contrast)

HEALTHY = (
    *over(LORA),
    *over(CONDITION),
    *over(HIGHWAY, "linen", "function"),
    *over(GROWING, "nnx", "function"),
    *over(CONTRAST, "linen", "nnx", "function"),
    *over(Program(design="mixture of experts", task=BLOBS, network=_experts), "nnx", "equinox"),
    *over(Program(design="dense connections", task=BLOBS, network=_dense_connections), "linen", "equinox"),
    *over(Program(design="gated linear units", task=BLOBS, network=_glu), "nnx", "function"),
    *over(Program(design="sine layers", task=CURVE, network=_sine, loss="squared_error"), "linen", "function"),
)


def _outlier(layers, x):
    h = layers.dense(x, 32) * jnp.where(jnp.arange(32) == 3, 2000.0, 1.0)
    return layers.dense(jax.nn.relu(layers.dense(layers.layer_norm(h), 32)), CLASSES)


def _flat(layers, x):
    """All units of a layer carry one number."""
    h = jnp.tanh(layers.dense(x, 1)) * jnp.ones(32)
    for _ in range(2):
        h = jax.nn.relu(layers.dense(h, 32))
    return layers.dense(h, CLASSES)


FAULTY = (
    *over(
        fault(
            LORA,
            "adapter, both factors zero",
            ("equal-units", "no-gradient", "initialisation"),
            "review: both factors 0",
            network=_adapter(zeros, zeros),
        )
    ),
    *over(
        fault(
            GROWING,
            "forty blocks that add up",
            ("residual-growth", "loss-at-start", "exploding-gradient"),
            "review: residual stream grows",
            network=_growing(40, 1.0),
            optimizer=optax.sgd(0.05),
        )
    ),
    *over(
        fault(
            CONTRAST,
            "views without negatives",
            ("low-rank-representation", "constant-representation"),
            "review: collapse",
            loss=attraction,
        ),
        "linen",
        "nnx",
        "function",
    ),
    *over(
        fault(HIGHWAY, "one channel of 2000", "outlier-channels", "review: outlier channel", network=_outlier),
        "linen",
        "equinox",
        "function",
    ),
    *over(
        fault(HIGHWAY, "a bottleneck of one unit", "low-rank-representation", "review: effective rank of 1", network=_flat),
        "linen",
        "nnx",
    ),
)
