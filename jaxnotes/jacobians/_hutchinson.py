"""Hutchinson's estimate of the Frobenius norms of end-to-end Jacobians, for widths where the exact sweep is too large."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Key, PyTree

from jaxnotes.jacobians._products import rescaled_sweep
from jaxnotes.jacobians._scaling import LOG_TWO, safe_log
from jaxnotes.jacobians._stack import check_per_example


class Estimate(NamedTuple):
    """An estimate and its standard error, of the same shape."""

    estimate: Float[Array, "depth_and_one batch"]
    standard_error: Float[Array, "depth_and_one batch"]


def hutchinson_frobenius(f: Callable, params: PyTree, x: Float[Array, "batch n"], key: Key[Array, ""], probes: int) -> Estimate:
    """Estimate(estimate, standard_error), [depth + 1, batch] each, of the Frobenius norm of dh_L/dh_l, l = 0 … L.

    ‖J‖² = E ‖Jᵀv‖² for v of independent signs (Hutchinson 1990); the same probes serve every layer, in one backward sweep. The
    relative error is about 1/sqrt(probes) for Jacobians of low effective rank and smaller else. The square root of a mean is
    biased by O(1/probes), far below the standard error. Norms beyond float32 become 0 or inf: see `hutchinson_log_frobenius`.
    Raises ValueError for fewer than 2 probes, and as `end_to_end` does.
    """
    logs = hutchinson_log_frobenius(f, params, x, key, probes)
    norms = jnp.exp(logs.estimate)
    return Estimate(norms, norms * logs.standard_error)


def hutchinson_log_frobenius(
    f: Callable, params: PyTree, x: Float[Array, "batch n"], key: Key[Array, ""], probes: int
) -> Estimate:
    """`hutchinson_frobenius` for the natural log of the norm, finite where the norm under- or overflows."""
    if isinstance(probes, bool) or not isinstance(probes, int) or probes < 2:
        raise ValueError(f"probes is {probes!r}, expected an int of at least 2: one probe has no standard error")
    check_per_example(f, params, x)
    return Estimate(*_log_estimate(f, params, x, key, probes))


@partial(jax.jit, static_argnames=("f", "probes"))
def _log_estimate(f, params, x, key, probes):
    cotangents = jax.random.rademacher(key, (probes, *x.shape), x.dtype)
    squares, exponents = rescaled_sweep(f, params, x, cotangents, axes=(2,))  # [depth + 1, probes, batch]
    mean = jnp.mean(squares, axis=1)
    mean_error = jnp.std(squares, axis=1, ddof=1) / probes**0.5
    relative = mean_error / jnp.where(mean > 0, mean, 1)
    return safe_log(mean) / 2 + LOG_TWO * exponents.astype(mean.dtype), relative / 2
