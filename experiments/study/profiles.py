"""Gradients over the depth of random stacks: the log of the norm at each layer, its slope, and the decades it covers."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.study.measurement import curve
from jaxnotes import jacobians

NATS_PER_LAYER = "nats per layer"


def log_gradients(layer: Callable[[Any, Array], Array], draw: Callable[[Array], tuple[Any, Array]], keys: Array) -> Array:
    """Returns [seeds, depth + 1] natural logs of the gradient's norm at each layer, l = 0 … L, one stack per key.

    Args:
      layer: f(layer_params, h), the same for every layer, whose output has the shape of h.
      draw: `draw(key)` gives the stacked parameters and the input [batch, …].
      keys: [seeds].

    The loss is the projection of the output onto a random direction, of length 1 for each example.
    """

    def of_seed(key: Array) -> Array:
        key_stack, key_direction = jax.random.split(key)
        params, x = draw(key_stack)
        direction = random_direction(key_direction, x.shape, x.dtype)
        return jacobians.log_gradient_norms(layer, params, x, lambda h: jnp.sum(h * direction))

    return jax.lax.map(of_seed, keys)


def random_direction(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
    """Returns a random gradient of the output [batch, …], of length 1 for each example."""
    direction = jax.random.normal(key, shape, dtype)
    return direction / jnp.sqrt(jnp.sum(direction**2, axis=tuple(range(1, len(shape))), keepdims=True))


def slope(logs: np.ndarray) -> np.ndarray:
    """Returns [seeds] the gradient's growth per layer on its way back, in nats: positive where it explodes."""
    return (logs[:, 0] - logs[:, -1]) / (logs.shape[1] - 1)


def decades(logs: np.ndarray) -> np.ndarray:
    """Returns [seeds, depth + 1] log10 of each layer's gradient over the last layer's."""
    return (logs - logs[:, -1:]) / np.log(10)


def decades_passed(logs: np.ndarray) -> np.ndarray:
    """Returns the same against the number of layers that the gradient has passed on its way back."""
    return decades(logs)[:, ::-1]


def passed_curve(name: str, logs: np.ndarray, predicted_slope: float | None = None) -> dict[str, np.ndarray]:
    """Returns a figure's arrays of `decades_passed`: mean, interval and the line of a predicted slope in nats per layer."""
    passed = decades_passed(logs)
    line = None if predicted_slope is None else predicted_slope * np.arange(passed.shape[1]) / np.log(10)
    return curve(name, passed, line)
