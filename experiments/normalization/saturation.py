"""Saturated sigmoid units of networks with large initial weights, on the way of their training."""

import numpy as np
from jax import Array

from experiments.normalization import network
from experiments.normalization.network import Arm
from experiments.normalization.settings import Normalization
from experiments.normalization.training import Moment, point_steps, smooth, train_arm
from experiments.study import digits
from experiments.study.measurement import Evidence, curve, interval
from experiments.study.tuning import described
from jaxnotes.layers.activations import saturated_fraction, sigmoid

UNIT = "of the units"


def read_saturation(moment: Moment, _: Arm) -> Array:
    """Returns the fraction of saturated units over all hidden layers of sigmoids."""
    return saturated_fraction(sigmoid, moment.passed.pre_activations)


def saturation(settings: Normalization, key: Array) -> dict[str, Evidence]:
    """normalization.range: sigmoid networks with large initial weights, saturated units on the way of training."""
    data, criterion = digits.load(0).train, "slope below 5% of its maximum"
    measurements, arrays, found = [], {}, {}
    for name in ("plain", "normalised"):
        arm = network.arm(sigmoid, settings.large_variance, name)
        found[name] = trained = train_arm(settings, arm, data, key, seeds=settings.train_seeds, read=read_saturation)
        saturated, losses = trained.runs.readings, trained.runs.losses
        law = "P(|z| > 4.357) of a standard normal z: slope below 5% of its maximum"
        prediction, source = (1.32e-5, law) if name == "normalised" else (None, criterion)
        measurements.append(
            interval(f"saturated-{name}-initial", saturated[:, 0], unit=UNIT, prediction=prediction, source=source)
        )
        source = f"last of {settings.points} points over {settings.train_steps} SGD steps; {described(trained.search)}"
        measurements.append(interval(f"saturated-{name}-trained", saturated[:, -1], unit=UNIT, source=source))
        arrays |= curve(f"saturated-{name}", saturated) | curve(f"loss-{name}", smooth(losses, settings.points))
    change = found["normalised"].runs.readings[:, -1] - found["plain"].runs.readings[:, -1]
    measurements.append(interval("saturated-change", change, unit=UNIT, source="after training, with minus without"))
    arrays |= {"steps": point_steps(settings), "weight-variance": np.asarray(settings.large_variance)}
    searches = {name: trained.search for name, trained in found.items()}
    return {"normalization.range": Evidence(tuple(measurements), arrays, searches)}
