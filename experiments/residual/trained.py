"""What the trained networks say: whether depth can be trained, whether it makes the training error worse, and their paths."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.residual.paths import long_paths
from experiments.residual.settings import DEPTHS, Residual
from experiments.residual.training import ARMS, Run, train
from experiments.study import digits
from experiments.study.convergence import fit
from experiments.study.measurement import Evidence, Fit, Measurement, curve, fraction, interval, share
from experiments.study.seeds import paired, side_by_side
from experiments.study.tuning import Tuned, described, tuned

ENDS = ("shallow", "deepest")
CONTROLS = ("unnormalised", "scaled")
TRAINS = 0.9  # training accuracy from which on a network counts as trained
TEST, TRAIN = "fraction of the test set", "fraction of the training set"
Trained = dict[tuple[str, str], Tuned]


def train_all(settings: Residual, key: Array) -> dict[str, Evidence]:
    """residual.deep, residual.degradation and residual.long-paths."""
    data = digits.load(side=28)
    key_trained, key_extreme, key_long, key_paths = jax.random.split(key, 4)
    trained: Trained = {
        (arm, name): train_arm(settings, arm, name, settings.train_steps, data, key_trained)
        for arm in ARMS
        for name in (ENDS if arm in (*CONTROLS, "residual-leaky") else DEPTHS)
    }
    longer = {name: train_arm(settings, "plain-leaky", name, settings.long_steps, data, key_long) for name in ENDS}
    rate = trained["residual", "deepest"].rate
    extreme = at_rate(settings, rate, data, key_extreme)
    return {
        "residual.deep": _deep(settings, trained, extreme),
        "residual.degradation": _degradation(settings, trained, longer),
        "residual.long-paths": long_paths(settings, key_paths, trained["residual", "medium"].runs.share),
    }


def depth_of(settings: Residual, name: str) -> int:
    """Returns the depth of this name."""
    return settings.train_depths[DEPTHS.index(name)]


def train_arm(settings: Residual, arm: str, name: str, steps: int, data: digits.Digits, key: Array) -> Tuned:
    """Returns the tuned runs of an arm at a depth; arms and depths are paired seed by seed."""
    depth, paths = depth_of(settings, name), (arm, name) == ("residual", "medium")
    one = partial(train, ARMS[arm].numbers(depth), data, normalised=ARMS[arm].normalised, settings=settings, depth=depth)
    if arm == "unnormalised" or (arm, name) == ("residual", "deepest"):
        seeds = settings.share_seeds
    else:
        few = name == "deepest" and arm in ("plain", *CONTROLS)
        seeds = settings.control_seeds if few else settings.train_seeds
    run = partial(one, steps=steps, paths=paths)
    rates = settings.control_rates if arm in CONTROLS else settings.learning_rates
    return tuned(run, lambda run: run.validation, settings, key, rates=rates, seeds=seeds)


def at_rate(settings: Residual, rate: float, data: digits.Digits, key: Array) -> Run:
    """Returns runs of the residual network of the extreme depth at a rate that was tuned at another."""
    arm, depth = ARMS["residual"], settings.extreme_depth
    options = {"normalised": arm.normalised, "settings": settings, "depth": depth, "steps": settings.train_steps}
    one = partial(train, arm.numbers(depth), data, jnp.float32(rate), **options)
    keys = list(jax.random.split(key, settings.control_seeds))
    runs = side_by_side(lambda key: jax.tree.map(np.asarray, one(key)), keys)
    return jax.tree.map(lambda *leaves: np.stack(leaves), *runs)


def trains(runs: Run) -> np.ndarray:
    """Returns [seeds] whether a network is finite and fits at least `TRAINS` of its training set."""
    return finite(runs) & (1 - runs.train_error >= TRAINS)


def finite(runs: Run) -> np.ndarray:
    """Returns [seeds] whether every loss is finite."""
    return np.isfinite(runs.losses).all(-1)


def _deep(settings: Residual, trained: Trained, extreme: Run) -> Evidence:
    measurements, arrays = [], {"depths": np.asarray(settings.train_depths)}
    for arm in ("residual", "unnormalised"):
        runs, source = trained[arm, "deepest"].runs, _source(settings, trained, arm, "deepest")
        of = f"finite, and training accuracy of at least {TRAINS}; {source}"
        measurements.append(share(f"trained-{arm}-deepest", trains(runs), source=of))
    measurements.append(
        share("not-finite-unnormalised-deepest", ~finite(trained["unnormalised", "deepest"].runs), source=source)
    )
    for (arm, name), found in trained.items():
        source = _source(settings, trained, arm, name)
        measurements.append(fraction(f"accuracy-{arm}-{name}", found.runs.test, unit=TEST, source=source))
    source = f"{settings.extreme_depth} layers, {settings.train_steps} steps at the rate of the deepest tuned network"
    measurements.append(fraction("accuracy-residual-extreme", extreme.test, unit=TEST, source=source))
    rate = trained["residual", "deepest"].rate
    arrays |= {"extreme-depth": np.asarray(settings.extreme_depth), "extreme-rate": np.asarray(rate)}
    arrays |= curve("loss-residual", trained["residual", "deepest"].runs.losses) | curve("loss-extreme", extreme.losses)
    arrays |= curve("loss-plain", trained["plain", "deepest"].runs.losses)
    # Of the deepest network only a lower bound of its accuracy is asked, for which it need not have converged.
    fits = _fits(trained) | {"residual-extreme": fit(extreme.losses, 1 - extreme.train_error, required=False)}
    return Evidence(tuple(measurements), arrays, _searches(trained), fits)


def _degradation(settings: Residual, trained: Trained, longer: dict[str, Tuned]) -> Evidence:
    measurements, arrays = [], {"depths": np.asarray(settings.train_depths)}
    for arm in ARMS:
        ends = {name: trained[arm, name] for name in ENDS}
        measurements.append(_change(settings, f"change-{arm}", ends, settings.train_steps))
    measurements.append(_change(settings, "change-plain-leaky-long", longer, settings.long_steps))
    for (arm, name), found in trained.items():
        if arm not in CONTROLS:
            measurements.append(fraction(f"error-{arm}-{name}", found.runs.train_error, unit=TRAIN))
    for name, found in longer.items():
        measurements.append(fraction(f"error-plain-leaky-{name}-long", found.runs.train_error, unit=TRAIN))
    for arm in ("residual", "plain", "plain-leaky"):
        for moment, values in zip(("before", "after"), trained[arm, "deepest"].runs.gradients.T, strict=True):
            source = f"first block over last, {depth_of(settings, 'deepest')} layers, {moment} training"
            measurements.append(interval(f"gradient-{moment}-{arm}", values, unit="nats", source=source))
    arms = trained | {("plain-leaky", f"{name}-long"): found for name, found in longer.items()}
    return Evidence(tuple(measurements), arrays, _searches(arms), _fits(arms))


def _change(settings: Residual, name: str, ends: dict[str, Tuned], steps: int) -> Measurement:
    deep, shallow = (ends[end].runs.train_error for end in ("deepest", "shallow"))
    depths = f"{depth_of(settings, 'deepest')} layers minus at {depth_of(settings, 'shallow')}"
    source = f"training error at {depths}, {steps} steps each, seeds paired, tuned learning rates"
    return interval(name, paired(deep, shallow), unit=TRAIN, source=source)


def _source(settings: Residual, trained: Trained, arm: str, name: str) -> str:
    return f"{depth_of(settings, name)} layers, {settings.train_steps} steps of Adam; {described(trained[arm, name].search)}"


def _searches(trained: Trained) -> dict:
    return {f"{arm}-{name}": found.search for (arm, name), found in trained.items()}


def _fits(trained: Trained) -> dict[str, Fit]:
    """Returns how far each arm came; the others are controls, or the claims say that depth keeps them from it."""
    return {
        f"{arm}-{name}": fit(found.runs.losses, 1 - found.runs.train_error, required=arm.startswith("residual"))
        for (arm, name), found in trained.items()
    }
