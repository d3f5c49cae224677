"""The ensemble that dropout trains: every subnetwork of a small layer on digits, their exact averages, and weight scaling."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.dropout import tasks
from experiments.dropout.network import Params, forward
from experiments.dropout.settings import Dropout
from experiments.dropout.training import Arm, Plan, tuned_arm
from experiments.study.measurement import Evidence, Measurement, curve, fraction, interval
from jaxnotes.layers.activations import relu
from jaxnotes.layers.linear import linear

TOTAL = "total variation"
REPEATS = 4  # Monte-Carlo averages of each number of masks, so that one mask alone gives a steady distance


def ensemble(settings: Dropout, key: Array) -> dict[str, Evidence]:
    """dropout.ensemble: n masked ReLU units, then a softmax layer, or a hidden layer and a softmax layer; at two keep
    probabilities, "low" and "high".
    """
    key_training, key_samples = jax.random.split(key)
    data, keys_samples = tasks.mnist(), jax.random.split(key_samples, settings.train_seeds)
    measurements, arrays, searches, fits = (
        [],
        {"samples": np.asarray(settings.samples), "keeps": np.asarray(settings.ensemble_keeps)},
        {},
        {},
    )
    for named, behind in (("linear", ()), ("hidden", (settings.ensemble_units,))):
        plan = Plan((settings.small_units, *behind), (0,), settings.digits_steps, settings.train_batch)
        for level, keep in zip(("low", "high"), settings.ensemble_keeps, strict=True):
            name, arm = f"{named}-{level}", tuned_arm(settings, plan, keep, len(data.train[1]), data, key_training)
            found = _found(settings, arm, keys_samples)
            measurements += _measurements(settings, name, found, f"Adam, {arm.described}")
            arrays |= curve(f"distance-{name}", found["distance"]) | {f"scaled-distance-{name}": found["arithmetic"]}
            searches[name], fits[name] = arm.tuned.search, arm.fit()
    return {"dropout.ensemble": Evidence(tuple(measurements), arrays, searches, fits)}


def _found(settings: Dropout, arm: Arm, keys: Array) -> dict:
    """Returns `averages` of each network of an arm, in float64."""
    with jax.enable_x64(True):
        params = jax.tree.map(lambda p: jnp.asarray(p, jnp.float64), arm.tuned.runs.params)
        images, labels = (part[: settings.ensemble_examples] for part in arm.data.test)
        test = images.astype(jnp.float64), labels
        study = jax.jit(lambda params, keys: jax.lax.map(lambda one: averages(settings, arm.keep, *one, test), (params, keys)))
        return jax.tree.map(np.asarray, study(params, keys))


def _measurements(settings: Dropout, name: str, found: dict, training: str) -> list[Measurement]:
    accuracy, masks = found["accuracy"], f"all 2^{settings.small_units} masks"
    share = "fraction of the test examples"
    slope = np.polyfit(np.log(settings.samples), np.log(found["distance"]).T, 1)[0]
    gain, whole = (accuracy[kind] - accuracy["mean-subnetwork"] for kind in ("scaled", "arithmetic"))
    return [
        interval(
            f"geometric-difference-{name}",
            found["geometric"],
            unit=TOTAL,
            prediction=0 if name.startswith("linear") else None,
            source=f"weight scaling against the normalised geometric mean over {masks}; {training}",
        ),
        interval(f"arithmetic-difference-{name}", found["arithmetic"], unit=TOTAL, source=f"against the mean over {masks}"),
        interval(f"accuracy-gain-{name}", gain, unit=share, source="weight scaling minus the mean subnetwork"),
        interval(
            f"recovered-{name}",
            gain / whole,
            unit="of the ensemble's gain",
            source=f"gain of weight scaling over the mean subnetwork as a share of that of the exact mean over {masks}",
        ),
        interval(
            f"monte-carlo-slope-{name}",
            slope,
            unit="per ln(masks)",
            prediction=-0.5,
            source="ln of the total variation between a Monte-Carlo mean and the exact mean",
        ),
        *(fraction(f"accuracy-{kind}-{name}", values, unit=share, source=masks) for kind, values in accuracy.items()),
    ]


def averages(settings: Dropout, keep: float, params: Params, key: Array, test: tuple[Array, Array]) -> dict:
    """Returns distances and accuracies of weight scaling, exact averages and Monte-Carlo averages, for one trained network."""
    x, labels = test
    units = relu(linear(params[0], x))

    def log_probabilities(units: Array) -> Array:
        return jax.nn.log_softmax(forward(params[1:], units))

    masks = ((jnp.arange(2**settings.small_units)[:, None] >> jnp.arange(settings.small_units)) & 1).astype(x.dtype)
    log_chance = jnp.sum(masks * jnp.log(keep) + (1 - masks) * jnp.log1p(-keep), axis=1)
    each = jax.lax.map(lambda m: log_probabilities(units * m[None] / keep), masks)  # [masks, examples, classes]
    chance = jnp.exp(log_chance)
    geometric = jax.nn.softmax(jnp.tensordot(chance, each, 1))
    arithmetic = jnp.tensordot(chance, jnp.exp(each), 1)
    scaled = jnp.exp(log_probabilities(units))  # weight scaling of the inverted form: nothing to do at inference

    def right(probabilities: Array) -> Array:
        return jnp.mean((jnp.argmax(probabilities, -1) == labels).astype(x.dtype), -1)

    sampled = _sampled(settings, key, log_chance, jnp.exp(each))
    return {
        "geometric": _distance(scaled, geometric),
        "arithmetic": _distance(scaled, arithmetic),
        "distance": _distance(sampled, arithmetic[None, None]).mean(1),
        "accuracy": {
            "mean-subnetwork": chance @ right(each),
            "arithmetic": right(arithmetic),
            "geometric": right(geometric),
            "scaled": right(scaled),
        },
    }


def _sampled(settings: Dropout, key: Array, log_chance: Array, probabilities: Array) -> Array:
    """Returns [numbers of masks, REPEATS, examples, classes] Monte-Carlo averages; a mask is the same for every example."""
    drawn = jax.random.categorical(key, log_chance, shape=(REPEATS, max(settings.samples)))
    means = [jnp.stack([probabilities[row[:n]].mean(0) for row in drawn]) for n in settings.samples]
    return jnp.stack(means)


def _distance(a: Array, b: Array) -> Array:
    """Returns the total variation between class probabilities, mean over the examples."""
    return jnp.mean(jnp.sum(jnp.abs(a - b), -1), -1) / 2
