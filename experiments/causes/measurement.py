"""Why gradients vanish or explode: products of Jacobians, their growth with depth, and what sets their factors."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.causes.gradients import backward, finite_layers, product_errors, update_ratios
from experiments.causes.settings import Causes
from experiments.causes.stacks import ACTIVATIONS, Arm, forward, forward_slope
from experiments.study.measurement import Evidence, curve, interval
from experiments.study.profiles import NATS_PER_LAYER, passed_curve, slope
from experiments.study.topic import Topic
from jaxnotes.layers.activations import relu, sigmoid, tanh

MEAN_FIELD = "½ ln χ, Schoenholz et al. (2017)"
HOMOGENEOUS = "½ ln(σ_w²/2), He et al. (2015)"
OVERFLOW = Arm(tanh, 16.0)  # in its stack float32 overflows

growth = partial(interval, unit=NATS_PER_LAYER)


def variances(name: str, arm: Arm) -> dict[str, np.ndarray]:
    """Returns the variances of an arm, for its label in the figure."""
    return {f"{name}-variances": np.asarray([arm.weight_variance, arm.bias_variance])}


def product(settings: Causes, key: Array) -> dict[str, Evidence]:
    """causes.product: the gradient of each layer by one backward pass, against the product of the later Jacobians."""
    keys, numbers = jax.random.split(key, settings.seeds), Arm(tanh, 1.5, 0.05).numbers
    shape = (settings.depth, 1, min(settings.width, 64))
    measurements, arrays = [], {}
    for name in ("float32", "float64"):
        with jax.enable_x64(name == "float64"):
            errors = np.asarray(product_errors(keys, numbers, shape=shape, dtype=name))
        arrays |= curve(name, np.log10(np.maximum(errors, 1e-18)))
        source = "largest relative error over the layers; rounding only"
        measurements.append(interval(f"error-{name}", errors.max(axis=1), prediction=0, source=source))
    return {"causes.product": Evidence(tuple(measurements), arrays)}


def vanish(settings: Causes, key: Array) -> dict[str, Evidence]:
    """causes.vanish: tanh and sigmoid stacks whose factor is below 1."""
    arms = {"tanh": Arm(tanh, 0.6, 0.05), "sigmoid": Arm(sigmoid, 1.0)}
    shape = (settings.depth, settings.batch, settings.width)
    measurements, arrays = [], {}
    for key_arm, (name, arm) in zip(jax.random.split(key, len(arms)), arms.items(), strict=True):
        logs = backward(settings, key_arm, arm)
        measurements.append(growth(f"slope-{name}", slope(logs), prediction=arm.predicted_slope, source=MEAN_FIELD))
        with jax.enable_x64(True):
            ratios = update_ratios(jax.random.split(key_arm, settings.seeds), arm.numbers, shape=shape)
        source = "norm of the first layer's weight gradient over the last layer's, float64"
        measurements.append(interval(f"update-ratio-{name}", ratios, unit="log10", source=source))
        arrays |= passed_curve(name, logs, arm.predicted_slope) | variances(name, arm)
    return {"causes.vanish": Evidence(tuple(measurements), arrays)}


def saturation(settings: Causes, key: Array) -> dict[str, Evidence]:
    """causes.saturation: the same weights with ever larger biases, which push the units into saturation."""
    measurements, arrays = [], {}
    for name, (activation, weight_variance) in {"tanh": (tanh, 1.5), "sigmoid": (sigmoid, 4.0)}.items():
        arms = [Arm(activation, weight_variance, bias_variance) for bias_variance in (0.01, 0.1, 1.0, 3.0, 10.0)]
        # One key for all: the same weights, so that the change is the biases' alone.
        slopes = np.stack([slope(backward(settings, key, arm)) for arm in arms], axis=1)
        predicted = np.asarray([arm.predicted_slope for arm in arms])
        arrays |= curve(name, slopes, predicted) | variances(name, Arm(activation, weight_variance))
        arrays[f"{name}-q"] = np.asarray([arm.q for arm in arms])
        change, expected = slopes[:, -1] - slopes[:, 0], predicted[-1] - predicted[0]
        measurements.append(growth(f"slope-change-{name}", change, prediction=expected, source=MEAN_FIELD))
    return {"causes.saturation": Evidence(tuple(measurements), arrays)}


def init_small(settings: Causes, key: Array) -> dict[str, Evidence]:
    """causes.init-small: weights too small for ReLU, tanh and sigmoid."""
    arms = {"relu": Arm(relu, 1.0), "tanh": Arm(tanh, 0.5), "sigmoid": Arm(sigmoid, 1.0)}
    keys = dict(zip(arms, jax.random.split(key, len(arms)), strict=True))
    signals = {name: forward(settings, keys[name], arm) for name, arm in arms.items()}
    few = 6  # beyond, the two sigmoid outputs agree to rounding
    distance = signals["sigmoid"]["distance"][:, : few + 1]
    gradient = slope(backward(settings, keys["sigmoid"], arms["sigmoid"]))
    predicted = arms["sigmoid"].predicted_slope
    near_0 = 0.5 * np.log(arms["tanh"].weight_variance)
    measurements = (
        _forward_growth("relu", signals["relu"], arms["relu"].predicted_slope, HOMOGENEOUS),
        _forward_growth("tanh", signals["tanh"], near_0, "½ ln σ_w² near 0, where tanh is linear"),
        growth(
            "difference-slope-sigmoid",
            (distance[:, few] - distance[:, 0]) / few,
            prediction=predicted,
            source="½ ln χ for close inputs",
        ),
        growth("gradient-slope-sigmoid", gradient, prediction=predicted, source=MEAN_FIELD),
    )
    arrays = curve("sigmoid", distance / np.log(10)) | variances("sigmoid", arms["sigmoid"])
    for name in ("relu", "tanh"):
        arrays |= curve(name, signals[name]["rms"] / np.log(10)) | variances(name, arms[name])
    return {"causes.init-small": Evidence(measurements, arrays)}


def _forward_growth(name: str, signal: dict[str, np.ndarray], prediction: float, source: str):
    return growth(f"forward-slope-{name}", forward_slope(signal["rms"]), prediction=prediction, source=source)


def explode(settings: Causes, key: Array) -> dict[str, Evidence]:
    """causes.explode: factors above 1, and the depth at which float32 overflows."""
    key_tanh, key_relu, key_overflow = jax.random.split(key, 3)
    measurements, arrays = [], variances("overflow", OVERFLOW)
    arms = {"tanh": (key_tanh, Arm(tanh, 2.25), MEAN_FIELD), "relu": (key_relu, Arm(relu, 4.0), HOMOGENEOUS)}
    for name, (key_arm, arm, law) in arms.items():
        logs = backward(settings, key_arm, arm)
        measurements.append(growth(f"slope-{name}", slope(logs), prediction=arm.predicted_slope, source=law))
        arrays |= passed_curve(name, logs, arm.predicted_slope) | variances(name, arm)
    predicted = float(np.log(float(jnp.finfo(jnp.float32).max))) / OVERFLOW.predicted_slope
    law = f"ln(largest float32) / (½ ln χ), from a gradient of length 1; tanh, σ_w² = {OVERFLOW.weight_variance:g}"
    passed = _overflow_depth(settings, key_overflow)
    measurements.append(interval("overflow-depth", passed, unit="layers", prediction=predicted, source=law))
    return {"causes.explode": Evidence(tuple(measurements), arrays)}


def _overflow_depth(settings: Causes, key: Array) -> np.ndarray:
    """Returns [seeds] how many layers the gradient passes before float32 overflows."""
    shape = (settings.overflow_depth, settings.batch, settings.width)
    passed = np.asarray(finite_layers(jax.random.split(key, settings.seeds), OVERFLOW.numbers, shape=shape))
    if passed.max() == settings.overflow_depth:
        raise ValueError(f"no overflow within --overflow_depth={settings.overflow_depth} layers; give a larger one")
    return passed


def init_large(settings: Causes, key: Array) -> dict[str, Evidence]:
    """causes.init-large: large weights; ReLU amplifies the signal, bounded activations cannot."""
    large = {relu: 4.0, tanh: 4.0, sigmoid: 400.0}
    measurements, arrays = [], {}
    for activation, key_arm in zip(ACTIVATIONS, jax.random.split(key, len(ACTIVATIONS)), strict=True):
        name, arm = activation.__name__, Arm(activation, large[activation])
        signal, gradient = forward(settings, key_arm, arm), backward(settings, key_arm, arm)
        law = (arm.predicted_slope, HOMOGENEOUS) if activation is relu else (0.0, "bounded")
        measurements.append(_forward_growth(name, signal, *law))
        arrays |= curve(f"forward-{name}", signal["rms"] / np.log(10)) | variances(name, arm)
        arrays |= passed_curve(f"backward-{name}", gradient, arm.predicted_slope)
        if activation is not relu:
            predicted = arm.predicted_slope
            measurements.append(growth(f"gradient-slope-{name}", slope(gradient), prediction=predicted, source=MEAN_FIELD))
            small = Arm(activation, 1.0)
            change = signal["saturated"].mean(1) - forward(settings, key_arm, small)["saturated"].mean(1)
            source = (
                "share of units whose slope is below 5% of its maximum, "
                f"σ_w² = {arm.weight_variance:g} minus σ_w² = {small.weight_variance:g}"
            )
            measurements.append(interval(f"saturated-change-{name}", change, unit="fraction", source=source))
    return {"causes.init-large": Evidence(tuple(measurements), arrays)}


def depth(settings: Causes, key: Array) -> dict[str, Evidence]:
    """causes.depth: ReLU stacks whose factor is a little below and above 1."""
    measurements, arrays = [], {}
    chis = {"below": 1 - settings.deviation, "above": 1 + settings.deviation}
    for key_arm, (name, chi) in zip(jax.random.split(key, len(chis)), chis.items(), strict=True):
        logs = backward(settings, key_arm, Arm(relu, 2 * chi), settings.deep)
        scale = 1 / np.abs(2 * slope(logs))
        law = f"1 / |ln χ| at infinite width, Schoenholz et al. (2017); χ = {chi:g}"
        measurements.append(interval(f"depth-scale-{name}", scale, unit="layers", prediction=1 / abs(np.log(chi)), source=law))
        straight = [np.corrcoef(np.arange(row.size), row)[0, 1] ** 2 for row in logs]
        source = "share of the log-norm's variance that a straight line explains"
        measurements.append(interval(f"linearity-{name}", straight, unit="R²", source=source))
        arrays |= passed_curve(name, logs, 0.5 * np.log(chi))
    return {"causes.depth": Evidence(tuple(measurements), arrays)}


TOPIC = Topic("causes", Causes, (product, vanish, saturation, init_small, explode, init_large, depth))
