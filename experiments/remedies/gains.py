"""How the gradient grows a layer at initialisation: one grid of all choices, and the claims that read it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.remedies import network
from experiments.remedies.network import ACTIVATIONS, NORMS, Choice, choice, stacked
from experiments.remedies.settings import Remedies
from experiments.study.measurement import Measurement, curve, interval
from jaxnotes import jacobians, meanfield
from jaxnotes.layers.activations import relu, tanh
from jaxnotes.layers.initializers import weight_variance
from jaxnotes.layers.linear import linear
from jaxnotes.models.mlp import stack_init

VARIANCES = {"0.5": 0.5, "Xavier": 1.0, "He": 2.0, "8": 8.0}  # σ_w² of layers with as many inputs as outputs
THEORY = "mean field, from layer to layer (Schoenholz et al. 2017; Yang et al. 2019 with batch normalisation)"


def grid() -> list[Choice]:
    """Every initialisation with every activation, normalisation and shortcut."""
    return [
        choice(activation, variance, norm=norm, shortcut=shortcut)
        for activation in ACTIVATIONS
        for variance in VARIANCES.values()
        for norm in NORMS
        for shortcut in (False, True)
    ]


@partial(jax.jit, static_argnames=("width", "depth", "batch"))
def log_gradients(keys: Array, choices: Choice, *, width: int, depth: int, batch: int) -> Array:
    """[choices, seeds, depth + 1] natural log of the gradient's norm at h_0 … h_L.

    h_0 is standard normal; the gradient at the output is random, of unit length for each example.
    """

    def of_seed(key: Array) -> Array:
        """[choices, depth + 1]; all choices share a draw."""
        of_stack, of_input, of_direction = jax.random.split(key, 3)
        direction = jax.random.normal(of_direction, (batch, width))
        direction = direction / jnp.linalg.norm(direction, axis=-1, keepdims=True)
        drawn, x = network.unit_stack(of_stack, width, depth), jax.random.normal(of_input, (batch, width))

        def of_choice(chosen: Choice) -> Array:
            params = network.scaled(drawn, chosen)
            return jacobians.log_gradient_norms(network.layer(chosen), params, x, lambda h: jnp.sum(h * direction))

        return jax.lax.map(of_choice, choices)

    return jnp.swapaxes(jax.lax.map(of_seed, keys), 0, 1)


def slopes(logs: np.ndarray) -> np.ndarray:
    """Growth of the gradient a layer on its way back, nats."""
    return (logs[..., 0] - logs[..., -1]) / (logs.shape[-1] - 1)


def predicted_slope(chosen: Choice, depth: int) -> float:
    """The mean-field growth a layer, nats."""
    return float(network.predicted_gain(chosen, depth)[-1]) / (2 * depth)


class Gains:
    """The measured grid: slopes by choice and depth."""

    def __init__(self, settings: Remedies, key: Array):
        self.settings, self.choices = settings, [*grid(), *_scaled(settings)]
        size = {"width": settings.width, "batch": settings.batch}
        self.logs = {
            depth: np.asarray(
                log_gradients(jax.random.split(of_depth, settings.seeds), stacked(self.choices), depth=depth, **size)
            )
            for of_depth, depth in zip(jax.random.split(key, len(settings.depths)), settings.depths, strict=True)
        }
        self.gains = [network.predicted_gain(chosen, max(settings.depths)) for chosen in self.choices]

    @property
    def deepest(self) -> int:
        return max(self.settings.depths)

    def log_norms(self, chosen: Choice) -> np.ndarray:
        """[seeds, depth + 1] at the greatest depth."""
        return self.logs[self.deepest][self.choices.index(chosen)]

    def slopes(self, chosen: Choice) -> np.ndarray:
        """[seeds] at the greatest depth."""
        return slopes(self.log_norms(chosen))

    def changes(self, chosen: Choice, depth: int) -> np.ndarray:
        """[seeds] decades by which the gradient's norm changes across a stack of this depth."""
        return slopes(self.logs[depth][self.choices.index(chosen)]) * depth / np.log(10)

    def prediction(self, chosen: Choice) -> float:
        return float(self.gains[self.choices.index(chosen)][-1]) / (2 * self.deepest)

    def slope(self, name: str, chosen: Choice) -> Measurement:
        """Measurement of a slope with its prediction."""
        unit, source = "nats a layer", f"{THEORY}; {self.deepest} layers"
        return interval(name, self.slopes(chosen), unit=unit, prediction=self.prediction(chosen), source=source)

    def relief(self, name: str, before: Choice, after: Choice) -> Measurement:
        """By how much the slope's magnitude falls, with its prediction."""
        fall = np.abs(self.slopes(before)) - np.abs(self.slopes(after))
        predicted = abs(self.prediction(before)) - abs(self.prediction(after))
        source = f"|growth a layer| without minus with the remedy, {self.deepest} layers"
        return interval(name, fall, unit="nats a layer", prediction=predicted, source=source)

    def table(self) -> dict[str, np.ndarray]:
        """[activation, initialisation, normalisation, shortcut, depth] means of the whole grid, and the predictions."""
        shape = (len(ACTIVATIONS), len(VARIANCES), len(NORMS), 2)
        depths, n = self.settings.depths, len(grid())
        found = np.stack([slopes(self.logs[depth][:n]).mean(1) for depth in depths], -1)
        predicted = np.stack([[gain[depth] / (2 * depth) for gain in self.gains[:n]] for depth in depths], -1)
        return {
            "measured": found.reshape(*shape, -1),
            "predicted": predicted.reshape(*shape, -1),
            "depths": np.asarray(depths),
            "activations": np.asarray(ACTIVATIONS),
            "initialisations": np.asarray(list(VARIANCES)),
            "norms": np.asarray(NORMS),
        }


def _scaled(settings: Remedies) -> list[Choice]:
    """The residual network with large weights whose branch is scaled by 1/√L, of the greatest depth."""
    return [choice("relu", VARIANCES["8"], shortcut=True, branch_scale=max(settings.depths) ** -0.5)]


def profile(gains: Gains, name: str, chosen: Choice) -> dict[str, np.ndarray]:
    """log10 of the gradient's norm against the layers passed on the way back, with the prediction."""
    passed = (gains.log_norms(chosen)[:, ::-1] - gains.log_norms(chosen)[:, -1:]) / np.log(10)
    gain = gains.gains[gains.choices.index(chosen)]
    return curve(name, passed, (gain[-1] - gain[::-1]) / (2 * np.log(10)))


def he_measurements(settings: Remedies, key: Array) -> tuple[list[Measurement], dict[str, np.ndarray]]:
    """remedies.he at initialisation: slopes at a finite width, and how the log-norm scatters with depth over width."""
    of_slopes, *of_spreads = jax.random.split(key, 3)
    keys, depth = jax.random.split(of_slopes, settings.he_seeds), settings.he_depth
    measurements, arrays = [], {}
    for name, label in (("he", "He"), ("xavier", "Xavier")):
        forward, back = relu_logs(keys, VARIANCES[label], width=settings.he_width, depth=depth, batch=4)
        prediction = 0.5 * np.log(VARIANCES[label] / 2)
        source = f"½ ln(σ_w²/2), He et al. (2015); {depth} layers of {settings.he_width} units"
        for way, growth in (("forward", (forward[:, -1] - forward[:, 0]) / (depth - 1)), ("gradient", slopes(back))):
            found = interval(f"{way}-slope-{name}", growth, unit="nats a layer", prediction=prediction, source=source)
            measurements.append(found)
        passed = (back[:, ::-1] - back[:, -1:]) / np.log(10)
        arrays |= curve(f"gradient-{name}", passed, prediction * np.arange(depth + 1) / np.log(10))
    arrays["spread-depths"] = np.arange(settings.spread_depth + 1)
    for name, width, of_width in zip(("narrow", "wide"), settings.spread_widths, of_spreads, strict=True):
        measured, drawn = _spread(settings, name, width, of_width)
        measurements.append(measured)
        arrays |= drawn
    return measurements, arrays


def relu_logs(keys: Array, of_weights: float, *, width: int, depth: int, batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Natural logs in random ReLU stacks: [seeds, depth] RMS of each layer's units, [seeds, depth + 1] norm of the gradient."""
    found = _relu_logs(keys, jnp.asarray(of_weights), width=width, depth=depth, batch=batch)
    return tuple(np.asarray(logs) for logs in found)


@partial(jax.jit, static_argnames=("width", "depth", "batch"))
def _relu_logs(keys: Array, of_weights: Array, *, width: int, depth: int, batch: int) -> tuple[Array, Array]:
    def of_seed(key: Array) -> tuple[Array, Array]:
        of_stack, of_input, of_direction = jax.random.split(key, 3)
        params = stack_init(of_stack, width, depth, initializer=weight_variance(of_weights))
        x, direction = jax.random.normal(of_input, (batch, width)), jax.random.normal(of_direction, (batch, width))
        step = lambda layer_params, h: linear(layer_params, relu(h))  # noqa: E731

        def forward(h: Array, layer_params) -> tuple[Array, Array]:
            h = step(layer_params, h)
            return h, 0.5 * jnp.log(jnp.mean(relu(h) ** 2))

        back = jacobians.log_gradient_norms(step, params, x, lambda h: jnp.sum(h * direction))
        return jax.lax.scan(forward, x, params)[1], back

    return jax.lax.map(of_seed, keys)


def _spread(settings: Remedies, name: str, width: int, key: Array) -> tuple[Measurement, dict[str, np.ndarray]]:
    """Variance over networks of the log-norm, by groups of networks, against 5/4 · depth / width (Hanin and Nica 2020)."""
    keys, depth = jax.random.split(key, settings.spread_groups * settings.spread_networks), settings.spread_depth
    _, logs = relu_logs(keys, VARIANCES["He"], width=width, depth=depth, batch=1)
    groups = (logs[:, ::-1] - logs[:, -1:]).reshape(settings.spread_groups, settings.spread_networks, -1)
    variances = groups.var(axis=1, ddof=1)
    predicted = meanfield.log_norm_variance(relu, VARIANCES["He"], 0.0, depth, width) / 4
    source = f"variance of ln ‖gradient‖ over networks, 5/4 · depth/width; {depth} layers of {width} units"
    measured = interval(f"spread-{name}", variances[:, -1], unit="nats²", prediction=predicted, source=source)
    return measured, curve(f"spread-{name}", variances, predicted * np.arange(depth + 1) / depth) | {
        f"width-{name}": np.asarray(width)
    }


def phase_diagram(settings: Remedies, key: Array) -> dict[str, np.ndarray]:
    """Measured growth of tanh networks over σ_w² and σ_b², and the critical line χ = 1 (Poole et al. 2016)."""
    weights = np.linspace(0.5, 3.0, settings.phase_points)
    biases = np.linspace(0.0, 0.5, settings.phase_points)
    pairs = np.stack(np.meshgrid(weights, biases), -1).reshape(-1, 2)
    starts = np.asarray(meanfield.fixed_point(tanh, pairs[:, 0], pairs[:, 1]))
    points = jnp.asarray(np.column_stack([pairs, starts]), jnp.float32)
    keys = jax.random.split(key, len(points))
    found = _phase_slopes(keys, points, width=settings.width, depth=settings.phase_depth)
    line = biases[-1] * np.linspace(0.0, 1.0, 26) ** 3  # the line leaves σ_b² = 0 with a slope of 0
    return {
        "phase-weights": weights,
        "phase-biases": biases,
        "phase-slopes": np.asarray(found).reshape(len(biases), len(weights)),
        "critical-biases": line,
        "critical-weights": np.asarray(meanfield.critical_weight_variance(tanh, line)),
        "phase-depth": np.asarray(settings.phase_depth),
    }


@partial(jax.jit, static_argnames=("width", "depth"))
def _phase_slopes(keys: Array, points: Array, *, width: int, depth: int) -> Array:
    """[points] growth of the gradient a layer, from the fixed point of the variance map; one network a point."""

    def one(item) -> Array:
        key, (weights, biases, start) = item
        of_stack, of_input, of_direction = jax.random.split(key, 3)
        params = stack_init(of_stack, width, depth, initializer=weight_variance(1.0), bias_variance=1.0)
        scaled = {"weight": params["weight"] * jnp.sqrt(weights), "bias": params["bias"] * jnp.sqrt(biases)}
        x, direction = (jax.random.normal(k, (4, width)) for k in (of_input, of_direction))
        step = lambda layer_params, h: linear(layer_params, tanh(h))  # noqa: E731
        logs = jacobians.log_gradient_norms(step, scaled, x * jnp.sqrt(start), lambda h: jnp.sum(h * direction))
        return (logs[0] - logs[-1]) / depth

    return jax.lax.map(one, (keys, points))
