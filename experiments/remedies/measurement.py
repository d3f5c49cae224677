"""What each remedy does to the gradient at initialisation, and to trained networks."""

from functools import partial

import jax
import numpy as np
from jax import Array

from experiments.remedies import initialisation, network, reach, training
from experiments.remedies.adaptive import adaptive
from experiments.remedies.clipping import clip
from experiments.remedies.explorer import explorer
from experiments.remedies.gains import CRITICAL, VARIANCES, Gains, measured_gains, scaled_branch
from experiments.remedies.network import choice
from experiments.remedies.sequences import layer_norm_in_sequences
from experiments.remedies.settings import Remedies
from experiments.study import profiles, tuning
from experiments.study.convergence import fit
from experiments.study.measurement import Evidence, Fit, Measurement, interval
from experiments.study.topic import Topic
from experiments.study.tuning import Tuned

Deep = dict[str, Tuned]  # the trained networks of one depth by name
DEPTHS = {"shallow": "shallow_depth", "middle": "middle_depth", "deep": "train_depth"}  # and their settings
SATURATING = ("tanh", "sigmoid")


def gains_and_training(settings: Remedies, key: Array) -> dict[str, Evidence]:
    """Measures every claim that reads the grid of gains and the trained networks."""
    key_grid, key_training, key_he, key_phase, key_sequences, key_explorer = jax.random.split(key, 6)
    gains = measured_gains(settings, key_grid)
    trained = _trained(settings, key_training)
    deep = trained["deep"]
    return {
        "remedies.he": _he(settings, deep, key_he),
        "remedies.xavier": _xavier(settings, gains, trained, key_phase),
        "remedies.nonsaturating": _nonsaturating(settings, gains, trained),
        "remedies.batch-norm": _batch_norm(gains, deep),
        "remedies.layer-norm": _layer_norm(settings, gains, deep, key_sequences),
        "remedies.shallower": _shallower(settings, gains, deep, key_training),
        "remedies.residual": _residual(settings, gains, deep, key_explorer),
    }


def _trained(settings: Remedies, key: Array) -> dict[str, Deep]:
    """Returns the trained networks of every depth; all arms at the greatest, else those whose initialisation is compared."""
    found = {}
    for name, field in DEPTHS.items():
        depth = getattr(settings, field)
        choices = training.arms(depth)
        if name != "deep":
            choices = {arm: choices[arm] for arm in ("relu", *training.initialised("tanh"), *training.initialised("sigmoid"))}
        found[name] = training.train_all(settings, choices, key, width=settings.train_width, depth=depth)
    return found


def _he(settings: Remedies, deep: Deep, key: Array) -> Evidence:
    key_slopes, *keys_spread = jax.random.split(key, 3)
    measurements, arrays = initialisation.he(settings, key_slopes)
    for name, width, key_spread in zip(("narrow", "wide"), settings.spread_widths, keys_spread, strict=True):
        measured, curve = initialisation.spread(settings, name, width, key_spread)
        measurements.append(measured)
        arrays |= curve
    what = f"He minus Xavier, ReLU, {settings.train_depth} layers"
    arms = {"he": deep["relu"], "xavier": deep["relu-xavier"]}
    measurements.append(training.gain("accuracy-gain", *arms.values(), what))
    measurements += [training.accuracy(f"accuracy-{name}", arm) for name, arm in arms.items()]
    return Evidence(tuple(measurements), arrays, training.searches(arms, *arms), training.fits(arms, ("xavier",)))


def _xavier(settings: Remedies, gains: Gains, trained: dict[str, Deep], key: Array) -> Evidence:
    measurements, arrays = [], initialisation.phase_diagram(settings, key)
    for name in SATURATING:
        chosen = choice(name, VARIANCES["Xavier"])
        measurements += [gains.change(f"log10-change-{name}", chosen), gains.slope(f"slope-{name}", chosen)]
        measurements += [_lead(trained[depth], name, depth) for depth in DEPTHS]
        arrays |= gains.curve(name, chosen)
    deep = trained["deep"]
    for other in ("quarter", "four"):
        what = f"tanh, Xavier minus {other}, {settings.train_depth} layers"
        measurements.append(training.gain(f"accuracy-gain-tanh-{other}", deep["tanh"], deep[f"tanh-{other}"], what))
    arms = {
        f"{arm}-{depth}": trained[depth][arm] for depth in DEPTHS for name in SATURATING for arm in training.initialised(name)
    }
    measurements += [training.accuracy(f"accuracy-{name}", arm) for name, arm in arms.items()]
    controls = [name for name in arms if not name.startswith("tanh-") or "quarter" in name or "four" in name]
    arrays["layers"] = np.asarray([getattr(settings, field) for field in DEPTHS.values()])
    return Evidence(tuple(measurements), arrays, training.searches(arms, *arms), training.fits(arms, controls))


def _lead(trained: Deep, activation: str, depth: str) -> Measurement:
    """Returns Xavier's accuracy minus that of the best of the other initialisations."""
    others = [name for name in training.initialised(activation) if name != activation]
    best = max(others, key=lambda name: trained[name].runs.test.mean())
    what = f"{activation}, Xavier minus the best of {', '.join(others)} ({best})"
    return training.gain(f"lead-{activation}-{depth}", trained[activation], trained[best], what)


def _nonsaturating(settings: Remedies, gains: Gains, trained: dict[str, Deep]) -> Evidence:
    deep, relu = trained["deep"], choice("relu", VARIANCES["He"])
    critical = {name.replace("_", "-"): choice(name, variance) for name, variance in CRITICAL.items()}
    arms = {"relu": relu, "tanh": choice("tanh", VARIANCES["Xavier"]), "sigmoid": choice("sigmoid", VARIANCES["Xavier"])}
    arms |= {name: critical[name] for name in ("leaky-relu", "elu")} | {"sigmoid-critical": critical["sigmoid"]}
    measurements = [gains.slope(f"slope-{name}", chosen) for name, chosen in arms.items()]
    measurements += [gains.relief(f"relief-{name}", arms[name], relu) for name in SATURATING]
    for other in SATURATING:
        for name in ("relu", "leaky-relu", "elu"):
            what = f"{name} at its critical variance minus {other} in Xavier initialisation, {settings.train_depth} layers"
            measurements.append(training.gain(f"accuracy-gain-{name}-{other}", deep[name], deep[other], what))
        for depth in ("shallow", "middle"):
            what = f"ReLU in He minus {other} in Xavier initialisation, {getattr(settings, DEPTHS[depth])} layers"
            at = trained[depth]
            measurements.append(training.gain(f"accuracy-gain-relu-{other}-{depth}", at["relu"], at[other], what))
    measurements += [training.accuracy(f"accuracy-{name}", deep[name]) for name in arms]
    arrays = gains.table() | {"train-depth": np.asarray(settings.train_depth)}
    shown = {name: deep[name] for name in arms} | {f"relu-{depth}": trained[depth]["relu"] for depth in ("shallow", "middle")}
    return Evidence(
        tuple(measurements), arrays, training.searches(shown, *shown), training.fits(shown, ("sigmoid", "sigmoid-critical"))
    )


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
    measurements += [
        gains.relief("relief-sigmoid", arms["sigmoid-plain"], arms["sigmoid"]),
        gains.relief("relief-relu-large", plain, normalised),
        gains.gain("gain-relu", arms["relu"]),
    ]
    pairs = {"sigmoid": ("sigmoid-batch", "sigmoid"), "large": ("large-residual-batch", "large-residual")}
    for name, (with_norm, without) in pairs.items():
        what = f"{with_norm} minus {without}"
        measurements += [
            training.gain(f"accuracy-gain-{name}", deep[with_norm], deep[without], what),
            training.accuracy(f"accuracy-{name}-with", deep[with_norm]),
            training.accuracy(f"accuracy-{name}-without", deep[without]),
        ]
    used = {arm: deep[arm] for pair in pairs.values() for arm in pair}
    fits = training.fits(used, [without for _, without in pairs.values()])
    return Evidence(tuple(measurements), arrays, training.searches(used, *used), fits)


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
    arms = {}
    for name, arm in names.items():
        arms |= {f"{name}-shallow": shallow[arm], f"{name}-deep": deep[arm]}
    needed, fits_needed, what_needed = _needed(settings, key)
    arms |= needed
    measurements = [_relief_of_depth(settings, gains)]
    for name in (*names, "needed"):
        compared = what if name != "needed" else what_needed
        measurements.append(training.gain(f"accuracy-gain-{name}", arms[f"{name}-shallow"], arms[f"{name}-deep"], compared))
    best = {f"needed-{size}": reach.best_accuracy(layers) for size, layers in (("shallow", depth), ("deep", reach.REACH))}
    measurements += [training.accuracy(f"accuracy-{name}", arm, prediction=best.get(name)) for name, arm in arms.items()]
    arrays = {"names": np.asarray([*names, "needed"]), "layers": np.asarray([depth, settings.train_depth])}
    arrays["reach"] = np.asarray(reach.REACH)
    fits = training.fits({name: arm for name, arm in arms.items() if name not in needed}, ("sigmoid-deep",)) | fits_needed
    return Evidence(tuple(measurements), arrays, training.searches(arms, *arms), fits)


def _needed(settings: Remedies, key: Array) -> tuple[Deep, dict[str, Fit], str]:
    """Returns the networks of few and of enough layers on the task that needs them, how far they came, and their sizes."""
    depth, channels = reach.REACH, settings.reach_channels
    width = reach.equal_parameters(channels, depth, settings.shallow_depth)
    sizes = {"needed-shallow": (settings.shallow_depth, width), "needed-deep": (depth, channels)}
    loss = lambda outcome: tuning.loss_score(outcome.losses)  # of circles that are fresh at every step: a validation loss
    arms = {}
    for name, (layers, channels) in sizes.items():
        run = partial(reach.run, channels=channels, depth=layers, steps=settings.reach_steps)
        arms[name] = tuning.tuned(run, loss, settings, key)
    what = " minus ".join(f"{layers} layers of {c} ({reach.parameters(c, layers)} parameters)" for layers, c in sizes.values())
    # Circles are fresh at every step, so that accuracy on others is that of training.
    return arms, {name: fit(arm.runs.losses, arm.runs.test) for name, arm in arms.items()}, what


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
    used = {name: deep[name] for name in ("sigmoid-residual", "sigmoid")}
    searches, fits = training.searches(used, *used), training.fits(used, ("sigmoid",))
    return Evidence(tuple(measurements), arrays | explorer(settings, key), searches, fits)


def _slopes(gains: Gains, arms: dict[str, network.Choice]) -> tuple[list[Measurement], dict[str, np.ndarray]]:
    """Returns the slope of each arm and the curves of the figure."""
    arrays: dict[str, np.ndarray] = {}
    for name, chosen in arms.items():
        arrays |= gains.curve(name, chosen)
    return [gains.slope(f"slope-{name}", chosen) for name, chosen in arms.items()], arrays


TOPIC = Topic("remedies", Remedies, (gains_and_training, clip, adaptive), edition=6)
