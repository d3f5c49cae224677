"""What each remedy does to the gradient at initialisation, and to trained networks."""

import jax
import numpy as np
from jax import Array

from experiments.remedies import initialisation, network, training
from experiments.remedies.adaptive import adaptive
from experiments.remedies.clipping import clip
from experiments.remedies.explorer import explorer
from experiments.remedies.gains import VARIANCES, Gains, measured_gains, scaled_branch
from experiments.remedies.network import choice
from experiments.remedies.sequences import layer_norm_in_sequences
from experiments.remedies.settings import Remedies
from experiments.study import profiles
from experiments.study.measurement import Evidence, Measurement, interval
from experiments.study.topic import Topic
from experiments.study.tuning import Tuned

Deep = dict[str, Tuned]  # the trained deep networks by name


def gains_and_training(settings: Remedies, key: Array) -> dict[str, Evidence]:
    """Measures every claim that reads the grid of gains and the trained deep networks."""
    key_grid, key_training, key_he, key_phase, key_sequences, key_explorer = jax.random.split(key, 6)
    gains = measured_gains(settings, key_grid)
    size = {"width": settings.train_width, "depth": settings.train_depth}
    deep = training.train_all(settings, training.arms(settings.train_depth), key_training, **size)
    return {
        "remedies.he": _he(settings, deep, key_he),
        "remedies.xavier": _xavier(settings, gains, deep, key_phase),
        "remedies.nonsaturating": _nonsaturating(settings, gains, deep),
        "remedies.batch-norm": _batch_norm(gains, deep),
        "remedies.layer-norm": _layer_norm(settings, gains, deep, key_sequences),
        "remedies.shallower": _shallower(settings, gains, deep, key_training),
        "remedies.residual": _residual(settings, gains, deep, key_explorer),
    }


def _he(settings: Remedies, deep: Deep, key: Array) -> Evidence:
    key_slopes, *keys_spread = jax.random.split(key, 3)
    measurements, arrays = initialisation.he(settings, key_slopes)
    for name, width, key_spread in zip(("narrow", "wide"), settings.spread_widths, keys_spread, strict=True):
        measured, curve = initialisation.spread(settings, name, width, key_spread)
        measurements.append(measured)
        arrays |= curve
    what = f"He minus Xavier, ReLU, {settings.train_depth} layers"
    measurements += [
        training.gain("accuracy-gain", deep["relu"], deep["relu-xavier"], what),
        training.accuracy("accuracy-he", deep["relu"]),
        training.accuracy("accuracy-xavier", deep["relu-xavier"]),
    ]
    return Evidence(tuple(measurements), arrays, training.searches(deep, "relu", "relu-xavier"))


def _xavier(settings: Remedies, gains: Gains, deep: Deep, key: Array) -> Evidence:
    measurements, arrays = [], initialisation.phase_diagram(settings, key)
    for name in ("tanh", "sigmoid"):
        chosen = choice(name, VARIANCES["Xavier"])
        measurements += [
            gains.change(f"log10-change-{name}", chosen),
            gains.slope(f"slope-{name}", chosen),
            training.accuracy(f"accuracy-{name}", deep[name]),
        ]
        arrays |= gains.curve(name, chosen)
    return Evidence(tuple(measurements), arrays, training.searches(deep, "tanh", "sigmoid"))


def _nonsaturating(settings: Remedies, gains: Gains, deep: Deep) -> Evidence:
    measurements = []
    for name in ("relu", "leaky-relu", "elu"):
        for other in ("sigmoid", "tanh"):
            what = f"{name} in He minus {other} in Xavier initialisation, {settings.train_depth} layers"
            measurements.append(training.gain(f"accuracy-gain-{name}-{other}", deep[name], deep[other], what))
    names = ("relu", "leaky-relu", "elu", "tanh", "sigmoid")
    measurements += [training.accuracy(f"accuracy-{name}", deep[name]) for name in names]
    arrays = gains.table() | {"train-depth": np.asarray(settings.train_depth)}
    return Evidence(tuple(measurements), arrays, training.searches(deep, *names))


def _batch_norm(gains: Gains, deep: Deep) -> Evidence:
    arms = {
        "sigmoid": choice("sigmoid", VARIANCES["Xavier"], norm="batch"),
        "relu": choice("relu", VARIANCES["He"], norm="batch"),
        "relu-residual": choice("relu", VARIANCES["He"], norm="batch", shortcut=True),
        "sigmoid-plain": choice("sigmoid", VARIANCES["Xavier"]),
        "relu-plain": choice("relu", VARIANCES["He"]),
    }
    plain, normalised = (choice("relu", VARIANCES["8"], norm=norm) for norm in ("none", "batch"))
    measurements, arrays = _slopes(gains, arms)
    what = "with minus without batch normalisation"
    measurements += [
        gains.relief("relief-sigmoid", arms["sigmoid-plain"], arms["sigmoid"]),
        gains.relief("relief-relu-large", plain, normalised),
        training.gain("accuracy-gain-sigmoid", deep["sigmoid-batch"], deep["sigmoid"], what),
    ]
    return Evidence(tuple(measurements), arrays, training.searches(deep, "sigmoid-batch", "sigmoid"))


def _layer_norm(settings: Remedies, gains: Gains, deep: Deep, key: Array) -> Evidence:
    measurements, arrays = [], {}
    pairs = {"relu-small": ("relu", "0.5"), "relu-large": ("relu", "8"), "sigmoid": ("sigmoid", "Xavier")}
    pairs |= {"tanh": ("tanh", "Xavier"), "tanh-large": ("tanh", "8")}
    for name, (activation, label) in pairs.items():
        plain, normalised = (choice(activation, VARIANCES[label], norm=norm) for norm in ("none", "layer"))
        measurements += [gains.slope(f"slope-{name}", normalised), gains.relief(f"relief-{name}", plain, normalised)]
        arrays |= gains.curve(f"{name}-layer", normalised) | gains.curve(f"{name}-none", plain)
    of_sequences, curves = layer_norm_in_sequences(settings, key)
    measurements += of_sequences
    for name, what in (("relu-large", ", σ_w² = 8"), ("sigmoid", "")):
        what = f"with minus without layer normalisation{what}"
        measurements.append(training.gain(f"accuracy-gain-{name}", deep[f"{name}-layer"], deep[name], what))
    searches = training.searches(deep, "relu-large-layer", "relu-large", "sigmoid-layer", "sigmoid")
    return Evidence(tuple(measurements), arrays | curves, searches)


def _shallower(settings: Remedies, gains: Gains, deep: Deep, key: Array) -> Evidence:
    sizes = (training.PIXELS, training.CLASSES)
    depth, deep_size = settings.shallow_depth, (settings.train_width, settings.train_depth)
    width = network.equal_parameters(*sizes, *deep_size, depth)
    names = {"sigmoid": "sigmoid", "relu": "relu", "residual": "relu-residual"}
    choices = {name: training.arms(depth)[name] for name in names.values()}
    shallow = training.train_all(settings, choices, key, width=width, depth=depth)
    what = (
        f"{depth} layers of {width} units ({network.parameters(*sizes, width, depth)} parameters) minus {deep_size[1]} of "
        f"{deep_size[0]} ({network.parameters(*sizes, *deep_size)})"
    )
    measurements, searches = [_relief_of_depth(settings, gains)], {}
    for name, arm in names.items():
        measurements += [
            training.gain(f"accuracy-gain-{name}", shallow[arm], deep[arm], what),
            training.accuracy(f"accuracy-{name}-shallow", shallow[arm]),
            training.accuracy(f"accuracy-{name}-deep", deep[arm]),
        ]
        searches |= {f"{name}-shallow": shallow[arm].search, f"{name}-deep": deep[arm].search}
    arrays = {"names": np.asarray(list(names)), "layers": np.asarray([depth, settings.train_depth])}
    return Evidence(tuple(measurements), arrays, searches)


def _relief_of_depth(settings: Remedies, gains: Gains) -> Measurement:
    """Returns by how many decades the gradient changes less where the sigmoid network is shallower."""
    sigmoid, depths = choice("sigmoid", VARIANCES["Xavier"]), (max(settings.depths), min(settings.depths))
    many, few = (np.abs(profiles.decades(gains.logs[depth][sigmoid])[:, 0]) for depth in depths)
    source = f"|change of the gradient|, sigmoid, {depths[0]} minus {depths[1]} layers of equal width at initialisation"
    return interval("relief", many - few, unit="decades", source=source)


def _residual(settings: Remedies, gains: Gains, deep: Deep, key: Array) -> Evidence:
    arms = {
        "small-plain": choice("relu", VARIANCES["0.5"]),
        "small": choice("relu", VARIANCES["0.5"], shortcut=True),
        "large-plain": choice("relu", VARIANCES["8"]),
        "large": choice("relu", VARIANCES["8"], shortcut=True),
        "scaled": scaled_branch(gains.deepest),
    }
    measurements, arrays = _slopes(gains, arms)
    measurements += [
        gains.relief("relief-small", arms["small-plain"], arms["small"]),
        gains.relief("relief-large", arms["large-plain"], arms["large"]),
        gains.relief("relief-scaled", arms["large-plain"], arms["scaled"]),
        training.gain("accuracy-gain-sigmoid", deep["sigmoid-residual"], deep["sigmoid"], "with minus without shortcuts"),
    ]
    searches = training.searches(deep, "sigmoid-residual", "sigmoid")
    return Evidence(tuple(measurements), arrays | explorer(settings, key), searches)


def _slopes(gains: Gains, arms: dict[str, network.Choice]) -> tuple[list[Measurement], dict[str, np.ndarray]]:
    """Returns the slope of each arm and the curves of the figure."""
    arrays: dict[str, np.ndarray] = {}
    for name, chosen in arms.items():
        arrays |= gains.curve(name, chosen)
    return [gains.slope(f"slope-{name}", chosen) for name, chosen in arms.items()], arrays


TOPIC = Topic("remedies", Remedies, (gains_and_training, clip, adaptive))
