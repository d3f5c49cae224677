"""Activation functions: stable at every input, with derivatives that stay exact where the textbook formula cancels.

Each raises TypeError where x is no array of floats: integers, bool and complex numbers are not taken for them.
"""

import functools
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from jaxnotes._checks import FINITE, PROPER_SHARE, choice, floats, function, kept, number

Activation = Callable[[Array], Array]


def _with_slope(slope: Callable[[Array, Array], Array]) -> Callable[[Activation], Activation]:
    """Gives an elementwise function the derivative slope(value, x), and checks what it is called with."""

    def decorate(activation: Activation) -> Activation:
        inner = jax.custom_jvp(activation)
        inner.defjvps(lambda tangent, value, x: tangent * slope(value, x))
        return functools.wraps(activation)(lambda x: inner(floats("x", x)))

    return decorate


@_with_slope(lambda value, x: _sigmoid_slope(value, x))
def sigmoid(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Logistic function 1 / (1 + e^(-x)); its derivative σ(x) σ(-x) does not cancel where σ rounds to 1.

    Example:
      >>> sigmoid(jnp.asarray([0.0, 20.0])).tolist()  # in float32 it reaches 1
      [0.5, 1.0]
    """
    small = jnp.exp(-jnp.abs(x))  # in (0, 1]: never overflows
    return jnp.where(x >= 0, 1 / (1 + small), small / (1 + small))


def _sigmoid_slope(value: Array, x: Array) -> Array:
    return value * sigmoid(-x)


@_with_slope(lambda value, x: 4 * sigmoid(2 * x) * sigmoid(-2 * x))
def tanh(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Hyperbolic tangent; its derivative sech²(x) = 4 σ(2x) σ(-2x) does not cancel where tanh rounds to ±1."""
    return lax.tanh(x)


def relu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """max(x, 0); its derivative at 0 is 0, the choice of Glorot et al. (2011) and of jax.nn."""
    x = floats("x", x)
    return jnp.where(x <= 0, jnp.zeros_like(x), x)  # this way round, NaN stays NaN


def leaky_relu(x: Float[Array, "*shape"], negative_slope: float | Float[Array, ""] = 0.01) -> Float[Array, "*shape"]:
    """x where positive, else negative_slope · x (Maas et al. 2013); its derivative at 0 is 1, as in jax.nn."""
    x = floats("x", x)
    number("negative_slope", negative_slope, FINITE)
    return jnp.where(x >= 0, x, negative_slope * x)


def elu(x: Float[Array, "*shape"], alpha: float = 1.0) -> Float[Array, "*shape"]:
    """x where positive, else alpha (e^x - 1) (Clevert et al. 2016)."""
    x = floats("x", x)
    number("alpha", alpha, FINITE)
    # The exponential sees no positive input, so that neither it nor its derivative overflows on the branch not taken.
    return jnp.where(x > 0, x, alpha * _expm1(jnp.where(x > 0, jnp.zeros_like(x), x)))


@jax.custom_jvp
def _expm1(x: Array) -> Array:
    return jnp.expm1(x)


_expm1.defjvps(lambda tangent, value, x: tangent * jnp.exp(x))  # JAX's own rule, expm1(x) + 1, cancels


@_with_slope(lambda value, x: _gelu_slope(x))
def gelu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """x Φ(x) with the exact normal distribution function Φ (Hendrycks and Gimpel 2016); 0 at -∞."""
    wide = _at_least_float32(x)
    return jnp.where(x == -jnp.inf, jnp.zeros_like(wide), wide * _normal_distribution(wide)).astype(x.dtype)


def _at_least_float32(x: Array) -> Array:
    """A Gaussian tail multiplies a rounding error of its argument by x²: in bfloat16 a third of the value at x = 9."""
    return x if x.dtype.itemsize >= 4 else x.astype(jnp.float32)


def _normal_distribution(x: Array) -> Array:
    return 0.5 * lax.erfc(-x * math.sqrt(0.5))  # erfc keeps the left tail's digits, 1 + erf cancels them


def _gelu_slope(x: Array) -> Array:
    wide = _at_least_float32(x)
    finite = jnp.clip(wide, -1e3, 1e3)  # beyond, the density is 0 in every type, and ∞ · 0 would be NaN
    density = jnp.exp(-0.5 * finite * finite) / math.sqrt(2 * math.pi)
    return (_normal_distribution(wide) + finite * density).astype(x.dtype)


@_with_slope(lambda value, x: _silu_slope(x))
def silu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """x σ(x), also called swish (Elfwing et al. 2018); 0 at -∞."""
    return jnp.where(x == -jnp.inf, jnp.zeros_like(x), x * sigmoid(x))


def _silu_slope(x: Array) -> Array:
    finite = jnp.clip(x, -1e4, 1e4)  # beyond, σ(x) or σ(-x) is 0 in every type, and ∞ · 0 would be NaN
    return sigmoid(x) * (1 + finite * sigmoid(-x))


@_with_slope(lambda value, x: sigmoid(x))
def softplus(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """ln(1 + e^x), whose derivative is the sigmoid."""
    return jnp.maximum(x, 0) + jnp.log1p(jnp.exp(-jnp.abs(x)))


def identity(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """x: the activation of a linear network."""
    return floats("x", x)


@_with_slope(lambda value, x: _erf_slope(x))
def erf(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Error function 2/√π ∫_0^x e^(-t²) dt, the activation whose mean-field maps have closed forms (Williams 1997)."""
    return lax.erf(x)


def _erf_slope(x: Array) -> Array:
    finite = jnp.clip(_at_least_float32(x), -1e3, 1e3)  # JAX's own rule has ∞ · 0 in its second derivative
    return (2 / math.sqrt(math.pi) * jnp.exp(-finite * finite)).astype(x.dtype)


ACTIVATIONS: Mapping[str, Activation] = MappingProxyType(
    {
        "sigmoid": sigmoid,
        "tanh": tanh,
        "relu": relu,
        "leaky_relu": leaky_relu,
        "elu": elu,
        "gelu": gelu,
        "silu": silu,
        "softplus": softplus,
        "identity": identity,
        "erf": erf,
    }
)


def by_name(name: str) -> Activation:
    """Returns the activation function of a name.

    Raises:
      ValueError: there is none of that name; the message lists the names.
    """
    choice("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]


def derivative(activation: Activation) -> Activation:
    """Returns the elementwise derivative of an elementwise function, by forward differentiation.

    Raises:
      TypeError: the activation is no function; from the returned function, its argument is no array of floats.
      ValueError: from the returned function, the activation changes the shape.
    """
    function("activation", activation)

    def slope(x: Array) -> Array:
        x = floats("x", x)
        value, change = jax.jvp(activation, (x,), (jnp.ones_like(x),))
        kept("activation", x, value)
        return change

    return slope


def saturated_fraction(activation: Activation, x: Float[Array, "*shape"], threshold: float = 0.05) -> Float[Array, ""]:
    """Returns the fraction of units whose slope is small.

    A unit counts as saturated where |φ'(x)| < threshold · max |φ'|, the maximum taken over inputs in [-10, 10].

    Args:
      activation: elementwise function φ.
      x: pre-activations, any shape; a NaN counts as not saturated.
      threshold: share of the largest slope, in (0, 1).

    Returns:
      Fraction of the entries of x, [], in the dtype of x; 0 for an empty x.

    Raises:
      TypeError: x is no array of floats, the activation no function, or the threshold no number.
      ValueError: a threshold outside (0, 1), or an activation that changes the shape.
    """
    x = floats("x", x)
    number("threshold", threshold, PROPER_SHARE, "a share of the largest slope")
    slope = derivative(activation)
    steepest = jnp.abs(slope(jnp.linspace(-10.0, 10.0, 2001, dtype=x.dtype))).max()
    saturated = jnp.abs(slope(x)) < threshold * steepest
    # Counted in whole numbers: float16 overflows at 65,504 units, bfloat16 stops counting at 256.
    return (jnp.count_nonzero(saturated).astype(jnp.float32) / max(x.size, 1)).astype(x.dtype)
