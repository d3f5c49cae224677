"""What batch normalisation computes: its formula, its running variance, the moments of its output."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy import stats

from experiments.normalization.settings import Normalization
from experiments.study.measurement import Evidence, curve, interval
from experiments.study.seeds import over_seeds
from jaxnotes.layers.normalization import (
    EPSILON,
    MOMENTUM,
    batch_norm,
    batch_norm_state,
    mean_and_variance,
    norm_init,
    normalise_by_batch,
)


def formula(settings: Normalization, key: Array) -> dict[str, Evidence]:
    """normalization.formula: against NumPy, and what the running variance settles at."""
    key_errors, key_running, key_large = jax.random.split(key, 3)
    measurements = []
    for name in ("float64", "float32"):
        with jax.enable_x64(True):
            found = errors(*over_seeds(partial(outputs, jnp.dtype(name)), key_errors, settings.seeds))
        source = "largest relative to the largest output, against NumPy in float64; rounding only"
        measurements.append(interval(f"error-{name}", found[0], prediction=0, source=source))
        measurements.append(interval(f"inference-error-{name}", found[1], prediction=0, source=source))
    batch, updates = 8, 100
    seen = over_seeds(partial(running, settings.features, batch, updates), key_running, settings.seeds)
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
    x = 100 + 0.01 * jax.random.normal(key_large, (settings.seeds, 400_000))
    two, one = mean_and_variance(x, 1)[1][:, 0], jnp.mean(x**2, 1) - jnp.mean(x, 1) ** 2
    measurements.append(interval("two-pass-variance", two, prediction=1e-4, source="100 + 0.01 × standard normal, float32"))
    measurements.append(
        interval("one-pass-variance", one, prediction=1e-4, source="mean of squares minus squared mean, float32")
    )
    return {"normalization.formula": Evidence(tuple(measurements), arrays)}


def outputs(dtype, key: Array) -> tuple[tuple[Array, ...], tuple[Array, Array]]:
    """Returns random (x, scale, shift, running mean, running variance), and what comes out in training and at inference."""
    key_x, key_params, key_state = jax.random.split(key, 3)
    x = (3 + 2 * jax.random.normal(key_x, (64, 32), jnp.float64)).astype(dtype)
    scale, shift = jax.random.normal(key_params, (2, 32), jnp.float64).astype(dtype)
    mean, variance = (jax.random.uniform(key_state, (2, 32), jnp.float64) + 0.5).astype(dtype)
    params, state = {"scale": scale, "shift": shift}, {"mean": mean, "variance": variance}
    training, inference = (batch_norm(params, state, x, train=train)[0] for train in (True, False))
    return (x, scale, shift, mean, variance), (training, inference)


def errors(inputs: tuple[np.ndarray, ...], found: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Returns [seeds] the largest error in training and at inference against NumPy in float64, over the largest output."""
    x, *features = (a.astype(np.float64) for a in inputs)
    scale, shift, *running = (a[:, None] for a in features)
    exactly = [
        scale * (x - mean) / np.sqrt(variance + EPSILON) + shift
        for mean, variance in ((x.mean(1, keepdims=True), x.var(1, keepdims=True)), running)
    ]
    largest = [np.abs(y).max((1, 2)) for y in exactly]
    return tuple(np.abs(y - e).max((1, 2)) / most for y, e, most in zip(found, exactly, largest, strict=True))


def running(features: int, batch: int, updates: int, key: Array) -> tuple[Array, Array, Array]:
    """Returns [updates] means over the features: the normalising variance, and the running one, biased and unbiased."""
    kinds = ("biased", "unbiased")

    def update(states, step_key: Array):
        x = jax.random.normal(step_key, (batch, features))
        new = [batch_norm({}, s, x, train=True, running_variance=kind)[1] for s, kind in zip(states, kinds, strict=True)]
        normalising = (x - x.mean(0, keepdims=True)).std(0) / normalise_by_batch({}, x).std(0)
        return new, (jnp.mean(normalising**2 - EPSILON), *(s["variance"].mean() for s in new))

    return jax.lax.scan(update, [batch_norm_state(features) for _ in kinds], jax.random.split(key, updates))[1]


def moments(settings: Normalization, key: Array) -> dict[str, Evidence]:
    """normalization.moments: mean and variance of the output by input variance, after scale and shift, and at inference."""
    variances, batch, features = np.logspace(-9, 3, 25), 256, settings.features

    def of_seed(key: Array) -> dict[str, Array]:
        key_x, key_means, key_batches = jax.random.split(key, 3)
        noise = jax.random.normal(key_x, (batch, features))
        x = noise + 3 * jax.random.normal(key_means, (1, features))
        y = normalise_by_batch({}, x)
        small = normalise_by_batch({}, noise * jnp.sqrt(EPSILON))
        affine = norm_init(features) | {"scale": jnp.full(features, 3.0), "shift": jnp.full(features, 2.0)}
        swept = jax.lax.map(
            lambda v: normalise_by_batch({}, noise * jnp.sqrt(v)).var(0).mean(), jnp.asarray(variances, jnp.float32)
        )

        def update(state, step_key):
            return batch_norm({}, state, jax.random.normal(step_key, x.shape), train=True)[1], None

        state = jax.lax.scan(update, batch_norm_state(features), jax.random.split(key_batches, 100))[0]
        later = batch_norm({}, state, noise, train=False)[0].var(0)
        return {
            "mean": jnp.abs(y.mean(0)).max(),
            "variance": y.var(0).mean(),
            "small": small.var(0).mean(),
            "scaled": normalise_by_batch(affine, x).var(0).mean(),
            "swept": swept,
            "training": y.var(0),
            "inference": later,
        }

    found = over_seeds(of_seed, key, settings.seeds)
    ratio = f"mean of σ_B²/(σ_B² + ε) over batches of {batch}"
    measurements = (
        interval("mean-ordinary", found["mean"], prediction=0, source=f"largest of {features} features, σ² = 1, training"),
        interval("variance-ordinary", found["variance"], prediction=output_variance(1.0, batch), source=f"{ratio}, σ² = 1"),
        interval("variance-small", found["small"], prediction=output_variance(EPSILON, batch), source=f"{ratio}, σ² = ε"),
        interval("variance-scaled", found["scaled"], prediction=9, source="the scale squared, scale 3"),
        interval(
            "variance-inference", found["inference"].max(1), source=f"largest of {features} features of a new batch of {batch}"
        ),
    )
    arrays = curve("swept", found["swept"]) | {"variances": variances, "predicted": output_variance(variances, batch)}
    arrays |= {name: found[name][0] for name in ("training", "inference")}
    return {"normalization.moments": Evidence(measurements, arrays)}


def output_variance(variance, batch: int) -> np.ndarray:
    """Returns E σ_B² / (σ_B² + ε) of Gaussian inputs: σ_B² is the variance times χ² of B − 1 degrees of freedom over B."""
    quantiles = stats.chi2.ppf((np.arange(4000) + 0.5) / 4000, batch - 1) / batch
    seen = np.asarray(variance)[..., None] * quantiles
    return np.mean(seen / (seen + EPSILON), -1)
