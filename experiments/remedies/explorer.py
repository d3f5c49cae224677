"""Gradient profiles over depth by activation, weight variance, shortcut and width: what a reader turns the knobs of."""

import jax
import numpy as np
from jax import Array

from experiments.remedies import network
from experiments.remedies.gains import log_gradients
from experiments.remedies.network import choice, stacked
from experiments.remedies.settings import Remedies
from experiments.study.measurement import mean_interval

EXPLORED = ("relu", "tanh", "sigmoid")
VARIANCES = (0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 8.0)
BATCH = 16


def explorer(settings: Remedies, key: Array) -> dict[str, np.ndarray]:
    """log10 of the gradient's norm over the last layer's: [width, activation, variance, shortcut, layer].

    Mean and interval over seeds, and the mean-field prediction, which knows no width.
    """
    depth = settings.explorer_depth
    choices = [choice(a, v, shortcut=shortcut) for a in EXPLORED for v in VARIANCES for shortcut in (False, True)]
    shape = (len(EXPLORED), len(VARIANCES), 2)
    means, lows, highs = [], [], []
    for width, of_width in zip(settings.explorer_widths, jax.random.split(key, len(settings.explorer_widths)), strict=True):
        keys = jax.random.split(of_width, settings.explorer_seeds)
        logs = np.asarray(log_gradients(keys, stacked(choices), width=width, depth=depth, batch=BATCH))
        relative = (logs - logs[..., -1:]) / np.log(10)
        low, high = mean_interval(relative, axis=1)
        for found, values in ((means, relative.mean(1)), (lows, low), (highs, high)):
            found.append(values.reshape(*shape, depth + 1))
    gains = np.stack([network.predicted_gain(chosen, depth) for chosen in choices])
    predicted = (gains[:, -1:] - gains) / (2 * np.log(10))
    return {
        "explorer-mean": np.stack(means),
        "explorer-low": np.stack(lows),
        "explorer-high": np.stack(highs),
        "explorer-predicted": predicted.reshape(*shape, depth + 1),
        "explorer-widths": np.asarray(settings.explorer_widths),
        "explorer-activations": np.asarray(EXPLORED),
        "explorer-variances": np.asarray(VARIANCES),
    }
