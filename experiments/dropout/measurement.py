"""Dropout: the mask, the scale at inference, the subnetworks, the ensemble they form, and what training with it gives."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy import special

from experiments.dropout.ensemble import ensemble
from experiments.dropout.settings import Dropout
from experiments.dropout.training import forward, initialise, train_all, weights_in
from experiments.study.measurement import Evidence, curve, exact, interval
from experiments.study.seeds import over_seeds
from experiments.study.topic import Topic
from jaxnotes.layers.activations import relu
from jaxnotes.layers.dropout import dropout, inverted_dropout, keep_mask
from jaxnotes.training import cross_entropy

KEEPS = (0.1, 0.2, 0.35, 0.5, 0.65, 0.8, 0.9)  # of the curves over p
NAMED = {"low": 1, "middle": 3, "high": 5}


def mask(settings: Dropout, key: Array) -> dict[str, Evidence]:
    """dropout.mask: how many units stay, whether the others change, and whether units and steps are independent."""

    def of_seed(seed_key: Array) -> dict[str, Array]:
        of_x, of_masks = jax.random.split(seed_key)
        x = jax.random.normal(of_x, (settings.draws, settings.units))

        def at(keep: Array) -> Array:
            return dropout(x, keep, train=True, key=of_masks)

        outputs = jax.vmap(at)(jnp.asarray((*KEEPS, settings.keep)))
        kept = outputs != 0
        changed = jnp.sum((kept & (outputs != x[None])).astype(jnp.int32))
        centred = kept[-1].astype(jnp.float32) - settings.keep
        variance = jnp.mean(centred**2)
        return {
            "kept": kept[:-1].astype(jnp.float32).mean((1, 2)),
            "changed": changed,
            "unit": jnp.mean(centred[:, 1:] * centred[:, :-1]) / variance,
            "step": jnp.mean(centred[1:] * centred[:-1]) / variance,
            "picture": kept[-1][:24, :48],
        }

    found = over_seeds(of_seed, key, settings.seeds)
    measurements = [
        interval(
            f"kept-fraction-{name}",
            found["kept"][:, at],
            prediction=KEEPS[at],
            source="p, the probability to keep, not to drop",
        )
        for name, at in NAMED.items()
    ]
    of = f"{settings.seeds * settings.draws * settings.units * (len(KEEPS) + 1)} units"
    measurements += [
        exact("changed-units", found["changed"].sum(), unit="units", prediction=0, source=f"neither 0 nor unchanged, of {of}"),
        interval("unit-correlation", found["unit"], prediction=0, source="masks of neighbouring units"),
        interval("step-correlation", found["step"], prediction=0, source="masks of one unit in successive draws"),
    ]
    arrays = {"keeps": np.asarray(KEEPS), "picture": found["picture"][0]} | curve("kept", found["kept"])
    return {"dropout.mask": Evidence(tuple(measurements), arrays)}


def every_mask(units: int) -> np.ndarray:
    """[2^units, units] of 0 and 1: all masks of a layer."""
    return (np.arange(2**units)[:, None] >> np.arange(units)) & 1


def scale(settings: Dropout, key: Array) -> dict[str, Evidence]:
    """dropout.scale: expectations over all masks in float64; and what a ReLU after the mask makes of them."""
    of_exact, of_ratios = jax.random.split(key)
    with jax.enable_x64(True):
        errors = np.asarray([_errors(settings, k) for k in jax.random.split(of_exact, settings.seeds)])
    ratios = over_seeds(lambda k: _ratios(settings, k), of_ratios, settings.seeds)
    counted = f"over all 2^{settings.small_units} masks, largest over p = {', '.join(map(str, KEEPS))}"
    measurements = (
        interval("expectation-error-float64", errors[:, 0], prediction=0, source=f"E[x·m] against p·x, {counted}"),
        interval("linear-error-float64", errors[:, 1], prediction=0, source=f"the next pre-activation, {counted}"),
        interval(
            "forms-difference-float64", errors[:, 2], prediction=0, source="same key; weights of the inverted form times p"
        ),
        interval(
            "relu-ratio",
            ratios["relu"][:, -1],
            unit="training over inference",
            prediction=settings.keep**-0.5,
            source="1/√p: the mask's variance (1 − p)/p of the squared mean adds to it in a random layer",
        ),
        exact("keep", settings.keep, source="probability to keep a unit"),
    )
    arrays = {"keeps": np.asarray(KEEPS)}
    for name, values in ratios.items():
        arrays |= curve(name, values[:, :-1])
    return {"dropout.scale": Evidence(measurements, arrays)}


@jax.jit
def _forms(x: Array, weight: Array, keep: Array, key: Array) -> list[list[Array]]:
    """For training and inference, the next pre-activations of the notes' form and of the inverted one with weights times p."""
    pairs = (dropout, weight), (inverted_dropout, weight * keep)
    return [[form(x, keep, train=train, key=key) @ w for form, w in pairs] for train in (True, False)]


def _errors(settings: Dropout, key: Array) -> np.ndarray:
    """Largest errors over p: E[x·m] against inference, the same of the next pre-activation, and one form against the other."""
    of_x, of_weight, of_mask = jax.random.split(key, 3)
    x = jax.random.normal(of_x, (settings.batch, settings.small_units), jnp.float64)
    weight = jax.random.normal(of_weight, (settings.small_units, settings.units), jnp.float64)
    masks, errors = every_mask(settings.small_units), []
    for keep in KEEPS:
        chances = np.where(masks == 1, keep, 1 - keep).prod(1)
        masked = np.asarray(x)[None] * masks[:, None]  # [masks, batch, units]
        at_inference = np.asarray(dropout(x, keep, train=False))
        training, inference = _forms(x, weight, jnp.asarray(keep), of_mask)
        in_mean = np.tensordot(chances, masked, 1)
        of_forms = max(float(jnp.abs(a - b).max()) for a, b in (training, inference))
        linear = np.abs(in_mean @ np.asarray(weight) - np.asarray(inference[0])).max()
        errors.append([np.abs(in_mean - at_inference).max(), linear, of_forms])
    return np.max(errors, axis=0)


def _ratios(settings: Dropout, key: Array) -> dict[str, Array]:
    """Mean in training over inference, by p: a pre-activation's projection, its ReLU, and the latter without the scale."""
    of_x, of_weight, of_masks = jax.random.split(key, 3)
    x = jax.random.normal(of_x, (settings.batch, settings.units))
    weight = jax.random.normal(of_weight, (settings.units, settings.units)) / settings.units**0.5

    def at(keep: Array) -> tuple[Array, Array, Array]:
        def step(totals, mask_key: Array):
            z = dropout(x, keep, train=True, key=mask_key) @ weight
            return (totals[0] + z / settings.draws, totals[1] + relu(z).mean() / settings.draws), None

        zero = jnp.zeros((settings.batch, settings.units)), jnp.zeros(())
        (mean, mean_relu), _ = jax.lax.scan(step, zero, jax.random.split(of_masks, settings.draws))
        z = dropout(x, keep, train=False) @ weight
        return jnp.sum(mean * z) / jnp.sum(z**2), mean_relu / relu(z).mean(), mean_relu / relu(x @ weight).mean()

    return dict(
        zip(("linear", "relu", "unscaled"), jax.lax.map(at, jnp.asarray((*KEEPS, settings.keep), jnp.float32)), strict=True)
    )


def subnetworks(settings: Dropout, key: Array) -> dict[str, Evidence]:
    """dropout.subnetworks: masks over the steps of a training, and a masked network against one with the units deleted."""
    of_masks, of_network = jax.random.split(key)
    masks = over_seeds(
        lambda k: keep_mask(k, settings.keep, (settings.mask_steps, 2 * settings.wide)), of_masks, settings.seeds
    )
    repeats = sum(settings.mask_steps - len(np.unique(np.packbits(m, axis=1), axis=0)) for m in masks)
    sizes = np.arange(2, 25, 2)  # layers of so many units: the first columns of the same masks
    distinct = np.asarray([[len(np.unique(m[:, :n] @ (1 << np.arange(n)))) for n in sizes] for m in masks])
    predicted = np.asarray([expected_distinct(int(n), settings.keep, settings.mask_steps) for n in sizes])
    generator = np.random.default_rng(np.asarray(jax.random.key_data(of_network)))
    with jax.enable_x64(True):
        difference, gradient = zip(*(_deleted(settings, generator) for _ in range(settings.seeds)), strict=True)
    at = int(np.flatnonzero(sizes == 8)[0])
    pair = 2 * settings.wide * np.log10(settings.keep**2 + (1 - settings.keep) ** 2)
    steps = f"of {settings.mask_steps} steps"
    measurements = (
        exact("repeated-masks", repeats, unit=f"{steps}, all seeds", prediction=0, source=f"{2 * settings.wide} hidden units"),
        exact("log10-pair-chance", pair, source="log10 of the chance that two steps share a mask, (p² + (1 − p)²)^n"),
        interval(
            "distinct-small",
            distinct[:, at],
            unit=steps,
            prediction=predicted[at],
            source="8 units; Σ over masks of 1 − (1 − P)^steps",
        ),
        interval("deleted-difference-float64", difference, prediction=0, source="logits, masked against deleted units"),
        exact("dropped-gradient", max(gradient), prediction=0, source="largest |gradient| into or out of a dropped unit"),
    )
    arrays = {"sizes": sizes, "steps": np.asarray(settings.mask_steps), "predicted": predicted} | curve("distinct", distinct)
    return {"dropout.subnetworks": Evidence(measurements, arrays)}


def expected_distinct(units: int, keep: float, steps: int) -> float:
    """Expected number of different masks in `steps` draws: Σ_k C(n, k) (1 − (1 − p^k (1 − p)^(n − k))^steps)."""
    kept = np.arange(units + 1)
    log_chance = kept * np.log(keep) + (units - kept) * np.log1p(-keep)
    seen = -np.expm1(steps * np.log1p(-np.exp(log_chance)))
    return float(np.sum(special.comb(units, kept) * seen))


@jax.jit
def _masked(params: list, x: Array, labels: Array, masks: Array) -> tuple[Array, list]:
    """Logits of a network under one mask a hidden layer, and the gradient of its loss."""

    def logits(params) -> Array:
        return forward(params, x, lambda layer, h: jnp.where(masks[layer][None], h, 0.0))

    return logits(params), jax.grad(lambda params: cross_entropy(logits(params), labels))(params)


def _deleted(settings: Dropout, generator: np.random.Generator) -> tuple[float, float]:
    """Largest difference of logits between masked units and a smaller network without them; and what they get as gradient."""
    sizes = (16, 32, 32, 10)
    x = generator.normal(size=(settings.batch, sizes[0]))
    masks = generator.random((2, 32)) < settings.keep
    params = initialise(jnp.asarray(generator.normal(size=weights_in(sizes))), sizes)
    logits, gradient = _masked(params, x, generator.integers(0, 10, settings.batch), masks)
    h, kept, stray = x, np.ones(sizes[0], bool), 0.0
    for of_layer, of_gradient, after in zip(params, gradient, (*masks, np.ones(10, bool)), strict=True):
        weight = np.asarray(of_layer["weight"])[np.ix_(kept, after)]
        h = h @ weight + np.asarray(of_layer["bias"])[after]
        h = np.maximum(h, 0) if of_layer is not params[-1] else h
        stray = max(stray, np.abs(np.asarray(of_gradient["weight"])[~np.outer(kept, after)]).max(initial=0))
        kept = after
    return float(np.abs(np.asarray(logits) - h).max()), float(stray)


TOPIC = Topic("dropout", Dropout, (mask, scale, subnetworks, ensemble, train_all))
