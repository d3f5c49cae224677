"""Digits on a larger canvas: networks trained on centred ones and tested at every position."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.invariance.networks import ARMS, TEST, Sizes, predictions, train
from experiments.invariance.settings import Invariance
from experiments.study import digits
from experiments.study.convergence import fit
from experiments.study.measurement import Evidence, Fit, Measurement, Search, fraction, interval
from experiments.study.seeds import side_by_side
from experiments.study.tuning import described, tuned

MARGIN = 3
SHIFTS = np.arange(-MARGIN, MARGIN + 1)
NEIGHBOURS = ((MARGIN, MARGIN - 1), (MARGIN, MARGIN + 1), (MARGIN - 1, MARGIN), (MARGIN + 1, MARGIN))


class Shown(NamedTuple):
    """What an arm's networks show, how their learning rate was chosen, and how far they came."""

    right: np.ndarray  # [seeds, down, right, digits] whether each test digit is recognised at each shift from the centre
    search: Search
    fit: Fit

    @property
    def accuracy(self) -> np.ndarray:
        """[seeds, down, right] test accuracy at each shift."""
        return self.right.mean(-1)

    @property
    def centred(self) -> np.ndarray:
        """[seeds] test accuracy at the centre, where the networks were trained."""
        return self.accuracy[:, MARGIN, MARGIN]

    @property
    def drop(self) -> np.ndarray:
        """[seeds] accuracy at the centre minus its mean over all positions at the largest shift."""
        rim = np.ones((len(SHIFTS),) * 2, bool)
        rim[1:-1, 1:-1] = False
        return self.centred - self.accuracy[:, rim].mean(1)

    @property
    def worst(self) -> np.ndarray:
        """[seeds] accuracy at the position where its mean over seeds is lowest."""
        by_place = self.accuracy.reshape(len(self.accuracy), -1)
        return by_place[:, by_place.mean(0).argmin()]


def load() -> digits.Digits:
    """Returns digits of 14×14 pixels in the centre of a larger canvas, [n, 20, 20, 1]; paper and margin are 0."""
    pad = ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0))
    return digits.Digits(*((jnp.pad(images - images.min(), pad), labels) for images, labels in digits.load(flat=False)))


def everywhere(images: Array) -> Array:
    """Returns the images at every shift, [shifts, n, ...], by rows; nothing wraps around, for the margin is empty."""
    return jnp.stack([jnp.roll(images, (down, right), (1, 2)) for down in SHIFTS for right in SHIFTS])


def show(settings: Invariance, arm: str, data: digits.Digits, key: Array) -> Shown:
    """Tunes an arm on centred digits and tests it everywhere. Arms that are given the same key are paired seed by seed."""
    sizes = Sizes(data.train[0].shape[1:], settings.channels, settings.mlp_width)
    run = partial(train, arm, sizes, data[:2], steps=settings.train_steps, batch=settings.train_batch)
    runs, search = tuned(run, lambda run: run.validation_accuracy, settings, key)
    images, labels = (part[: settings.evaluated] for part in data.test)
    moved = everywhere(images)
    networks = [jax.tree.map(lambda leaf, seed=seed: leaf[seed], runs.params) for seed in range(len(runs.losses))]
    found = side_by_side(lambda params: np.asarray(predictions(params, moved, arm=arm, sizes=sizes)), networks)
    right = (np.stack(found) == np.asarray(labels)).reshape(len(found), len(SHIFTS), len(SHIFTS), -1)
    return Shown(right, search, fit(runs.losses, runs.train_accuracy))


def networks_on_canvas(settings: Invariance, key: Array) -> dict[str, Evidence]:
    """invariance.generalises, invariance.cnn, and what stands beside invariance.max-pool: they share their networks."""
    data = load()
    shown = {arm: show(settings, arm, data, key) for arm in ARMS}
    return {
        "invariance.generalises": generalises(shown),
        "invariance.max-pool": consistencies(shown),
        "invariance.cnn": anywhere(shown),
    }


def generalises(shown: Mapping[str, Shown]) -> Evidence:
    """Trained at the centre, tested at the rim."""
    what = f"centre minus mean over the positions {MARGIN} pixels off"
    drops = [_measured(interval, f"drop-{arm}", found.drop, found, what) for arm, found in shown.items()]
    centres = [_measured(fraction, f"centred-{arm}", found.centred, found, "at the centre") for arm, found in shown.items()]
    arrays = {f"accuracy-{arm}": found.accuracy for arm, found in shown.items()}
    return _evidence((*drops, *centres), shown, arrays | {"shifts": SHIFTS})


def anywhere(shown: Mapping[str, Shown]) -> Evidence:
    """The worst position of each convolutional network."""
    shown = {arm: found for arm, found in shown.items() if arm != "mlp"}
    what = "at the worst of all positions"
    worst = [_measured(fraction, f"worst-{arm}", found.worst, found, what) for arm, found in shown.items()]
    return _evidence(worst, shown, {f"map-{arm}": found.accuracy.mean(0) for arm, found in shown.items()})


def consistencies(shown: Mapping[str, Shown]) -> Evidence:
    """How many digits survive a shift by one pixel behind each pooling: of all, and of those that both networks know.

    The second compares the poolings at equal accuracy: on the digits that the network with max pooling and that with the other
    one, of the same seed, both recognise at the centre.
    """
    measurements, plain = [], shown["global"]
    compared = {arm: shown[arm] for arm in ("global", "max-blur", "polyphase")}
    for arm, found in compared.items():
        measurements.append(_measured(fraction, f"kept-{arm}", kept(found, found), found, "of those right at the centre"))
        measurements.append(_measured(fraction, f"accuracy-{arm}", found.centred, found, "at the centre"))
    for arm in ("max-blur", "polyphase"):
        change = kept(compared[arm], plain) - kept(plain, compared[arm])
        source = "minus max pooling, on the digits that both recognise at the centre, paired by seed"
        measurements.append(interval(f"kept-change-{arm}", change, unit="of those digits", source=source))
    return _evidence(measurements, compared)


def kept(found: Shown, other: Shown) -> np.ndarray:
    """Returns [seeds] the share of digits both know at the centre that it knows a pixel off, over four shifts (of none, 0)."""
    known = found.right[:, MARGIN, MARGIN] & other.right[:, MARGIN, MARGIN]
    moved = np.stack([found.right[:, down, right] for down, right in NEIGHBOURS], 1).mean(1)
    return (moved * known).sum(1) / np.maximum(known.sum(1), 1)


def _measured(make, name: str, values: np.ndarray, found: Shown, what: str) -> Measurement:
    return make(name, values, unit=TEST, source=f"{what}; {described(found.search)}")


def _evidence(measurements, shown: Mapping[str, Shown], arrays=None) -> Evidence:
    searches, fits = ({arm: getattr(found, part) for arm, found in shown.items()} for part in ("search", "fit"))
    return Evidence(tuple(measurements), arrays or {}, searches, fits)
