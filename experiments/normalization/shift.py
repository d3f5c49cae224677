"""Internal covariate shift, measured two ways, and the benefit of batch normalisation, with and without noise after it.

The two ways: how far the distribution of a layer's inputs moves in a step (Ioffe and Szegedy 2015), and how far a layer's
gradient moves when the earlier layers take their step (Santurkar et al. 2018, definition 2.1).
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.normalization import network
from experiments.normalization.network import Arm
from experiments.normalization.settings import Normalization
from experiments.normalization.training import Moment, Run, point_steps, smooth, train_arm
from experiments.study import digits
from experiments.study.measurement import Evidence, Measurement, curve, interval
from experiments.study.tuning import Tuned, described, final_loss
from jaxnotes.layers.activations import relu

DECADES = "log10"


class Shift(NamedTuple):
    """The shift that one step brings, at each hidden layer: [depth]."""

    input_drift: Array  # see `input_drift`
    gradient_change: Array  # ‖G′ − G‖ / ‖G‖ of the weights' gradient
    cosine: Array  # of the angle between G and G′


def read_shift(moment: Moment, arm: Arm) -> Shift:
    """Returns the shift of the step that the network is about to take, all seen through the same batch.

    The noisy arm's noise counts as part of what the earlier layers do: it is another one after the step.
    """
    params, moved, batch, keys, next_keys = moment.params, moment.moved, moment.batch, moment.keys, moment.next_keys
    before, after = moment.passed.inputs, network.forward(arm, moved, batch[0], next_keys).inputs
    depth = before.shape[0]

    def gradient_after(layer: Array) -> Array:
        """G′ of a hidden layer: the layers before it have taken their step, it and the later ones have not."""
        earlier = jnp.arange(depth) < layer

        def mixed(old: Array, new: Array) -> Array:
            return jnp.where(earlier.reshape(depth, *[1] * (old.ndim - 1)), new, old)

        both = {"input": moved["input"], "output": params["output"]}
        both["hidden"] = jax.tree.map(mixed, params["hidden"], moved["hidden"])
        chosen = jnp.where(jnp.arange(depth + 1) <= layer, next_keys, keys)
        return jax.grad(lambda p: network.loss(arm, p, batch, chosen)[0])(both)["hidden"]["weight"][layer]

    now = moment.gradients["hidden"]["weight"]
    changed = jax.lax.map(gradient_after, jnp.arange(depth))
    norm = partial(jnp.linalg.norm, axis=(1, 2))
    tiny = jnp.finfo(now.dtype).tiny
    cosine = jnp.sum(now * changed, axis=(1, 2)) / jnp.maximum(norm(now) * norm(changed), tiny)
    return Shift(input_drift(before, after), norm(changed - now) / jnp.maximum(norm(now), tiny), cosine)


def input_drift(before: Array, after: Array) -> Array:
    """Returns [depth] how far the distribution of each layer's inputs [depth, batch, width] has moved.

    It is the root mean square over units of the 2-Wasserstein distance between Gaussians of a unit's moments before and after,
    divided by the root mean square of the units' standard deviations before.
    """
    mean, spread = before.mean(1), before.std(1)
    squared = (after.mean(1) - mean) ** 2 + (after.std(1) - spread) ** 2
    return jnp.sqrt(squared.mean(1)) / jnp.sqrt(jnp.maximum((spread**2).mean(1), jnp.finfo(before.dtype).tiny))


def shift(settings: Normalization, key: Array) -> dict[str, Evidence]:
    """normalization.shift: three arms at their own learning rates, and normalisation at the plain network's."""
    data, found = digits.load(0).train, {}
    for kind in network.KINDS:
        run = partial(train_arm, settings, network.arm(relu, 2.0, kind), data, key, seeds=settings.shift_seeds, read=read_shift)
        found[kind] = run(noisy=True)
        if kind != "plain":
            found[f"{kind}-equal"] = run(noisy=True, rates=(found["plain"].rate,))
    measurements, arrays = [], {"steps": point_steps(settings)}
    for name, trained in found.items():
        measurements += _readings(name, trained)
        arrays |= curve(f"loss-{name}", smooth(trained.runs.losses, settings.points))
        for quantity in ("input_drift", "gradient_change"):
            values = np.log10(getattr(trained.runs.readings, quantity)).mean(2)
            arrays |= curve(f"{quantity.replace('_', '-')}-{name}", values)
    runs = {name: trained.runs for name, trained in found.items()}
    searches = {kind: found[kind].search for kind in network.KINDS}
    return {"normalization.shift": Evidence((*measurements, *_changes(runs)), arrays, searches)}


def level(quantity: str) -> Callable[[Run], np.ndarray]:
    """Returns the function of runs that gives [seeds] the mean over layers and points of log10 of a reading."""
    return lambda runs: np.log10(getattr(runs.readings, quantity)).mean((1, 2))


def log_loss(runs: Run) -> np.ndarray:
    """Returns [seeds] log10 of the final loss."""
    return np.log10(final_loss(runs.losses))


QUANTITIES = {"input-drift": level("input_drift"), "gradient-change": level("gradient_change"), "loss": log_loss}


def _readings(name: str, trained: Tuned) -> list[Measurement]:
    runs, rate = trained.runs, trained.search
    at = f"learning rate {rate.rate:.2g}, the plain network's" if name.endswith("-equal") else described(rate)
    what = f"geometric mean over hidden layers and points of training; {at}"
    cosine = "between a layer's gradient before and after"
    return [
        interval(f"input-drift-{name}", level("input_drift")(runs), unit="log10 of spreads per step", source=what),
        interval(f"gradient-change-{name}", level("gradient_change")(runs), unit="log10 of its norm per step", source=what),
        interval(f"cosine-{name}", runs.readings.cosine.mean((1, 2)), source=cosine),
        interval(f"log-loss-{name}", log_loss(runs), unit="log10 nats", source="last tenth of the steps"),
    ]


def _changes(runs: dict[str, Run]) -> list[Measurement]:
    """Returns the differences from the plain network, paired by seed."""
    found = []
    for label, name in {"tuned": "normalised", "equal": "normalised-equal", "noisy": "noisy"}.items():
        at = "the plain network's learning rate" if label == "equal" else "each its own tuned learning rate"
        source = f"{'normalisation with noise after it' if label == 'noisy' else 'normalisation'} minus plain, {at}"
        for quantity, of in QUANTITIES.items():
            change = of(runs[name]) - of(runs["plain"])
            found.append(interval(f"{quantity}-change-{label}", change, unit=DECADES, source=source))
    return found
