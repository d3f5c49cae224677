"""Singular values of a matrix whose rows span any range of scales: one-sided Jacobi on rows that carry their own exponents.

A graded matrix has rows u_i · 2^{k_i}, u_i of ordinary size. Jacobi rotations of its rows find all singular values to a high
relative accuracy, whatever the k_i, as long as the normalised rows are well conditioned (Demmel and Veselić 1992; Demmel et
al. 1999): written in the ratio of two rows' scales, a rotation turns into a Gram-Schmidt step where that ratio underflows.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

from jaxnotes.jacobians._scaling import LOG_TWO, exponent_of, power_of_two, safe_log

DEAD = -(2**28)  # the exponent of a row of zeros: below any that a product reaches, and sums of a few do not overflow int32
MAX_SWEEPS = 40


class Rows(NamedTuple):
    """Rows u_i · 2^{k_i} of a matrix, largest entry of each u_i in [1/2, 1); a row of zeros has exponent `DEAD`."""

    mantissa: Float[Array, "rows n"]
    exponent: Int[Array, "rows"]


def normalised(mantissa: Float[Array, "rows n"], exponent: Int[Array, "rows"]) -> Rows:
    """Returns the same matrix as `Rows`."""
    largest = jnp.max(jnp.abs(mantissa), axis=1)
    extra = exponent_of(largest)
    return Rows(mantissa * power_of_two(-extra, mantissa.dtype)[:, None], jnp.where(largest == 0, DEAD, exponent + extra))


def multiply_upper(upper: Float[Array, "n n"], shift: Int[Array, ""], rows: Rows) -> Rows:
    """2^shift * upper @ rows for an upper triangular matrix."""
    highest = jax.lax.cummax(rows.exponent, reverse=True)  # of the rows that row i of the result is made of
    coefficients = jnp.triu(upper * power_of_two(jnp.minimum(rows.exponent[None] - highest[:, None], 0), upper.dtype))
    return normalised(jnp.matmul(coefficients, rows.mantissa, precision="highest"), highest + shift)


def log_row_norms(rows: Rows) -> Float[Array, "rows"]:
    """Returns the natural log of each row's Euclidean norm; -inf for zeros."""
    return safe_log(_norms(rows.mantissa)) + LOG_TWO * rows.exponent.astype(rows.mantissa.dtype)


def orthogonalised(rows: Rows) -> tuple[Rows, Float[Array, ""]]:
    """Returns (rows, cosine): rotated until all rows are orthogonal, so that their norms are the singular values, in no order.

    cosine: the largest that was left between two rows; the singular values' relative error from it is at most n times that.
    """
    count = rows.exponent.shape[0]
    tolerance = (count + 8) * jnp.finfo(rows.mantissa.dtype).eps
    pad = count % 2
    padded = Rows(jnp.pad(rows.mantissa, ((0, pad), (0, 0))), jnp.pad(rows.exponent, (0, pad), constant_values=DEAD))

    def unfinished(state):
        sweep, _, cosine = state
        return (sweep < MAX_SWEEPS) & (cosine > tolerance)

    def step(state):
        sweep, rows, _ = state
        return (sweep + 1, *_sweep(rows))

    start = (jnp.zeros((), jnp.int32), padded, jnp.full((), jnp.inf, rows.mantissa.dtype))
    _, padded, cosine = jax.lax.while_loop(unfinished, step, start)
    return Rows(padded.mantissa[:count], padded.exponent[:count]), cosine


def _sweep(rows: Rows) -> tuple[Rows, Array]:
    """Every pair of rows once, half of the rows against the other half at a time, by the order of a round-robin tournament."""
    half = rows.exponent.shape[0] // 2
    top, bottom = Rows(rows.mantissa[:half], rows.exponent[:half]), Rows(rows.mantissa[half:], rows.exponent[half:])

    def play(state, _):
        top, bottom, worst = state
        top, bottom, cosine = _rotate(top, bottom)
        ring = jax.tree.map(_next_round, top, bottom)
        return (Rows(*(pair[0] for pair in ring)), Rows(*(pair[1] for pair in ring)), jnp.maximum(worst, cosine)), None

    start = (top, bottom, jnp.zeros((), rows.mantissa.dtype))
    (top, bottom, worst), _ = jax.lax.scan(play, start, length=2 * half - 1)
    return normalised(*(jnp.concatenate([a, b]) for a, b in zip(top, bottom, strict=True))), worst


def _next_round(top: Array, bottom: Array) -> tuple[Array, Array]:
    """The first of the top stays, all others move on by one place around the ring; 2 half - 1 rounds restore the order."""
    if len(top) == 1:
        return top, bottom
    return jnp.concatenate([top[:1], bottom[:1], top[1:-1]]), jnp.concatenate([bottom[1:], top[-1:]])


def _rotate(a: Rows, b: Rows) -> tuple[Rows, Rows, Array]:
    """Row i of a made orthogonal to row i of b, for every i; and the largest |cosine| there was."""
    norm_a, norm_b = _norms(a.mantissa), _norms(b.mantissa)
    swap = _ratio(norm_a, a.exponent, norm_b, b.exponent) > 1
    big = Rows(*(jnp.where(_like(swap, x), y, x) for x, y in zip(a, b, strict=True)))
    small = Rows(*(jnp.where(_like(swap, x), x, y) for x, y in zip(a, b, strict=True)))
    norm_big, norm_small = jnp.where(swap, norm_b, norm_a), jnp.where(swap, norm_a, norm_b)
    ratio = _ratio(norm_big, big.exponent, norm_small, small.exponent)
    u = big.mantissa / jnp.where(norm_big == 0, 1, norm_big)[:, None]
    v = small.mantissa / jnp.where(norm_small == 0, 1, norm_small)[:, None]
    inner = jnp.sum(u * v, axis=1)
    # tan = ratio * slope, kept apart because ratio may underflow.
    gap = 1 - jnp.square(ratio)
    slope = -2 * inner / jnp.where(inner == 0, 1, gap + jnp.sqrt(jnp.square(gap) + jnp.square(2 * ratio * inner)))
    cosine = jax.lax.rsqrt(1 + jnp.square(ratio * slope))
    u, v = u - (jnp.square(ratio) * slope)[:, None] * v, v + slope[:, None] * u
    u, v = u * (cosine * norm_big)[:, None], v * (cosine * norm_small)[:, None]
    at = swap[:, None]
    return Rows(jnp.where(at, v, u), a.exponent), Rows(jnp.where(at, u, v), b.exponent), jnp.max(jnp.abs(inner))


def _like(flags: Array, values: Array) -> Array:
    return flags.reshape(flags.shape + (1,) * (values.ndim - 1))


def _norms(mantissa: Array) -> Array:
    return jnp.sqrt(jnp.sum(jnp.square(mantissa), axis=1))


def _ratio(norm_a: Array, exponent_a: Array, norm_b: Array, exponent_b: Array) -> Array:
    """Returns the norm of row b by norm of row a."""
    return jnp.where(
        norm_b == 0, 0, norm_b / jnp.where(norm_a == 0, 1, norm_a) * power_of_two(exponent_b - exponent_a, norm_a.dtype)
    )
