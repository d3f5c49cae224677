"""Clipping: a recurrent network whose gradient explodes on the adding problem, with no clipping, by value and by norm."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.remedies.settings import Remedies
from experiments.study import tuning
from experiments.study.measurement import Evidence, Measurement, curve, exact, interval
from experiments.study.seeds import paired
from experiments.study.tuning import Tuned
from jaxnotes.layers.clipping import clip_by_global_norm, clip_by_value, direction_cosine, global_norm
from jaxnotes.layers.initializers import orthogonal
from jaxnotes.layers.linear import linear, linear_init
from jaxnotes.layers.recurrent import rnn, rnn_init

FORMS = ("none", "value", "norm")
CHANCE = 1 / 6  # mean squared error of always answering 1: the variance of the sum of two uniform numbers
WORST = 10.0  # a diverged run counts as this loss
UNIT = "mean squared error"


def adding_problem(key: Array, batch: int, time: int) -> tuple[Array, Array]:
    """Returns sequences [batch, time, 2] of uniform numbers and marks of two of them, one in each half, and their sums.

    Hochreiter and Schmidhuber (1997); here without their fillers.
    """
    key_numbers, key_first, key_second = jax.random.split(key, 3)
    numbers = jax.random.uniform(key_numbers, (batch, time))
    first = jax.random.randint(key_first, (batch,), 0, time // 2)
    second = jax.random.randint(key_second, (batch,), time // 2, time)
    marks = jax.nn.one_hot(first, time) + jax.nn.one_hot(second, time)
    return jnp.stack([numbers, marks], axis=-1), jnp.sum(numbers * marks, axis=1)


def network_init(key: Array, width: int, gain: Array) -> dict:
    """Returns a tanh RNN whose recurrent weights are orthogonal times a gain: above 1 the gradient explodes at first."""
    key_recurrent, key_output = jax.random.split(key)
    params = rnn_init(key_recurrent, 2, width, recurrent_initializer=orthogonal())
    params["recurrent"]["weight"] = params["recurrent"]["weight"] * gain
    return {"recurrent": params, "output": linear_init(key_output, width, 1)}


def loss(params: dict, batch: tuple[Array, Array]) -> Array:
    """Returns the mean squared error of the answer read from the last state."""
    x, answers = batch
    states = jax.vmap(lambda sequence: rnn(params["recurrent"], sequence)[0])(x)
    return jnp.mean((linear(params["output"], states)[:, 0] - answers) ** 2)


@partial(jax.jit, static_argnames=("settings",))
def run(form: Array, rate: Array, key: Array, *, settings: Remedies) -> dict[str, Array]:
    """Returns the readings of one whole run of momentum SGD; `form` is an index in FORMS. Sequences are new at every step."""
    key_params, key_batches, key_test = jax.random.split(key, 3)
    optimizer, limit = optax.sgd(rate, momentum=0.9), settings.clip_limit
    params = network_init(key_params, settings.clip_width, jnp.asarray(settings.clip_gain))

    def step(carry, key: Array):
        params, optimizer_state = carry
        value, gradient = jax.value_and_grad(loss)(params, adding_problem(key, settings.clip_batch, settings.clip_time))
        forms = (lambda g: g, lambda g: clip_by_value(g, limit), lambda g: clip_by_global_norm(g, limit))
        clipped = jax.lax.switch(form, forms, gradient)
        updates, optimizer_state = optimizer.update(clipped, optimizer_state)
        reading = {
            "loss": value,
            "norm": global_norm(gradient),
            "largest": jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in jax.tree.leaves(clipped)]).max(),
            "clipped_norm": global_norm(clipped),
            "cosine": direction_cosine(gradient, clipped),
        }
        return (optax.apply_updates(params, updates), optimizer_state), reading

    keys = jax.random.split(key_batches, settings.clip_steps)
    (params, _), readings = jax.lax.scan(step, (params, optimizer.init(params)), keys)
    test = loss(params, adding_problem(key_test, settings.clip_test, settings.clip_time))
    return {**readings, "test": jnp.where(test < WORST, test, WORST)}  # NaN too is WORST


def clip(settings: Remedies, key: Array) -> dict[str, Evidence]:
    """remedies.clip: bounds, directions and what each form brings at its own best learning rate."""
    key_training, key_vanishing = jax.random.split(key)

    def tuned(form: str) -> Tuned:
        return tuning.tuned(
            lambda rate, key: run(jnp.int32(FORMS.index(form)), jnp.float32(rate), key, settings=settings),
            lambda found: tuning.loss_score(found["loss"]),  # of new sequences at every step: a validation loss
            settings.clip_rates,
            key_training,
            tuning_seeds=settings.tuning_seeds,
            seeds=settings.clip_seeds,
        )

    arms = {form: tuned(form) for form in FORMS}
    measurements = [*_bounds(settings, arms, key_vanishing), *_directions(settings, arms), *_losses(arms)]
    searches = {form: arm.search for form, arm in arms.items()}
    return {"remedies.clip": Evidence(tuple(measurements), _arrays(settings, arms), searches)}


def _bounds(settings: Remedies, arms: dict[str, Tuned], key: Array) -> list[Measurement]:
    """Returns how far the gradient explodes, what clipping leaves of it, and that it leaves a vanishing one as it is."""
    value, norm, limit = arms["value"].runs, arms["norm"].runs, settings.clip_limit
    norms = np.where(np.isfinite(norm["norm"]), norm["norm"], np.nan)
    explosion = np.log10(np.nanmax(norms, axis=1) / np.nanmedian(norms, axis=1))
    source = "largest over median gradient norm of a run that clips by norm"
    change = vanishing_change(settings, key)
    return [
        interval("explosion", explosion, unit="decades", source=source),
        exact("largest-entry-value", np.nanmax(value["largest"]), prediction=limit, source="after clipping"),
        exact("largest-norm-norm", np.nanmax(norm["clipped_norm"]), prediction=limit, source="after clipping"),
        exact("change-vanishing", change, source="largest change that either form makes to a gradient that vanishes"),
    ]


def _directions(settings: Remedies, arms: dict[str, Tuned]) -> list[Measurement]:
    """Returns how far each form turns the gradients whose norm was above the limit, and how many they are."""
    measurements = []
    for form in ("value", "norm"):
        runs = arms[form].runs
        acted = runs["norm"] > settings.clip_limit
        worst = np.nanmin(np.where(acted, runs["cosine"], np.nan)) if acted.any() else 1.0
        source = "smallest cosine between the gradient and what clipping leaves of it"
        measurements += [
            exact(f"cosine-{form}", worst, prediction=1.0 if form == "norm" else None, source=source),
            interval(f"acted-{form}", acted.mean(1), unit="share of steps", source="norm above the limit"),
        ]
    return measurements


def _losses(arms: dict[str, Tuned]) -> list[Measurement]:
    """Returns the test loss of each form and what clipping changes of it."""
    described = {form: tuning.described(arm.search) for form, arm in arms.items()}
    tests = {form: arm.runs["test"] for form, arm in arms.items()}
    measurements = []
    for form in ("value", "norm"):
        source = f"test loss minus that without clipping, seeds paired; {described[form]}, against {described['none']}"
        measurements.append(interval(f"loss-change-{form}", paired(tests[form], tests["none"]), unit=UNIT, source=source))
    return measurements + [
        interval(f"loss-{form}", tests[form], unit=UNIT, source=f"momentum SGD, {described[form]}") for form in FORMS
    ]


def _arrays(settings: Remedies, arms: dict[str, Tuned]) -> dict[str, np.ndarray]:
    """Returns the figure's curves: losses in blocks of steps, and the gradient norms of the first seed."""
    arrays = {"limit": np.asarray(settings.clip_limit), "chance": np.asarray(CHANCE), "time": np.asarray(settings.clip_time)}
    for form, arm in arms.items():
        losses = arm.runs["loss"]
        losses = np.where(np.isfinite(losses), np.minimum(losses, WORST), WORST)
        arrays |= curve(f"loss-{form}", losses.reshape(len(losses), settings.clip_points, -1).mean(2))
        arrays[f"norm-{form}"] = arm.runs["norm"][0]
    return arrays | {"steps": np.arange(settings.clip_points) * (settings.clip_steps // settings.clip_points)}


def vanishing_change(settings: Remedies, key: Array) -> float:
    """Returns the largest change by either form to the gradient at the first inputs where recurrent weights are small: 0."""

    @jax.jit
    def change(key: Array) -> Array:
        key_params, key_batch = jax.random.split(key)
        params = network_init(key_params, settings.clip_width, jnp.asarray(0.5))
        x, answers = adding_problem(key_batch, settings.clip_batch, settings.clip_time)
        gradient = jax.grad(lambda x: loss(params, (x, answers)))(x)[:, 0]
        forms = (clip_by_value(gradient, settings.clip_limit), clip_by_global_norm(gradient, settings.clip_limit))
        return jnp.stack([jnp.max(jnp.abs(form - gradient)) for form in forms]).max()

    return float(change(key))
