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
from experiments.normalization.training import Moment, Run, fits, point_steps, smooth, train_arm
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
        chosen = None if keys is None else jnp.where(jnp.arange(depth + 1) <= layer, next_keys, keys)
        return jax.grad(lambda p: network.loss(arm, p, batch, chosen)[0])(both)["hidden"]["weight"][layer]

    now = moment.gradients["hidden"]["weight"]
    changed = jax.lax.map(gradient_after, jnp.arange(depth))
    axes = tuple(range(1, now.ndim))
    norm = lambda g: jnp.sqrt(jnp.sum(g**2, axes))
    tiny = jnp.finfo(now.dtype).tiny
    cosine = jnp.sum(now * changed, axes) / jnp.maximum(norm(now) * norm(changed), tiny)
    return Shift(input_drift(before, after), norm(changed - now) / jnp.maximum(norm(now), tiny), cosine)


def input_drift(before: Array, after: Array) -> Array:
    """Returns [depth] how far the distribution of each layer's inputs [depth, batch, …, width] has moved.

    It is the root mean square over units of the 2-Wasserstein distance between Gaussians of a unit's moments before and after,
    divided by the root mean square of the units' standard deviations before.
    """
    axes = tuple(range(1, before.ndim - 1))
    mean, spread = before.mean(axes), before.std(axes)
    squared = (after.mean(axes) - mean) ** 2 + (after.std(axes) - spread) ** 2
    return jnp.sqrt(squared.mean(1)) / jnp.sqrt(jnp.maximum((spread**2).mean(1), jnp.finfo(before.dtype).tiny))


def shift(settings: Normalization, key: Array) -> dict[str, Evidence]:
    """normalization.shift: arms at their own learning rates, and normalisation at the plain network's; MLP and CNN."""
    data, found, arrays = (
        digits.load().train,
        {},
        {"steps": point_steps(settings), "steps-cnn": point_steps(settings, settings.cnn)},
    )
    shapes = {"": (settings.mlp, ("plain", "normalised", "noisy")), "-cnn": (settings.cnn, ("plain", "normalised"))}
    for label, (shape, kinds) in shapes.items():
        for kind in kinds:
            arm = network.arm(relu, 2.0, kind)
            run = partial(train_arm, settings, arm, data, key, shape=shape, read=read_shift, noisy="noisy" in kinds)
            found[f"{kind}{label}"] = run()
            if kind == "normalised":
                found[f"normalised-equal{label}"] = run(rates=(found[f"plain{label}"].rate,))
    measurements = []
    for name, trained in found.items():
        measurements += _readings(name, trained)
        arrays |= curve(f"loss-{name}", smooth(trained.runs.losses, settings.points))
        for quantity in ("input_drift", "gradient_change"):
            values = np.log10(getattr(trained.runs.readings, quantity)).mean(2)
            arrays |= curve(f"{quantity.replace('_', '-')}-{name}", values)
    runs = {name: trained.runs for name, trained in found.items()}
    searches = {name: trained.search for name, trained in found.items() if "equal" not in name}
    evidence = Evidence((*measurements, *_changes(runs)), arrays, searches, fits(found, controls=("noisy",)))
    return {"normalization.shift": evidence}


def level(quantity: str) -> Callable[[Run], np.ndarray]:
    """Returns the function of runs that gives [seeds] the mean over layers and points of log10 of a reading."""
    return lambda runs: np.log10(getattr(runs.readings, quantity)).mean((1, 2))


def log_loss(runs: Run) -> np.ndarray:
    """Returns [seeds] log10 of the final loss."""
    return np.log10(final_loss(runs.losses))


QUANTITIES = {"input-drift": level("input_drift"), "gradient-change": level("gradient_change"), "loss": log_loss}


def _readings(name: str, trained: Tuned) -> list[Measurement]:
    runs, rate = trained.runs, trained.search
    at = f"learning rate {rate.rate:.2g}, the plain network's" if "-equal" in name else described(rate)
    what = f"geometric mean over hidden layers and points of training; {at}"
    cosine = "between a layer's gradient before and after"
    return [
        interval(f"input-drift-{name}", level("input_drift")(runs), unit="log10 of spreads per step", source=what),
        interval(f"gradient-change-{name}", level("gradient_change")(runs), unit="log10 of its norm per step", source=what),
        interval(f"cosine-{name}", runs.readings.cosine.mean((1, 2)), source=cosine),
        interval(f"log-loss-{name}", log_loss(runs), unit="log10 nats", source="last tenth of the steps"),
    ]


def _changes(runs: dict[str, Run]) -> list[Measurement]:
    """Returns the differences from the plain network of the same shape, paired by seed."""
    found = []
    compared = {"tuned": "normalised", "equal": "normalised-equal", "noisy": "noisy"}
    compared |= {f"{label}-cnn": f"{name}-cnn" for label, name in compared.items() if label != "noisy"}
    for label, name in compared.items():
        at = "the plain network's learning rate" if "equal" in label else "each its own tuned learning rate"
        source = f"{'normalisation with noise after it' if label == 'noisy' else 'normalisation'} minus plain, {at}"
        plain = runs["plain-cnn" if label.endswith("-cnn") else "plain"]
        for quantity, of in QUANTITIES.items():
            change = of(runs[name]) - of(plain)
            found.append(interval(f"{quantity}-change-{label}", change, unit=DECADES, source=source))
    return found
