"""The ensemble that dropout trains: every subnetwork of a small layer on MNIST, their exact averages, and weight scaling."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.dropout.settings import Dropout
from experiments.dropout.training import CLASSES, PIXELS, draws_of, load, tuned_arms
from experiments.study.measurement import Evidence, curve, interval
from jaxnotes.layers.activations import relu
from jaxnotes.layers.linear import linear

NETWORKS = ("linear", "hidden")  # what follows the masked layer: the softmax layer alone, or a hidden layer before it
TOTAL = "total variation"
REPEATS = 4  # Monte-Carlo averages of each number of masks, so that one mask alone gives a steady distance


def ensemble(settings: Dropout, key: Array) -> dict[str, Evidence]:
    """dropout.ensemble: n masked ReLU units, then a softmax layer, or a hidden layer and a softmax layer."""
    of_training, of_samples = jax.random.split(key)
    draws, data = draws_of(settings, of_training), load()
    measurements, arrays = [], {"samples": np.asarray(settings.samples)}
    few = tuple(part[: settings.ensemble_examples] for part in data.test)
    for name in NETWORKS:
        behind = () if name == "linear" else (settings.ensemble_units,)
        sizes = (PIXELS, settings.small_units, *behind, CLASSES)
        outcome = tuned_arms(settings, sizes, (0,), draws, data, [(settings.keep, settings.examples[-1])])[0]
        with jax.enable_x64(True):
            params = jax.tree.map(lambda p: jnp.asarray(p, jnp.float64), outcome.params)
            examples = few[0].astype(jnp.float64), few[1]
            study = jax.jit(lambda *each: jax.lax.map(lambda one: _averages(settings, *one, each[2]), each[:2]))
            found = jax.tree.map(np.asarray, study(params, jax.random.split(of_samples, settings.train_seeds), examples))
        source = f"Adam at its tuned learning rate {outcome.rate:.1g}"
        measurements += _measurements(settings, name, found, source)
        arrays |= {f"accuracy-{kind}-{name}": values for kind, values in found["accuracy"].items()}
        arrays |= curve(f"distance-{name}", found["distance"]) | curve(f"sampled-{name}", found["sampled"])
        arrays[f"scaled-distance-{name}"] = found["arithmetic"]
    return {"dropout.ensemble": Evidence(tuple(measurements), arrays)}


def _measurements(settings: Dropout, name: str, found: dict, source: str) -> list:
    accuracy, masks = found["accuracy"], f"all 2^{settings.small_units} masks"
    share = "fraction of the test examples"
    slope = np.polyfit(np.log(settings.samples), np.log(found["distance"]).T, 1)[0]
    gain, change = accuracy["scaled"] - accuracy["mean-subnetwork"], accuracy["scaled"] - accuracy["arithmetic"]
    return [
        interval(
            f"geometric-difference-{name}",
            found["geometric"],
            unit=TOTAL,
            prediction=0 if name == "linear" else None,
            source=f"weight scaling against the normalised geometric mean over {masks}; {source}",
        ),
        interval(f"arithmetic-difference-{name}", found["arithmetic"], unit=TOTAL, source=f"against the mean over {masks}"),
        interval(f"accuracy-gain-{name}", gain, unit=share, source="weight scaling minus the mean subnetwork"),
        interval(f"accuracy-change-{name}", change, unit=share, source=f"weight scaling minus the exact mean over {masks}"),
        interval(
            f"monte-carlo-slope-{name}",
            slope,
            unit="per ln(masks)",
            prediction=-0.5,
            source="ln of the total variation between a Monte-Carlo mean and the exact mean",
        ),
        *(interval(f"accuracy-{kind}-{name}", values, unit=share, source=masks) for kind, values in accuracy.items()),
    ]


def _averages(settings: Dropout, params: list, key: Array, examples: tuple[Array, Array]) -> dict:
    """Distances and accuracies of weight scaling, exact averages and Monte-Carlo averages, for one trained network."""
    x, labels = examples
    hidden = relu(linear(params[0], x))

    def log_probabilities(units: Array) -> Array:
        for layer in params[1:-1]:
            units = relu(linear(layer, units))
        return jax.nn.log_softmax(linear(params[-1], units))

    masks = ((jnp.arange(2**settings.small_units)[:, None] >> jnp.arange(settings.small_units)) & 1).astype(x.dtype)
    log_chance = jnp.sum(masks * jnp.log(settings.keep) + (1 - masks) * jnp.log1p(-settings.keep), axis=1)
    each = jax.lax.map(lambda m: log_probabilities(hidden * m[None] / settings.keep), masks)  # [masks, examples, classes]
    weights = jnp.exp(log_chance)
    geometric = jax.nn.softmax(jnp.tensordot(weights, each, 1))
    arithmetic = jnp.tensordot(weights, jnp.exp(each), 1)
    scaled = jnp.exp(log_probabilities(hidden))  # weight scaling of the inverted form: nothing to do at inference

    def right(probabilities: Array) -> Array:
        return jnp.mean((jnp.argmax(probabilities, -1) == labels).astype(x.dtype), -1)

    sampled = _sampled(settings, key, log_chance, jnp.exp(each))
    return {
        "geometric": _distance(scaled, geometric),
        "arithmetic": _distance(scaled, arithmetic),
        "distance": _distance(sampled, arithmetic[None, None]).mean(1),
        "sampled": right(sampled).mean(1),
        "accuracy": {
            "mean-subnetwork": weights @ right(each),
            "arithmetic": right(arithmetic),
            "geometric": right(geometric),
            "scaled": right(scaled),
        },
    }


def _sampled(settings: Dropout, key: Array, log_chance: Array, probabilities: Array) -> Array:
    """[numbers of masks, REPEATS, examples, classes] Monte-Carlo averages; a mask is the same for every example."""
    drawn = jax.random.categorical(key, log_chance, shape=(REPEATS, max(settings.samples)))
    averages = [jnp.stack([probabilities[row[:n]].mean(0) for row in drawn]) for n in settings.samples]
    return jnp.stack(averages)


def _distance(a: Array, b: Array) -> Array:
    """Total variation between class probabilities, mean over the examples."""
    return jnp.mean(jnp.sum(jnp.abs(a - b), -1), -1) / 2
