"""Clipping: a recurrent network whose gradient explodes on the adding problem, with no clipping, by value and by norm."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.remedies.settings import Remedies
from experiments.study.measurement import Evidence, curve, exact, interval
from experiments.study.seeds import side_by_side
from jaxnotes.layers.clipping import clip_by_global_norm, clip_by_value, direction_cosine, global_norm
from jaxnotes.layers.initializers import orthogonal
from jaxnotes.layers.linear import linear, linear_init
from jaxnotes.layers.recurrent import rnn, rnn_init

FORMS = ("none", "value", "norm")
CHANCE = 1 / 6  # mean squared error of always answering 1: the variance of the sum of two uniform numbers
WORST = 10.0  # a diverged run counts as this loss


def adding_problem(key: Array, batch: int, time: int) -> tuple[Array, Array]:
    """Sequences [batch, time, 2] of uniform numbers and marks of two of them, one in each half; the answer is their sum.

    Hochreiter and Schmidhuber (1997); here without their fillers.
    """
    of_numbers, of_first, of_second = jax.random.split(key, 3)
    numbers = jax.random.uniform(of_numbers, (batch, time))
    first = jax.random.randint(of_first, (batch,), 0, time // 2)
    second = jax.random.randint(of_second, (batch,), time // 2, time)
    marks = jax.nn.one_hot(first, time) + jax.nn.one_hot(second, time)
    return jnp.stack([numbers, marks], axis=-1), jnp.sum(numbers * marks, axis=1)


def network_init(key: Array, width: int, gain: Array) -> dict:
    """A tanh RNN whose recurrent weights are orthogonal times a gain: above 1 the gradient explodes at first."""
    of_recurrent, of_output = jax.random.split(key)
    params = rnn_init(of_recurrent, 2, width, recurrent_initializer=orthogonal())
    params["recurrent"]["weight"] = params["recurrent"]["weight"] * gain
    return {"recurrent": params, "output": linear_init(of_output, width, 1)}


def loss(params: dict, batch: tuple[Array, Array]) -> Array:
    """Mean squared error of the answer read from the last state."""
    x, answers = batch
    states = jax.vmap(lambda sequence: rnn(params["recurrent"], sequence)[0])(x)
    return jnp.mean((linear(params["output"], states)[:, 0] - answers) ** 2)


@partial(jax.jit, static_argnames=("settings",))
def run(form: Array, limit: Array, rate: Array, key: Array, *, settings: Remedies) -> dict[str, Array]:
    """One whole run of momentum SGD; `form` is an index in FORMS."""
    of_params, of_batches, of_test = jax.random.split(key, 3)
    optimizer = optax.sgd(rate, momentum=0.9)
    params = network_init(of_params, settings.clip_width, jnp.asarray(settings.clip_gain))

    def step(carry, step_key: Array):
        params, optimizer_state = carry
        value, gradient = jax.value_and_grad(loss)(params, adding_problem(step_key, settings.clip_batch, settings.clip_time))
        forms = (lambda g: g, lambda g: clip_by_value(g, limit), lambda g: clip_by_global_norm(g, limit))
        clipped = jax.lax.switch(form, forms, gradient)
        updates, optimizer_state = optimizer.update(clipped, optimizer_state)
        largest = jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in jax.tree.leaves(clipped)]).max()
        reading = {
            "loss": value,
            "norm": global_norm(gradient),
            "largest": largest,
            "clipped_norm": global_norm(clipped),
            "cosine": direction_cosine(gradient, clipped),
        }
        return (optax.apply_updates(params, updates), optimizer_state), reading

    keys = jax.random.split(of_batches, settings.clip_steps)
    (params, _), readings = jax.lax.scan(step, (params, optimizer.init(params)), keys)
    test = loss(params, adding_problem(of_test, settings.clip_test, settings.clip_time))
    return {**readings, "test": jnp.where(test < WORST, test, WORST)}  # NaN too is WORST


def clip(settings: Remedies, key: Array) -> dict[str, Evidence]:
    """remedies.clip: bounds, directions and what each form brings at its own best learning rate."""
    of_tuning, of_vanishing, *of_seeds = jax.random.split(key, 2 + settings.clip_seeds)
    limit = jnp.asarray(settings.clip_limit, jnp.float32)

    def once(item) -> dict[str, np.ndarray]:
        form, rate, run_key = item
        index = jnp.asarray(FORMS.index(form), jnp.int32)
        return jax.tree.map(np.asarray, run(index, limit, jnp.asarray(rate, jnp.float32), run_key, settings=settings))

    tried = side_by_side(once, [(form, rate, of_tuning) for form in FORMS for rate in settings.clip_rates])
    tuned = np.asarray([found["test"] for found in tried]).reshape(len(FORMS), -1).argmin(1)
    rates = {form: settings.clip_rates[i] for form, i in zip(FORMS, tuned, strict=True)}
    counted = side_by_side(once, [(form, rates[form], k) for form in FORMS for k in of_seeds])
    n = len(of_seeds)
    found = {
        form: {name: np.stack([one[name] for one in counted[i * n : (i + 1) * n]]) for name in counted[0]}
        for i, form in enumerate(FORMS)
    }
    return {"remedies.clip": _evidence(settings, found, rates, of_vanishing)}


def _evidence(settings: Remedies, found: dict[str, dict[str, np.ndarray]], rates: dict[str, float], key: Array) -> Evidence:
    """Measurements; a clipped gradient counts where its norm before was finite and above the limit."""
    of_rate = {form: f"momentum SGD at its tuned learning rate {rate:g}" for form, rate in rates.items()}
    norms = np.where(np.isfinite(found["norm"]["norm"]), found["norm"]["norm"], np.nan)
    explosion = np.log10(np.nanmax(norms, axis=1) / np.nanmedian(norms, axis=1))
    measurements = [
        interval(
            "explosion", explosion, unit="decades", source="largest over median gradient norm of a run that clips by norm"
        ),
        exact(
            "largest-entry-value", np.nanmax(found["value"]["largest"]), prediction=settings.clip_limit, source="after clipping"
        ),
        exact(
            "largest-norm-norm",
            np.nanmax(found["norm"]["clipped_norm"]),
            prediction=settings.clip_limit,
            source="after clipping",
        ),
        exact(
            "change-vanishing",
            vanishing_change(settings, key),
            source="largest change that either form makes to a gradient that vanishes",
        ),
    ]
    for form in ("value", "norm"):
        acted = found[form]["norm"] > settings.clip_limit
        cosines = np.where(acted, found[form]["cosine"], np.nan)
        worst = np.nanmin(cosines) if acted.any() else 1.0
        source = "smallest cosine between the gradient and what clipping leaves of it"
        measurements.append(exact(f"cosine-{form}", worst, prediction=1.0 if form == "norm" else None, source=source))
        measurements.append(interval(f"acted-{form}", acted.mean(1), unit="share of steps", source="norm above the limit"))
        change = found[form]["test"] - found["none"]["test"]
        source = f"test loss minus that without clipping, seeds paired; {of_rate[form]}, {rates['none']:g} without"
        measurements.append(interval(f"loss-change-{form}", change, unit="mean squared error", source=source))
    for form in FORMS:
        measurements.append(
            interval(f"loss-{form}", found[form]["test"], unit="mean squared error", prediction=None, source=of_rate[form])
        )
    arrays = {"limit": np.asarray(settings.clip_limit), "chance": np.asarray(CHANCE), "time": np.asarray(settings.clip_time)}
    for form in FORMS:
        losses = np.where(np.isfinite(found[form]["loss"]), np.minimum(found[form]["loss"], WORST), WORST)
        blocks = losses.reshape(len(losses), settings.clip_points, -1).mean(2)
        arrays |= curve(f"loss-{form}", blocks)
        arrays[f"norm-{form}"] = found[form]["norm"][0]
    arrays["steps"] = np.arange(settings.clip_points) * (settings.clip_steps // settings.clip_points)
    return Evidence(tuple(measurements), arrays)


def vanishing_change(settings: Remedies, key: Array) -> float:
    """Largest change by either form to the gradient that reaches the first inputs where the recurrent weights are small: 0."""

    @jax.jit
    def change(key: Array) -> Array:
        of_params, of_batch = jax.random.split(key)
        params = network_init(of_params, settings.clip_width, jnp.asarray(0.5))
        x, answers = adding_problem(of_batch, settings.clip_batch, settings.clip_time)
        gradient = jax.grad(lambda x: loss(params, (x, answers)))(x)[:, 0]
        forms = (clip_by_value(gradient, settings.clip_limit), clip_by_global_norm(gradient, settings.clip_limit))
        return jnp.stack([jnp.max(jnp.abs(form - gradient)) for form in forms]).max()

    return float(change(key))
