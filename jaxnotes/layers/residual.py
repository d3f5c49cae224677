"""The residual connection y = x + s F(x) (He et al. 2016), and two ways to start it small."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from jaxnotes._checks import FINITE, count, floats, function, kept, leaves, number


def residual(
    branch: Callable[[Any, Array], Array],
    params: Any,
    x: Float[Array, "*shape"],
    *,
    branch_scale: float | Float[Array, ""] = 1.0,
    shortcut_scale: float | Float[Array, ""] = 1.0,
) -> Float[Array, "*shape"]:
    """shortcut_scale · x + branch_scale · branch(params, x), whose Jacobian is shortcut_scale · I + branch_scale · ∂F/∂x.

    Args:
      branch: F, `(params, x) -> array like x`.
      params: parameters of the branch.
      x: input, any shape.
      branch_scale: s.
      shortcut_scale: λ (He et al. 2016b, section 3.1); 1 is the identity, 0 leaves the plain branch.

    Raises:
      TypeError: x or the branch's output is not of a floating type, the branch no function, or a scale not one real number.
      ValueError: the branch changes the shape, so that there is nothing to add x to, or a scale is infinite or NaN.

    Example:
      >>> import jax.numpy as jnp
      >>> residual(lambda scale, x: scale * x, 0.5, jnp.asarray([2.0])).tolist()
      [3.0]
    """
    x = floats("x", x)
    function("branch", branch)
    number("branch_scale", branch_scale, FINITE)
    number("shortcut_scale", shortcut_scale, FINITE)
    added = kept("branch", x, branch(params, x))
    return shortcut_scale * x + branch_scale * added


def depth_scale(depth: int) -> float:
    """1/√depth, the branch scale that keeps (1 + s² χ)^depth below e^χ at any depth.

    Raises:
      TypeError: depth is no integer.
      ValueError: depth below 1.

    Example:
      >>> depth_scale(100)
      0.1
    """
    return 1 / math.sqrt(count("depth", depth))


def zero_initialised(params: Any) -> Any:
    """Returns the same parameters with every entry 0: the block starts as the identity (Zhang et al. 2019, Fixup).

    Raises:
      TypeError: a leaf that is not a floating-point array.
    """
    leaves("params", params)
    return jax.tree.map(jnp.zeros_like, params)
