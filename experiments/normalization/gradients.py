"""Gain of the squared gradient a layer at initialisation, by normalisation, activation, width, batch and layers measured."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.normalization.settings import Normalization
from experiments.study.measurement import Evidence, Measurement, curve, interval
from jaxnotes import jacobians, meanfield
from jaxnotes.layers.activations import identity, relu, sigmoid, tanh
from jaxnotes.layers.linear import linear
from jaxnotes.layers.normalization import batch_norm, batch_norm_state, layer_norm

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


LAYERS: Mapping[str, Callable] = MappingProxyType(
    {
        "relu": batch_normalised(relu),
        "linear": batch_normalised(identity),
        "tanh": batch_normalised(tanh),
        "sigmoid": batch_normalised(sigmoid),
        "residual": residual_block,
        "layer-norm": layer_normalised,
        "plain-sigmoid": plain_sigmoid,
    }
)


def log_norms(
    layer: str, of_weights: float, width: int, batch: int, depth: int, keys: Array, among: tuple[str, ...] | None = None
) -> np.ndarray:
    """[seeds, depth + 1] natural log of the gradient's norm at each layer, from Gaussian inputs and a Gaussian end gradient.

    among: names in LAYERS that share one compiled program; the layer alone where None.
    """
    among = (layer,) if among is None else among
    index, of_weights = jnp.asarray(among.index(layer)), jnp.asarray(of_weights, jnp.float32)
    return np.asarray(_log_norms(index, of_weights, keys, among=among, width=width, batch=batch, depth=depth))


@partial(jax.jit, static_argnames=("among", "width", "batch", "depth"))
def _log_norms(index: Array, of_weights: Array, keys: Array, *, among: tuple[str, ...], width: int, batch: int, depth: int):
    def layer(layer_params, h: Array) -> Array:
        return jax.lax.switch(index, [LAYERS[name] for name in among], layer_params, h)

    def of_seed(key: Array) -> Array:
        # All from one draw: each further one would take half as long to compile as the two passes do.
        drawn = jax.random.normal(key, (depth * width + 2 * batch, width))
        x, direction = drawn[depth * width :].reshape(2, batch, width)
        weight = jnp.sqrt(of_weights / width) * drawn[: depth * width].reshape(depth, width, width)
        params = {"weight": weight, "bias": jnp.zeros((depth, width))}
        return jacobians.log_gradient_norms(layer, params, x, lambda h: jnp.sum(h * direction))

    return jax.lax.map(of_seed, keys)


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


def gradients(settings: Normalization, key: Array) -> dict[str, Evidence]:
    """normalization.gradients: every arm over the same middle layers, then width, batch and window one at a time."""
    window, depth = settings.gain_window, settings.gain_depth
    large = (settings.gain_width, settings.gain_batch)
    small = (min(settings.gain_width, 256), min(settings.gain_batch, 256))
    arms = {name: (HE if name in ("residual", "layer-norm") else 1.0, small, *_prediction(name, window)) for name in LAYERS}
    arms["relu"] = (HE, large, *_prediction("relu", window))
    measurements, arrays = [], {"window": np.asarray(window)}
    for arm_key, (name, arm) in zip(jax.random.split(key, len(arms)), arms.items(), strict=True):
        of_weights, (width, batch), prediction, law = arm
        keys = jax.random.split(arm_key, settings.gain_seeds)
        among = tuple(LAYERS) if (width, batch) == small else None
        logs = log_norms(name, of_weights, width, batch, depth, keys, among)
        source = f"{law}; layers {window[0]} to {window[1]} of {depth}, width {width}, batch {batch}"
        measurements.append(_gain(f"gain-{name}", gain(logs, window), prediction, source))
        arrays |= curve(name, (logs - logs[:, -1:]) / np.log(10))
        if name == "relu":
            arrays |= curve("position", np.exp(2 * (logs[:, :-1] - logs[:, 1:])))
            measurements += _by_window(logs, depth)
    measurements.append(_deep_residual(settings, jax.random.fold_in(key, 2), small))
    found, more = _sweeps(settings, jax.random.fold_in(key, 1))
    return {"normalization.gradients": Evidence((*measurements, *found), arrays | more)}


def _prediction(name: str, window: tuple[int, ...]) -> tuple[float, str]:
    """The gain that theory expects of a layer, and whose theory."""
    if name == "residual":
        return residual_prediction(window), "variance of the stream, after De and Smith (2020)"
    if name == "layer-norm":
        return 1.0, "E φ′² / E φ² at infinite width"
    if name == "plain-sigmoid":
        return meanfield.chi(sigmoid, 1.0, 0.0), "χ, Schoenholz et al. (2017)"
    activation = {"relu": relu, "linear": identity, "tanh": tanh, "sigmoid": sigmoid}[name]
    return meanfield.batch_norm_gain(activation), YANG


def _gain(name: str, samples: np.ndarray, prediction: float | None, source: str) -> Measurement:
    return interval(name, samples, unit="times a layer", prediction=prediction, source=source)


def _deep_residual(settings: Normalization, key: Array, size: tuple[int, int]) -> Measurement:
    """The gain of the last quarter of a deep residual stack, where the shortcut outweighs the branch."""
    depth, keys = settings.residual_depth, jax.random.split(key, settings.gain_seeds)
    window = (3 * depth // 4, depth)
    samples = gain(log_norms("residual", HE, *size, depth, keys), window)
    source = f"variance of the stream, after De and Smith (2020); blocks {window[0]} to {window[1]}"
    return _gain("gain-residual-deep", samples, residual_prediction(window), source)


def _by_window(logs: np.ndarray, depth: int) -> list[Measurement]:
    """The same runs over other layers.

    Layer 0 sees the Gaussian input itself, of variance 1 and not ReLU's (1 − 1/π)/2, and so passes only E φ′² = 1/2: this one
    layer is what moves the gain of a window that has it.
    """
    third = depth // 3
    limit = meanfield.batch_norm_gain(relu)
    first = (0.5 * limit ** (third - 1)) ** (1 / third)
    windows = {
        "first": (0, third, first, "layer 0 passes E φ′² = 1/2 of a Gaussian input of variance 1, the others as YANG"),
        "last": (depth - third, depth, limit, YANG),
    }
    return [
        _gain(f"gain-window-{name}", gain(logs, (a, b)), expected, f"{law}; ReLU, layers {a} to {b}".replace("YANG", YANG))
        for name, (a, b, expected, law) in windows.items()
    ]


def _sweeps(settings: Normalization, key: Array) -> tuple[list[Measurement], dict[str, np.ndarray]]:
    """ReLU by width at one batch and by batch at one width, and the linear network by batch against its exact gain."""
    sizes, most = settings.sweep, settings.sweep[-1]
    sweeps = {
        "width": ("relu", [(size, most) for size in sizes]),
        "batch": ("relu", [(most, size) for size in sizes]),
        "linear-batch": ("linear", [(most, size) for size in sizes]),
    }
    measurements, arrays = [], {"sizes": np.asarray(sizes)}
    for sweep_key, (name, (layer, shapes)) in zip(jax.random.split(key, len(sweeps)), sweeps.items(), strict=True):
        keys = jax.random.split(sweep_key, settings.gain_seeds)
        values = []
        for width, batch in shapes:
            among = ("relu", "linear") if width == most else None
            logs = log_norms(layer, HE, width, batch, settings.gain_depth, keys, among)
            values.append(gain(logs, settings.gain_window))
            limit, law = _prediction(layer, settings.gain_window)
            if name == "linear-batch":
                limit, law = (batch - 2) / (batch - 3), "(B − 2)/(B − 3), Yang et al. (2019), infinite width"
            size = width if name == "width" else batch
            measurements.append(_gain(f"gain-{name}-{size}", values[-1], limit, f"{law}; width {width}, batch {batch}"))
        arrays |= curve(name, np.stack(values, axis=1))
    batches = np.asarray(sizes, float)
    arrays |= {"limit": np.asarray(meanfield.batch_norm_gain(relu)), "linear-predicted": (batches - 2) / (batches - 3)}
    return measurements, arrays
