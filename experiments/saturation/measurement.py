"""Why the sigmoid saturates: its range in real and floating-point numbers, its limits, its derivative, what gets through."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy import optimize, special

from experiments.saturation.settings import Saturation
from experiments.study.measurement import Evidence, exact, interval, mean_interval
from experiments.study.topic import Topic
from jaxnotes import jacobians, meanfield
from jaxnotes.layers.activations import derivative, saturated_fraction, sigmoid
from jaxnotes.layers.initializers import weight_variance
from jaxnotes.layers.linear import linear
from jaxnotes.models.mlp import hidden_layer, stack_init

FLOAT_TYPES = ("float16", "bfloat16", "float32", "float64")


_sigmoid = jax.jit(sigmoid)
_product = jax.jit(lambda x: sigmoid(x) * (1 - sigmoid(x)))  # the textbook's derivative


def value_range(settings: Saturation, key: Array) -> dict[str, Evidence]:
    """Where each floating-point type rounds the sigmoid to exactly 0 and 1. Nothing is random."""
    del settings, key
    measurements, arrays = [], {}
    grid = np.linspace(-125, 45, 681)
    with jax.enable_x64(True):
        for name in FLOAT_TYPES:
            measurements += _ends(name)
            arrays[f"sigmoid-{name}"] = np.asarray(_sigmoid(grid.astype(jnp.dtype(name)))).astype(np.float64)
    arrays |= {"x": grid, "log10-sigmoid": special.log_expit(grid) / np.log(10)}
    return {"saturation.range": Evidence(tuple(measurements), arrays)}


def _ends(name: str) -> list:
    """The measurements of one floating-point type."""
    information = jnp.finfo(name)
    inputs = _inputs(name)
    outputs = np.asarray(_sigmoid(inputs)).astype(np.float64)
    outside = np.count_nonzero(~((outputs >= 0) & (outputs <= 1)))
    one = _smallest_magnitude(name, lambda x: float(_sigmoid(x)) == 1)
    zero = -_smallest_magnitude(name, lambda x: float(_sigmoid(-x)) == 0)
    rounded = "e^(-x) is half a unit in the last place of 1"
    smallest = float(information.smallest_subnormal)
    normal = np.log(float(information.tiny))
    flushed = f"e^x is half the smallest subnormal; a device that flushes subnormals gets there at {normal:.2f}"
    among = f"{inputs.size} inputs of {name}"
    return [
        exact(f"one-{name}", one, unit="x", prediction=(information.nmant + 1) * np.log(2), source=rounded),
        exact(f"zero-{name}", zero, unit="x", prediction=np.log(smallest) - np.log(2), source=flushed),
        exact(f"smallest-{name}", outputs.min(), source=f"smallest output of {among}"),
        exact(f"largest-{name}", outputs.max(), source=f"largest output of {among}"),
        exact(f"outside-{name}", outside, unit="inputs", source=f"outputs outside [0, 1] of {among}"),
    ]


def _inputs(name: str) -> np.ndarray:
    """Every finite number of a 16-bit type, an even sweep of a wider one."""
    dtype = jnp.dtype(name)
    if dtype.itemsize > 2:
        return np.linspace(-1000, 1000, 400_001).astype(dtype)
    numbers = np.arange(2**16, dtype=np.uint16).view(dtype)
    return numbers[np.isfinite(numbers.astype(np.float32))]


def _smallest_magnitude(name: str, reached: Callable[[np.generic], bool]) -> float:
    """The smallest x > 0 of a type from which `reached(x)` is true, by bisection over neighbouring numbers."""
    dtype = jnp.dtype(name)
    bits = np.dtype(f"uint{8 * dtype.itemsize}")
    low, high = (int(np.asarray(x, dtype).view(bits)) for x in (0, jnp.finfo(dtype).max))
    while high - low > 1:  # positive floating-point numbers are ordered as their bits are
        middle = (low + high) // 2
        if reached(np.asarray(middle, bits).view(dtype)[()]):
            high = middle
        else:
            low = middle
    return float(np.asarray(high, bits).view(dtype))


def limits(settings: Saturation, key: Array) -> dict[str, Evidence]:
    """How the sigmoid approaches its limits: the distance left shrinks by e a unit of x. Nothing is random."""
    del settings, key
    with jax.enable_x64(True):
        x = np.linspace(-40.0, 40.0, 161)
        # σ(-x) is 1 - σ(x) without the cancellation.
        right, left, ends = np.log(_sigmoid(-x)), np.log(_sigmoid(x)), _sigmoid(np.asarray([np.inf, -np.inf]))
    law = "e^(-|x|) / (1 + e^(-|x|)) is left"
    steps = "from |x| = 39 to 40"
    measurements = (
        exact("rate-right", right[-3] - right[-1], unit=f"nats {steps}", prediction=1, source=law),
        exact("rate-left", left[2] - left[0], unit=f"nats {steps}", prediction=1, source=law),
        exact("at-plus-infinity", ends[0], prediction=1, source="σ(+∞) evaluated in float64"),
        exact("at-minus-infinity", ends[1], prediction=0, source="σ(−∞) evaluated in float64"),
    )
    arrays = {"x": x, "log10-left": left / np.log(10), "log10-right": right / np.log(10)}
    return {"saturation.limits": Evidence(measurements, arrays)}


def slope(settings: Saturation, key: Array) -> dict[str, Evidence]:
    """The derivative by automatic differentiation, against σ(1−σ) and its known maximum. Nothing is random."""
    del settings, key
    with jax.enable_x64(True):
        x = np.linspace(-30.0, 30.0, 6001)
        exactly, formula = np.asarray(derivative(sigmoid)(x)), np.asarray(_product(x))
        first, second = jax.jit(jax.grad(sigmoid)), jax.jit(jax.grad(jax.grad(sigmoid)))
        top = optimize.brentq(lambda at: float(second(at)), -1.0, 2.0, xtol=1e-14)
        maximum, at_ten, at_minus_ten = (float(first(at)) for at in (top, 10.0, -10.0))
    short = x.astype(np.float32)
    arrays = {
        "x": x,
        "sigmoid": special.expit(x),
        "derivative": exactly,
        "derivative-float32": np.asarray(derivative(sigmoid)(short)),
        "formula-float32": np.asarray(_product(short)),
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


class Passage(NamedTuple):
    """What one stack does to the backward signal."""

    saturated: Array  # [] fraction of units whose slope is below 5% of the largest
    log_norms: Array  # [depth + 1] natural log of the gradient's norm at each layer


def blocks(settings: Saturation, key: Array) -> dict[str, Evidence]:
    """Gradient through a sigmoid stack against the fraction of its units that are saturated, at equal weights."""
    variances = np.asarray(settings.bias_variances)
    fixed = [meanfield.fixed_point(sigmoid, settings.weight_variance, variance) for variance in variances]
    chi = np.asarray([meanfield.chi(sigmoid, settings.weight_variance, v, q) for v, q in zip(variances, fixed, strict=True)])
    arms = jnp.asarray(variances, jnp.float32), jnp.asarray(fixed, jnp.float32)

    @jax.jit
    def study(keys: Array) -> Passage:
        return jax.lax.map(lambda k: jax.vmap(lambda bias, q: _passage(settings, k, bias, q))(*arms), keys)

    passage = jax.tree.map(np.asarray, study(jax.random.split(key, settings.seeds)))
    gain = (passage.log_norms[..., 0] - passage.log_norms[..., -1]) / settings.depth  # [seeds, arms], nats a layer
    gradient = gain * settings.depth / np.log(10)
    low, high = mean_interval(gradient)
    law = "√χ, Schoenholz et al. (2017)"
    depth = f"log10 of the gradient's ratio over {settings.depth} layers"
    predicted = 0.5 * settings.depth * np.log10(chi)
    measurements = (
        interval("gain-unsaturated", np.exp(gain[:, 0]), unit="a layer", prediction=chi[0] ** 0.5, source=law),
        interval("gain-saturated", np.exp(gain[:, -1]), unit="a layer", prediction=chi[-1] ** 0.5, source=law),
        interval("saturated-fraction-low", passage.saturated[:, 0], source="slope below 5% of its maximum"),
        interval("saturated-fraction-high", passage.saturated[:, -1], source="slope below 5% of its maximum"),
        interval(
            "log10-change", gradient[:, -1] - gradient[:, 0], unit=depth, prediction=predicted[-1] - predicted[0], source=law
        ),
        interval("log10-gradient-saturated", gradient[:, -1], unit=depth, prediction=predicted[-1], source=law),
    )
    arrays = {
        "saturated": passage.saturated.mean(0),
        "log10-gradient": gradient.mean(0),
        "low": low,
        "high": high,
        "predicted": predicted,
        "bias-variances": variances,
    }
    return {"saturation.blocks": Evidence(measurements, arrays)}


def _passage(settings: Saturation, key: Array, bias_variance: Array, q: Array) -> Passage:
    """One random stack whose input is already at the fixed point, so that every layer sees the same statistics."""
    of_weights, of_input, of_loss = jax.random.split(key, 3)
    initializer = weight_variance(settings.weight_variance)
    params = stack_init(of_weights, settings.width, settings.depth, initializer=initializer, bias_variance=1.0)
    params = {**params, "bias": params["bias"] * jnp.sqrt(bias_variance)}
    shape = (settings.batch, settings.width)
    x = sigmoid(jnp.sqrt(q) * jax.random.normal(of_input, shape))
    direction = jax.random.normal(of_loss, shape)
    layer = hidden_layer(sigmoid)
    log_norms = jacobians.log_gradient_norms(layer, params, x, lambda h: jnp.sum(h * direction))

    def forward(h: Array, layer_params) -> tuple[Array, Array]:
        z = linear(layer_params, h)
        return sigmoid(z), saturated_fraction(sigmoid, z)

    return Passage(jax.lax.scan(forward, x, params)[1].mean(), log_norms)


TOPIC = Topic("saturation", Saturation, (value_range, limits, slope, blocks))
