"""Why gradients vanish or explode: products of Jacobians, their growth with depth, and what sets their factors."""

import dataclasses
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.causes.settings import Causes
from experiments.study.measurement import Evidence, Measurement, curve, interval
from experiments.study.topic import Topic
from jaxnotes import jacobians, meanfield
from jaxnotes.layers.activations import relu, saturated_fraction, sigmoid, tanh
from jaxnotes.layers.initializers import weight_variance
from jaxnotes.layers.linear import linear
from jaxnotes.models.mlp import hidden_layer, stack_init

MEAN_FIELD = "½ ln χ, Schoenholz et al. (2017)"
HOMOGENEOUS = "½ ln(σ_w²/2), He et al. (2015)"
ACTIVATIONS = (relu, tanh, sigmoid)
OVERFLOW = 16.0  # σ_w² of the tanh stack in which float32 overflows


def random_stack(key: Array, depth: int, width: int, of_weights, of_biases, dtype=jnp.float32):
    """Stacked Gaussian parameters: weights N(0, of_weights / width), biases N(0, of_biases)."""
    params = stack_init(key, width, depth, initializer=weight_variance(1.0), bias_variance=1.0)
    scales = {"weight": of_weights, "bias": of_biases}
    return {name: p.astype(dtype) * jnp.sqrt(jnp.asarray(scales[name], dtype)) for name, p in params.items()}


def input_and_direction(activation: Callable, q, key: Array, settings: Causes, dtype=jnp.float32) -> tuple[Array, Array]:
    """An input that is past the transient of the first layers, and the output's gradient: of unit length, random.

    The input is the activation of Gaussian pre-activations of variance q, the fixed point of the stack's variance map.
    """
    shape = (settings.batch, settings.width)
    of_input, of_direction = jax.random.split(key)
    direction = jax.random.normal(of_direction, shape, dtype)
    x = activation(jnp.sqrt(jnp.asarray(q, dtype)) * jax.random.normal(of_input, shape, dtype))
    return x, direction / jnp.linalg.norm(direction, axis=-1, keepdims=True)


def activation_of(index) -> Callable:
    """The activation at this place of ACTIVATIONS; a number, so that all share one compiled program."""
    return lambda z: jax.lax.switch(index, ACTIVATIONS, z)


@partial(jax.jit, static_argnames=("settings", "depth"))
def log_gradients(keys: Array, of_weights, of_biases, q, index, *, settings: Causes, depth: int) -> Array:
    """[seeds, depth + 1] natural log of the gradient's norm at each layer of random stacks, one a key.

    index: of the activation in ACTIVATIONS.
    """
    activation = activation_of(index)

    def of_seed(key: Array) -> Array:
        of_stack, of_ends = jax.random.split(key)
        params = random_stack(of_stack, depth, settings.width, of_weights, of_biases)
        x, direction = input_and_direction(activation, q, of_ends, settings)
        return jacobians.log_gradient_norms(hidden_layer(activation), params, x, lambda h: jnp.sum(h * direction))

    return jax.lax.map(of_seed, keys)


@partial(jax.jit, static_argnames=("settings",))
def forward_statistics(keys: Array, of_weights, of_biases, index, *, settings: Causes) -> dict[str, Array]:
    """What happens on the way forward, each [seeds, depth]: log RMS, log distance of two inputs, saturated fraction.

    The two inputs are standard normal. Float64, where 60 contracting layers do not underflow. index: as in `log_gradients`.
    """
    activated = [lambda z, of=of: (of(z), saturated_fraction(of, z)) for of in ACTIVATIONS]

    def of_seed(key: Array) -> dict[str, Array]:
        of_stack, of_input = jax.random.split(key)
        dtype = jnp.float64
        params = random_stack(of_stack, settings.depth, settings.width, of_weights, of_biases, dtype)

        def step(h: Array, layer_params) -> tuple[Array, dict[str, Array]]:
            h, saturated = jax.lax.switch(index, activated, linear(layer_params, h))
            rms, distance = jnp.sqrt(jnp.mean(h**2)), jnp.sqrt(jnp.mean((h[0] - h[1]) ** 2))
            return h, {"rms": jnp.log(rms), "distance": jnp.log(distance), "saturated": saturated}

        return jax.lax.scan(step, jax.random.normal(of_input, (2, settings.width), dtype), params)[1]

    return jax.lax.map(of_seed, keys)


def forward(settings: Causes, key: Array, activation: Callable, of_weights: float) -> dict[str, np.ndarray]:
    """`forward_statistics` without biases, computed in float64."""
    with jax.enable_x64(True):
        keys = jax.random.split(key, settings.forward_seeds)
        return jax.tree.map(
            np.asarray, forward_statistics(keys, of_weights, 0.0, ACTIVATIONS.index(activation), settings=settings)
        )


def backward(settings: Causes, key: Array, activation: Callable, of_weights: float, of_biases: float, depth: int | None = None):
    """`log_gradients` as an array, from the fixed point of the mean-field theory where there is one."""
    bounded = activation is not relu
    q = meanfield.fixed_point(activation, of_weights, of_biases) if bounded else 1.0  # any scale will do for ReLU
    keys = jax.random.split(key, settings.seeds)
    depth = settings.depth if depth is None else depth
    return np.asarray(
        log_gradients(keys, of_weights, of_biases, q, ACTIVATIONS.index(activation), settings=settings, depth=depth)
    )


def backward_slope(log_norms: np.ndarray) -> np.ndarray:
    """[seeds] growth of the gradient a layer on its way back, nats, over the whole stack."""
    return (log_norms[:, 0] - log_norms[:, -1]) / (log_norms.shape[1] - 1)


def forward_slope(logs: np.ndarray) -> np.ndarray:
    """[seeds] growth a layer on the way forward, nats, over the second half of the stack, past the input's transient."""
    half = logs.shape[1] // 2
    return (logs[:, -1] - logs[:, half]) / (logs.shape[1] - 1 - half)


def half_log_chi(activation: Callable, of_weights: float, of_biases: float) -> float:
    """Mean-field growth of the gradient a layer, nats."""
    return 0.5 * float(np.log(meanfield.chi(activation, of_weights, of_biases)))


def backward_curve(name: str, log_norms: np.ndarray, slope: float) -> dict[str, np.ndarray]:
    """log10 of the gradient's norm against the number of layers that it has passed."""
    passed = (log_norms[:, ::-1] - log_norms[:, -1:]) / np.log(10)
    return curve(name, passed, slope * np.arange(passed.shape[1]) / np.log(10))


def variances(name: str, of_weights: float, of_biases: float = 0.0) -> dict[str, np.ndarray]:
    """The settings of an arm, for its label in the figure."""
    return {f"{name}-variances": np.asarray([of_weights, of_biases])}


def nats(name: str, samples: np.ndarray, prediction: float | None = None, source: str = "") -> Measurement:
    """A slope in natural logarithms a layer."""
    return interval(name, samples, unit="nats a layer", prediction=prediction, source=source)


def product(settings: Causes, key: Array) -> dict[str, Evidence]:
    """causes.product: the gradient of each layer by one backward pass, against the product of the later Jacobians."""
    measurements, arrays = [], {}
    small = dataclasses.replace(settings, width=min(settings.width, 64), batch=1)
    for name in ("float32", "float64"):
        with jax.enable_x64(name == "float64"):
            run = jax.jit(partial(_product_errors, small, jnp.dtype(name)))
            errors = np.asarray(jax.lax.map(run, jax.random.split(key, settings.seeds)))
        arrays |= curve(name, np.log10(np.maximum(errors, 1e-18)))
        source = "largest relative error over the layers; rounding only"
        measurements.append(interval(f"error-{name}", errors.max(axis=1), prediction=0, source=source))
    return {"causes.product": Evidence(tuple(measurements), arrays)}


def _product_errors(settings: Causes, dtype, key: Array) -> Array:
    """[depth] relative difference between the two gradients at each layer's input; tanh, σ_w² = 1.5, σ_b² = 0.05."""
    of_stack, of_ends = jax.random.split(key)
    params = random_stack(of_stack, settings.depth, settings.width, 1.5, 0.05, dtype)
    x, direction = input_and_direction(tanh, 1.0, of_ends, settings, dtype)
    layer = hidden_layer(tanh)
    local = jacobians.local_jacobians(layer, params, x)[:, 0]  # [depth, width, width]

    def back(vector: Array, jacobian: Array) -> tuple[Array, Array]:
        return vector @ jacobian, vector @ jacobian

    products = jax.lax.scan(back, direction[0], local, reverse=True)[1]
    gradients = layer_gradients(layer, params, x, direction)[:, 0]
    return jnp.linalg.norm(products - gradients, axis=-1) / jnp.linalg.norm(gradients, axis=-1)


def layer_gradients(layer: Callable, params, x: Array, direction: Array) -> Array:
    """[depth, batch, width] the gradient at each layer's input, as it is: the gradient of a zero added there."""

    def loss(zeros: Array) -> Array:
        h = jax.lax.scan(lambda h, both: (layer(both[0], h + both[1]), None), x, (params, zeros))[0]
        return jnp.sum(h * direction)

    depth = jax.tree.leaves(params)[0].shape[0]
    return jax.grad(loss)(jnp.zeros((depth, *x.shape), x.dtype))


def vanish(settings: Causes, key: Array) -> dict[str, Evidence]:
    """causes.vanish: tanh and sigmoid stacks whose factor is below 1."""
    measurements, arrays = [], {}
    arms = {"tanh": (tanh, 0.6, 0.05), "sigmoid": (sigmoid, 1.0, 0.0)}
    for arm_key, (name, arm) in zip(jax.random.split(key, len(arms)), arms.items(), strict=True):
        log_norms, slope = backward(settings, arm_key, *arm), half_log_chi(*arm)
        measurements.append(nats(f"slope-{name}", backward_slope(log_norms), slope, MEAN_FIELD))
        unit, source = "log10", "norm of the first layer's weight gradient over the last layer's, float64"
        measurements.append(interval(f"update-ratio-{name}", _update_ratio(settings, arm_key, *arm), unit=unit, source=source))
        arrays |= backward_curve(name, log_norms, slope) | variances(name, *arm[1:])
    return {"causes.vanish": Evidence(tuple(measurements), arrays)}


def _update_ratio(settings: Causes, key: Array, activation: Callable, of_weights: float, of_biases: float) -> np.ndarray:
    """[seeds] log10 of the first layer's weight gradient over the last layer's."""
    index = ACTIVATIONS.index(activation)
    with jax.enable_x64(True):
        return np.asarray(
            _update_ratios(jax.random.split(key, settings.seeds), of_weights, of_biases, index, settings=settings)
        )


@partial(jax.jit, static_argnames=("settings",))
def _update_ratios(keys: Array, of_weights, of_biases, index, *, settings: Causes) -> Array:
    activation = activation_of(index)
    layer = hidden_layer(activation)

    def of_seed(key: Array) -> Array:
        of_stack, of_ends = jax.random.split(key)
        params = random_stack(of_stack, settings.depth, settings.width, of_weights, of_biases, jnp.float64)
        x, direction = input_and_direction(activation, 1.0, of_ends, settings, jnp.float64)

        def loss(params) -> Array:
            return jnp.sum(jax.lax.scan(lambda h, p: (layer(p, h), None), x, params)[0] * direction)

        norms = jnp.linalg.norm(jax.grad(loss)(params)["weight"], axis=(1, 2))
        return jnp.log10(norms[0]) - jnp.log10(norms[-1])

    return jax.lax.map(of_seed, keys)


def saturation(settings: Causes, key: Array) -> dict[str, Evidence]:
    """causes.saturation: the same weights with ever larger biases, which push the units into saturation."""
    measurements, arrays = [], {}
    of_biases = (0.01, 0.1, 1.0, 3.0, 10.0)
    arms = {"tanh": (tanh, 1.5), "sigmoid": (sigmoid, 4.0)}
    for name, (activation, of_weights) in arms.items():
        # One key for all: the same weights, so that the change is the biases' alone.
        slopes = np.stack([backward_slope(backward(settings, key, activation, of_weights, v)) for v in of_biases], axis=1)
        predicted = np.asarray([half_log_chi(activation, of_weights, v) for v in of_biases])
        arrays |= curve(name, slopes, predicted) | variances(name, of_weights)
        arrays[f"{name}-q"] = np.asarray([meanfield.fixed_point(activation, of_weights, v) for v in of_biases])
        change = nats(f"slope-change-{name}", slopes[:, -1] - slopes[:, 0], predicted[-1] - predicted[0], MEAN_FIELD)
        measurements.append(change)
    return {"causes.saturation": Evidence(tuple(measurements), arrays)}


def init_small(settings: Causes, key: Array) -> dict[str, Evidence]:
    """causes.init-small: weights too small for ReLU, tanh and sigmoid."""
    small = {"relu": 1.0, "tanh": 0.5, "sigmoid": 1.0}
    of_relu, of_tanh, of_sigmoid = jax.random.split(key, 3)
    relu_rms = forward(settings, of_relu, relu, small["relu"])["rms"]
    tanh_rms = forward(settings, of_tanh, tanh, small["tanh"])["rms"]
    few = 6  # beyond, the two sigmoid outputs agree to rounding
    distance = forward(settings, of_sigmoid, sigmoid, small["sigmoid"])["distance"][:, : few + 1]
    gradient = backward_slope(backward(settings, of_sigmoid, sigmoid, small["sigmoid"], 0.0))
    predicted = half_log_chi(sigmoid, small["sigmoid"], 0.0)
    linear_law = "½ ln σ_w² near 0, where tanh is linear"
    measurements = (
        nats("forward-slope-relu", forward_slope(relu_rms), 0.5 * np.log(small["relu"] / 2), HOMOGENEOUS),
        nats("forward-slope-tanh", forward_slope(tanh_rms), 0.5 * np.log(small["tanh"]), linear_law),
        nats("difference-slope-sigmoid", (distance[:, few] - distance[:, 0]) / few, predicted, "½ ln χ for close inputs"),
        nats("gradient-slope-sigmoid", gradient, predicted, MEAN_FIELD),
    )
    logs, arrays = {"relu": relu_rms, "tanh": tanh_rms, "sigmoid": distance}, {}
    for name, values in logs.items():
        arrays |= curve(name, values / np.log(10)) | variances(name, small[name])
    return {"causes.init-small": Evidence(measurements, arrays)}


def explode(settings: Causes, key: Array) -> dict[str, Evidence]:
    """causes.explode: factors above 1, and the depth at which float32 overflows."""
    of_tanh, of_relu, of_overflow = jax.random.split(key, 3)
    of_weights = {"tanh": 2.25, "relu": 4.0}
    slopes = {"tanh": half_log_chi(tanh, of_weights["tanh"], 0.0), "relu": 0.5 * np.log(of_weights["relu"] / 2)}
    tanh_norms = backward(settings, of_tanh, tanh, of_weights["tanh"], 0.0)
    relu_norms = backward(settings, of_relu, relu, of_weights["relu"], 0.0)
    largest = float(np.log(float(jnp.finfo(jnp.float32).max)))
    predicted = largest / half_log_chi(tanh, OVERFLOW, 0.0)
    depth_law = f"ln(largest float32) / (½ ln χ), from a gradient of length 1; tanh, σ_w² = {OVERFLOW:g}"
    measurements = (
        nats("slope-tanh", backward_slope(tanh_norms), slopes["tanh"], MEAN_FIELD),
        nats("slope-relu", backward_slope(relu_norms), slopes["relu"], HOMOGENEOUS),
        interval(
            "overflow-depth", _finite_layers(settings, of_overflow), unit="layers", prediction=predicted, source=depth_law
        ),
    )
    arrays = variances("overflow", OVERFLOW)
    for name, norms in (("tanh", tanh_norms), ("relu", relu_norms)):
        arrays |= backward_curve(name, norms, slopes[name]) | variances(name, of_weights[name])
    return {"causes.explode": Evidence(measurements, arrays)}


def _finite_layers(settings: Causes, key: Array) -> np.ndarray:
    """[seeds] how many layers the float32 gradient passes before it holds an infinity or NaN; tanh, σ_w² = OVERFLOW."""
    layer, q = hidden_layer(tanh), meanfield.fixed_point(tanh, OVERFLOW, 0.0)

    def of_seed(seed_key: Array) -> Array:
        of_stack, of_ends = jax.random.split(seed_key)
        params = random_stack(of_stack, settings.overflow_depth, settings.width, OVERFLOW, 0.0)
        x, direction = input_and_direction(tanh, q, of_ends, settings)
        finite = jnp.isfinite(layer_gradients(layer, params, x, direction)).all(axis=(1, 2))
        return jnp.cumprod(finite[::-1].astype(jnp.int32)).sum()

    passed = np.asarray(jax.jit(partial(jax.lax.map, of_seed))(jax.random.split(key, settings.seeds)))
    if passed.max() == settings.overflow_depth:
        raise ValueError(f"no overflow within --overflow_depth={settings.overflow_depth} layers; give a larger one")
    return passed


def init_large(settings: Causes, key: Array) -> dict[str, Evidence]:
    """causes.init-large: large weights; ReLU amplifies the signal, bounded activations cannot."""
    large, small = {"relu": 4.0, "tanh": 4.0, "sigmoid": 400.0}, {"tanh": 1.0, "sigmoid": 1.0}
    measurements, arrays = [], {}
    for activation, arm_key in zip((relu, tanh, sigmoid), jax.random.split(key, 3), strict=True):
        name = activation.__name__
        signal = forward(settings, arm_key, activation, large[name])
        prediction, source = (0.5 * np.log(large[name] / 2), HOMOGENEOUS) if name == "relu" else (0.0, "bounded")
        measurements.append(nats(f"forward-slope-{name}", forward_slope(signal["rms"]), prediction, source))
        arrays |= curve(f"forward-{name}", signal["rms"] / np.log(10))
        gradient, slope = backward(settings, arm_key, activation, large[name], 0.0), prediction
        if name != "relu":
            slope = half_log_chi(activation, large[name], 0.0)
            measurements.append(nats(f"gradient-slope-{name}", backward_slope(gradient), slope, MEAN_FIELD))
            before = forward(settings, arm_key, activation, small[name])["saturated"].mean(1)
            change, meaning = signal["saturated"].mean(1) - before, "share of units whose slope is below 5% of its maximum"
            source = f"{meaning}, σ_w² = {large[name]:g} minus σ_w² = {small[name]:g}"
            measurements.append(interval(f"saturated-change-{name}", change, unit="fraction", source=source))
        arrays |= backward_curve(f"backward-{name}", gradient, slope) | variances(name, large[name])
    return {"causes.init-large": Evidence(tuple(measurements), arrays)}


def depth(settings: Causes, key: Array) -> dict[str, Evidence]:
    """causes.depth: ReLU stacks whose factor is a little below and above 1."""
    measurements, arrays = [], {}
    signs = {"below": -1, "above": 1}
    for arm_key, (name, sign) in zip(jax.random.split(key, len(signs)), signs.items(), strict=True):
        chi = 1 + sign * settings.deviation
        log_norms = backward(settings, arm_key, relu, 2 * chi, 0.0, settings.deep)
        scale = 1 / np.abs(2 * backward_slope(log_norms))
        law = "1 / |ln χ| at infinite width, Schoenholz et al. (2017); χ = " + f"{chi:g}"
        measurements.append(interval(f"depth-scale-{name}", scale, unit="layers", prediction=1 / abs(np.log(chi)), source=law))
        straight = np.asarray([np.corrcoef(np.arange(row.size), row)[0, 1] ** 2 for row in log_norms])
        source = "share of the log-norm's variance that a straight line explains"
        measurements.append(interval(f"linearity-{name}", straight, unit="R²", source=source))
        arrays |= backward_curve(name, log_norms, 0.5 * np.log(chi))
    return {"causes.depth": Evidence(tuple(measurements), arrays)}


TOPIC = Topic("causes", Causes, (product, vanish, saturation, init_small, explode, init_large, depth))
