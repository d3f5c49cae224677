"""Random stacks of branches F(h) = W φ(h) or W φ(BN(h)), with the shortcut and without: gradients, and what theory says."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.residual.settings import Residual
from experiments.study.measurement import curve
from experiments.study.profiles import decades, log_gradients
from jaxnotes import meanfield
from jaxnotes.layers.activations import relu
from jaxnotes.layers.initializers import weight_variance
from jaxnotes.layers.linear import linear
from jaxnotes.layers.normalization import normalise_by_batch
from jaxnotes.layers.residual import residual
from jaxnotes.models.mlp import stack_init


def branch_stack(key: Array, depth: int, width: int, branch_variance, dtype=jnp.float32):
    """Returns the stacked parameters of branches, W ~ N(0, branch_variance / width), no bias."""
    params = stack_init(key, width, depth, initializer=weight_variance(branch_variance), bias_variance=0.0)
    return jax.tree.map(lambda p: p.astype(dtype), params)


def branch(activation: Callable, normalised: bool = False) -> Callable:
    """F(h) = W φ(h), or W φ(BN(h)): the branch of a pre-activation block, and, alone, a layer of the plain network."""
    if normalised:
        return lambda layer_params, h: linear(layer_params, activation(normalise_by_batch({}, h)))
    return lambda layer_params, h: linear(layer_params, activation(h))


def profile(
    settings: Residual,
    key: Array,
    depth: int,
    branch_variance: float,
    scale: float | None,
    activation: Callable,
    dtype=jnp.float32,
    *,
    normalised: bool = False,
) -> np.ndarray:
    """Returns [seeds, depth + 1] natural logs of the gradient's norm; `scale` None: the plain net of the same branches."""
    shortcut, branch_scale = (0.0, 1.0) if scale is None else (1.0, scale)
    numbers = jnp.asarray([branch_variance, shortcut, branch_scale], dtype)
    keys = jax.random.split(key, settings.seeds)
    shape = settings.normalised_batch if normalised else settings.batch, settings.width
    return np.asarray(_log_norms(keys, numbers, depth=depth, shape=shape, activation=activation, normalised=normalised))


@partial(jax.jit, static_argnames=("depth", "shape", "activation", "normalised"))
def _log_norms(keys: Array, numbers: Array, *, depth: int, shape: tuple[int, int], activation: Callable, normalised: bool):
    """Returns [seeds, depth + 1] of layers shortcut · h + scale · F(h).

    `numbers` are the branch's weight variance, the shortcut and the scale: arguments, so that plain and residual networks share
    one program.
    """
    branch_variance, shortcut, scale = numbers
    layer = partial(residual, branch(activation, normalised), branch_scale=scale, shortcut_scale=shortcut)

    def draw(key: Array) -> tuple[dict[str, Array], Array]:
        key_stack, key_input = jax.random.split(key)
        stack = branch_stack(key_stack, depth, shape[1], branch_variance, numbers.dtype)
        return stack, jax.random.normal(key_input, shape, numbers.dtype)

    return log_gradients(layer, draw, keys)


def relative_curve(name: str, log_norms: np.ndarray, predicted: np.ndarray) -> dict[str, np.ndarray]:
    """Returns a figure's arrays: log10 of each layer's gradient over the last's, with interval and prediction (in nats)."""
    return curve(name, decades(log_norms), predicted / np.log(10))


def normalised_gains(branch_variance: float, depth: int) -> np.ndarray:
    """Returns [depth] mean squared gains χ_l of branches W ReLU(BN(h)) on a stream that starts as N(0, 1).

    A block adds the variance v = σ_w² Var φ to the stream, so that BN divides the gradient of block l by 1 + l v: χ_l is
    g v / (1 + l v) (after De and Smith 2020), where g = E φ′² / Var φ is the gain of batch normalisation (Yang et al. 2019).
    Large weights cancel.
    """
    g = meanfield.batch_norm_gain(relu)
    added = branch_variance / 2 / g  # σ_w² E φ′² / g
    return g * added / (1 + added * np.arange(depth))
