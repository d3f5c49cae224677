"""Gain of the squared gradient a layer at initialisation, by normalisation, activation, width, batch and layers measured."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.measurement import Evidence, Measurement, curve, interval
from jaxnotes import jacobians, meanfield
from jaxnotes.layers.activations import identity, relu, sigmoid, tanh
from jaxnotes.layers.initializers import weight_variance
from jaxnotes.layers.linear import linear
from jaxnotes.layers.normalization import batch_norm, batch_norm_state, layer_norm
from jaxnotes.models.mlp import stack_init

YANG = "E φ′² / Var φ at infinite width and batch, Yang et al. (2019)"
HE = 2.0


def batch_normalised(activation: Callable) -> Callable:
    """φ(BN(W h)): the layer without a residual connection; it mixes the examples."""
    return lambda layer_params, h: activation(_normalise(linear(layer_params, h)))


def _normalise(z: Array) -> Array:
    return batch_norm({}, batch_norm_state(z.shape[-1], z.dtype), z, train=True)[0]


def layer_normalised(layer_params, h: Array) -> Array:
    """ReLU(LN(W h))."""
    return relu(layer_norm({}, linear(layer_params, h)))


def residual_block(layer_params, h: Array) -> Array:
    """h + W ReLU(BN(h)), the pre-activation block."""
    return h + linear(layer_params, relu(_normalise(h)))


def plain_sigmoid(layer_params, h: Array) -> Array:
    """σ(W h)."""
    return sigmoid(linear(layer_params, h))


def log_norms(layer: Callable, of_weights: float, width: int, batch: int, depth: int, keys: Array) -> np.ndarray:
    """[seeds, depth + 1] natural log of the gradient's norm at each layer, from Gaussian inputs and a Gaussian end gradient."""

    def of_seed(key: Array) -> Array:
        of_stack, of_input, of_loss = jax.random.split(key, 3)
        params = stack_init(of_stack, width, depth, initializer=weight_variance(of_weights))
        x, direction = (jax.random.normal(k, (batch, width)) for k in (of_input, of_loss))
        return jacobians.log_gradient_norms(layer, params, x, lambda h: jnp.sum(h * direction))

    return np.asarray(jax.jit(lambda keys: jax.lax.map(of_seed, keys))(keys))


def gain(logs: np.ndarray, window: tuple[int, ...]) -> np.ndarray:
    """[seeds] gain of the squared gradient a layer on its way back through the window."""
    first, last = window
    return np.exp(2 * (logs[:, first] - logs[:, last]) / (last - first))


def residual_prediction(window: tuple[int, ...]) -> float:
    """Mean gain a block: the stream's variance over the batch grows by 1/g a block, so block l passes 1 + g / (g + l).

    g is the gain without the shortcut; the stream starts at variance 1 (after De and Smith 2020).
    """
    g, blocks = meanfield.batch_norm_gain(relu), np.arange(*window)
    return float(np.exp(np.log1p(g / (g + blocks)).mean()))


def gradients(settings, key: Array) -> dict[str, Evidence]:
    """normalization.gradients: every arm over the same middle layers, then width, batch and window one at a time."""
    window, depth = settings.gain_window, settings.gain_depth
    large = (settings.gain_width, settings.gain_batch)
    small = (min(settings.gain_width, 256), min(settings.gain_batch, 256))
    chi = meanfield.chi(sigmoid, 1.0, 0.0)
    arms = {
        "relu": (batch_normalised(relu), HE, large, meanfield.batch_norm_gain(relu), YANG),
        "tanh": (batch_normalised(tanh), 1.0, small, meanfield.batch_norm_gain(tanh), YANG),
        "sigmoid": (batch_normalised(sigmoid), 1.0, small, meanfield.batch_norm_gain(sigmoid), YANG),
        "linear": (batch_normalised(identity), 1.0, small, meanfield.batch_norm_gain(identity), YANG),
        "residual": (
            residual_block,
            HE,
            small,
            residual_prediction(window),
            "variance of the stream, after De and Smith (2020)",
        ),
        "layer-norm": (layer_normalised, HE, small, 1.0, "E φ′² / E φ² at infinite width"),
        "plain-sigmoid": (plain_sigmoid, 1.0, small, chi, "χ, Schoenholz et al. (2017)"),
    }
    measurements, arrays = [], {"window": np.asarray(window)}
    for arm_key, (name, arm) in zip(jax.random.split(key, len(arms)), arms.items(), strict=True):
        layer, of_weights, (width, batch), prediction, law = arm
        keys = jax.random.split(arm_key, settings.gain_seeds)
        logs = log_norms(layer, of_weights, width, batch, depth, keys)
        source = f"{law}; layers {window[0]} to {window[1]} of {depth}, width {width}, batch {batch}"
        measurements.append(_gain(f"gain-{name}", gain(logs, window), prediction, source))
        arrays |= curve(name, (logs - logs[:, -1:]) / np.log(10))
        if name == "relu":
            arrays |= curve("position", np.exp(2 * (logs[:, :-1] - logs[:, 1:])))
            measurements += _by_window(logs, depth)
    measurements.append(_deep_residual(settings, jax.random.fold_in(key, 2), small))
    found, more = _sweeps(settings, jax.random.fold_in(key, 1))
    return {"normalization.gradients": Evidence((*measurements, *found), arrays | more)}


def _gain(name: str, samples: np.ndarray, prediction: float | None, source: str) -> Measurement:
    return interval(name, samples, unit="times a layer", prediction=prediction, source=source)


def _deep_residual(settings, key: Array, size: tuple[int, int]) -> Measurement:
    """The gain of the last quarter of a deep residual stack, where the shortcut outweighs the branch."""
    depth, keys = settings.residual_depth, jax.random.split(key, settings.gain_seeds)
    window = (3 * depth // 4, depth)
    samples = gain(log_norms(residual_block, HE, *size, depth, keys), window)
    source = f"variance of the stream, after De and Smith (2020); blocks {window[0]} to {window[1]}"
    return _gain("gain-residual-deep", samples, residual_prediction(window), source)


def _by_window(logs: np.ndarray, depth: int) -> list[Measurement]:
    """The same runs over other layers."""
    third = depth // 3
    limit = meanfield.batch_norm_gain(relu)
    windows = {"first": (0, third), "last": (depth - third, depth)}
    return [
        _gain(f"gain-window-{name}", gain(logs, (a, b)), limit, f"{YANG}; ReLU, layers {a} to {b}")
        for name, (a, b) in windows.items()
    ]


def _sweeps(settings, key: Array) -> tuple[list[Measurement], dict[str, np.ndarray]]:
    """ReLU by width at one batch and by batch at one width, and the linear network by batch against its exact gain."""
    sizes, most = settings.sweep, settings.sweep[-1]
    sweeps = {
        "width": (relu, [(size, most) for size in sizes]),
        "batch": (relu, [(most, size) for size in sizes]),
        "linear-batch": (identity, [(most, size) for size in sizes]),
    }
    measurements, arrays = [], {"sizes": np.asarray(sizes)}
    for sweep_key, (name, (activation, shapes)) in zip(jax.random.split(key, len(sweeps)), sweeps.items(), strict=True):
        keys = jax.random.split(sweep_key, settings.gain_seeds)
        layer, values = batch_normalised(activation), []
        for width, batch in shapes:
            logs = log_norms(layer, HE, width, batch, settings.gain_depth, keys)
            values.append(gain(logs, settings.gain_window))
            limit, law = meanfield.batch_norm_gain(activation), YANG
            if name == "linear-batch":
                limit, law = (batch - 2) / (batch - 3), "(B − 2)/(B − 3), Yang et al. (2019), infinite width"
            size = width if name == "width" else batch
            measurements.append(_gain(f"gain-{name}-{size}", values[-1], limit, f"{law}; width {width}, batch {batch}"))
        arrays |= curve(name, np.stack(values, axis=1))
    batches = np.asarray(sizes, float)
    arrays |= {"limit": np.asarray(meanfield.batch_norm_gain(relu)), "linear-predicted": (batches - 2) / (batches - 3)}
    return measurements, arrays
