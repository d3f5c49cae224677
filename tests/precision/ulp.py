"""Units in the last place, and inputs that reach every exponent of a number format.

XLA takes numbers below the smallest normal one for 0 in bfloat16 and float32, so that a product is lost whose one factor is.
They are no inputs here, and results below 1,024 times the smallest normal number, 1.2e-35, count in units of that.
"""

import jax.numpy as jnp
import numpy as np

FORMATS = ("float16", "bfloat16", "float32")
WORDS = 2**16


def inputs(name: str) -> np.ndarray:
    """Returns every finite number of a 16-bit format, or 65,536 of float32: one for each pattern of its first 16 bits.

    Numbers between 0 and the smallest normal one are left out where XLA takes them for 0.
    """
    words = np.arange(WORDS, dtype=np.uint32)
    if name == "float32":
        last = np.random.default_rng(0).integers(WORDS, size=WORDS, dtype=np.uint32)
        found = ((words << 16) | last).view(np.float32)
    else:
        found = words.astype(np.uint16).view(jnp.dtype(name))
    with np.errstate(invalid="ignore"):  # NaN is among them
        wide = found.astype(np.float64)
    return found[
        np.isfinite(wide) & ((wide == 0) | (np.abs(wide) >= (0 if name == "float16" else float(jnp.finfo(name).tiny))))
    ]


def unit(size: np.ndarray, name: str) -> np.ndarray:
    """Returns the distance of neighbouring numbers of the format at a size; see above for the smallest."""
    format = jnp.finfo(name)
    exponent = np.frexp(np.maximum(np.abs(size), float(format.tiny)))[1] - 1
    distance = np.ldexp(1.0, exponent - format.nmant)
    lost = 0.0 if name == "float16" else 1024 * float(format.tiny)
    return np.where(np.abs(size) < lost, lost, distance)


def worst(found: np.ndarray, exact: np.ndarray, name: str, size: np.ndarray | None = None) -> float:
    """Returns the largest error in units in the last place.

    Args:
      found: values of the format, any shape.
      exact: the same in float64.
      name: of the format.
      size: of the numbers whose last place counts; `exact` itself by default, its terms where they cancel.

    Returns:
      The error; 0 where both are infinite alike or NaN, infinite where only one is.
    """
    limit = float(jnp.finfo(name).max) * (1 + float(jnp.finfo(name).eps) / 4)  # from there on a result rounds to infinity
    exact = np.where(np.abs(exact) >= limit, np.copysign(np.inf, exact), exact)
    found = np.asarray(found).astype(np.float64)
    alike = (found == exact) | (np.isnan(found) & np.isnan(exact))
    with np.errstate(invalid="ignore"):
        error = np.abs(found - exact) / unit(np.where(np.isfinite(exact), exact if size is None else size, 1.0), name)
    return float(np.max(np.where(alike, 0.0, np.where(np.isfinite(error), error, np.inf)), initial=0.0))
