"""Every learning rate of a grid, with and without batch normalisation: which train, and how fast at the best one."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.normalization import network
from experiments.normalization.network import CLASSES, Arm, Shape
from experiments.normalization.settings import Normalization
from experiments.normalization.training import Examples, Run, train
from experiments.study import convergence, digits
from experiments.study.measurement import Evidence, Fit, Measurement, Search, curve, interval, share
from experiments.study.seeds import side_by_side
from experiments.study.tuning import described, final_loss, grid_search
from jaxnotes.layers.activations import relu, sigmoid

DECADES = "log10"
MOST_TRAINED = 0.5 * np.log(CLASSES)  # nats: a run whose last losses are below half of chance has trained
DRAWN_LOSS = 10.0  # nats: larger losses, and those of runs that are not finite, are drawn here


class Swept(NamedTuple):
    """What the seeds that count show at every rate of the grid, and at the one chosen when trained in full."""

    losses: np.ndarray  # [seeds, rates] final losses of the sweep
    search: Search  # by `speed_score` on the tuning seeds
    steps: np.ndarray  # [seeds] steps to the target at the rate chosen; all steps where it is not reached
    all_steps: int  # of a training in full
    fit: Fit

    def largest_rate(self) -> np.ndarray:
        """Returns [seeds] the largest rate that trains; where none does the smallest, a bound in favour of the arm."""
        rates = np.asarray(self.search.rates)
        return np.where(self.losses < MOST_TRAINED, rates, rates[0]).max(1)


def rate_limits(settings: Normalization, key: Array) -> dict[str, Evidence]:
    """normalization.learning-rate: every rate of a grid, with and without, for ReLU, sigmoid and a ReLU CNN."""
    data, measurements, searches, found = digits.load().train, [], {}, {}
    arrays, grid = {}, np.asarray(settings.rate_grid)
    shallow = Shape(settings.train_width, settings.rate_depth)
    networks = {  # a sigmoid's slope is a quarter at most
        "relu": (relu, 2.0, settings.mlp, grid),
        "sigmoid": (sigmoid, 1.0, shallow, 10 * grid),
        "cnn": (relu, 2.0, settings.cnn, grid),
    }
    for name, (activation, weight_variance, shape, rates) in networks.items():
        swept, arrays[f"rates-{name}"] = {}, rates
        for kind in ("plain", "normalised"):
            label = f"{kind}-{name}"
            swept[kind] = found[label] = sweep(
                settings, network.arm(activation, weight_variance, kind), shape, rates.tolist(), data, key
            )
            searches[label] = found[label].search
            measurements += _limits(settings, label, found[label])
            arrays |= curve(f"loss-{label}", np.minimum(found[label].losses, DRAWN_LOSS))
        measurements += _changes(settings, name, swept["plain"], swept["normalised"])
    fits = {label: swept.fit for label, swept in found.items()}
    return {"normalization.learning-rate": Evidence(tuple(measurements), arrays, searches, fits)}


def sweep(settings: Normalization, arm: Arm, shape: Shape, rates: Sequence[float], data: Examples, key: Array) -> Swept:
    """Trains every seed at every rate of the grid; then the seeds that count in full, at the rate of the best `speed_score`."""
    keys, count = jax.random.split(key, settings.tuning_seeds + settings.rate_seeds), settings.tuning_seeds

    def run(keys: Sequence[Array], rates: Sequence[float], steps: int) -> list[Run]:
        one = lambda pair: _seen(train(arm, data, jnp.float32(pair[1]), pair[0], settings=settings, shape=shape, steps=steps))
        return side_by_side(one, [(key, rate) for key in keys for rate in rates])

    conv = shape.convolutional
    few, many = (
        (settings.channel_rate_steps, settings.channel_steps) if conv else (settings.rate_steps, settings.rate_full_steps)
    )
    short = np.stack([run.losses for run in run(keys, rates, few)])
    losses = short.reshape(len(keys), len(rates), -1)
    search = grid_search(rates, speed_score(losses[:count]).T)
    runs = run(keys[count:], (search.rate,), many)
    full = np.stack([run.losses for run in runs])
    fit = convergence.fit(full, np.stack([run.accuracy for run in runs]))
    return Swept(final_loss(losses[count:]), search, steps_to(settings, full), full.shape[1], fit)


def _seen(run: Run) -> Run:
    return Run(np.asarray(run.losses), None, None, np.asarray(run.accuracy))


def speed_score(losses: np.ndarray) -> np.ndarray:
    """Returns minus the mean loss over all steps, of losses [..., steps]: higher where a run comes down sooner."""
    losses = np.asarray(losses, np.float64)
    return np.where(np.isfinite(losses).all(-1), -np.where(np.isfinite(losses), losses, 0).mean(-1), -np.inf)


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
    rates, steps = swept.search.rates, swept.steps
    criterion = f"last losses of the sweep below {MOST_TRAINED:.3g} nats; {rates[0]:.2g} to {rates[-1]:.3g}"
    return [
        interval(f"log-rate-{label}", np.log10(swept.largest_rate()), unit=DECADES, source=criterion),
        interval(
            f"steps-{label}", steps, unit="steps", source=f"{described(swept.search)} by the lowest mean loss over the sweep"
        ),
        share(f"reached-{label}", steps < swept.all_steps, source=f"of {settings.target_loss:g} nats in all steps"),
    ]


def _changes(settings: Normalization, name: str, plain: Swept, normalised: Swept) -> list[Measurement]:
    """Returns what normalisation changes, paired by seed; a plain network that misses the target counts with all steps."""
    rates = "with over without, largest rate of the grid that trains, paired by seed"
    steps = f"steps without over steps with, to {settings.target_loss:g} nats, each at its best rate"
    ratios = {
        "rate-change": (normalised.largest_rate() / plain.largest_rate(), rates),
        "speed-up": (plain.steps / normalised.steps, steps),
    }
    return [
        interval(f"{quantity}-{name}", np.log10(ratio), unit=DECADES, source=source)
        for quantity, (ratio, source) in ratios.items()
    ]
