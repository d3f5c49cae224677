"""Scales of activations and gradients over the depth of random ReLU stacks, with and without batch normalisation."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.normalization.network import normalise
from experiments.normalization.settings import Normalization
from experiments.study.measurement import Evidence, curve, interval
from experiments.study.profiles import decades, log_gradients
from jaxnotes.layers import initializers
from jaxnotes.layers.activations import relu
from jaxnotes.layers.linear import linear
from jaxnotes.models.mlp import stack_init

HE = 2.0  # critical σ_w² of ReLU


def drift(settings: Normalization, key: Array) -> dict[str, Evidence]:
    """normalization.drift: ReLU stacks with too small, critical and too large weights, and with normalisation."""
    depth, measurements, arrays = settings.drift_depth, [], {}
    arms = {"small": (HE / 2, False), "he": (HE, False), "large": (2 * HE, False), "normalised": (2 * HE, True)}
    run = jax.jit(partial(log_scales, settings))  # one program for all arms
    for key_arm, (name, (weight_variance, normalised)) in zip(jax.random.split(key, len(arms)), arms.items(), strict=True):
        keys = jax.random.split(key_arm, settings.seeds)
        activations, gradients = map(np.asarray, run(jnp.float32(weight_variance), jnp.asarray(normalised), keys))
        passed = {"activation": (activations - activations[:, :1]) / np.log(10), "gradient": decades(gradients)}
        slope = None if normalised else 0.5 * np.log10(weight_variance / HE)
        for kind, values in passed.items():
            law = f"(layers / 2) |log10(σ_w²/2)|, He et al. (2015); σ_w² = {weight_variance:g}"
            expected, source = (abs(slope) * (depth - 1), law) if slope else (None, "")
            unit = f"|log10| of the change over {depth - 1} layers"
            far = np.abs(values[:, -1] - values[:, 0])
            measurements.append(interval(f"{kind}-drift-{name}", far, unit=unit, prediction=expected, source=source))
            layers = np.arange(depth) if kind == "activation" else np.arange(depth)[::-1]
            arrays |= curve(f"{kind}-{name}", values, None if slope is None else slope * layers)
        arrays[f"variance-{name}"] = np.asarray(weight_variance)
    return {"normalization.drift": Evidence(tuple(measurements), arrays)}


def log_scales(settings: Normalization, weight_variance: Array, normalised: Array, keys: Array) -> tuple[Array, Array]:
    """Returns [seeds, depth] natural logs of the RMS activation after each layer, and of the gradient's norm there."""

    def draw(key: Array) -> tuple[dict[str, Array], Array]:
        key_stack, key_input = jax.random.split(key)
        initializer = initializers.weight_variance(weight_variance)
        params = stack_init(key_stack, settings.drift_width, settings.drift_depth, initializer=initializer)
        return params, jax.random.normal(key_input, (settings.drift_batch, settings.drift_width))

    def layer(params: dict[str, Array], h: Array) -> Array:
        return relu(jax.lax.cond(normalised, normalise, lambda z: z, linear(params, h)))

    def step(h: Array, params: dict[str, Array]) -> tuple[Array, Array]:
        h = layer(params, h)
        return h, 0.5 * jnp.log(jnp.mean(h**2))

    def activations(key: Array) -> Array:
        params, x = draw(key)
        return jax.lax.scan(step, x, params)[1]

    return jax.lax.map(activations, keys), log_gradients(layer, draw, keys)[:, 1:]
