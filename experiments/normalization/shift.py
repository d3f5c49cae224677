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

from experiments.normalization import training as runs
from experiments.normalization.settings import Normalization
from experiments.study.measurement import Evidence, Measurement, curve, exact, interval
from jaxnotes.layers.activations import relu

ARMS = {kind: runs.arm(relu, 2.0, kind) for kind in runs.KINDS}


class Shift(NamedTuple):
    """The shift that one step brings, at each hidden layer: [depth]."""

    input_drift: Array  # Wasserstein distance of the inputs' distribution a unit, over the inputs' spread
    gradient_change: Array  # ‖G′ − G‖ / ‖G‖ of the weights' gradient
    cosine: Array  # of the angle between G and G′


def read_shift(arm: runs.Arm, moment: runs.Moment) -> Shift:
    """The shift of the step that the network is about to take, all seen through the same batch.

    The noisy arm's noise counts as part of what the earlier layers do: it is another one after the step.
    """
    params, batch, keys, next_keys = moment.params, moment.batch, moment.keys, moment.next_keys
    moved = jax.tree.map(lambda p, g: p - moment.rate * g, params, moment.gradients)
    before, after = moment.passed.inputs, runs.forward(arm, moved, batch[0], next_keys).inputs
    depth = before.shape[0]

    def gradient_after(layer: Array) -> Array:
        """G′ of a hidden layer: the layers before it have taken their step, it and the later ones have not."""
        earlier = jnp.arange(depth) < layer

        def mixed(old: Array, new: Array) -> Array:
            return jnp.where(earlier.reshape(depth, *[1] * (old.ndim - 1)), new, old)

        both = {"input": moved["input"], "output": params["output"]}
        both["hidden"] = jax.tree.map(mixed, params["hidden"], moved["hidden"])
        chosen = jnp.where(jnp.arange(depth + 1) <= layer, next_keys, keys)
        return jax.grad(lambda p: runs.loss_of(arm, p, batch, chosen)[0])(both)["hidden"]["weight"][layer]

    now = moment.gradients["hidden"]["weight"]
    changed = jax.lax.map(gradient_after, jnp.arange(depth))
    norm = lambda a: jnp.linalg.norm(a, axis=(1, 2))  # noqa: E731
    tiny = jnp.finfo(now.dtype).tiny
    cosine = jnp.sum(now * changed, axis=(1, 2)) / jnp.maximum(norm(now) * norm(changed), tiny)
    return Shift(input_drift(before, after), norm(changed - now) / jnp.maximum(norm(now), tiny), cosine)


def input_drift(before: Array, after: Array) -> Array:
    """[depth] RMS over units of the 2-Wasserstein distance between Gaussians of a unit's moments, over the units' RMS spread.

    Args:
      before, after: [depth, batch, width] inputs of each layer.
    """
    mean, spread = before.mean(1), before.std(1)
    squared = (after.mean(1) - mean) ** 2 + (after.std(1) - spread) ** 2
    return jnp.sqrt(squared.mean(1)) / jnp.sqrt(jnp.maximum((spread**2).mean(1), jnp.finfo(before.dtype).tiny))


def shift(settings: Normalization, key: Array) -> dict[str, Evidence]:
    """normalization.shift: three arms at their own learning rates, and normalisation at the plain network's."""
    data = runs.mnist_vectors()
    of_tuning, of_seeds = jax.random.split(key)
    keys = jax.random.split(of_seeds, settings.shift_seeds)
    outcomes, rates = {}, {}
    train_arm = runs.trainer(settings, settings.train_depth, read_shift, noisy=True)
    for name, arm in ARMS.items():
        train = partial(train_arm, arm)
        rates[name] = runs.tuned_rate(train, of_tuning, settings, data)
        outcomes[name] = train(keys, np.full(len(keys), rates[name]), data)
        if name != "plain":
            outcomes[f"{name}-equal"] = train(keys, np.full(len(keys), rates["plain"]), data)
    measurements = [exact(f"rate-{name}", rate, source="tuned: lowest final loss") for name, rate in rates.items()]
    arrays = {"steps": runs.point_steps(settings)}
    for name, outcome in outcomes.items():
        measurements += _readings(name, outcome)
        arrays |= curve(f"loss-{name}", runs.smooth(outcome.losses, settings.points))
        for quantity in ("input_drift", "gradient_change"):
            values = np.log10(getattr(outcome.readings, quantity)).mean(2)
            arrays |= curve(f"{quantity.replace('_', '-')}-{name}", values)
    return {"normalization.shift": Evidence((*measurements, *_changes(outcomes)), arrays)}


def level(quantity: str) -> Callable[[runs.Run], np.ndarray]:
    """[seeds] mean over layers and points of log10 of a reading."""
    return lambda outcome: np.log10(getattr(outcome.readings, quantity)).mean((1, 2))


def _readings(name: str, outcome: runs.Run) -> list[Measurement]:
    what = "geometric mean over hidden layers and points of training"
    return [
        interval(f"input-drift-{name}", level("input_drift")(outcome), unit="log10 of spreads a step", source=what),
        interval(f"gradient-change-{name}", level("gradient_change")(outcome), unit="log10 of its norm a step", source=what),
        interval(f"cosine-{name}", outcome.readings.cosine.mean((1, 2)), source="between a layer's gradient before and after"),
        interval(
            f"log-loss-{name}", np.log10(runs.final_loss(outcome.losses)), unit="log10 nats", source="last tenth of the steps"
        ),
    ]


def _changes(outcomes: dict[str, runs.Run]) -> list[Measurement]:
    """Differences from the plain network, paired by seed."""
    plain, found = outcomes["plain"], []
    quantities = {"input-drift": level("input_drift"), "gradient-change": level("gradient_change")}
    quantities["loss"] = lambda outcome: np.log10(runs.final_loss(outcome.losses))
    pairs = {"tuned": "normalised", "equal": "normalised-equal", "noisy": "noisy"}
    for label, arm in pairs.items():
        at = "the plain network's learning rate" if label == "equal" else "each its own tuned learning rate"
        source = f"{'normalisation with noise after it' if label == 'noisy' else 'normalisation'} minus plain, {at}"
        for quantity, of in quantities.items():
            found.append(
                interval(f"{quantity}-change-{label}", of(outcomes[arm]) - of(plain), unit=runs.DECADES, source=source)
            )
    return found
