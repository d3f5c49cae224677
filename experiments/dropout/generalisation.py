"""What training with dropout gives: test accuracy, the gap to training accuracy, and robustness against lost units."""

import jax
import numpy as np
from jax import Array

from experiments.dropout.ablation import redundancy
from experiments.dropout.settings import Dropout
from experiments.dropout.training import tuned_arm
from experiments.study import digits
from experiments.study.measurement import Evidence, curve, interval
from experiments.study.tuning import Tuned, described


def generalisation(settings: Dropout, key: Array) -> dict[str, Evidence]:
    """dropout.overfitting and dropout.redundancy: the second deletes units of the networks that the first trained."""
    key_training, key_ablation = jax.random.split(key)
    data = digits.load()
    keeps = {"plain": 1.0, "dropout": settings.keep}
    pairs = {
        name: {arm: tuned_arm(settings, (width, width), (0, 1), keep, n, data, key_training) for arm, keep in keeps.items()}
        for name, (width, n) in _networks(settings).items()
    }
    return {
        "dropout.overfitting": _overfitting(settings, pairs),
        "dropout.redundancy": redundancy(settings, pairs["large"], data.test, key_ablation),
    }


def _networks(settings: Dropout) -> dict[str, tuple[int, int]]:
    """Returns the units of either hidden layer and the training examples of each network."""
    tiny, medium, large = settings.examples
    wide = {name: (settings.wide, n) for name, n in (("tiny", tiny), ("medium", medium), ("large", large))}
    return wide | {"narrow": (settings.narrow, large)}


def _overfitting(settings: Dropout, pairs: dict[str, dict[str, Tuned]]) -> Evidence:
    """Returns test accuracy, test loss and the gap between training and test accuracy, with dropout minus without."""
    measurements, searches = [], {}
    arrays = {"examples": np.asarray(settings.examples), "widths": np.asarray([settings.wide, settings.narrow])}
    for name, (width, n) in _networks(settings).items():
        pair, network = pairs[name], f"two hidden layers of {width} units, {n} training examples"
        plain, dropped = pair["plain"].runs, pair["dropout"].runs
        gaps = {arm: tuned.runs.train_accuracy - tuned.runs.test_accuracy for arm, tuned in pair.items()}
        for quantity, change, unit in (
            ("gap", gaps["dropout"] - gaps["plain"], "training minus test accuracy"),
            ("accuracy", dropped.test_accuracy - plain.test_accuracy, "fraction of the test set"),
            ("loss", dropped.test_loss - plain.test_loss, "nats"),
        ):
            source = f"with dropout minus without; {network}"
            measurements.append(interval(f"{quantity}-change-{name}", change, unit=unit, source=source))
        for arm, tuned in pair.items():
            source = f"{network}; Adam, {described(tuned.search)}"
            accuracy = tuned.runs.test_accuracy
            measurements.append(interval(f"accuracy-{arm}-{name}", accuracy, unit="fraction of the test set", source=source))
            arrays |= curve(f"gap-{arm}-{name}", gaps[arm])
            searches[f"{arm}-{name}"] = tuned.search
    return Evidence(tuple(measurements), arrays, searches)
