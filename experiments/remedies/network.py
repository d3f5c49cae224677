"""A deep network whose every choice is data: activation, normalisation, shortcut, scale of branch and weights.

One compiled program then serves the whole grid. A layer is h ← shortcut · h + s (φ(norm(h)) W + b).
"""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxnotes import meanfield
from jaxnotes.layers import initializers
from jaxnotes.layers.activations import by_name
from jaxnotes.layers.linear import linear, linear_init
from jaxnotes.layers.normalization import batch_norm, batch_norm_state, layer_norm
from jaxnotes.layers.residual import residual
from jaxnotes.models.mlp import stack_init

ACTIVATIONS = ("sigmoid", "tanh", "relu", "leaky_relu", "elu")
NORMS = ("none", "batch", "layer")
HOMOGENEOUS = ("relu", "leaky_relu")  # φ(λx) = λ φ(x) for λ > 0
HUGE = 1e20  # a variance at which ELU's negative part no longer counts


class Choice(NamedTuple):
    """What a network is made of; numbers, so that it can be an argument of a compiled function.

    Attributes:
      activation: index in ACTIVATIONS.
      norm: index in NORMS; batch statistics are always those of the batch, without scale and shift.
      shortcut: 1 for a residual network, 0 for a plain one.
      branch_scale: s.
      weight_variance: σ_w²; weights are N(0, σ_w² / n_in).
    """

    activation: int | Array
    norm: int | Array
    shortcut: float | Array
    branch_scale: float | Array
    weight_variance: float | Array


def choice(
    activation: str, weight_variance: float, *, norm: str = "none", shortcut: bool = False, branch_scale: float = 1.0
) -> Choice:
    """Returns a choice by names."""
    return Choice(ACTIVATIONS.index(activation), NORMS.index(norm), float(shortcut), branch_scale, weight_variance)


def stacked(choices: Sequence[Choice]) -> Choice:
    """Returns choices as arrays, one entry each."""
    dtypes = Choice(np.int32, np.int32, np.float32, np.float32, np.float32)
    return Choice(*(jnp.asarray(column, dtype) for column, dtype in zip(zip(*choices, strict=True), dtypes, strict=True)))


def units(chosen: Choice, h: Array) -> Array:
    """Returns φ(norm(h)), what the next weights see. h: [batch, width]."""
    width = h.shape[-1]

    def batch(h: Array) -> Array:
        return batch_norm({}, batch_norm_state(width), h, train=True)[0]

    normalised = jax.lax.switch(chosen.norm, (lambda h: h, batch, lambda h: layer_norm({}, h)), h)
    return jax.lax.switch(chosen.activation, [by_name(name) for name in ACTIVATIONS], normalised)


def layer(chosen: Choice) -> Callable:
    """Returns f(layer_params, h) of the choice, with layer_params = {"weight", "bias"}."""

    def branch(params: dict[str, Array], h: Array) -> Array:
        return linear(params, units(chosen, h))

    return partial(residual, branch, shortcut_scale=chosen.shortcut, branch_scale=chosen.branch_scale)


def unit_stack(key: Array, width: int, depth: int) -> dict[str, Array]:
    """Returns stacked parameters of the layers before a choice scales them: σ_w² = 1, biases 0."""
    return stack_init(key, width, depth, initializer=initializers.weight_variance(1.0), bias_variance=0.0)


def scaled(params: dict[str, Array], chosen: Choice) -> dict[str, Array]:
    """Returns a unit stack with the choice's variance of the weights."""
    return {**params, "weight": params["weight"] * jnp.sqrt(chosen.weight_variance)}


def classifier_init(key: Array, chosen: Choice, *, n_in: int, width: int, depth: int, n_out: int) -> dict:
    """Returns parameters {"input", "hidden", "output"}: of one key the same draws for every choice, which scales the hidden."""
    key_input, key_hidden, key_output = jax.random.split(key, 3)
    return {
        "input": linear_init(key_input, n_in, width),
        "hidden": scaled(unit_stack(key_hidden, width, depth), chosen),
        "output": linear_init(key_output, width, n_out),
    }


def classifier(chosen: Choice, params: dict, x: Array) -> Array:
    """Returns logits [batch, n_out]."""
    step, h = layer(chosen), linear(params["input"], x)
    h, _ = jax.lax.scan(lambda h, layer_params: (step(layer_params, h), None), h, params["hidden"])
    return linear(params["output"], units(chosen, h))


def parameters(n_in: int, n_out: int, width: int | np.ndarray, depth: int) -> int | np.ndarray:
    """Returns the number of weights and biases of a classifier, of one width or of several."""
    return (n_in + 1) * width + depth * (width + 1) * width + (width + 1) * n_out


def equal_parameters(n_in: int, n_out: int, width: int, depth: int, other_depth: int) -> int:
    """Returns the width at which a classifier of `other_depth` has as many parameters as one of `width` and `depth`."""
    total = parameters(n_in, n_out, width, depth)
    widths = np.arange(1, total)
    return int(widths[np.abs(parameters(n_in, n_out, widths, other_depth) - total).argmin()])


def predicted_gain(chosen: Choice, depth: int, batch: int | None = None) -> np.ndarray:
    """Returns [depth + 1] the natural log of the gradient's gain across the first l layers, from inputs of variance 1.

    For infinite width, and for a batch of this many examples, a large one where None. A normalised unit has variance 1, so that
    the square of a layer's gain is σ_w² E φ'(z)² over the variance v of its input: layer normalisation divides by E h², batch
    normalisation by the variance over the batch, to which the units add σ_w² E φ² or σ_w² Var φ (Yang et al. 2019).
    """
    name, norm = ACTIVATIONS[chosen.activation], NORMS[chosen.norm]
    weights, scale, shortcut = float(chosen.weight_variance), float(chosen.branch_scale), float(chosen.shortcut)
    variance, logs, moments = 1.0, [], None
    for _ in range(depth):
        # A positively homogeneous activation, and any that is nearly so at this size, has the same moments relative to v.
        if moments is None or (norm == "none" and name not in HOMOGENEOUS and variance < HUGE):
            seen = variance if norm == "none" else 1.0
            moments = _moments(name, norm, seen, batch)
        slope, passed = moments
        divided = 1.0 if norm == "none" else variance
        logs.append(0.5 * np.log(shortcut + scale**2 * weights * slope / divided))
        variance = shortcut * variance + scale**2 * weights * passed * (variance if norm == "none" else 1.0)
    return np.concatenate([[0.0], np.cumsum(logs)])


@cache
def _moments(name: str, norm: str, variance: float, batch: int | None) -> tuple[float, float]:
    """Returns E φ'² at units of this variance, and what φ passes on of it: E φ², or Var φ after batch normalisation."""
    activation = by_name(name)
    slope = meanfield.chi(activation, 1.0, 0.0, q=variance)
    if norm == "batch":
        return slope, slope / meanfield.batch_norm_gain(activation, batch)
    return slope, meanfield.variance_map(activation, variance, 1.0, 0.0) / variance
