"""How unequally the directions of a critical stack grow: the variance of its Jacobian's squared singular values."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array

from experiments.causes.settings import Causes
from experiments.causes.stacks import random_stack
from experiments.study.measurement import Measurement, interval
from jaxnotes import jacobians
from jaxnotes.layers.activations import relu
from jaxnotes.layers.linear import linear

# name: (activation, share of the units that pass the gradient, each with slope 1)
CRITICAL: dict[str, tuple[Callable[[Array], Array], float]] = {"linear": (lambda h: h, 1.0), "relu": (relu, 0.5)}


def predicted_variance(share: float, depth: int, width: int) -> float:
    """Returns the variance of the squared singular values over their squared mean, at this width and critical weights.

    Let A = J Jᵀ of the first layers. A mask D that keeps a share p of the units, independently, and Gaussian weights W of
    variance 1/(pn) make W D A D Wᵀ of it. The means of tr A², (tr A)² and Σ A_ii² of the next layer are then linear in those
    of this one (second moments of a Wishart matrix). At infinite width this is L/p (Pennington et al. 2017).
    """
    square, trace, diagonal = 1.0, float(width), 1.0  # tr A², (tr A)², Σ A_ii² over n
    for _ in range(depth):
        alone = share * (1 - share) * diagonal
        square, trace = share**2 * square + alone, share**2 * trace + alone  # of D A D
        weight = 1 / (share * width) ** 2
        square, trace, diagonal = (
            weight * (width * (width + 1) * square + width * trace),
            weight * (width**2 * trace + 2 * width * square),
            weight * width * (trace + 2 * square),
        )
    return width * square / trace - 1


@partial(jax.jit, static_argnames=("name", "depth", "width"))
def squared_singular_variance(name: str, keys: Array, *, depth: int, width: int) -> Array:
    """Returns [seeds] the variance of the squared singular values of dh_L/dh_0 over their squared mean.

    They sum to the trace of J Jᵀ, and their squares to its squared Frobenius norm.
    """
    activation, share = CRITICAL[name]

    def of_seed(key: Array) -> Array:
        key_stack, key_input = jax.random.split(key)
        params = random_stack(key_stack, depth, width, 1 / share, 0.0)
        x = jax.random.normal(key_input, (1, width))
        jacobian = jacobians.end_to_end(lambda params, h: linear(params, activation(h)), params, x)[0, 0]
        gram = jacobian @ jacobian.T
        return width * jnp.sum(gram**2) / jnp.trace(gram) ** 2 - 1

    return jax.lax.map(of_seed, keys)


def singular_variances(settings: Causes, key: Array) -> list[Measurement]:
    """Returns how unequal the squared singular values of a product of critical layers are, linear and ReLU."""
    measurements, depth = [], settings.singular_depth
    for name, (_, share) in CRITICAL.items():
        keys = jax.random.split(key, settings.forward_seeds)
        found = squared_singular_variance(name, keys, depth=depth, width=settings.width)
        source = f"over their squared mean, {depth} {name} layers of {settings.width} units, σ_w² = {1 / share:g}"
        predicted = predicted_variance(share, depth, settings.width)
        measurements.append(interval(f"singular-variance-{name}", found, prediction=predicted, source=source))
    return measurements
