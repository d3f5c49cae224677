"""Every learning rate of a grid, with and without batch normalisation: which train, and how fast."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.normalization import network
from experiments.normalization.network import CLASSES, Arm
from experiments.normalization.settings import Normalization
from experiments.normalization.training import Examples, train
from experiments.study import digits
from experiments.study.measurement import Evidence, Measurement, Search, curve, interval
from experiments.study.seeds import side_by_side
from experiments.study.tuning import described, final_loss, grid_search
from jaxnotes.layers.activations import relu, sigmoid

DECADES = "log10"
MOST_TRAINED = 0.5 * np.log(CLASSES)  # nats: a run whose last losses are below half of chance has trained
DRAWN_LOSS = 10.0  # nats: larger losses, and those of runs that are not finite, are drawn here


class Swept(NamedTuple):
    """What the seeds that count show at every rate of the grid."""

    losses: np.ndarray  # [seeds, rates] final losses
    steps: np.ndarray  # [seeds, rates] steps to the target
    search: Search  # by the fewest steps

    def fastest(self) -> np.ndarray:
        """Returns [seeds] the steps to the target at the rate chosen."""
        return self.steps[:, self.search.rates.index(self.search.rate)]

    def largest_rate(self) -> np.ndarray:
        """Returns [seeds] the largest rate that trains; where none does the smallest, a bound in favour of the arm."""
        rates = np.asarray(self.search.rates)
        return np.where(self.losses < MOST_TRAINED, rates, rates[0]).max(1)


def rate_limits(settings: Normalization, key: Array) -> dict[str, Evidence]:
    """normalization.learning-rate: every rate of a grid, with and without, for ReLU and sigmoid units."""
    data, measurements, searches = digits.load(0).train, [], {}
    arrays = {"rates": np.asarray(settings.rate_grid)}
    for activation, weight_variance in ((relu, 2.0), (sigmoid, 1.0)):
        name, swept = activation.__name__, {}
        for kind in ("plain", "normalised"):
            label = f"{kind}-{name}"
            swept[kind] = found = sweep(settings, network.arm(activation, weight_variance, kind), data, key)
            searches[label] = found.search
            measurements += _limits(settings, label, found)
            arrays |= curve(f"loss-{label}", np.minimum(found.losses, DRAWN_LOSS)) | curve(f"steps-{label}", found.steps)
        measurements += _changes(settings, name, swept["plain"], swept["normalised"])
    return {"normalization.learning-rate": Evidence(tuple(measurements), arrays, searches)}


def sweep(settings: Normalization, arm: Arm, data: Examples, key: Array) -> Swept:
    """Trains every seed at every rate of the grid; the best rate is that of the fewest steps on the tuning seeds."""
    keys = jax.random.split(key, settings.tuning_seeds + settings.train_seeds)

    def run(pair: tuple[Array, float]) -> np.ndarray:
        seed_key, rate = pair
        return np.asarray(train(arm, data, jnp.float32(rate), seed_key, settings=settings, depth=settings.rate_depth).losses)

    runs = side_by_side(run, [(seed_key, rate) for seed_key in keys for rate in settings.rate_grid])
    losses = np.stack(runs).reshape(len(keys), len(settings.rate_grid), -1)
    steps, count = steps_to(settings, losses), settings.tuning_seeds
    return Swept(final_loss(losses)[count:], steps[count:], grid_search(settings.rate_grid, -steps[:count].T))


def steps_to(settings: Normalization, losses: np.ndarray) -> np.ndarray:
    """Returns [...] the first step at which the mean of the last ten losses is below the target, of losses [..., steps].

    Where it never is, all steps count.
    """
    window = 10
    capped = np.minimum(np.nan_to_num(losses, nan=1e3, posinf=1e3), 1e3)  # larger ones would round the sums that follow
    sums = np.cumsum(capped, axis=-1, dtype=np.float64)
    means = (sums[..., window:] - sums[..., :-window]) / window
    below = means < settings.target_loss
    return np.where(below.any(-1), below.argmax(-1) + window, losses.shape[-1]).astype(float)


def _limits(settings: Normalization, label: str, swept: Swept) -> list[Measurement]:
    rates, steps = settings.rate_grid, swept.fastest()
    criterion = f"last losses below {MOST_TRAINED:.3g} nats; grid from {rates[0]:.2g} to {rates[-1]:.3g}"
    missed = f"{np.count_nonzero(steps >= settings.train_steps)} of {len(steps)} seeds did not get there and count in full"
    return [
        interval(f"log-rate-{label}", np.log10(swept.largest_rate()), unit=DECADES, source=criterion),
        interval(f"steps-{label}", steps, unit="steps", source=f"{described(swept.search)} by the fewest steps; {missed}"),
    ]


def _changes(settings: Normalization, name: str, plain: Swept, normalised: Swept) -> list[Measurement]:
    rates = "with over without, largest rate of the grid that trains, paired by seed"
    steps = f"steps without over steps with, to {settings.target_loss:g} nats, each at its best rate"
    ratios = {
        "rate-change": (normalised.largest_rate() / plain.largest_rate(), rates),
        "speed-up": (plain.fastest() / normalised.fastest(), steps),
    }
    return [
        interval(f"{quantity}-{name}", np.log10(ratio), unit=DECADES, source=source)
        for quantity, (ratio, source) in ratios.items()
    ]
