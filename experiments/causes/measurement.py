"""Why gradients vanish or explode: products of Jacobians, their growth with depth, and what sets their factors."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy import integrate, optimize, special

from experiments.causes.gradients import backward, finite_layers, product_errors, tied_growth, update_ratios
from experiments.causes.settings import Causes
from experiments.causes.spectrum import singular_variances
from experiments.causes.stacks import ACTIVATIONS, Arm, forward, forward_slope
from experiments.causes.updates import RATES, UPDATES, first_updates
from experiments.study import profiles
from experiments.study.measurement import Evidence, Measurement, curve, exact, interval
from experiments.study.profiles import NATS_PER_LAYER, passed_curve, slope
from experiments.study.topic import Topic
from jaxnotes import meanfield
from jaxnotes.layers.activations import Activation, relu, sigmoid, tanh

MEAN_FIELD = "½ ln χ, Schoenholz et al. (2017)"
HOMOGENEOUS = "½ ln(σ_w²/2) − 5/(4n), He et al. (2015), Hanin and Nica (2020)"
LARGE = {relu: 4.0, tanh: 4.0, sigmoid: 400.0}  # weight variances
OVERFLOW = Arm(tanh, 16.0)  # in its stack float32 overflows

PUBLISHED_BIAS_VARIANCE = 0.05  # of the networks of Schoenholz et al. (2017)

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
    measurements += singular_variances(settings, key)
    return {"causes.product": Evidence(tuple(measurements), arrays)}


def vanish(settings: Causes, key: Array) -> dict[str, Evidence]:
    """causes.vanish: stacks whose slopes are below 1: two whose factor χ is below 1, and one whose weights make up for it."""
    arms = {"tanh": Arm(tanh, 0.6, 0.05), "sigmoid": Arm(sigmoid, 1.0), "large": Arm(tanh, 2.25)}
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
    squared = meanfield.chi(*arms["large"]) / arms["large"].weight_variance
    source = "root mean square of tanh's derivative at the fixed point of σ_w² = 2.25; it is nowhere above 1"
    measurements.append(exact("derivative-large", squared**0.5, source=source))
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
        measurements.append(growth(f"slope-change-{name}", change, prediction=expected, source=f"by biases; {MEAN_FIELD}"))
        large = Arm(activation, LARGE[activation])
        change = slope(backward(settings, key, large)) - slopes[:, 0]
        source = f"by weights of σ_w² = {large.weight_variance:g}; {MEAN_FIELD}"
        expected = large.predicted_slope - predicted[0]
        measurements.append(growth(f"slope-change-weights-{name}", change, prediction=expected, source=source))
        saturated = [_saturated(settings, key, arm) for arm in (large, arms[-1], arms[0])]
        for cause, more in (("weights", saturated[0]), ("biases", saturated[1])):
            source = "units whose slope is below 5% of its maximum, against the smallest biases"
            measurements.append(interval(f"saturated-{cause}-{name}", more - saturated[2], unit="of the units", source=source))
    return {"causes.saturation": Evidence(tuple(measurements), arrays)}


def _saturated(settings: Causes, key: Array, arm: Arm) -> np.ndarray:
    """Returns [seeds] the share of saturated units."""
    return forward(dataclasses.replace(settings, forward_seeds=settings.seeds), key, arm)["saturated"].mean(1)


def init_small(settings: Causes, key: Array) -> dict[str, Evidence]:
    """causes.init-small: weights too small for ReLU, tanh and sigmoid."""
    arms = {"relu": Arm(relu, 1.0), "tanh": Arm(tanh, 0.5), "sigmoid": Arm(sigmoid, 1.0)}
    keys = dict(zip(arms, jax.random.split(key, len(arms)), strict=True))
    signals = {name: forward(settings, keys[name], arm) for name, arm in arms.items()}
    few = 6  # beyond, the two sigmoid outputs agree to rounding
    distance = signals["sigmoid"]["distance"][:, : few + 1]
    gradient = slope(backward(settings, keys["sigmoid"], arms["sigmoid"]))
    predicted = arms["sigmoid"].predicted_slope
    near_0 = 0.5 * (np.log(arms["tanh"].weight_variance) - 1 / settings.width)
    measurements = (
        _forward_growth("relu", signals["relu"], arms["relu"].relu_slope(settings.width), HOMOGENEOUS),
        _forward_growth("tanh", signals["tanh"], near_0, "½ ln σ_w² − 1/(2n) near 0, where tanh is linear"),
        _forward_growth("sigmoid", signals["sigmoid"], 0.0, "the outputs gather around ½"),
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
    """causes.explode: weights above 1 whose factor χ is above 1 and such whose factor is below; where float32 overflows."""
    arms = {"tanh": Arm(tanh, 2.25), "relu": Arm(relu, 4.0), "relu-below": Arm(relu, 1.44), "sigmoid-below": Arm(sigmoid, 4.0)}
    arms["tanh-below"] = Arm(tanh, 2.25, 10.0)
    keys = jax.random.split(key, len(arms) + 1)
    measurements, arrays = [], variances("overflow", OVERFLOW)
    for key_arm, (name, arm) in zip(keys[1:], arms.items(), strict=True):
        logs = backward(settings, key_arm, arm)
        law = (arm.relu_slope(settings.width), HOMOGENEOUS) if arm.activation is relu else (arm.predicted_slope, MEAN_FIELD)
        measurements.append(growth(f"slope-{name}", slope(logs), prediction=law[0], source=law[1]))
        arrays |= passed_curve(name, logs, law[0]) | variances(name, arm)
    law = f"ln(largest float32 / largest entry) / (½ ln χ); tanh, σ_w² = {OVERFLOW.weight_variance:g}"
    passed = _overflow_depth(settings, keys[0])
    predicted = predicted_overflow(settings)
    measurements.append(interval("overflow-depth", passed, unit="layers", prediction=predicted, source=law))
    return {"causes.explode": Evidence(tuple(measurements), arrays)}


def predicted_overflow(settings: Causes) -> float:
    """Returns after how many layers the largest entry of gradients of length 1, one per example, leaves float32."""
    largest = largest_entry(settings.batch * settings.width) / settings.width**0.5
    limit = np.log(float(jnp.finfo(jnp.float32).max)) - np.log(largest)
    return float(limit) / OVERFLOW.predicted_slope


def largest_entry(n: int) -> float:
    """Returns the expected largest magnitude of n independent standard normal numbers."""
    return integrate.quad(lambda x: 1 - (2 * special.ndtr(x) - 1) ** n, 0, 12, epsabs=1e-10)[0]


def _overflow_depth(settings: Causes, key: Array) -> np.ndarray:
    """Returns [seeds] how many layers the gradient passes before float32 overflows."""
    shape = (settings.overflow_depth, settings.batch, settings.width)
    passed = np.asarray(finite_layers(jax.random.split(key, settings.seeds), OVERFLOW.numbers, shape=shape))
    if passed.max() == settings.overflow_depth:
        raise ValueError(f"no overflow within --overflow_depth={settings.overflow_depth} layers; give a larger one")
    return passed


def init_large(settings: Causes, key: Array) -> dict[str, Evidence]:
    """causes.init-large: large weights; ReLU amplifies the signal, bounded activations cannot."""
    measurements, arrays = [], {}
    for activation, key_arm in zip(ACTIVATIONS, jax.random.split(key, len(ACTIVATIONS)), strict=True):
        name, arm = activation.__name__, Arm(activation, LARGE[activation])
        signal, gradient = forward(settings, key_arm, arm), backward(settings, key_arm, arm)
        law = (arm.relu_slope(settings.width), HOMOGENEOUS) if activation is relu else (0.0, "bounded")
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
    """causes.depth: ReLU and tanh stacks whose factor is a little below and above 1."""
    single = dataclasses.replace(settings, batch=1, seeds=settings.deep_seeds)  # the law at finite width is that of one example
    measurements, arrays = [], {}
    chis = {"below": 1 - settings.deviation, "above": 1 + settings.deviation}
    for key_arm, (name, chi) in zip(jax.random.split(key, len(chis)), chis.items(), strict=True):
        for activation in (relu, tanh):
            arm = Arm(activation, _weight_variance(activation, chi))
            predicted, law = _finite_slope(arm, settings.width)
            logs = backward(single, key_arm, arm, settings.deep)
            label = f"{name}-{activation.__name__}"
            scale, expected = 1 / np.abs(2 * slope(logs)), 1 / abs(2 * predicted)
            source = f"1 / (2 |slope|), χ = {chi:g}; {law}"
            measurements.append(interval(f"depth-scale-{label}", scale, unit="layers", prediction=expected, source=source))
            straight = [np.corrcoef(np.arange(row.size), row)[0, 1] ** 2 for row in logs]
            source = "share of the log-norm's variance that a straight line explains"
            measurements.append(interval(f"linearity-{label}", straight, unit="R²", source=source))
            arrays |= passed_curve(label, logs, predicted)
    critical = float(meanfield.critical_weight_variance(tanh, PUBLISHED_BIAS_VARIANCE))
    source = f"χ = 1 for tanh at σ_b² = {PUBLISHED_BIAS_VARIANCE}; {MEAN_FIELD}"
    measurements.append(exact("critical-variance", critical, source=source))
    return {"causes.depth": Evidence(tuple(measurements), arrays)}


def _finite_slope(arm: Arm, width: int) -> tuple[float, str]:
    """Returns the slope of a typical gradient, at finite width where that is known, and the law."""
    if arm.activation is relu:
        return arm.relu_slope(width), HOMOGENEOUS
    if arm.q < 1e-6:  # linear
        return arm.predicted_slope - 0.5 / width, "½ ln σ_w² − 1/(2n), tanh is linear at its fixed point 0"
    return arm.predicted_slope, f"{MEAN_FIELD}, infinite width"


def _weight_variance(activation: Activation, chi: float) -> float:
    """Returns the weight variance at which χ has this value, without biases."""
    if activation is relu:
        return 2 * chi
    if chi < 1:
        return chi  # tanh is linear at its fixed point, 0
    return optimize.brentq(lambda variance: meanfield.chi(activation, variance, 0.0) - chi, 1.01, 16.0)


def where(settings: Causes, key: Array) -> dict[str, Evidence]:
    """causes.where: the same layers in a shallow stack, a deep one, and a recurrent one of few and of many steps."""
    arms = {"vanish": Arm(tanh, 0.5), "explode": OVERFLOW}
    measurements, arrays = [], {}
    for key_arm, (name, arm) in zip(jax.random.split(key, len(arms)), arms.items(), strict=True):
        for kind, tied in (("stack", False), ("recurrent", True)):
            logs = backward(settings, key_arm, arm, tied=tied)
            curves = profiles.decades_passed(logs)
            for length, layers in (("short", settings.shallow), ("long", settings.depth)):
                predicted = arm.predicted_slope * layers / np.log(10)
                source = f"{layers} {'steps' if tied else 'layers'}, σ_w² = {arm.weight_variance:g}; {MEAN_FIELD}"
                numbers = interval(
                    f"{name}-{kind}-{length}", curves[:, layers], unit="log10", prediction=predicted, source=source
                )
                measurements.append(numbers)
            arrays |= passed_curve(f"{name}-{kind}", logs, arm.predicted_slope)
    measurements += _spectra(settings, key)
    return {"causes.where": Evidence(tuple(measurements), arrays)}


def _spectra(settings: Causes, key: Array) -> list[Measurement]:
    """Returns the growth of tied linear steps by matrices of one mean squared gain and different spectra.

    For a symmetric Gaussian matrix of entry variance σ²/n the mean of ||A^k v||² is σ^(2k) times the k-th Catalan number, the
    semicircle's moment (Wigner 1958); for one without symmetry it is σ^(2k).
    """
    steps = settings.shallow * 4
    catalan = special.comb(2 * steps, steps) / (steps + 1)
    law = {"free": 0.0, "symmetric": 0.5 * np.log(catalan) / steps}
    found = tied_growth(jax.random.split(key, settings.seeds), steps=steps, width=settings.width)
    return [
        growth(f"tied-{name}", values, prediction=law[name], source=f"{steps} steps by one {name} Gaussian matrix, σ_w² = 1")
        for name, values in jax.tree.map(np.asarray, found).items()
    ]


def updates(settings: Causes, key: Array) -> dict[str, Evidence]:
    """causes.updates: the largest first updates over the weights that they change, of SGD and of Adam."""
    critical = meanfield.critical_weight_variance(tanh, 0.05)
    arms = {"critical": Arm(tanh, critical, 0.05), "exploding": OVERFLOW}
    measurements, arrays = [], {}
    for name, arm in arms.items():
        found = first_updates(jax.random.split(key, settings.seeds), arm, settings)
        for optimizer, sizes in found.items():
            rate = RATES[optimizer]
            source = f"largest over layers and the first {UPDATES} steps of norm of update over norm of weights, rate {rate:g}"
            measurements.append(interval(f"update-{optimizer}-{name}", sizes.max((1, 2)), unit="log10", source=source))
            arrays |= curve(f"{optimizer}-{name}", sizes[:, 0])
    return {"causes.updates": Evidence(tuple(measurements), arrays)}


TOPIC = Topic("causes", Causes, (product, vanish, saturation, init_small, explode, init_large, depth, where, updates))
