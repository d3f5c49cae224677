"""The loss's curvature: its largest Hessian eigenvalue, and that along the optimiser's first step."""

import dataclasses
import math

import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxnotes.probe._program import Passed, Program
from jaxnotes.probe._updates import Updates

TURNS = 20  # of the power iteration: the eigenvalue to some per cent, as the largest of a network stand apart


@dataclasses.dataclass(frozen=True)
class Curvature:
    """Second derivatives of the loss by the parameters.

    Attributes:
      sharpness: the Hessian's eigenvalue of largest size, by power iteration.
      step: uᵀHu over -gᵀu for the optimiser's first update u and the gradient g: over 2 a quadratic rises. For gradient descent
        at rate η along the first eigenvector it is η times the eigenvalue. NaN without an optimiser, or uphill.
    """

    sharpness: float
    step: float


def measure_curvature(program: Program, arguments: list[Array], passed: Passed, updates: Updates | None) -> Curvature:
    """Measures both by products of the Hessian with vectors, each of which costs about two gradients."""
    random, product = np.random.default_rng(0), program.hessian_product
    vector = [jnp.asarray(random.normal(size=a.shape), a.dtype) for a in arguments[: program.differentiated]]
    value = math.nan
    for _ in range(TURNS):
        norm = math.sqrt(max(_dot(vector, vector), 1e-300))
        vector = [part / jnp.asarray(norm, part.dtype) for part in vector]
        image = product(arguments, vector)
        value, vector = _dot(vector, image), image
        if not math.isfinite(value) or _dot(image, image) == 0:
            break
    if updates is None:
        return Curvature(value, math.nan)
    (update,) = updates.first(1)
    downhill = -_dot(passed.parameters, update)
    return Curvature(value, _dot(update, product(arguments, update)) / downhill if downhill > 0 else math.nan)


def _dot(first: list[Array], second: list[Array]) -> float:
    return sum(float(jnp.vdot(a.astype(jnp.float32), b.astype(jnp.float32))) for a, b in zip(first, second, strict=True))
