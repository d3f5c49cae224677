"""Whether a training is convincing: the network fits its training set, or its loss has reached a plateau."""

from collections.abc import Callable, Container, Mapping
from typing import Any

import numpy as np

from experiments.study.measurement import Fit
from experiments.study.tuning import Tuned

FITS = 0.99
LAST, PLATEAU = 0.2, 0.02


def fits(
    trained: Mapping[str, Tuned], train_accuracy: Callable[[Any], np.ndarray], controls: Container[str] = ()
) -> dict[str, Fit]:
    """Returns the `fit` of each arm, by name; those in `controls` need not come to an end.

    Args:
      trained: runs that have `losses`.
      train_accuracy: [seeds] of an arm's runs.
    """
    return {
        name: fit(arm.runs.losses, train_accuracy(arm.runs), required=name not in controls) for name, arm in trained.items()
    }


def fit(losses, train_accuracy=None, *, required: bool = True, threshold: float = FITS) -> Fit:
    """Returns how far the runs of one arm came.

    They fit where their mean accuracy on the training set reaches the threshold. Else they are on a plateau where the last
    fifth of the run brings less than 2% of the whole fall of the loss: its mean over that fifth, taken from the mean over the
    fifth before, as a share of what the first step's loss has lost since. A network that has not begun to learn falls by
    nothing and is unfinished.

    Args:
      losses: [seeds, steps] training losses.
      train_accuracy: [seeds] at the end, where there is accuracy.
      required: see `measurement.Fit`.
      threshold: the training accuracy from which on a network fits.
    """
    losses = np.asarray(losses, np.float64)
    accuracy = None if train_accuracy is None else float(np.mean(np.asarray(train_accuracy, np.float64)))
    if not np.isfinite(losses).all():
        return Fit("not finite", accuracy if accuracy is None or np.isfinite(accuracy) else None, None, required)
    curve = losses.mean(0)
    length = max(int(LAST * len(curve)), 1)
    last, before = curve[-length:].mean(), curve[-2 * length : -length].mean()
    fall = curve[0] - last
    remaining = float((before - last) / fall) if fall > 0 else 1.0
    if accuracy is not None and accuracy >= threshold:
        return Fit("fits", accuracy, remaining, required)
    return Fit("plateau" if remaining < PLATEAU else "unfinished", accuracy, remaining, required)
