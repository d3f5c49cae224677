"""What training with dropout gives on data that were not trained on: loss, accuracy and the gap, over the size of the data."""

import jax
import numpy as np
from jax import Array

from experiments.dropout import tasks
from experiments.dropout.ablation import redundancy
from experiments.dropout.settings import Dropout
from experiments.dropout.stability import stability
from experiments.dropout.training import Pair, Plan, Trained, tuned_arm, tuned_pair
from experiments.study.measurement import Evidence, Measurement, curve, fraction, interval

SIZES = ("tiny", "small", "medium", "large")  # of the training sets from MNIST-1D
CUSTOMARY = 0.5  # the keep probability where it is not tuned


def generalisation(settings: Dropout, key: Array) -> dict[str, Evidence]:
    """dropout.overfitting; and of networks that it trained, dropout.redundancy and dropout.stability."""
    key_training, key_ablation, key_stability = jax.random.split(key, 3)
    pairs = trained_pairs(settings, key_training)
    return {
        "dropout.overfitting": _overfitting(settings, pairs),
        "dropout.redundancy": redundancy(settings, pairs["digits"], key_ablation),
        "dropout.stability": stability(settings, pairs["small"], pairs["digits"], key_stability),
    }


def trained_pairs(settings: Dropout, key: Array) -> dict[str, Pair]:
    """Returns networks without dropout and with: four sizes of the training set, digits, and what the notes leave out."""
    sequences, images = tasks.mnist1d(settings.examples[-1]), tasks.mnist()
    wide = Plan((settings.wide, settings.wide), (0, 1), settings.train_steps, settings.train_batch)
    narrow, short = wide._replace(hidden=(settings.narrow, settings.narrow)), wide._replace(steps=settings.short_steps)
    medium = settings.examples[SIZES.index("medium")]
    compared = {name: (wide, n, sequences) for name, n in zip(SIZES, settings.examples, strict=True)}
    compared |= {
        "digits": (wide._replace(steps=settings.digits_steps), settings.digits, images),
        "narrow": (narrow, medium, sequences),
        "short": (short, medium, sequences),
    }
    seeds = {"digits": settings.digits_seeds, "narrow": settings.control_seeds, "short": settings.control_seeds}
    pairs = {name: tuned_pair(settings, *what, key, seeds.get(name)) for name, what in compared.items()}
    untuned = tuned_arm(settings, wide, CUSTOMARY, medium, sequences, key)
    return pairs | {"untuned": pairs["medium"] | {"dropout": untuned}}


def _overfitting(settings: Dropout, pairs: dict[str, Pair]) -> Evidence:
    """Returns what dropout changes in test loss, in the gap of test to training loss, and in test accuracy."""
    measurements = [m for name, pair in pairs.items() for m in _changes(name, pair)]
    measurements.append(_rise_and_fall(pairs))
    arrays = {"examples": np.asarray(settings.examples)}
    for arm in ("plain", "dropout"):
        runs = [pairs[size][arm].tuned.runs for size in SIZES]
        arrays |= {f"keeps-{arm}": np.asarray([pairs[size][arm].keep for size in SIZES])}
        for quantity in ("test_accuracy", "test_loss", "train_loss"):
            arrays |= curve(
                f"{quantity.replace('_', '-')}-{arm}",
                np.stack([getattr(found, quantity) for found in runs], 1),
            )
    arms = {f"{arm}-{name}": found for name, pair in pairs.items() for arm, found in pair.items()}
    del arms["plain-untuned"]  # those of the medium size
    searches = {name: arm.tuned.search for name, arm in arms.items()}
    controls = ("plain-short", "dropout-short", "dropout-untuned")  # of which the condition says that they do not get there
    return Evidence(
        tuple(measurements), arrays, searches, {name: arm.fit(required=name not in controls) for name, arm in arms.items()}
    )


def _changes(name: str, pair: Pair) -> list[Measurement]:
    """Returns the changes of one comparison, with dropout minus without, paired by seed, and the accuracies."""
    plan, examples = pair["plain"].plan, pair["plain"].examples
    data = "MNIST" if name == "digits" else "MNIST-1D"
    network = f"{data}, {examples} training examples, two hidden layers of {plan.hidden[0]} units, {plan.steps} Adam steps"
    plain, dropped = (pair[arm].tuned.runs for arm in ("plain", "dropout"))
    share = "fraction of the test set"
    source = f"with dropout minus without, paired by seed; {network}"
    changes = [
        interval(f"{quantity}-change-{name}", change, unit=unit, source=source)
        for quantity, change, unit in (
            ("gap", _gap(dropped) - _gap(plain), "nats, test minus training"),
            ("loss", dropped.test_loss - plain.test_loss, "nats, test set"),
            ("accuracy", dropped.test_accuracy - plain.test_accuracy, share),
        )
    ]
    accuracies = [
        fraction(f"accuracy-{arm}-{name}", found.tuned.runs.test_accuracy, unit=share, source=f"{network}; {found.described}")
        for arm, found in pair.items()
    ]
    return changes + accuracies


def _gap(runs: Trained) -> np.ndarray:
    return runs.test_loss - runs.train_loss


def _rise_and_fall(pairs: dict[str, Pair]) -> Measurement:
    """Returns how much more dropout gains at the two middle sizes of the data than at the smallest and the largest."""
    runs = [{arm: found.tuned.runs.test_accuracy for arm, found in pairs[size].items()} for size in SIZES]
    tiny, small, medium, large = (found["dropout"] - found["plain"] for found in runs)
    source = "change of accuracy at the two middle sizes minus that at the smallest and the largest, MNIST-1D"
    return interval("rise-and-fall", (small + medium - tiny - large) / 2, unit="fraction of the test set", source=source)
