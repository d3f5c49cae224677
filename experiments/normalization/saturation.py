"""Saturated sigmoid units of networks by the variance of their weights, and on the way of training."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.normalization import network
from experiments.normalization.network import Arm
from experiments.normalization.settings import Normalization
from experiments.normalization.training import Moment, fits, point_steps, smooth, train_arm
from experiments.study import digits
from experiments.study.measurement import Evidence, curve, fraction, interval
from experiments.study.tuning import described
from jaxnotes.layers.activations import saturated_fraction, sigmoid

UNIT = "of the units"
CRITERION = "slope below 5% of its maximum"
VARIANCES = np.logspace(0, 3, 7)  # σ_w²; the first is what is usual


def read_saturation(moment: Moment, _: Arm) -> Array:
    """Returns the fraction of saturated units over all hidden layers of sigmoids."""
    return saturated_fraction(sigmoid, moment.passed.pre_activations)


def saturation(settings: Normalization, key: Array) -> dict[str, Evidence]:
    """normalization.range: sigmoid networks by the variance of their weights, and large weights on the way of training."""
    data = digits.load().train
    key_initial, key_train = jax.random.split(key)
    measurements, arrays, found = [], {"variances": VARIANCES, "steps": point_steps(settings)}, {}
    for name in ("plain", "normalised"):
        keys = jax.random.split(key_initial, settings.seeds)
        of = jax.jit(partial(_initial, settings, data[0][: settings.train_batch], name))
        swept = np.stack([np.asarray(of(jnp.float32(v), keys)) for v in (*VARIANCES, settings.large_variance)], axis=1)
        law = "P(|z| > 4.357) of a standard normal z" if name == "normalised" else None
        prediction, source = (1.32e-5 if law else None), f"at initialisation, {law or CRITERION}"
        measurements += [
            fraction(f"saturated-{name}-ordinary", swept[:, 0], unit=UNIT, source=f"σ_w² = {VARIANCES[0]:g}, {CRITERION}"),
            fraction(f"saturated-{name}-initial", swept[:, -1], unit=UNIT, prediction=prediction, source=source),
        ]
        arrays |= curve(f"initial-{name}", swept[:, :-1])
        arm = network.arm(sigmoid, settings.large_variance, name)
        found[name] = trained = train_arm(settings, arm, data, key_train, read=read_saturation)
        saturated = trained.runs.readings
        source = f"last of {settings.points} points over {settings.train_steps} SGD steps; {described(trained.search)}"
        measurements.append(fraction(f"saturated-{name}-trained", saturated[:, -1], unit=UNIT, source=source))
        arrays |= curve(f"saturated-{name}", saturated) | curve(f"loss-{name}", smooth(trained.runs.losses, settings.points))
    change = found["normalised"].runs.readings[:, -1] - found["plain"].runs.readings[:, -1]
    measurements.append(interval("saturated-change", change, unit=UNIT, source="after training, with minus without"))
    arrays |= {"weight-variance": np.asarray(settings.large_variance)}
    searches = {name: trained.search for name, trained in found.items()}
    return {"normalization.range": Evidence(tuple(measurements), arrays, searches, fits(found, controls=("plain",)))}


def _initial(settings: Normalization, images: Array, kind: str, weight_variance: Array, keys: Array) -> Array:
    """Returns [seeds] the fraction of saturated units of networks that are not trained."""
    arm = network.arm(sigmoid, 1.0, kind)._replace(weight_variance=weight_variance)

    def of_seed(key: Array) -> Array:
        params = network.init(arm, key, images.shape[1], settings.mlp)
        return saturated_fraction(sigmoid, network.forward(arm, params, images).pre_activations)

    return jax.lax.map(of_seed, keys)
