"""Where a floating-point type rounds the sigmoid to exactly 0 and 1."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from experiments.study.measurement import Measurement, exact
from jaxnotes.layers.activations import sigmoid

FLOAT_TYPES = ("float16", "bfloat16", "float32", "float64")

compiled_sigmoid = jax.jit(sigmoid)


def ends(name: str) -> list[Measurement]:
    """Returns the measurements of one floating-point type; float64 needs JAX's 64-bit types to be enabled."""
    information = jnp.finfo(name)
    tried = inputs(name)
    outputs = np.asarray(compiled_sigmoid(tried)).astype(np.float64)
    outside = np.count_nonzero(~((outputs >= 0) & (outputs <= 1)))
    one = smallest_magnitude(name, lambda x: float(compiled_sigmoid(x)) == 1)
    zero = -smallest_magnitude(name, lambda x: float(compiled_sigmoid(-x)) == 0)
    rounded = "e^(-x) is half a unit in the last place of 1"
    smallest = float(information.smallest_subnormal)
    normal = np.log(float(information.tiny))
    flushed = f"e^x is half the smallest subnormal; a device that flushes subnormals gets there at {normal:.2f}"
    among = f"{tried.size} inputs of {name}"
    return [
        exact(f"one-{name}", one, unit="x", prediction=(information.nmant + 1) * np.log(2), source=rounded),
        exact(f"zero-{name}", zero, unit="x", prediction=np.log(smallest) - np.log(2), source=flushed),
        exact(f"smallest-{name}", outputs.min(), source=f"smallest output of {among}"),
        exact(f"largest-{name}", outputs.max(), source=f"largest output of {among}"),
        exact(f"outside-{name}", outside, unit="inputs", source=f"outputs outside [0, 1] of {among}"),
    ]


def inputs(name: str) -> np.ndarray:
    """Returns every finite number of a 16-bit type, an even sweep of a wider one."""
    dtype = jnp.dtype(name)
    if dtype.itemsize > 2:
        return np.linspace(-1000, 1000, 400_001).astype(dtype)
    numbers = np.arange(2**16, dtype=np.uint16).view(dtype)
    return numbers[np.isfinite(numbers.astype(np.float32))]


def smallest_magnitude(name: str, reached: Callable[[np.generic], bool]) -> float:
    """Returns the smallest x > 0 of a type from which `reached(x)` is true, by bisection over neighbouring numbers."""
    dtype = jnp.dtype(name)
    bits = np.dtype(f"uint{8 * dtype.itemsize}")
    low, high = (int(np.asarray(x, dtype).view(bits)) for x in (0, jnp.finfo(dtype).max))
    while high - low > 1:  # positive floating-point numbers are ordered as their bits are
        middle = (low + high) // 2
        if reached(np.asarray(middle, bits).view(dtype)[()]):
            high = middle
        else:
            low = middle
    return float(np.asarray(high, bits).view(dtype))
