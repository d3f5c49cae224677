"""Clipping: what it leaves of an exploding gradient, and which recurrent networks learn the adding problem with and without."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from experiments.remedies.settings import Remedies
from experiments.study.measurement import Evidence, Measurement, exact, interval, share
from experiments.study.seeds import over_seeds
from experiments.study.tuning import final_loss
from jaxnotes.layers.clipping import clip_by_global_norm, clip_by_value, direction_cosine, global_norm
from jaxnotes.layers.linear import linear, linear_init
from jaxnotes.layers.recurrent import lstm, lstm_init, rnn, rnn_init

FORMS = ("none", "value", "norm")
CHANCE = 1 / 6  # mean squared error of always answering 1: the variance of the sum of two uniform numbers
SOLVED = 0.05  # mean squared error, of the last tenth of the steps, below which a network has solved the problem


class Kind(NamedTuple):
    """A recurrent layer, and the gains of its orthogonal recurrent weights: where its gradient explodes, and to be trained."""

    init: Callable
    apply: Callable
    exploding: float
    trained: float


KINDS: Mapping[str, Kind] = MappingProxyType({"rnn": Kind(rnn_init, rnn, 3.0, 2.0), "lstm": Kind(lstm_init, lstm, 8.0, 4.0)})


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


def network_init(kind: str, key: Array, width: int, gain: float) -> dict:
    """Returns a recurrent layer whose recurrent weights are orthogonal times a gain, and the layer that answers."""
    key_recurrent, key_output = jax.random.split(key)
    params = KINDS[kind].init(key_recurrent, 2, width)
    params["recurrent"]["weight"] = params["recurrent"]["weight"] * gain
    return {"recurrent": params, "output": linear_init(key_output, width, 1)}


def loss(kind: str, params: dict, batch: tuple[Array, Array]) -> Array:
    """Returns the mean squared error of the answer read from the last hidden state."""
    x, answers = batch
    states = jax.vmap(lambda sequence: KINDS[kind].apply(params["recurrent"], sequence)[1][-1])(x)
    return jnp.mean((linear(params["output"], states)[:, 0] - answers) ** 2)


def clipped_by(form: Array, gradient: Any, limit: float) -> Any:
    """Returns the gradient after no clipping, clipping by value, or by global norm; `form` is an index in FORMS."""
    forms = (lambda g: g, lambda g: clip_by_value(g, limit), lambda g: clip_by_global_norm(g, limit))
    return jax.lax.switch(form, forms, gradient)


@partial(jax.jit, static_argnames=("kind", "settings"))
def losses(kind: str, form: Array, rate: Array, keys: Array, *, settings: Remedies) -> Array:
    """Returns [seeds, steps] losses of momentum SGD, all seeds side by side; sequences are new at every step."""

    def of_seed(key: Array) -> Array:
        key_params, key_batches = jax.random.split(key)
        optimizer = optax.sgd(rate, momentum=0.9)
        params = network_init(kind, key_params, settings.clip_width, KINDS[kind].trained)

        def step(carry: tuple[Any, Any], key: Array) -> tuple[tuple[Any, Any], Array]:
            params, optimizer_state = carry
            batch = adding_problem(key, settings.clip_batch, settings.clip_time)
            value, gradient = jax.value_and_grad(partial(loss, kind))(params, batch)
            gradient = clipped_by(form, gradient, settings.clip_step_limit)
            updates, optimizer_state = optimizer.update(gradient, optimizer_state)
            return (optax.apply_updates(params, updates), optimizer_state), value

        start = (params, optimizer.init(params))
        return jax.lax.scan(step, start, jax.random.split(key_batches, settings.clip_steps))[1]

    return jax.vmap(of_seed)(keys)


def clip(settings: Remedies, key: Array) -> dict[str, Evidence]:
    """remedies.clip: what both forms leave of gradients that explode, and who learns at which rate with and without them."""
    key_bounds, key_vanishing, key_training = jax.random.split(key, 3)
    measurements, arrays = [], {"limit": np.asarray(settings.clip_limit), "rates": np.asarray(settings.clip_rates)}
    for kind in KINDS:
        found = over_seeds(partial(bounded, settings, kind), key_bounds, settings.clip_seeds)
        measurements += _bounds(settings, kind, found)
        arrays |= {f"{kind}-{name}": found[name] for name in ("norm", "norm-value", "norm-norm")}
    source = "largest change that either form makes to a gradient that vanishes"
    measurements.append(exact("change-vanishing", vanishing_change(settings, key_vanishing), source=source))
    keys = jax.random.split(key_training, settings.clip_seeds)
    for kind in KINDS:
        found = {
            form: np.asarray([losses(kind, index, jnp.float32(rate), keys, settings=settings) for rate in settings.clip_rates])
            for index, form in enumerate(FORMS)
        }
        measurements += _shares(settings, kind, found)
        arrays |= {f"solved-{kind}-{form}": (final_loss(runs) < SOLVED).mean(1) for form, runs in found.items()}
    return {"remedies.clip": Evidence(tuple(measurements), arrays)}


def _shares(settings: Remedies, kind: str, found: Mapping[str, np.ndarray]) -> list[Measurement]:
    """Returns the shares of seeds that solve the problem and that stay finite, of losses [rates, seeds, steps] by form.

    At the smallest rate at which most seeds fail without clipping, the largest where none is such.
    """
    solved = {form: final_loss(runs) < SOLVED for form, runs in found.items()}
    fails = solved["none"].mean(1) < 0.5
    place = int(fails.argmax()) if fails.any() else len(fails) - 1
    rate = settings.clip_rates[place]
    measurements = [exact(f"rate-{kind}", rate, source="smallest rate tried at which most seeds fail without clipping")]
    for form, runs in found.items():
        source = f"adding problem of length {settings.clip_time} at learning rate {rate:g}"
        measurements += [
            share(f"solved-{kind}-{form}", solved[form][place], source=f"{source}; mean squared error below {SOLVED:g}"),
            share(f"finite-{kind}-{form}", np.isfinite(runs[place]).all(-1), source=f"{source}; every loss is finite"),
        ]
    return measurements


def bounded(settings: Remedies, kind: str, key: Array) -> dict[str, Array]:
    """Returns the global norm of a gradient that explodes, and what each form leaves of its norm, entries and direction."""
    key_params, key_batch = jax.random.split(key)
    params = network_init(kind, key_params, settings.clip_width, KINDS[kind].exploding)
    batch = adding_problem(key_batch, settings.clip_batch, settings.clip_bound_time)
    gradient = jax.grad(partial(loss, kind))(params, batch)
    found = {"norm": global_norm(gradient)}
    for form in FORMS[1:]:
        clipped = clipped_by(jnp.int32(FORMS.index(form)), gradient, settings.clip_limit)
        found[f"norm-{form}"] = global_norm(clipped)
        found[f"entry-{form}"] = jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in jax.tree.leaves(clipped)]).max()
        found[f"cosine-{form}"] = direction_cosine(gradient, clipped)
    return found


def _bounds(settings: Remedies, kind: str, found: dict[str, np.ndarray]) -> list[Measurement]:
    limit, name = settings.clip_limit, kind.upper()
    cosine = "cosine between the gradient and what clipping leaves of it"
    return [
        interval(f"explosion-{kind}", np.log10(found["norm"] / limit), unit="decades", source=f"{name}: norm over the limit"),
        exact(f"entry-{kind}", found["entry-value"].max(), prediction=limit, source=f"{name}: largest entry, by value"),
        exact(f"norm-{kind}", found["norm-norm"].max(), prediction=limit, source=f"{name}: largest norm, by norm"),
        exact(f"cosine-norm-{kind}", found["cosine-norm"].min(), prediction=1.0, source=f"{name}: smallest {cosine}, by norm"),
        interval(f"cosine-value-{kind}", found["cosine-value"], source=f"{name}: {cosine}, by value"),
    ]


def vanishing_change(settings: Remedies, key: Array) -> float:
    """Returns the largest change by either form to the gradient at the first inputs where recurrent weights are small: 0."""

    @jax.jit
    def change(key: Array) -> Array:
        key_params, key_batch = jax.random.split(key)
        params = network_init("rnn", key_params, settings.clip_width, 0.5)
        x, answers = adding_problem(key_batch, settings.clip_batch, settings.clip_bound_time)
        gradient = jax.grad(lambda x: loss("rnn", params, (x, answers)))(x)[:, 0]
        forms = (clip_by_value(gradient, settings.clip_limit), clip_by_global_norm(gradient, settings.clip_limit))
        return jnp.stack([jnp.max(jnp.abs(form - gradient)) for form in forms]).max()

    return float(change(key))
