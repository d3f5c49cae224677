"""Remedies: initialisation, activation, normalisation, clipping, fewer layers, shortcuts and adaptive optimisers."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.remedies import gains as gains_of
from experiments.remedies import training as trained
from experiments.remedies.adaptive import adaptive
from experiments.remedies.clipping import clip
from experiments.remedies.explorer import explorer
from experiments.remedies.gains import VARIANCES, Gains, profile
from experiments.remedies.network import Choice, choice
from experiments.remedies.settings import Remedies
from experiments.study.measurement import Evidence, Measurement, curve, exact, interval
from experiments.study.topic import Topic
from jaxnotes import jacobians
from jaxnotes.layers.activations import tanh
from jaxnotes.layers.attention import transformer_block, transformer_block_init
from jaxnotes.layers.normalization import layer_norm
from jaxnotes.meanfield import chi, fixed_point

RNN_VARIANCES = {"small": 0.25, "large": 9.0}  # σ_w² of the recurrent weights
RNN_INPUT = 0.1  # variance of what enters at each step


def gains_and_training(settings: Remedies, key: Array) -> dict[str, Evidence]:
    """Every claim that reads the grid of gains and the trained deep networks."""
    of_grid, of_deep, of_shallow, of_he, of_phase, of_rnn, of_transformer, of_explorer = jax.random.split(key, 8)
    gains = Gains(settings, of_grid)
    deep = trained.train_all(
        settings, trained.arms(settings.train_depth), of_deep, width=settings.train_width, depth=settings.train_depth
    )
    return {
        "remedies.he": _he(settings, of_he, deep),
        "remedies.xavier": _xavier(settings, gains, of_phase, deep),
        "remedies.nonsaturating": _nonsaturating(settings, gains, deep),
        "remedies.batch-norm": _batch_norm(gains, deep),
        "remedies.layer-norm": _layer_norm(settings, gains, deep, of_rnn, of_transformer),
        "remedies.shallower": _shallower(settings, gains, deep, of_shallow),
        "remedies.residual": _residual(settings, gains, deep, of_explorer),
    }


def _he(settings: Remedies, key: Array, deep) -> Evidence:
    measurements, arrays = gains_of.he_measurements(settings, key)
    what = f"He minus Xavier, ReLU, {settings.train_depth} layers"
    measurements.append(trained.gain("accuracy-gain", deep["relu"], deep["relu-xavier"], what))
    measurements += [trained.accuracy("accuracy-he", deep["relu"]), trained.accuracy("accuracy-xavier", deep["relu-xavier"])]
    return Evidence(tuple(measurements), arrays)


def _xavier(settings: Remedies, gains: Gains, key: Array, deep) -> Evidence:
    measurements = [
        exact("depth", gains.deepest, unit="layers", source="layers the gradient is followed through"),
        exact("trained-depth", settings.train_depth, unit="layers", source="hidden layers of the trained networks"),
    ]
    arrays = gains_of.phase_diagram(settings, key)
    for name in ("tanh", "sigmoid"):
        chosen = choice(name, VARIANCES["Xavier"])
        logs = gains.log_norms(chosen)
        predicted = gains.prediction(chosen) * gains.deepest / np.log(10)
        source = f"gradient's norm at the first over that at the last layer; {gains_of.THEORY}"
        change = (logs[:, 0] - logs[:, -1]) / np.log(10)
        measurements.append(interval(f"log10-change-{name}", change, unit="decades", prediction=predicted, source=source))
        measurements.append(gains.slope(f"slope-{name}", chosen))
        measurements.append(trained.accuracy(f"accuracy-{name}", deep[name]))
        arrays |= profile(gains, name, chosen)
    return Evidence(tuple(measurements), arrays)


def _nonsaturating(settings: Remedies, gains: Gains, deep) -> Evidence:
    measurements = [exact("depth", settings.train_depth, unit="layers", source="hidden layers of the trained networks")]
    for name in ("relu", "leaky-relu", "elu"):
        for other in ("sigmoid", "tanh"):
            what = f"{name} in He minus {other} in Xavier initialisation"
            measurements.append(trained.gain(f"accuracy-gain-{name}-{other}", deep[name], deep[other], what))
    names = ("relu", "leaky-relu", "elu", "tanh", "sigmoid")
    measurements += [trained.accuracy(f"accuracy-{name}", deep[name]) for name in names]
    return Evidence(tuple(measurements), gains.table())


def _batch_norm(gains: Gains, deep) -> Evidence:
    sigmoid, relu, large = (
        choice("sigmoid", VARIANCES["Xavier"]),
        choice("relu", VARIANCES["He"]),
        choice("relu", VARIANCES["8"]),
    )
    arms = {
        "sigmoid": choice("sigmoid", VARIANCES["Xavier"], norm="batch"),
        "relu": choice("relu", VARIANCES["He"], norm="batch"),
        "relu-residual": choice("relu", VARIANCES["He"], norm="batch", shortcut=True),
    }
    plain = {"sigmoid-plain": sigmoid, "relu-plain": relu}
    measurements = [gains.slope(f"slope-{name}", chosen) for name, chosen in (arms | plain).items()]
    measurements += [
        gains.relief("relief-sigmoid", sigmoid, arms["sigmoid"]),
        gains.relief("relief-relu-large", large, choice("relu", VARIANCES["8"], norm="batch")),
        trained.gain("accuracy-gain-sigmoid", deep["sigmoid-batch"], deep["sigmoid"], "with minus without batch normalisation"),
    ]
    arrays = {}
    for name, chosen in (arms | plain).items():
        arrays |= profile(gains, name, chosen)
    return Evidence(tuple(measurements), arrays)


def _layer_norm(settings: Remedies, gains: Gains, deep, of_rnn: Array, of_transformer: Array) -> Evidence:
    measurements, arrays = [], {}
    pairs = {"relu-small": ("relu", "0.5"), "relu-large": ("relu", "8"), "sigmoid": ("sigmoid", "Xavier")}
    for name, (activation, label) in pairs.items():
        plain, normalised = (choice(activation, VARIANCES[label], norm=norm) for norm in ("none", "layer"))
        measurements.append(gains.slope(f"slope-{name}", normalised))
        measurements.append(gains.relief(f"relief-{name}", plain, normalised))
        arrays |= profile(gains, f"{name}-layer", normalised) | profile(gains, f"{name}-none", plain)
    for name, (plain, normalised) in rnn_logs(settings, of_rnn).items():
        variance = RNN_VARIANCES[name]
        arrays |= backward_curve(f"rnn-{name}-none", plain) | backward_curve(f"rnn-{name}-layer", normalised)
        measurements.append(_relief(f"relief-rnn-{name}", plain, normalised, f"tanh RNN, σ_w² = {variance:g}, a time step"))
        prediction = 0.5 * np.log(chi(tanh, variance, RNN_INPUT, q=fixed_point(tanh, variance, RNN_INPUT)))
        source = "tanh RNN without normalisation; mean field with independent weights at every step"
        slope = gains_of.slopes(plain)
        measurements.append(interval(f"slope-rnn-{name}", slope, unit="nats a step", prediction=prediction, source=source))
        slope, source = gains_of.slopes(normalised), "tanh RNN with layer normalisation of its pre-activations"
        measurements.append(interval(f"slope-rnn-{name}-layer", slope, unit="nats a step", source=source))
    plain, normalised = transformer_logs(settings, of_transformer)
    arrays |= backward_curve("transformer-none", plain) | backward_curve("transformer-layer", normalised)
    measurements.append(_relief("relief-transformer", plain, normalised, "pre-norm Transformer, a block"))
    what = "with minus without layer normalisation, σ_w² = 8"
    measurements.append(trained.gain("accuracy-gain-relu-large", deep["relu-large-layer"], deep["relu-large"], what))
    what = "with minus without layer normalisation"
    measurements.append(trained.gain("accuracy-gain-sigmoid", deep["sigmoid-layer"], deep["sigmoid"], what))
    return Evidence(tuple(measurements), arrays)


def _relief(name: str, plain: np.ndarray, normalised: np.ndarray, what: str) -> Measurement:
    fall = np.abs(gains_of.slopes(plain)) - np.abs(gains_of.slopes(normalised))
    return interval(name, fall, unit="nats", source=f"|growth| without minus with layer normalisation; {what}")


def backward_curve(name: str, logs: np.ndarray) -> dict[str, np.ndarray]:
    """log10 of the gradient's norm against the layers, steps or blocks passed on the way back."""
    return curve(name, (logs[:, ::-1] - logs[:, -1:]) / np.log(10))


@partial(jax.jit, static_argnames=("of_seed",))
def with_and_without(of_seed: Callable, keys: Array, *arguments: Array) -> Array:
    """[2, seeds, ...] of `of_seed(normalise, *arguments, key)`, first without and then with normalisation, on the same keys."""
    return jax.lax.map(lambda flag: jax.lax.map(partial(of_seed, flag, *arguments), keys), jnp.asarray([False, True]))


def rnn_logs(settings: Remedies, key: Array) -> dict[str, np.ndarray]:
    """[2, seeds, time + 1] log gradient norms over time of an RNN h ← tanh(norm(h W + x_t)), the same W at every step.

    By name of the variance of W; without and with normalisation, on the same draws.
    """

    def of_seed(normalise: Array, of_weights: Array, seed_key: Array) -> Array:
        of_matrix, of_x, of_direction = jax.random.split(seed_key, 3)
        width, time = settings.width, settings.rnn_time
        weight = jax.random.normal(of_matrix, (width, width)) * (of_weights / width) ** 0.5
        inputs = jax.random.normal(of_x, (time, settings.batch, width)) * RNN_INPUT**0.5
        direction = jax.random.normal(of_direction, (settings.batch, width))

        def step(params: dict[str, Array], h: Array) -> Array:
            z = h @ params["weight"] + params["x"]
            return tanh(jnp.where(normalise, layer_norm({}, z), z))

        params = {"weight": jnp.broadcast_to(weight, (time, width, width)), "x": inputs}
        start = jnp.zeros((settings.batch, width))
        return jacobians.log_gradient_norms(step, params, start, lambda h: jnp.sum(h * direction))

    keys = jax.random.split(key, settings.seeds)
    return {name: np.asarray(with_and_without(of_seed, keys, variance)) for name, variance in RNN_VARIANCES.items()}


def transformer_logs(settings: Remedies, key: Array) -> np.ndarray:
    """[2, seeds, blocks + 1] log gradient norms over the blocks of a Transformer in LeCun initialisation."""

    def of_seed(normalise: Array, seed_key: Array) -> Array:
        of_blocks, of_x, of_direction = jax.random.split(seed_key, 3)
        width, shape = 64, (2, 16, 64)
        keys = jax.random.split(of_blocks, settings.blocks)
        params = jax.vmap(lambda k: transformer_block_init(k, width, 4 * width))(keys)
        norm = lambda params, h: jnp.where(normalise, layer_norm(params, h), h)  # noqa: E731
        block = partial(transformer_block, heads=4, causal=False, pre_norm=True, normalise=norm)
        direction = jax.random.normal(of_direction, shape)
        step, x = jax.vmap(block, in_axes=(None, 0)), jax.random.normal(of_x, shape)
        return jacobians.log_gradient_norms(step, params, x, lambda h: jnp.sum(h * direction))

    return np.asarray(with_and_without(of_seed, jax.random.split(key, settings.seeds)))


def equal_parameters(n_in: int, n_out: int, width: int, depth: int, other_depth: int) -> int:
    """The width at which a network of `other_depth` hidden layers has as many parameters as one of `width` and `depth`."""
    total = parameters(n_in, n_out, width, depth)
    widths = np.arange(1, total)
    return int(widths[np.abs(parameters(n_in, n_out, widths, other_depth) - total).argmin()])


def parameters(n_in: int, n_out: int, width, depth: int):
    """Number of weights and biases of an MLP with an input layer, so many hidden ones and an output layer."""
    return (n_in + 1) * width + depth * (width + 1) * width + (width + 1) * n_out


def _shallower(settings: Remedies, gains: Gains, deep, key: Array) -> Evidence:
    sizes = (trained.SIDE**2, trained.CLASSES)
    depth = settings.shallow_depth
    width = equal_parameters(*sizes, settings.train_width, settings.train_depth, depth)
    names = ("sigmoid", "relu", "relu-residual")
    choices: dict[str, Choice] = {name: trained.arms(depth)[name] for name in names}
    shallow = trained.train_all(settings, choices, key, width=width, depth=depth)
    between = f"{max(settings.depths)} minus {min(settings.depths)} layers of equal width at initialisation"
    counts = (parameters(*sizes, width, depth), parameters(*sizes, settings.train_width, settings.train_depth))
    sigmoid = choice("sigmoid", VARIANCES["Xavier"])
    changes = [np.abs(gains.changes(sigmoid, layers)) for layers in (max(settings.depths), min(settings.depths))]
    measurements = [
        exact("layers-shallow", depth, unit="layers", source=f"hidden layers of {width} units, {counts[0]} parameters"),
        exact(
            "layers-deep",
            settings.train_depth,
            unit="layers",
            source=f"of {settings.train_width} units, {counts[1]} parameters",
        ),
        interval("relief", changes[0] - changes[1], unit="decades", source=f"|change of the gradient|, sigmoid, {between}"),
    ]
    for name in names:
        short = name.removeprefix("relu-")
        what = f"{depth} minus {settings.train_depth} layers at equal parameters"
        measurements += [
            trained.gain(f"accuracy-gain-{short}", shallow[name], deep[name], what),
            trained.accuracy(f"accuracy-{short}-shallow", shallow[name]),
            trained.accuracy(f"accuracy-{short}-deep", deep[name]),
        ]
    return Evidence(tuple(measurements), {"names": np.asarray([name.removeprefix("relu-") for name in names])})


def _residual(settings: Remedies, gains: Gains, deep, key: Array) -> Evidence:
    small, large = (choice("relu", VARIANCES[label]) for label in ("0.5", "8"))
    with_shortcut = {name: c._replace(shortcut=1.0) for name, c in (("small", small), ("large", large))}
    scaled = gains.choices[-1]
    arms = {"small-plain": small, "small": with_shortcut["small"], "large-plain": large, "large": with_shortcut["large"]}
    measurements = [gains.slope(f"slope-{name}", chosen) for name, chosen in (arms | {"scaled": scaled}).items()]
    measurements += [
        gains.relief("relief-small", small, with_shortcut["small"]),
        gains.relief("relief-large", large, with_shortcut["large"]),
        gains.relief("relief-scaled", large, scaled),
        trained.gain("accuracy-gain-sigmoid", deep["sigmoid-residual"], deep["sigmoid"], "with minus without shortcuts"),
    ]
    arrays = explorer(settings, key)
    for name, chosen in (arms | {"scaled": scaled}).items():
        arrays |= profile(gains, name, chosen)
    return Evidence(tuple(measurements), arrays)


TOPIC = Topic("remedies", Remedies, (gains_and_training, clip, adaptive))
