"""Test inputs that are disturbed, with noise or with a patch hidden, and how many predictions that changes."""

import math
from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.dropout.network import classes
from experiments.dropout.settings import Dropout
from experiments.dropout.tasks import CELLS
from experiments.dropout.training import Arm
from experiments.study.measurement import Measurement, fraction, interval
from experiments.study.occlusion import window

DISTURBANCES = {
    "noise": "one network, test inputs with noise and without",
    "patch": "one network, test inputs with a patch hidden and without",
}


def changed_by_disturbance(settings: Dropout, arm: Arm, key: Array) -> dict[str, np.ndarray]:
    """Returns, by disturbance, the share of test examples whose predicted class it changes, [seeds]."""
    params, x = arm.tuned.runs.params, jnp.tile(arm.data.test[0], (settings.disturbances, 1))
    clean = classes(params, x)
    return {name: np.mean(classes(params, given) != clean, 1) for name, given in disturbed(settings, key, x).items()}


def ratio(name: str, cause: str, shares: Mapping[str, np.ndarray]) -> list[Measurement]:
    """Returns the logarithm of a share with dropout over that without, paired by seed, and the shares themselves.

    Args:
      name: ends the measurements' names.
      cause: what changes a prediction.
      shares: of "plain" and "dropout", the share of predictions that change, [seeds].
    """
    source = f"ln of the share of predicted classes that differ, with dropout over without; {cause}"
    change = interval(f"log-ratio-{name}", np.log(shares["dropout"] / shares["plain"]), unit="nats", source=source)
    unit = "of the test examples"
    return [change, *(fraction(f"changed-{name}-{arm}", values, unit=unit, source=cause) for arm, values in shares.items())]


def disturbed(settings: Dropout, key: Array, x: Array) -> dict[str, Array]:
    """Returns inputs with noise and with a patch hidden; sequences of MNIST-1D have one row, digits as many as columns."""
    key_noise, key_patch = jax.random.split(key)
    rows = 1 if x.shape[1] == CELLS else math.isqrt(x.shape[1])
    side = settings.patch_cells if rows == 1 else settings.patch_pixels
    return {"noise": noisy(key_noise, x, settings.noise), "patch": occluded(key_patch, x, rows, side)}


def noisy(key: Array, x: Array, deviation: float) -> Array:
    """Returns inputs with independent Gaussian noise added to every cell."""
    return x + deviation * jax.random.normal(key, x.shape, x.dtype)


def occluded(key: Array, x: Array, rows: int, side: int) -> Array:
    """Returns inputs with one patch each set to 0, about the mean of the data, anywhere inside.

    Args:
      key: of the places.
      x: [examples, cells] images, row after row.
      rows: of the images; 1 where they are sequences.
      side: of the square patch, cut off where the image has fewer rows.
    """
    key_rows, key_columns = jax.random.split(key)
    in_rows = window(key_rows, len(x), rows, side)
    in_columns = window(key_columns, len(x), x.shape[1] // rows, side)
    return jnp.where((in_rows[:, :, None] & in_columns[:, None, :]).reshape(x.shape), jnp.zeros_like(x), x)
