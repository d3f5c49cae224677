"""How many examples a network needs, with and without invariance, where positions vary and where they do not: MNIST-1D."""

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.invariance.networks import TEST, Run, Sizes, predictions, train
from experiments.invariance.settings import Invariance
from experiments.study.convergence import fit
from experiments.study.measurement import Evidence, Fit, Search, curve, fraction, interval
from experiments.study.seeds import side_by_side
from experiments.study.tuning import described, search
from jaxnotes import datasets

VALIDATION = 500  # training sequences held out for choosing learning rates
ARMS = {"usual": "flatten", "invariant": "polyphase"}
POSITIONS = ("varied", "fixed")  # where the pattern stands in the sequences that a network is trained on


class Grown(NamedTuple):
    """An arm trained on more and more examples."""

    accuracy: Mapping[str, np.ndarray]  # [seeds, sizes] on test sequences, by their positions
    search: Search
    fits: Mapping[int, Fit]  # by size


def load() -> dict[str, datasets.Dataset]:
    """Returns MNIST-1D with the pattern at any of 48 places, as published, and always at the first of them."""
    channel_last = lambda data: data._replace(
        train_images=data.train_images[..., None], test_images=data.test_images[..., None]
    )
    return {"varied": channel_last(datasets.mnist1d()), "fixed": channel_last(datasets.mnist1d(translations=1))}


def grow(settings: Invariance, arm: str, position: str, data: Mapping[str, datasets.Dataset], key: Array) -> Grown:
    """Trains an arm at each size and tests it; with the same key arms see the same examples, and so are paired.

    The learning rate is tuned at the largest size, and all sizes take it.
    """
    own, sizes = data[position], Sizes(data[position].train_images.shape[1:], settings.sequence_channels)
    parts = tuple((own.train_images[part], own.train_labels[part]) for part in (slice(VALIDATION, None), slice(VALIDATION)))
    run = partial(train, ARMS[arm], sizes, parts, steps=settings.sequence_steps, batch=settings.sequence_batch)
    keys = jax.random.split(key, settings.tuning_seeds + settings.sequence_seeds)
    score = lambda rate, key: run(jnp.float32(rate), key, examples=max(settings.examples)).validation_accuracy
    chosen = search(score, settings.learning_rates, keys[: settings.tuning_seeds])

    def of_pair(pair: tuple[int, Array]) -> tuple[Run, list[float]]:
        examples, key = pair
        found = run(jnp.float32(chosen.rate), key, examples=examples)
        test = lambda d: predictions(found.params, d.test_images[None], arm=ARMS[arm], sizes=sizes)[0] == d.test_labels
        return jax.device_get(found), [float(np.mean(test(data[name]))) for name in POSITIONS]

    counting = list(keys[settings.tuning_seeds :])
    found = [side_by_side(of_pair, [(examples, key) for key in counting]) for examples in settings.examples]
    tested = np.asarray([[accuracy for _, accuracy in runs] for runs in found])  # [sizes, seeds, positions]
    fits = {
        examples: fit([run.losses for run, _ in runs], [run.train_accuracy for run, _ in runs])
        for examples, runs in zip(settings.examples, found, strict=True)
    }
    return Grown(dict(zip(POSITIONS, np.moveaxis(tested, (0, 1, 2), (2, 1, 0)), strict=True)), chosen, fits)


def needed(sizes: tuple[int, ...], accuracy: np.ndarray, target: float) -> np.ndarray:
    """Returns [seeds] log2 of the examples at which accuracy [seeds, sizes] reaches the target, between sizes by a line.

    Where it is reached at the smallest size already, or not at the largest one, that size is the answer.
    """
    logs = np.log2(sizes)
    return np.asarray([np.interp(target, np.maximum.accumulate(row), logs) for row in accuracy])


def generalisation(settings: Invariance, key: Array) -> dict[str, Evidence]:
    """invariance.generalisation: both networks where the pattern stands anywhere, and where it never moves."""
    data = load()
    grown = {(arm, position): grow(settings, arm, position, data, key) for arm in ARMS for position in POSITIONS}
    return {"invariance.generalisation": compared(settings, grown)}


def compared(settings: Invariance, grown: Mapping[tuple[str, str], Grown]) -> Evidence:
    """Returns what invariance brings: for positions that vary, for one that was never seen, and for one that never varies."""
    accuracy = {
        "varied": {arm: grown[arm, "varied"].accuracy["varied"] for arm in ARMS},
        "unseen": {arm: grown[arm, "fixed"].accuracy["varied"] for arm in ARMS},
        "fixed": {arm: grown[arm, "fixed"].accuracy["fixed"] for arm in ARMS},
    }
    examples = {arm: needed(settings.examples, found, settings.target) for arm, found in accuracy["varied"].items()}
    source = f"log2 of the examples for a test accuracy of {settings.target}, flattened head minus invariant network"
    measurements = [interval("doublings-saved", examples["usual"] - examples["invariant"], unit="doublings", source=source)]
    for case, found in accuracy.items():
        source = "test accuracy, invariant network minus flattened head, mean over the sizes, paired by seed"
        measurements.append(interval(f"gain-{case}", (found["invariant"] - found["usual"]).mean(1), unit=TEST, source=source))
    arrays, trained = {"examples": np.asarray(settings.examples)}, {"varied": "varied", "unseen": "fixed", "fixed": "fixed"}
    for case, found in accuracy.items():
        for arm, values in found.items():
            arrays |= curve(f"{case}-{arm}", values)
            name, source = f"accuracy-{case}-{arm}", f"{settings.examples[-1]} examples; "
            source += described(grown[arm, trained[case]].search)
            measurements.append(fraction(name, values[:, -1], unit=TEST, source=source))
    searches = {f"{arm}-{position}": found.search for (arm, position), found in grown.items()}
    fits = {f"{arm}-{position}-{n}": f for (arm, position), found in grown.items() for n, f in found.fits.items()}
    return Evidence(tuple(measurements), arrays, searches, fits)
