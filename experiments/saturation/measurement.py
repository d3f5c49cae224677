"""Why the sigmoid saturates: its range in real and floating-point numbers, its limits, its derivative, what gets through."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy import optimize, special

from experiments.saturation.floats import FLOAT_TYPES, compiled_sigmoid, ends
from experiments.saturation.settings import Saturation
from experiments.study.measurement import Evidence, Measurement, exact, interval, mean_interval
from experiments.study.profiles import log_gradients, slope
from experiments.study.topic import Topic
from jaxnotes import meanfield
from jaxnotes.layers import initializers
from jaxnotes.layers.activations import derivative, saturated_fraction, sigmoid
from jaxnotes.layers.linear import linear
from jaxnotes.models.mlp import hidden_layer, stack_init

textbook_derivative = jax.jit(lambda x: sigmoid(x) * (1 - sigmoid(x)))


def value_range(settings: Saturation, key: Array) -> dict[str, Evidence]:
    """Where each floating-point type rounds the sigmoid to exactly 0 and 1. Nothing is random."""
    del settings, key
    measurements, arrays = [], {}
    grid = np.linspace(-125, 45, 681)
    with jax.enable_x64(True):
        for name in FLOAT_TYPES:
            measurements += ends(name)
            arrays[f"sigmoid-{name}"] = np.asarray(compiled_sigmoid(grid.astype(jnp.dtype(name)))).astype(np.float64)
    measurements.append(_not_inside())
    arrays |= {"x": grid, "log10-sigmoid": special.log_expit(grid) / np.log(10)}
    return {"saturation.range": Evidence(tuple(measurements), arrays)}


def _not_inside() -> Measurement:
    """Counts inputs at which the logarithm of either distance, σ(x) or 1 − σ(x) = σ(−x), is not finite and below 0."""
    x = np.linspace(-700, 700, 28_001)
    logs = np.stack([special.log_expit(x), special.log_expit(-x)])
    count = np.count_nonzero(~((logs < 0) & np.isfinite(logs)).all(0))
    source = f"inputs, of {x.size} in [−700, 700], at which ln σ(x) or ln (1 − σ(x)) is not finite and below 0, in float64"
    return exact("not-inside-real", count, unit="inputs", prediction=0, source=source)


def limits(settings: Saturation, key: Array) -> dict[str, Evidence]:
    """How the sigmoid approaches its limits: the distance left shrinks by e per unit of x. Nothing is random."""
    del settings, key
    with jax.enable_x64(True):
        x = np.linspace(-40.0, 40.0, 161)
        # σ(-x) is 1 - σ(x) without the cancellation.
        right, left = np.log(compiled_sigmoid(-x)), np.log(compiled_sigmoid(x))
        at_infinity = compiled_sigmoid(np.asarray([np.inf, -np.inf]))
    law = "e^(-|x|) / (1 + e^(-|x|)) is left"
    steps = "from |x| = 39 to 40"
    measurements = (
        exact("rate-right", right[-3] - right[-1], unit=f"nats {steps}", prediction=1, source=law),
        exact("rate-left", left[2] - left[0], unit=f"nats {steps}", prediction=1, source=law),
        exact("at-plus-infinity", at_infinity[0], prediction=1, source="σ(+∞) evaluated in float64"),
        exact("at-minus-infinity", at_infinity[1], prediction=0, source="σ(−∞) evaluated in float64"),
    )
    arrays = {"x": x, "log10-left": left / np.log(10), "log10-right": right / np.log(10)}
    return {"saturation.limits": Evidence(measurements, arrays)}


def derivative_of_sigmoid(settings: Saturation, key: Array) -> dict[str, Evidence]:
    """Compares the derivative by automatic differentiation with σ(1−σ) and its known maximum. Nothing is random."""
    del settings, key
    with jax.enable_x64(True):
        x = np.linspace(-30.0, 30.0, 6001)
        exactly, formula = np.asarray(derivative(sigmoid)(x)), np.asarray(textbook_derivative(x))
        first, second = jax.jit(jax.grad(sigmoid)), jax.jit(jax.grad(jax.grad(sigmoid)))
        top = optimize.brentq(lambda at: float(second(at)), -1.0, 2.0, xtol=1e-14)
        maximum, at_ten, at_minus_ten = (float(first(at)) for at in (top, 10.0, -10.0))
    short = x.astype(np.float32)
    arrays = {
        "x": x,
        "sigmoid": special.expit(x),
        "derivative": exactly,
        "derivative-float32": np.asarray(derivative(sigmoid)(short)),
        "formula-float32": np.asarray(textbook_derivative(short)),
    }
    tail = np.exp(-10) / (1 + np.exp(-10)) ** 2
    measurements = (
        exact("formula-error-float64", np.abs(exactly - formula).max(), prediction=0, source="largest over [−30, 30]"),
        exact("maximum", maximum, prediction=0.25, source="σ(0)(1 − σ(0))"),
        exact("argument-of-maximum", top, unit="x", prediction=0, source="root of σ''"),
        exact("at-ten", at_ten, prediction=tail, source="e^(-x) / (1 + e^(-x))²"),
        exact("at-minus-ten", at_minus_ten, prediction=tail, source="e^(-x) / (1 + e^(-x))²"),
    )
    return {"saturation.derivative": Evidence(measurements, arrays)}


def blocks(settings: Saturation, key: Array) -> dict[str, Evidence]:
    """Measures the gradient through a sigmoid stack against the fraction of its units that are saturated, at equal weights."""
    variances = np.asarray(settings.bias_variances)
    fixed = meanfield.fixed_point(sigmoid, settings.weight_variance, variances)
    predicted = 0.5 * np.log(meanfield.chi(sigmoid, settings.weight_variance, variances, fixed))  # nats per layer
    logs, saturated = _through_stacks(settings, key, variances, fixed)
    slopes = np.stack([slope(arm) for arm in logs], axis=1)  # [seeds, arms]
    gradient, expected = (per_layer * settings.depth / np.log(10) for per_layer in (slopes, predicted))
    low, high = mean_interval(gradient)
    law = "√χ, Schoenholz et al. (2017)"
    gain = {"unit": "times per layer", "source": law}
    ratio = {"unit": f"log10 of the gradient's ratio over {settings.depth} layers", "source": law}
    share = {"source": "slope below 5% of its maximum"}
    measurements = (
        interval("gain-unsaturated", np.exp(slopes[:, 0]), prediction=np.exp(predicted[0]), **gain),
        interval("gain-saturated", np.exp(slopes[:, -1]), prediction=np.exp(predicted[-1]), **gain),
        interval("saturated-fraction-low", saturated[0], **share),
        interval("saturated-fraction-high", saturated[-1], **share),
        interval("log10-change", gradient[:, -1] - gradient[:, 0], prediction=expected[-1] - expected[0], **ratio),
        interval("log10-gradient-saturated", gradient[:, -1], prediction=expected[-1], **ratio),
    )
    arrays = {
        "saturated": saturated.mean(1),
        "log10-gradient": gradient.mean(0),
        "low": low,
        "high": high,
        "predicted": expected,
        "bias-variances": variances,
    }
    return {"saturation.blocks": Evidence(measurements, arrays)}


def _through_stacks(settings: Saturation, key: Array, variances: np.ndarray, fixed: np.ndarray) -> list[np.ndarray]:
    """Returns [arms, seeds, depth + 1] log-gradients and [arms, seeds] fractions of saturated units; arms share weights."""

    def of_arm(keys: Array, bias_variance: Array, q: Array) -> tuple[Array, Array]:
        draw = partial(draw_stack, settings, bias_variance=bias_variance, q=q)
        logs = log_gradients(hidden_layer(sigmoid), draw, keys)
        return logs, jax.lax.map(lambda key: saturated_units(*draw(key)), keys)

    arms = jnp.asarray(variances, jnp.float32), jnp.asarray(fixed, jnp.float32)
    found = jax.jit(jax.vmap(of_arm, (None, 0, 0)))(jax.random.split(key, settings.seeds), *arms)
    return [np.asarray(values) for values in found]


def draw_stack(settings: Saturation, key: Array, bias_variance: Array, q: Array) -> tuple[dict[str, Array], Array]:
    """Returns a random stack and an input at the fixed point q, so that every layer sees the same statistics."""
    key_params, key_input = jax.random.split(key)
    initializer = initializers.weight_variance(settings.weight_variance)
    params = stack_init(key_params, settings.width, settings.depth, initializer=initializer, bias_variance=bias_variance)
    return params, sigmoid(jnp.sqrt(q) * jax.random.normal(key_input, (settings.batch, settings.width)))


def saturated_units(params: dict[str, Array], x: Array) -> Array:
    """Returns [] the fraction of units of all layers whose slope is below 5% of the largest."""

    def forward(h: Array, layer_params: dict[str, Array]) -> tuple[Array, Array]:
        z = linear(layer_params, h)
        return sigmoid(z), saturated_fraction(sigmoid, z)

    return jax.lax.scan(forward, x, params)[1].mean()


TOPIC = Topic("saturation", Saturation, (value_range, limits, derivative_of_sigmoid, blocks))
