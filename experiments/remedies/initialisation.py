"""Plain networks at initialisation: ReLU in He and Xavier initialisation, and tanh over the variances of weights and biases."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy import special, stats

from experiments.remedies.gains import VARIANCES
from experiments.remedies.settings import Remedies
from experiments.study import profiles
from experiments.study.measurement import Measurement, curve, interval
from experiments.study.profiles import NATS_PER_LAYER
from jaxnotes import meanfield
from jaxnotes.layers import initializers
from jaxnotes.layers.activations import relu, tanh
from jaxnotes.layers.linear import linear
from jaxnotes.models.mlp import stack_init


def relu_layer(params: dict[str, Array], h: Array) -> Array:
    """Returns the pre-activations of the next layer from those of this one."""
    return linear(params, relu(h))


def relu_draw(key: Array, *, weight_variance: Array, width: int, depth: int, batch: int) -> tuple[dict[str, Array], Array]:
    """Returns stacked parameters and a standard normal input [batch, width]."""
    key_stack, key_input = jax.random.split(key)
    params = stack_init(key_stack, width, depth, initializer=initializers.weight_variance(weight_variance))
    return params, jax.random.normal(key_input, (batch, width))


@partial(jax.jit, static_argnames=("width", "depth", "batch"))
def log_relu_gradients(keys: Array, **draw) -> Array:
    """Returns [seeds, depth + 1] natural logs of the gradient's norm; `draw` as of `relu_draw`."""
    return profiles.log_gradients(relu_layer, partial(relu_draw, **draw), keys)


@partial(jax.jit, static_argnames=("width", "depth", "batch"))
def log_relu_units(keys: Array, **draw) -> Array:
    """Returns [seeds, depth] logs of each layer's root mean square, their mean over examples; `draw` as of `relu_draw`."""

    def step(h: Array, params: dict[str, Array]) -> tuple[Array, Array]:
        h = relu_layer(params, h)
        return h, 0.5 * jnp.mean(jnp.log(jnp.mean(relu(h) ** 2, axis=-1)))

    def of_seed(key: Array) -> Array:
        params, x = relu_draw(key, **draw)
        return jax.lax.scan(step, x, params)[1]

    return jax.lax.map(of_seed, keys)


def he(settings: Remedies, key: Array) -> tuple[list[Measurement], dict[str, np.ndarray]]:
    """Returns slopes of ReLU networks in He and Xavier initialisation, forwards and backwards, and the figure's curves."""
    keys, depth = jax.random.split(key, settings.he_seeds), settings.he_depth
    size = {"width": settings.he_width, "depth": depth, "batch": 1}
    source = f"exact at this width, about ½ ln(σ_w²/2) − 5/(4 width); {depth} layers of {settings.he_width} units"
    measurements, arrays = [], {}
    for name, label in (("he", "He"), ("xavier", "Xavier")):
        variance = VARIANCES[label]
        units = np.asarray(log_relu_units(keys, weight_variance=variance, **size))
        gradients = np.asarray(log_relu_gradients(keys, weight_variance=variance, **size))
        slopes = {"forward": (units[:, -1] - units[:, 0]) / (depth - 1), "gradient": profiles.slope(gradients)}
        prediction = 0.5 * np.log(variance / 2) + log_norm_step(settings.he_width)[0]
        measurements += [
            interval(f"{way}-slope-{name}", found, unit=NATS_PER_LAYER, prediction=prediction, source=source)
            for way, found in slopes.items()
        ]
        arrays |= profiles.passed_curve(f"gradient-{name}", gradients, prediction)
    return measurements, arrays


def log_norm_step(width: int) -> tuple[float, float]:
    """Returns mean and variance of what one ReLU layer in He initialisation adds to the log of a norm, either way.

    Of `width` units K ~ Binomial(width, 1/2) are active; given K the squared norm is multiplied by 2/width times a χ² of K
    degrees of freedom: forwards, and backwards (Hanin and Nica 2020), where u ↦ WᵀDu keeps K of the entries of u.
    """
    active = np.arange(1, width + 1)
    weight = stats.binom.pmf(active, width, 0.5)
    weight /= weight.sum()
    logs = special.digamma(active / 2) + np.log(4 / width)
    mean = weight @ logs
    return mean / 2, (weight @ (special.polygamma(1, active / 2) + (logs - mean) ** 2)) / 4


def spread(settings: Remedies, name: str, width: int, key: Array) -> tuple[Measurement, dict[str, np.ndarray]]:
    """Returns the variance of the log-norm over networks, in groups of networks, and the figure's curve.

    The prediction is exact at this width; 5/4 · depth / width where both are large (Hanin and Nica 2020).
    """
    keys, depth = jax.random.split(key, settings.spread_groups * settings.spread_networks), settings.spread_depth
    logs = np.asarray(log_relu_gradients(keys, weight_variance=VARIANCES["He"], width=width, depth=depth, batch=1))
    groups = (logs[:, ::-1] - logs[:, -1:]).reshape(settings.spread_groups, settings.spread_networks, -1)
    variances = groups.var(axis=1, ddof=1)
    predicted = depth * log_norm_step(width)[1]
    size = f"{depth} layers of {width} units"
    source = f"variance of ln ‖gradient‖ over networks, exact at this width, about 5/4 · depth/width; {size}"
    measured = interval(f"spread-{name}", variances[:, -1], unit="nats²", prediction=predicted, source=source)
    arrays = curve(f"spread-{name}", variances, predicted * np.arange(depth + 1) / depth)
    return measured, arrays | {f"width-{name}": np.asarray(width)}


def phase_diagram(settings: Remedies, key: Array) -> dict[str, np.ndarray]:
    """Returns the measured growth of tanh networks over σ_w² and σ_b², and the critical line χ = 1 (Poole et al. 2016)."""
    weights = np.linspace(0.5, 3.0, settings.phase_points)
    biases = np.linspace(0.0, 0.5, settings.phase_points)
    pairs = np.stack(np.meshgrid(weights, biases), -1).reshape(-1, 2)
    starts = np.asarray(meanfield.fixed_point(tanh, pairs[:, 0], pairs[:, 1]))
    points = jnp.asarray(np.column_stack([pairs, starts]), jnp.float32)
    logs = _log_tanh_gradients(jax.random.split(key, len(points)), points, width=settings.width, depth=settings.phase_depth)
    line = biases[-1] * np.linspace(0.0, 1.0, 26) ** 3  # the line leaves σ_b² = 0 with a slope of 0
    return {
        "phase-weights": weights,
        "phase-biases": biases,
        "phase-slopes": profiles.slope(np.asarray(logs)).reshape(len(biases), len(weights)),
        "critical-biases": line,
        "critical-weights": np.asarray(meanfield.critical_weight_variance(tanh, line)),
        "phase-depth": np.asarray(settings.phase_depth),
    }


@partial(jax.jit, static_argnames=("width", "depth"))
def _log_tanh_gradients(keys: Array, points: Array, *, width: int, depth: int) -> Array:
    """Returns [points, depth + 1] log gradient norms from the fixed point of the variance map, one network per point."""

    def layer(params: dict[str, Array], h: Array) -> Array:
        return linear(params, tanh(h))

    def of_point(item: tuple[Array, Array]) -> Array:
        key, (weight_variance, bias_variance, variance) = item

        def draw(key: Array) -> tuple[dict[str, Array], Array]:
            key_stack, key_input = jax.random.split(key)
            initializer = initializers.weight_variance(weight_variance)
            params = stack_init(key_stack, width, depth, initializer=initializer, bias_variance=bias_variance)
            return params, jax.random.normal(key_input, (4, width)) * jnp.sqrt(variance)

        return profiles.log_gradients(layer, draw, key[None])[0]

    return jax.lax.map(of_point, (keys, points))
