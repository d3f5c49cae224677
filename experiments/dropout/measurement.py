"""The mask, the scale at inference, and the subnetworks of dropout."""

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from scipy import special

from experiments.dropout.ensemble import ensemble
from experiments.dropout.generalisation import generalisation
from experiments.dropout.network import Params, forward, initialise
from experiments.dropout.settings import Dropout
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

    def of_seed(key: Array) -> dict[str, Array]:
        key_x, key_masks = jax.random.split(key)
        x = jax.random.normal(key_x, (settings.draws, settings.units))

        def at(keep: Array) -> Array:
            return dropout(x, keep, train=True, key=key_masks)

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
    number = settings.seeds * settings.draws * settings.units * (len(KEEPS) + 1)
    source = f"neither 0 nor unchanged, of {number} units"
    measurements += [
        exact("changed-units", found["changed"].sum(), unit="units", prediction=0, source=source),
        interval("unit-correlation", found["unit"], prediction=0, source="masks of neighbouring units"),
        interval("step-correlation", found["step"], prediction=0, source="masks of one unit in successive draws"),
    ]
    arrays = {"keeps": np.asarray(KEEPS), "picture": found["picture"][0]} | curve("kept", found["kept"])
    return {"dropout.mask": Evidence(tuple(measurements), arrays)}


def every_mask(units: int) -> np.ndarray:
    """Returns all masks of a layer, [2^units, units] of 0 and 1."""
    return (np.arange(2**units)[:, None] >> np.arange(units)) & 1


def scale(settings: Dropout, key: Array) -> dict[str, Evidence]:
    """dropout.scale: expectations over all masks in float64; and what a ReLU after the mask makes of them."""
    key_exact, key_ratios = jax.random.split(key)
    with jax.enable_x64(True):
        errors = np.asarray([_errors(settings, key) for key in jax.random.split(key_exact, settings.seeds)])
    ratios = over_seeds(lambda key: _ratios(settings, key), key_ratios, settings.seeds)
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
            source=f"1/√p, p = {settings.keep}: the mask's variance (1 − p)/p of the squared mean adds to it in a random layer",
        ),
    )
    arrays = {"keeps": np.asarray(KEEPS)}
    for name, values in ratios.items():
        arrays |= curve(name, values[:, :-1])
    return {"dropout.scale": Evidence(measurements, arrays)}


@jax.jit
def _forms(x: Array, weight: Array, keep: Array, key: Array) -> list[list[Array]]:
    """Returns the next pre-activations in training and at inference, of the notes' form and of the inverted one with p·w."""
    pairs = (dropout, weight), (inverted_dropout, weight * keep)
    return [[form(x, keep, train=train, key=key) @ w for form, w in pairs] for train in (True, False)]


def _errors(settings: Dropout, key: Array) -> np.ndarray:
    """Returns errors, the largest over p: of E[x·m] against inference, of the next pre-activation's mean, and between forms."""
    key_x, key_weight, key_mask = jax.random.split(key, 3)
    x = jax.random.normal(key_x, (settings.batch, settings.small_units), jnp.float64)
    weight = jax.random.normal(key_weight, (settings.small_units, settings.units), jnp.float64)
    masks, errors = every_mask(settings.small_units), []
    for keep in KEEPS:
        chances = np.where(masks == 1, keep, 1 - keep).prod(1)
        masked = np.asarray(x)[None] * masks[:, None]  # [masks, batch, units]
        at_inference = np.asarray(dropout(x, keep, train=False))
        training, inference = _forms(x, weight, jnp.asarray(keep), key_mask)
        in_mean = np.tensordot(chances, masked, 1)
        between_forms = max(float(jnp.abs(a - b).max()) for a, b in (training, inference))
        linear = np.abs(in_mean @ np.asarray(weight) - np.asarray(inference[0])).max()
        errors.append([np.abs(in_mean - at_inference).max(), linear, between_forms])
    return np.max(errors, axis=0)


def _ratios(settings: Dropout, key: Array) -> dict[str, Array]:
    """Returns training over inference, by p: of a pre-activation, of its ReLU's mean, and of the latter without the scale."""
    key_x, key_weight, key_masks = jax.random.split(key, 3)
    x = jax.random.normal(key_x, (settings.batch, settings.units))
    weight = jax.random.normal(key_weight, (settings.units, settings.units)) / settings.units**0.5

    def at(keep: Array) -> tuple[Array, Array, Array]:
        def step(totals, key_mask: Array):
            z = dropout(x, keep, train=True, key=key_mask) @ weight
            return (totals[0] + z / settings.draws, totals[1] + relu(z).mean() / settings.draws), None

        zero = jnp.zeros((settings.batch, settings.units)), jnp.zeros(())
        (mean, mean_relu), _ = jax.lax.scan(step, zero, jax.random.split(key_masks, settings.draws))
        z = dropout(x, keep, train=False) @ weight
        return jnp.sum(mean * z) / jnp.sum(z**2), mean_relu / relu(z).mean(), mean_relu / relu(x @ weight).mean()

    linear, after_relu, unscaled = jax.lax.map(at, jnp.asarray((*KEEPS, settings.keep), jnp.float32))
    return {"linear": linear, "relu": after_relu, "unscaled": unscaled}


def subnetworks(settings: Dropout, key: Array) -> dict[str, Evidence]:
    """dropout.subnetworks: masks over the steps of a training, and a masked network against one with the units deleted."""
    key_masks, key_networks = jax.random.split(key)
    units, steps = 2 * settings.wide, settings.mask_steps
    masks = over_seeds(lambda key: keep_mask(key, settings.keep, (steps, units)), key_masks, settings.seeds)
    repeats = sum(steps - len(np.unique(np.packbits(m, axis=1), axis=0)) for m in masks)
    sizes = np.arange(2, 25, 2)  # layers of so many units: the first columns of the same masks
    distinct = np.asarray([[len(np.unique(m[:, :n] @ (1 << np.arange(n)))) for n in sizes] for m in masks])
    predicted = np.asarray([expected_distinct(int(n), settings.keep, steps) for n in sizes])
    difference, gradient = deletion(settings, key_networks)
    at = int(np.flatnonzero(sizes == 8)[0])
    pair = units * np.log10(settings.keep**2 + (1 - settings.keep) ** 2)
    unit_steps = f"of {steps} steps"
    measurements = (
        exact("repeated-masks", repeats, unit=f"{unit_steps}, all seeds", prediction=0, source=f"{units} hidden units"),
        exact("log10-pair-chance", pair, source="log10 of the chance that two steps share a mask, (p² + (1 − p)²)^n"),
        interval(
            "distinct-small",
            distinct[:, at],
            unit=unit_steps,
            prediction=predicted[at],
            source="8 units; Σ over masks of 1 − (1 − P)^steps",
        ),
        interval("deleted-difference-float64", difference, prediction=0, source="logits, masked against deleted units"),
        exact("dropped-gradient", gradient.max(), prediction=0, source="largest |gradient| into or out of a dropped unit"),
    )
    arrays = {"sizes": sizes, "steps": np.asarray(steps), "predicted": predicted} | curve("distinct", distinct)
    return {"dropout.subnetworks": Evidence(measurements, arrays)}


def expected_distinct(units: int, keep: float, steps: int) -> float:
    """Returns the expected number of different masks in `steps` draws: Σ_k C(n, k) (1 − (1 − p^k (1 − p)^(n − k))^steps)."""
    kept = np.arange(units + 1)
    log_chance = kept * np.log(keep) + (units - kept) * np.log1p(-keep)
    seen = -np.expm1(steps * np.log1p(-np.exp(log_chance)))
    return float(np.sum(special.comb(units, kept) * seen))


def deletion(settings: Dropout, key: Array) -> tuple[np.ndarray, np.ndarray]:
    """Returns [seeds] the largest difference of logits between a network under a mask and the smaller one without the masked
    units, in float64, and [seeds] the largest gradient of a weight into or out of these.
    """
    sizes = (16, 32, 32, 10)

    def of_seed(key: Array) -> tuple:
        key_params, key_x, key_masks = jax.random.split(key, 3)
        params = jax.tree.map(lambda p: p.astype(jnp.float64), initialise(key_params, sizes))
        x = jax.random.normal(key_x, (settings.batch, sizes[0]), jnp.float32).astype(jnp.float64)
        labels = jnp.arange(settings.batch, dtype=jnp.int32) % sizes[-1]
        masks = keep_mask(key_masks, settings.keep, (2, sizes[1]))

        def logits(params: Params) -> Array:
            return forward(params, x, lambda layer, h: jnp.where(masks[layer][None], h, 0.0))

        gradient = jax.grad(lambda params: cross_entropy(logits(params), labels))(params)
        return params, gradient, masks, x, logits(params)

    with jax.enable_x64(True):
        run = jax.jit(jax.vmap(of_seed))  # compiles faster than a loop over the seeds
        found = jax.tree.map(np.asarray, run(jax.random.split(key, settings.seeds)))
    errors = [_compared(*jax.tree.map(lambda a, seed=seed: a[seed], found)) for seed in range(settings.seeds)]
    difference, gradient = zip(*errors, strict=True)
    return np.asarray(difference), np.asarray(gradient)


def _compared(params: Params, gradient: Params, masks: np.ndarray, x: np.ndarray, logits: np.ndarray) -> tuple[float, float]:
    """Returns the two errors of `deletion` for one network, the smaller one computed by NumPy."""
    h, kept_before, stray = x, np.ones(x.shape[1], bool), 0.0
    for layer, kept in enumerate((*masks, np.ones(logits.shape[1], bool))):
        weight, bias = params[layer]["weight"], params[layer]["bias"]
        h = h @ weight[np.ix_(kept_before, kept)] + bias[kept]
        h = np.maximum(h, 0) if layer < len(masks) else h
        dropped = ~np.outer(kept_before, kept)
        stray = max(stray, np.abs(gradient[layer]["weight"][dropped]).max(initial=0))
        kept_before = kept
    return float(np.abs(logits - h).max()), float(stray)


TOPIC = Topic("dropout", Dropout, (mask, scale, subnetworks, ensemble, generalisation), edition=4)
