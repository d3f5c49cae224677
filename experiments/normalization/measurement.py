"""What normalisation does: its formula and moments, the scales and gradients of deep stacks, and training with it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.normalization import gradients as normalization_gradients
from experiments.normalization import shift as normalization_shift
from experiments.normalization import training as normalization_training
from experiments.normalization.settings import Normalization
from experiments.study.measurement import Evidence, curve, interval
from experiments.study.seeds import over_seeds
from experiments.study.topic import Topic
from jaxnotes import jacobians
from jaxnotes.layers.activations import relu
from jaxnotes.layers.initializers import weight_variance
from jaxnotes.layers.linear import linear
from jaxnotes.layers.normalization import EPSILON, MOMENTUM, batch_norm, batch_norm_state, mean_and_variance, norm_init
from jaxnotes.models.mlp import stack_init

HE = 2.0  # critical σ_w² of ReLU


def normalise(x: Array, params=None, **options) -> Array:
    """Batch normalisation by the batch's own statistics."""
    return batch_norm({} if params is None else params, batch_norm_state(x.shape[-1], x.dtype), x, train=True, **options)[0]


def drift(settings: Normalization, key: Array) -> dict[str, Evidence]:
    """normalization.drift: ReLU stacks with too small, critical and too large weights, and with normalisation."""
    depth, measurements, arrays = settings.drift_depth, [], {}
    arms = {"small": (HE / 2, False), "he": (HE, False), "large": (2 * HE, False), "normalised": (2 * HE, True)}
    run = jax.jit(lambda keys, *arm: jax.lax.map(partial(_scales, settings, *arm), keys))  # one program for all arms
    for arm_key, (name, (of_weights, normalised)) in zip(jax.random.split(key, len(arms)), arms.items(), strict=True):
        logs = map(np.asarray, run(jax.random.split(arm_key, settings.seeds), jnp.float32(of_weights), jnp.asarray(normalised)))
        slope = None if normalised else 0.5 * np.log10(of_weights / HE)
        for kind, values in zip(("activation", "gradient"), logs, strict=True):
            values = values / np.log(10)
            law = f"(layers / 2) |log10(σ_w²/2)|, He et al. (2015); σ_w² = {of_weights:g}"
            expected = None if slope in (None, 0) else abs(slope) * (depth - 1)
            far = np.abs(values[:, -1] - values[:, 0])
            unit = f"|log10| of the change over {depth - 1} layers"
            found = interval(
                f"{kind}-drift-{name}", far, unit=unit, prediction=expected, source="" if expected is None else law
            )
            measurements.append(found)
            passed = values - values[:, :1] if kind == "activation" else values - values[:, -1:]
            arrays |= curve(f"{kind}-{name}", passed)
            if slope is not None:
                layers = np.arange(depth)
                arrays[f"{kind}-{name}-predicted"] = slope * (layers if kind == "activation" else layers[::-1])
        arrays[f"variance-{name}"] = np.asarray(of_weights)
    return {"normalization.drift": Evidence(tuple(measurements), arrays)}


def _scales(settings: Normalization, of_weights: Array, normalised: Array, key: Array) -> tuple[Array, Array]:
    """[depth] natural log of the RMS activation after each layer, and of the gradient's norm there."""
    of_stack, of_input, of_loss = jax.random.split(key, 3)
    params = stack_init(of_stack, settings.drift_width, settings.drift_depth, initializer=weight_variance(of_weights))
    x, direction = (jax.random.normal(k, (settings.drift_batch, settings.drift_width)) for k in (of_input, of_loss))

    def layer(layer_params, h: Array) -> Array:
        return relu(jax.lax.cond(normalised, normalise, lambda z: z, linear(layer_params, h)))

    def step(h: Array, layer_params) -> tuple[Array, Array]:
        h = layer(layer_params, h)
        return h, 0.5 * jnp.log(jnp.mean(h**2))

    log_norms = jacobians.log_gradient_norms(layer, params, x, lambda h: jnp.sum(h * direction))
    return jax.lax.scan(step, x, params)[1], log_norms[1:]


def formula(settings: Normalization, key: Array) -> dict[str, Evidence]:
    """normalization.formula: against NumPy, and what the running variance settles at."""
    of_errors, of_running, of_large = jax.random.split(key, 3)
    measurements = []
    for name in ("float64", "float32"):
        with jax.enable_x64(True):
            errors = _errors(*over_seeds(partial(_outputs, jnp.dtype(name)), of_errors, settings.seeds))
        source = "largest relative to the largest output, against NumPy in float64; rounding only"
        measurements.append(interval(f"error-{name}", errors[0], prediction=0, source=source))
        measurements.append(interval(f"inference-error-{name}", errors[1], prediction=0, source=source))
    batch, updates = 8, 100
    seen = over_seeds(partial(_running, settings.features, batch, updates), of_running, settings.seeds)
    names = ("normalising-variance", "running-variance-biased", "running-variance-unbiased")
    expected = ((batch - 1) / batch, (batch - 1) / batch, 1.0)
    arrays = {"momentum": np.asarray(MOMENTUM), "batch": np.asarray(batch)}
    for name, values, limit in zip(names, seen, expected, strict=True):
        source = f"variance 1, batches of {batch}: {'(B − 1)/B' if limit < 1 else 'the variance itself'}"
        values_at_end = values.mean(1) if name == names[0] else values[:, updates // 2 :].mean(1)
        measurements.append(interval(name, values_at_end, prediction=limit, source=source))
        arrays |= curve(name, values)
        start = limit if name == names[0] else 1.0
        arrays[f"{name}-predicted"] = limit + (start - limit) * MOMENTUM ** np.arange(1, updates + 1)
    x = 100 + 0.01 * jax.random.normal(of_large, (settings.seeds, 400_000))
    two, one = mean_and_variance(x, 1)[1][:, 0], jnp.mean(x**2, 1) - jnp.mean(x, 1) ** 2
    measurements.append(interval("two-pass-variance", two, prediction=1e-4, source="100 + 0.01 × standard normal, float32"))
    measurements.append(
        interval("one-pass-variance", one, prediction=1e-4, source="mean of squares minus squared mean, float32")
    )
    return {"normalization.formula": Evidence(tuple(measurements), arrays)}


def _outputs(dtype, key: Array) -> tuple[tuple[Array, ...], tuple[Array, Array]]:
    """Random (x, scale, shift, running mean, running variance), and what comes out in training and at inference."""
    of_x, of_params, of_state = jax.random.split(key, 3)
    x = (3 + 2 * jax.random.normal(of_x, (64, 32), jnp.float64)).astype(dtype)
    scale, shift = jax.random.normal(of_params, (2, 32), jnp.float64).astype(dtype)
    mean, variance = (jax.random.uniform(of_state, (2, 32), jnp.float64) + 0.5).astype(dtype)
    params, state = {"scale": scale, "shift": shift}, {"mean": mean, "variance": variance}
    outputs = tuple(batch_norm(params, state, x, train=train)[0] for train in (True, False))
    return (x, scale, shift, mean, variance), outputs


def _errors(inputs: tuple[np.ndarray, ...], outputs: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """[seeds] largest error in training and at inference against NumPy in float64, relative to the largest output."""
    x, *features = (a.astype(np.float64) for a in inputs)
    scale, shift, *running = (a[:, None] for a in features)
    exactly = [
        scale * (x - mean) / np.sqrt(variance + EPSILON) + shift
        for mean, variance in ((x.mean(1, keepdims=True), x.var(1, keepdims=True)), running)
    ]
    largest = [np.abs(y).max((1, 2)) for y in exactly]
    found = (np.abs(y - e).max((1, 2)) / most for y, e, most in zip(outputs, exactly, largest, strict=True))
    return tuple(found)


def _running(features: int, batch: int, updates: int, key: Array) -> tuple[Array, Array, Array]:
    """[updates] mean over the features of the normalising variance and of the running variance, biased and unbiased."""
    kinds = ("biased", "unbiased")

    def update(states, step_key: Array):
        x = jax.random.normal(step_key, (batch, features))
        new = [batch_norm({}, s, x, train=True, running_variance=kind)[1] for s, kind in zip(states, kinds, strict=True)]
        normalising = (x - x.mean(0, keepdims=True)).std(0) / normalise(x).std(0)
        return new, (jnp.mean(normalising**2 - EPSILON), *(s["variance"].mean() for s in new))

    return jax.lax.scan(update, [batch_norm_state(features) for _ in kinds], jax.random.split(key, updates))[1]


def moments(settings: Normalization, key: Array) -> dict[str, Evidence]:
    """normalization.moments: mean and variance of the output by input variance, after scale and shift, and at inference."""
    variances, batch, features = np.logspace(-9, 3, 25), 256, settings.features

    def of_seed(seed_key: Array) -> dict[str, Array]:
        of_x, of_means, of_batches = jax.random.split(seed_key, 3)
        noise = jax.random.normal(of_x, (batch, features))
        x = noise + 3 * jax.random.normal(of_means, (1, features))
        y = normalise(x)
        small = normalise(noise * jnp.sqrt(EPSILON))
        affine = norm_init(features) | {"scale": jnp.full(features, 3.0), "shift": jnp.full(features, 2.0)}
        swept = jax.lax.map(lambda v: normalise(noise * jnp.sqrt(v)).var(0).mean(), jnp.asarray(variances, jnp.float32))

        def update(state, step_key):
            return batch_norm({}, state, jax.random.normal(step_key, x.shape), train=True)[1], None

        state = jax.lax.scan(update, batch_norm_state(features), jax.random.split(of_batches, 100))[0]
        later = batch_norm({}, state, noise, train=False)[0].var(0)
        return {
            "mean": jnp.abs(y.mean(0)).max(),
            "variance": y.var(0).mean(),
            "small": small.var(0).mean(),
            "scaled": normalise(x, affine).var(0).mean(),
            "swept": swept,
            "training": y.var(0),
            "inference": later,
        }

    found = over_seeds(of_seed, key, settings.seeds)
    ratio = "σ²/(σ² + ε)"
    measurements = (
        interval("mean-ordinary", found["mean"], prediction=0, source=f"largest of {features} features, σ² = 1, training"),
        interval("variance-ordinary", found["variance"], prediction=1 / (1 + EPSILON), source=f"{ratio}, σ² = 1"),
        interval("variance-small", found["small"], prediction=0.5, source=f"{ratio}, σ² = ε"),
        interval("variance-scaled", found["scaled"], prediction=9, source="the scale squared, scale 3"),
        interval(
            "variance-inference", found["inference"].max(1), source=f"largest of {features} features of a new batch of {batch}"
        ),
    )
    arrays = curve("swept", found["swept"]) | {"variances": variances, "predicted": variances / (variances + EPSILON)}
    arrays |= {name: found[name][0] for name in ("training", "inference")}
    return {"normalization.moments": Evidence(measurements, arrays)}


TOPIC = Topic(
    "normalization",
    Normalization,
    (
        drift,
        formula,
        moments,
        normalization_training.saturation,
        normalization_gradients.gradients,
        normalization_shift.shift,
        normalization_training.rate_limits,
    ),
)
