"""Gain of the squared gradient per layer at initialisation, by normalisation, activation, width, batch and layers measured."""

import jax
import numpy as np
from jax import Array

from experiments.normalization.settings import Normalization
from experiments.normalization.stacks import HE, LAYERS, log_scales
from experiments.study.measurement import Evidence, Measurement, curve, interval
from experiments.study.profiles import passed_curve
from jaxnotes import meanfield
from jaxnotes.layers.activations import identity, relu, sigmoid, tanh

YANG = "Yang et al. (2019), infinite width, finite batch"
BATCH_NORM = {"relu": relu, "linear": identity, "tanh": tanh, "sigmoid": sigmoid}
LAYER_NORM = {"layer-norm": relu, "layer-norm-tanh": tanh, "layer-norm-sigmoid": sigmoid}
ARMS = tuple(name for name in LAYERS if name != "plain-relu")


def gain(logs: np.ndarray, window: tuple[int, ...]) -> np.ndarray:
    """Returns [seeds] the gain of the squared gradient per layer on its way back through the window."""
    first, last = window
    return np.exp(2 * (logs[:, first] - logs[:, last]) / (last - first))


def residual_prediction(window: tuple[int, ...], batch: int) -> float:
    """Returns the mean gain per block of a window (after De and Smith 2020).

    The stream's variance over the batch starts at 1 and grows per block by what σ_w² = 2 makes of the variance of ReLU over
    the batch, c = 1 − J₁(−1/(B − 1)) with J₁ the correlation that a ReLU layer makes of one; a block that has the gain g
    without its shortcut passes 1 + g / (1/c + l) in place l. For a large batch c = 1/g.
    """
    g, blocks = meanfield.batch_norm_gain(relu, batch), np.arange(*window)
    growth = 1 - meanfield.correlation_map(relu, -1 / (batch - 1), 1.0, HE, 0.0)
    return float(np.exp(np.log1p(g / (1 / growth + blocks)).mean()))


def gradients(settings: Normalization, key: Array) -> dict[str, Evidence]:
    """normalization.gradients: every arm over the same middle layers, then width and batch one at a time."""
    window, depth = settings.gain_window, settings.gain_depth
    size = settings.gain_width, settings.gain_batch, depth
    key_arms, key_deep, key_sweeps = jax.random.split(key, 3)
    measurements, arrays = [], {"window": np.asarray(window)}
    for key_arm, name in zip(jax.random.split(key_arms, len(ARMS)), ARMS, strict=True):
        weight_variance = HE if name in ("relu", "residual", "layer-norm") else 1.0
        keys = jax.random.split(key_arm, settings.seeds)
        logs = log_scales(name, weight_variance, size, keys, ARMS)[1]
        expected, law = prediction(name, window, size[1])
        source = f"{law}; layers {window[0]} to {window[1]} of {depth}, width {size[0]}, batch {size[1]}"
        measurements.append(_gain(f"gain-{name}", gain(logs, window), expected, source))
        arrays |= passed_curve(name, logs, 0.5 * np.log(expected))
        if name == "relu":
            arrays |= curve("position", np.exp(2 * (logs[:, :-1] - logs[:, 1:]))) | {"limit": np.asarray(expected)}
    measurements.append(_deep_residual(settings, key_deep))
    found, more = _sweeps(settings, key_sweeps)
    return {"normalization.gradients": Evidence((*measurements, *found), arrays | more)}


def prediction(name: str, window: tuple[int, ...], batch: int) -> tuple[float, str]:
    """Returns the gain that theory expects of a layer, and whose theory."""
    if name == "residual":
        return residual_prediction(window, batch), "variance of the stream, after De and Smith (2020), finite batch"
    if name == "plain-sigmoid":
        return float(meanfield.chi(sigmoid, 1.0, 0.0)), "χ, Schoenholz et al. (2017)"
    if name in LAYER_NORM:
        activation = LAYER_NORM[name]
        square = meanfield.variance_map(activation, 1.0, 1.0, 0.0)
        return float(meanfield.chi(activation, 1.0, 0.0, q=1.0) / square), "E φ′² / E φ² at infinite width"
    return meanfield.batch_norm_gain(BATCH_NORM[name], batch), YANG


def _gain(name: str, samples: np.ndarray, expected: float, source: str) -> Measurement:
    return interval(name, samples, unit="times per layer", prediction=expected, source=source)


def _deep_residual(settings: Normalization, key: Array) -> Measurement:
    """Returns the gain of the last quarter of a deep residual stack, where the shortcut outweighs the branch."""
    depth, keys = settings.residual_depth, jax.random.split(key, settings.gain_seeds)
    width, batch = min(settings.gain_width, 256), min(settings.gain_batch, 32)
    window = (3 * depth // 4, depth)
    samples = gain(log_scales("residual", HE, (width, batch, depth), keys)[1], window)
    source = f"variance of the stream, after De and Smith (2020); blocks {window[0]} to {window[1]}"
    return _gain("gain-residual-deep", samples, residual_prediction(window, batch), source)


def _sweeps(settings: Normalization, key: Array) -> tuple[list[Measurement], dict[str, np.ndarray]]:
    """Returns the gains of ReLU by width at one batch and by batch at one width, and of linear layers by batch."""
    sizes, most, batch = settings.sweep, settings.sweep[-1], min(settings.gain_batch, settings.sweep[-1])
    sweeps = {
        "width": ("relu", [(size, batch) for size in sizes]),
        "batch": ("relu", [(most, size) for size in sizes]),
        "linear-batch": ("linear", [(most, size) for size in sizes]),
    }
    measurements, arrays = [], {"sizes": np.asarray(sizes)}
    for key_sweep, (name, (layer, shapes)) in zip(jax.random.split(key, len(sweeps)), sweeps.items(), strict=True):
        keys = jax.random.split(key_sweep, settings.gain_seeds)
        values, limits = [], []
        for width, size in shapes:
            among = ("relu", "linear") if width == most else None
            logs = log_scales(layer, HE, (width, size, settings.gain_depth), keys, among)[1]
            limit, law = prediction(layer, settings.gain_window, size)
            values.append(gain(logs, settings.gain_window))
            limits.append(limit)
            swept = width if name == "width" else size
            measurements.append(_gain(f"gain-{name}-{swept}", values[-1], limit, f"{law}; width {width}, batch {size}"))
        arrays |= curve(name, np.stack(values, axis=1), np.asarray(limits))
    return measurements, arrays
