"""Layer normalisation in an RNN, over its time steps, and in a Transformer, over its blocks: the gradient with and without."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.remedies.settings import Remedies
from experiments.study import profiles
from experiments.study.measurement import Measurement, exact, interval
from jaxnotes.layers.activations import tanh
from jaxnotes.layers.attention import transformer_block, transformer_block_init
from jaxnotes.layers.normalization import layer_norm
from jaxnotes.meanfield import chi, variance_map

RNN_VARIANCES = {"small": 0.25, "large": 9.0}  # σ_w² of the recurrent weights
RNN_INPUT = 0.1  # variance of what enters at each step
WIDTH, HEADS = 64, 4  # of the Transformer
TOKENS = (2, 16)  # sequences and their length


def rnn_logs(settings: Remedies, key: Array) -> np.ndarray:
    """Returns [variances, 2, seeds, time + 1] log gradient norms of an RNN h ← tanh(norm(h W + x_t)), the same W at every step.

    Without and with normalisation, on the same draws.
    """
    size, time = (settings.batch, settings.width), settings.rnn_time

    def draw(weight_variance: Array, key: Array) -> tuple[dict[str, Array], Array]:
        key_weight, key_inputs = jax.random.split(key)
        weight = jax.random.normal(key_weight, (settings.width, settings.width)) * (weight_variance / settings.width) ** 0.5
        inputs = jax.random.normal(key_inputs, (time, *size)) * RNN_INPUT**0.5
        return {"weight": jnp.broadcast_to(weight, (time, *weight.shape)), "x": inputs}, jnp.zeros(size)

    def step(normalise: Array, params: dict[str, Array], h: Array) -> Array:
        z = h @ params["weight"] + params["x"]
        return tanh(jnp.where(normalise, layer_norm({}, z), z))

    @jax.jit
    def of_variances(variances: Array, keys: Array) -> Array:
        return jax.lax.map(lambda variance: _without_and_with(step, partial(draw, variance), keys), variances)

    return np.asarray(of_variances(jnp.asarray(list(RNN_VARIANCES.values())), jax.random.split(key, settings.seeds)))


def mean_field_slope(weight_variance: float, time: int) -> float:
    """Returns the growth per step of the gradient at the zero state, in nats, for independent weights at every step.

    The variance is followed from the state 0: its first steps, at which tanh is steeper, are not at the fixed point.
    """
    q, log_gain = RNN_INPUT, 0.0
    for _ in range(time):
        log_gain += 0.5 * np.log(chi(tanh, weight_variance, 0.0, q=q))
        q = variance_map(tanh, q, weight_variance, RNN_INPUT)
    return log_gain / time


def tied_slope(weight_variance: float, batch: int, width: int, time: int, networks: int = 60) -> float:
    """Returns the same of a network of finite width with one matrix for all steps.

    No closed form is known to us: Monte Carlo over networks, in float64 and by NumPy, each with a batch of sequences and of
    random directions, of which the root mean square counts. Its seed is fixed, so that it is a number as a theory's is.
    """
    generator, logs = np.random.default_rng(0), []
    for _ in range(networks):
        weight = generator.normal(size=(width, width)) * (weight_variance / width) ** 0.5
        h, slopes = np.zeros((batch, width)), []
        for x in generator.normal(size=(time, batch, width)) * RNN_INPUT**0.5:
            h = np.tanh(h @ weight + x)
            slopes.append(1 - h**2)
        gradient = generator.normal(size=(batch, width))
        gradient /= np.linalg.norm(gradient, axis=1, keepdims=True)
        for slope in reversed(slopes):
            gradient = (slope * gradient) @ weight.T
        logs.append(0.5 * np.log((gradient**2).sum(1).mean()))
    return float(np.mean(logs)) / time


def transformer_logs(settings: Remedies, key: Array) -> np.ndarray:
    """Returns [2, seeds, blocks + 1] log gradient norms over the blocks of a Transformer in LeCun initialisation."""

    def draw(key: Array) -> tuple[dict, Array]:
        key_blocks, key_input = jax.random.split(key)
        init = jax.vmap(lambda key: transformer_block_init(key, WIDTH, 4 * WIDTH))
        return init(jax.random.split(key_blocks, settings.blocks)), jax.random.normal(key_input, (*TOKENS, WIDTH))

    def block(normalise: Array, params: dict, h: Array) -> Array:
        norm = lambda params, h: jnp.where(normalise, layer_norm(params, h), h)
        one = partial(transformer_block, heads=HEADS, causal=False, pre_norm=True, normalise=norm)
        return jax.vmap(one, in_axes=(None, 0))(params, h)

    keys = jax.random.split(key, settings.seeds)
    return np.asarray(jax.jit(lambda keys: _without_and_with(block, draw, keys))(keys))


def _without_and_with(layer: Callable, draw: Callable, keys: Array) -> Array:
    """Returns [2, seeds, depth + 1] `profiles.log_gradients` of `layer(normalise, layer_params, h)` on the same keys."""
    return jax.lax.map(
        lambda normalise: profiles.log_gradients(partial(layer, normalise), draw, keys), jnp.asarray([False, True])
    )


def layer_norm_in_sequences(settings: Remedies, key: Array) -> tuple[list[Measurement], dict[str, np.ndarray]]:
    """Returns slopes and reliefs of both networks, and the figure's curves."""
    key_rnn, key_transformer = jax.random.split(key)
    measurements, arrays = [], {}
    for (name, variance), (plain, normalised) in zip(RNN_VARIANCES.items(), rnn_logs(settings, key_rnn), strict=True):
        arrays |= _curves(f"rnn-{name}", plain, normalised)
        prediction = tied_slope(variance, settings.batch, settings.width, settings.rnn_time)
        plain_source = "tanh RNN without normalisation; an independent Monte Carlo of this width with tied weights"
        theory = mean_field_slope(variance, settings.rnn_time)
        source = "tanh RNN with layer normalisation of its pre-activations"
        unit = "nats per step"
        measurements += [
            _relief(f"relief-rnn-{name}", plain, normalised, unit, f"tanh RNN, σ_w² = {variance:g}"),
            interval(f"slope-rnn-{name}", profiles.slope(plain), unit=unit, prediction=prediction, source=plain_source),
            exact(f"mean-field-rnn-{name}", theory, unit=unit, source="independent weights at every step, infinite width"),
            interval(f"slope-rnn-{name}-layer", profiles.slope(normalised), unit=unit, source=source),
        ]
    plain, normalised = transformer_logs(settings, key_transformer)
    measurements.append(_relief("relief-transformer", plain, normalised, "nats per block", "pre-norm Transformer"))
    return measurements, arrays | _curves("transformer", plain, normalised)


def _curves(name: str, plain: np.ndarray, normalised: np.ndarray) -> dict[str, np.ndarray]:
    return profiles.passed_curve(f"{name}-none", plain) | profiles.passed_curve(f"{name}-layer", normalised)


def _relief(name: str, plain: np.ndarray, normalised: np.ndarray, unit: str, what: str) -> Measurement:
    fall = np.abs(profiles.slope(plain)) - np.abs(profiles.slope(normalised))
    return interval(name, fall, unit=unit, source=f"|growth| without minus with layer normalisation; {what}")
