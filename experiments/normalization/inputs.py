"""Inputs that are scaled and shifted by decades: what arrives in trained networks, by the statistics that normalise."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.normalization import network
from experiments.normalization.network import Arm
from experiments.normalization.settings import Normalization
from experiments.normalization.training import fits, train_arm
from experiments.study import digits
from experiments.study.measurement import Evidence, curve, fraction, interval
from experiments.study.tuning import described
from jaxnotes.layers.activations import relu

DECADES = np.arange(-3, 3.5, 0.5)
CHANGES = tuple((float(10**d), 0.0) for d in DECADES) + tuple((1.0, float(10**d)) for d in DECADES)  # scale and shift
BATCH = 500  # of test digits
VIOLENT = 10.0  # the scale and the shift of which the table speaks
KINDS = {"plain": "plain", "batch": "normalised", "running": "normalised", "layer": "layer-normalised"}


def inputs(settings: Normalization, key: Array) -> dict[str, Evidence]:
    """normalization.inputs: digits × scale + shift into trained ReLU networks; batch, running and layer statistics."""
    sets = digits.load()
    kinds = tuple(dict.fromkeys(KINDS.values()))
    found = {kind: train_arm(settings, network.arm(relu, 2.0, kind), sets.train, key) for kind in kinds}
    measurements, arrays = [], {"decades": DECADES}
    for name, kind in KINDS.items():
        see = partial(_seen, network.arm(relu, 2.0, kind), running=name == "running")
        every = jax.jit(lambda params, see=see: jax.lax.map(lambda p: see(p, sets.train[0], sets.test), params))
        growth, accuracy = map(np.asarray, every(found[kind].runs.params))
        how = described(found[kind].search)
        most, count = f"largest over scales and shifts from {10.0 ** DECADES[0]:g} to {10.0 ** DECADES[-1]:g}", len(DECADES)
        measurements.append(interval(f"growth-{name}", growth.max(1), unit="log10", source=f"RMS in any layer, {most}; {how}"))
        for place, change in enumerate(("scale", "shift")):
            at = CHANGES.index((VIOLENT, 0.0) if change == "scale" else (1.0, VIOLENT))
            source = f"test digits, {change} {VIOLENT:g}, in batches of {BATCH}"
            measurements.append(interval(f"growth-{name}-{change}", growth[:, at], unit="log10", source=source))
            measurements.append(fraction(f"accuracy-{name}-{change}", accuracy[:, at], source=source))
            arrays |= curve(f"growth-{name}-{change}", growth[:, place * count : (place + 1) * count])
            arrays |= curve(f"accuracy-{name}-{change}", accuracy[:, place * count : (place + 1) * count])
        unchanged = CHANGES.index((1.0, 0.0))
        measurements.append(fraction(f"accuracy-{name}", accuracy[:, unchanged], source="test digits as they are"))
    searches = {kind: trained.search for kind, trained in found.items()}
    return {"normalization.inputs": Evidence(tuple(measurements), arrays, searches, fits(found))}


def _seen(arm: Arm, params, train_images: Array, test: tuple[Array, Array], *, running: bool) -> tuple[Array, Array]:
    """Returns [changes] growth of the RMS pre-activation, log10, in the layer where it is largest, and accuracy.

    The test digits come in batches of their own statistics, or by those of the training set, as running averages would be.
    """
    state = network.statistics(arm, params, train_images) if running else None
    batches = test[0].reshape(-1, min(BATCH, len(test[0])), test[0].shape[1])

    def changed(scale: Array, shift: Array) -> tuple[Array, Array]:
        passed = jax.lax.map(lambda x: network.forward(arm, params, scale * x + shift, statistics=state), batches)
        square = jnp.mean(passed.pre_activations**2, axis=(0, 2, 3))
        return square, network.accuracy(passed.logits.reshape(len(test[1]), -1), test[1])

    square, accuracy = jax.lax.map(lambda change: changed(*change), jnp.asarray(CHANGES, jnp.float32))
    before = square[CHANGES.index((1.0, 0.0))]
    return 0.5 * jnp.log10(square / before).max(1), accuracy
