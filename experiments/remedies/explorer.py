"""Gradient profiles over depth by activation, weight variance, shortcut and width: what a reader turns the knobs of."""

import jax
import numpy as np
from jax import Array

from experiments.remedies import network
from experiments.remedies.gains import log_gradients
from experiments.remedies.network import choice, stacked
from experiments.remedies.settings import Remedies
from experiments.study import profiles
from experiments.study.measurement import mean_interval

EXPLORED = ("relu", "tanh", "sigmoid")
VARIANCES = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 8.0)
BATCH = 16


def explorer(settings: Remedies, key: Array) -> dict[str, np.ndarray]:
    """Returns log10 of the gradient's norm over the last layer's: [width, activation, variance, shortcut, layer].

    Mean and interval over seeds, and the mean-field prediction, which knows no width.
    """
    depth, widths = settings.explorer_depth, settings.explorer_widths
    choices = [choice(a, v, shortcut=shortcut) for a in EXPLORED for v in VARIANCES for shortcut in (False, True)]
    shape = (len(EXPLORED), len(VARIANCES), 2, depth + 1)
    decades = []
    for width, key_width in zip(widths, jax.random.split(key, len(widths)), strict=True):
        keys = jax.random.split(key_width, settings.explorer_seeds)
        logs = np.asarray(log_gradients(stacked(choices), keys, width=width, depth=depth, batch=BATCH))
        decades.append([profiles.decades(of_choice) for of_choice in logs])
    low, high = mean_interval(decades, axis=2)
    gains = np.stack([network.predicted_gain(chosen, depth) for chosen in choices])
    return {
        "explorer-mean": np.mean(decades, axis=2).reshape(-1, *shape),
        "explorer-low": low.reshape(-1, *shape),
        "explorer-high": high.reshape(-1, *shape),
        "explorer-predicted": ((gains[:, -1:] - gains) / np.log(10)).reshape(shape),
        "explorer-widths": np.asarray(widths),
        "explorer-activations": np.asarray(EXPLORED),
        "explorer-variances": np.asarray(VARIANCES),
    }
