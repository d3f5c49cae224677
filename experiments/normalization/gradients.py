"""Gain of the squared gradient per layer at initialisation, by normalisation, activation, width, batch and layers measured."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.normalization.network import normalise
from experiments.normalization.settings import Normalization
from experiments.study.measurement import Evidence, Measurement, curve, interval
from experiments.study.profiles import log_gradients, passed_curve
from jaxnotes import meanfield
from jaxnotes.layers.activations import identity, relu, sigmoid, tanh
from jaxnotes.layers.linear import linear
from jaxnotes.layers.normalization import layer_norm

YANG = "E φ′² / Var φ at infinite width and batch, Yang et al. (2019)"
HE = 2.0


def batch_normalised(activation: Callable) -> Callable:
    """φ(BN(W h)): the layer without a residual connection; it mixes the examples."""
    return lambda layer_params, h: activation(normalise(linear(layer_params, h)))


def layer_normalised(layer_params, h: Array) -> Array:
    """ReLU(LN(W h))."""
    return relu(layer_norm({}, linear(layer_params, h)))


def residual_block(layer_params, h: Array) -> Array:
    """h + W ReLU(BN(h)), the pre-activation block."""
    return h + linear(layer_params, relu(normalise(h)))


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
    layer: str, weight_variance: float, width: int, batch: int, depth: int, keys: Array, among: tuple[str, ...] | None = None
) -> np.ndarray:
    """Returns [seeds, depth + 1] natural logs of the gradient's norm at each layer, from Gaussian inputs.

    among: names in LAYERS that share one compiled program; the layer alone where None.
    """
    among = (layer,) if among is None else among
    index, weight_variance = jnp.asarray(among.index(layer)), jnp.asarray(weight_variance, jnp.float32)
    return np.asarray(_log_norms(index, weight_variance, keys, among=among, width=width, batch=batch, depth=depth))


@partial(jax.jit, static_argnames=("among", "width", "batch", "depth"))
def _log_norms(
    index: Array, weight_variance: Array, keys: Array, *, among: tuple[str, ...], width: int, batch: int, depth: int
) -> Array:
    def layer(params, h: Array) -> Array:
        return jax.lax.switch(index, [LAYERS[name] for name in among], params, h)

    def draw(key: Array) -> tuple[dict[str, Array], Array]:
        drawn = jax.random.normal(key, (depth * width + batch, width))  # one draw: each is compiled by itself
        weight = jnp.sqrt(weight_variance / width) * drawn[: depth * width].reshape(depth, width, width)
        return {"weight": weight, "bias": jnp.zeros((depth, width))}, drawn[depth * width :]

    return log_gradients(layer, draw, keys)


def gain(logs: np.ndarray, window: tuple[int, ...]) -> np.ndarray:
    """Returns [seeds] the gain of the squared gradient per layer on its way back through the window."""
    first, last = window
    return np.exp(2 * (logs[:, first] - logs[:, last]) / (last - first))


def residual_prediction(window: tuple[int, ...]) -> float:
    """Returns the mean gain per block of a window (after De and Smith 2020).

    The stream's variance over the batch starts at 1 and grows by 1/g per block, where g is the gain without the shortcut, so
    that block l passes 1 + g / (g + l).
    """
    g, blocks = meanfield.batch_norm_gain(relu), np.arange(*window)
    return float(np.exp(np.log1p(g / (g + blocks)).mean()))


def gradients(settings: Normalization, key: Array) -> dict[str, Evidence]:
    """normalization.gradients: every arm over the same middle layers, then width, batch and window one at a time."""
    window, depth = settings.gain_window, settings.gain_depth
    large = (settings.gain_width, settings.gain_batch)
    small = (min(settings.gain_width, 256), min(settings.gain_batch, 256))
    key_arms, key_deep, key_sweeps = jax.random.split(key, 3)
    measurements, arrays = [], {"window": np.asarray(window)}
    for key_arm, name in zip(jax.random.split(key_arms, len(LAYERS)), LAYERS, strict=True):
        weight_variance = HE if name in ("relu", "residual", "layer-norm") else 1.0
        width, batch = size = large if name == "relu" else small
        keys = jax.random.split(key_arm, settings.gain_seeds)
        logs = log_norms(name, weight_variance, *size, depth, keys, tuple(LAYERS) if size == small else None)
        expected, law = _prediction(name, window)
        source = f"{law}; layers {window[0]} to {window[1]} of {depth}, width {width}, batch {batch}"
        measurements.append(_gain(f"gain-{name}", gain(logs, window), expected, source))
        arrays |= passed_curve(name, logs, 0.5 * np.log(expected))
        if name == "relu":
            arrays |= curve("position", np.exp(2 * (logs[:, :-1] - logs[:, 1:])))
            measurements += _by_window(logs, depth)
    measurements.append(_deep_residual(settings, key_deep, small))
    found, more = _sweeps(settings, key_sweeps)
    return {"normalization.gradients": Evidence((*measurements, *found), arrays | more)}


def _prediction(name: str, window: tuple[int, ...]) -> tuple[float, str]:
    """Returns the gain that theory expects of a layer, and whose theory."""
    if name == "residual":
        return residual_prediction(window), "variance of the stream, after De and Smith (2020)"
    if name == "layer-norm":
        return 1.0, "E φ′² / E φ² at infinite width"
    if name == "plain-sigmoid":
        return meanfield.chi(sigmoid, 1.0, 0.0), "χ, Schoenholz et al. (2017)"
    activation = {"relu": relu, "linear": identity, "tanh": tanh, "sigmoid": sigmoid}[name]
    return meanfield.batch_norm_gain(activation), YANG


def _gain(name: str, samples: np.ndarray, prediction: float | None, source: str) -> Measurement:
    return interval(name, samples, unit="times per layer", prediction=prediction, source=source)


def _deep_residual(settings: Normalization, key: Array, size: tuple[int, int]) -> Measurement:
    """Returns the gain of the last quarter of a deep residual stack, where the shortcut outweighs the branch."""
    depth, keys = settings.residual_depth, jax.random.split(key, settings.gain_seeds)
    window = (3 * depth // 4, depth)
    samples = gain(log_norms("residual", HE, *size, depth, keys), window)
    source = f"variance of the stream, after De and Smith (2020); blocks {window[0]} to {window[1]}"
    return _gain("gain-residual-deep", samples, residual_prediction(window), source)


def _by_window(logs: np.ndarray, depth: int) -> list[Measurement]:
    """Returns the gains of the same runs over other layers.

    Layer 0 sees the Gaussian input itself, of variance 1 and not ReLU's (1 − 1/π)/2, and so passes only E φ′² = 1/2: this one
    layer is what moves the gain of a window that has it.
    """
    third = depth // 3
    limit = meanfield.batch_norm_gain(relu)
    first = (0.5 * limit ** (third - 1)) ** (1 / third)
    windows = {
        "first": (0, third, first, f"layer 0 passes E φ′² = 1/2 of a Gaussian input of variance 1, the others as {YANG}"),
        "last": (depth - third, depth, limit, YANG),
    }
    return [
        _gain(f"gain-window-{name}", gain(logs, (a, b)), expected, f"{law}; ReLU, layers {a} to {b}")
        for name, (a, b, expected, law) in windows.items()
    ]


def _sweeps(settings: Normalization, key: Array) -> tuple[list[Measurement], dict[str, np.ndarray]]:
    """Returns the gains of ReLU by width at one batch and by batch at one width, and of linear layers by batch."""
    sizes, most = settings.sweep, settings.sweep[-1]
    sweeps = {
        "width": ("relu", [(size, most) for size in sizes]),
        "batch": ("relu", [(most, size) for size in sizes]),
        "linear-batch": ("linear", [(most, size) for size in sizes]),
    }
    measurements, arrays = [], {"sizes": np.asarray(sizes)}
    for key_sweep, (name, (layer, shapes)) in zip(jax.random.split(key, len(sweeps)), sweeps.items(), strict=True):
        keys = jax.random.split(key_sweep, settings.gain_seeds)
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
