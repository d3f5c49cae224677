"""Scales over the depth of random stacks: where they drift, and that a stable forward scale implies none of the gradient."""

import jax
import numpy as np
from jax import Array

from experiments.normalization.settings import Normalization
from experiments.normalization.stacks import HE, log_scales
from experiments.study.measurement import Evidence, Measurement, curve, interval
from experiments.study.profiles import decades
from jaxnotes import meanfield
from jaxnotes.layers.activations import relu, sigmoid

DECADES = "decades"
SHARED = ("plain-relu", "relu", "plain-sigmoid", "layer-norm-sigmoid", "layer-norm")  # one program for all arms
INPUT_SCALES = (0.1, 10.0)


def _scales(
    settings: Normalization, layer: str, weight_variance: float, key: Array, seeds: int, input_scale: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Returns [seeds, depth] natural logs of the RMS activation after each layer, and of the gradient's norm there."""
    size = settings.drift_width, settings.drift_batch, settings.drift_depth
    found = log_scales(layer, weight_variance, size, jax.random.split(key, seeds), SHARED, input_scale)
    return tuple(logs[:, 1:] for logs in found)


def drift(settings: Normalization, key: Array) -> dict[str, Evidence]:
    """normalization.drift: ReLU stacks with too small, critical and too large weights, with normalisation, other inputs."""
    depth, measurements, arrays = settings.drift_depth, [], {}
    arms = {
        "small": ("plain-relu", HE / 2),
        "he": ("plain-relu", HE),
        "large": ("plain-relu", 2 * HE),
        "normalised": ("relu", 2 * HE),
    }
    key_inputs, *keys = jax.random.split(key, 1 + len(arms))
    for key_arm, (name, (layer, weight_variance)) in zip(keys, arms.items(), strict=True):
        activations, gradients = _scales(settings, layer, weight_variance, key_arm, settings.drift_seeds)
        passed = {"activation": (activations - activations[:, :1]) / np.log(10), "gradient": decades(gradients)}
        slope = None if layer == "relu" else 0.5 * np.log10(weight_variance / HE)
        for kind, values in passed.items():
            law = f"(layers / 2) |log10(σ_w²/2)|, He et al. (2015); σ_w² = {weight_variance:g}"
            expected, source = (abs(slope) * (depth - 1), law) if slope else (None, "")
            unit = f"|log10| of the change over {depth - 1} layers"
            far = np.abs(values[:, -1] - values[:, 0])
            measurements.append(interval(f"{kind}-drift-{name}", far, unit=unit, prediction=expected, source=source))
            layers = np.arange(depth) if kind == "activation" else np.arange(depth)[::-1]
            arrays |= curve(f"{kind}-{name}", values, None if slope is None else slope * layers)
        arrays[f"variance-{name}"] = np.asarray(weight_variance)
    found, more = _other_inputs(settings, key_inputs)
    return {"normalization.drift": Evidence((*measurements, *found), arrays | more)}


def _other_inputs(settings: Normalization, key: Array) -> tuple[list[Measurement], dict[str, np.ndarray]]:
    """The same networks of critical weights behind inputs of other scales: what of the difference arrives at the last layer."""
    measurements, arrays = [], {}
    least, most = INPUT_SCALES
    for name, layer in {"plain": "plain-relu", "normalised": "relu"}.items():
        logs = [_scales(settings, layer, HE, key, settings.seeds, scale)[0] / np.log(10) for scale in INPUT_SCALES]
        expected = 0.0 if name == "normalised" else float(np.log10(most / least))
        source = f"inputs × {most:g} against × {least:g}, last layer; a ReLU network without biases is linear in their scale"
        apart = (logs[1] - logs[0])[:, -1]
        measurements.append(interval(f"input-decades-{name}", apart, unit=DECADES, prediction=expected, source=source))
        for which, values in zip(("low", "high"), logs, strict=True):
            arrays |= curve(f"input-{which}-{name}", values)
    return measurements, arrays


def implication(settings: Normalization, key: Array) -> dict[str, Evidence]:
    """normalization.implication: stacks whose activations keep their scale, and what their gradients do."""
    layers, measurements, arrays = settings.drift_depth - 1, [], {}
    gains = {
        "batch-norm": ("relu", meanfield.batch_norm_gain(relu, settings.drift_batch), "Yang et al. (2019), finite batch"),
        "layer-norm-sigmoid": (
            "layer-norm-sigmoid",
            meanfield.chi(sigmoid, 1.0, 0.0, q=1.0) / meanfield.variance_map(sigmoid, 1.0, 1.0, 0.0),
            "E φ′² / E φ²",
        ),
        "plain-sigmoid": ("plain-sigmoid", meanfield.chi(sigmoid, 1.0, 0.0), "χ, Schoenholz et al. (2017)"),
        "layer-norm-relu": ("layer-norm", 1.0, "E φ′² / E φ²"),
    }
    for key_arm, (name, (layer, gain, law)) in zip(jax.random.split(key, len(gains)), gains.items(), strict=True):
        weight_variance = 1.0 if "sigmoid" in name else HE
        activations, gradients = _scales(settings, layer, weight_variance, key_arm, settings.seeds)
        passed = {"activation": (activations - activations[:, :1]) / np.log(10), "gradient": decades(gradients)}
        slope = 0.5 * np.log10(gain)
        source = f"{law}; over {layers} layers towards the input"
        change = passed["gradient"][:, 0]
        measurements += [
            interval(f"activation-change-{name}", passed["activation"][:, -1], unit=DECADES, source=f"over {layers} layers"),
            interval(f"gradient-change-{name}", change, unit=DECADES, prediction=slope * layers, source=source),
        ]
        arrays |= curve(f"activation-{name}", passed["activation"])
        arrays |= curve(f"gradient-{name}", passed["gradient"], slope * np.arange(layers + 1)[::-1])
    return {"normalization.implication": Evidence(tuple(measurements), arrays)}
