"""All singular values of an end-to-end Jacobian in the log domain, for products far beyond the range and precision of floats.

Let J = A_L … A_1 be dh_L/dh_0 of one example. A backward pass of QR factorisations from a generic orthogonal matrix gives
Q_0, close to the right singular vectors. A forward pass keeps A_l … A_1 Q_0 = Q_l W_l with Q_l orthogonal and W_l upper
triangular, its rows with their own exponents: A_l Q_{l-1} = Q_l R and W_l = R W_{l-1}. The rows of W_L are then graded and
well conditioned, so that one-sided Jacobi finds the singular values of all of them, close or far apart (`graded`). The
diagonal of R alone gives Lyapunov exponents, which are decades from the singular values of a finite product.
"""

import warnings
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.core import Tracer
from jaxtyping import Bool, Float, Int, PyTree

from jaxnotes.jacobians._graded import DEAD, Rows, log_row_norms, multiply_upper, normalised, orthogonalised
from jaxnotes.jacobians._scaling import exponent_of, power_of_two
from jaxnotes.jacobians._stack import accumulation_dtype, check_floating, check_per_example, layer_inputs, pull_back

LOG_TEN = 2.302585092994046
TOLERANCES = {jnp.dtype("float32"): 1e-3, jnp.dtype("float64"): 1e-9}  # decades


class SpectrumAccuracyWarning(UserWarning):
    """Singular values whose estimated error is above the tolerance of their dtype."""


class Spectrum(NamedTuple):
    """Natural logs of singular values, descending; the estimated error of each; whether all of an example's reach tolerance."""

    values: Float[Array | np.ndarray, "batch n"]
    error: Float[Array | np.ndarray, "batch n"]
    converged: Bool[Array | np.ndarray, "batch"]


def log_singular_values(
    f: Callable, params: PyTree, x: Float[Array, "batch n"], *, dtype=None
) -> Float[Array | np.ndarray, "batch n"]:
    """Returns [batch, n] natural logs of the singular values of dh_L/dh_0, descending; -inf for a singular value of 0.

    dtype: jnp.float32 or jnp.float64, in which params and x are taken and the whole computation, the forward pass included,
    is done. Default: x's own, at least float32. float64 needs no switch of the process, and is then a NumPy array, since JAX
    would round a slice of its own float64 array to float32. Warns (`SpectrumAccuracyWarning`, where values are concrete) if
    the estimated error exceeds 1e-3 decades in float32 or 1e-9 in float64: `log_singular_values_with_error` gives the error
    of each. Raises as `end_to_end` does, and ValueError for another dtype.
    """
    spectrum = log_singular_values_with_error(f, params, x, dtype=dtype)
    if not isinstance(spectrum.converged, Tracer) and not bool(spectrum.converged.all()):
        warnings.warn(_shortfall(spectrum), SpectrumAccuracyWarning, stacklevel=2)
    return spectrum.values


def log_singular_values_with_error(f: Callable, params: PyTree, x: Float[Array, "batch n"], *, dtype=None) -> Spectrum:
    """Spectrum(values, error, converged) of dh_L/dh_0; arguments as `log_singular_values`.

    error: [batch, n] estimate in natural log units of the rounding error of each value, from the conditioning of every layer
    along the way, inf where a singular value is below the noise of a layer and so is reported as 0 (-inf). A layer's exact
    zeros (dead units) give -inf with error 0. converged: [batch], error within 1e-3 decades for float32 and 1e-9 for float64
    everywhere. What rounding does to the forward trajectory h_0 … h_L itself is not in the error: in a chaotic network it
    grows with depth.
    """
    check_floating(params, x)
    dtype = accumulation_dtype(x.dtype) if dtype is None else jnp.dtype(dtype)
    if dtype not in TOLERANCES:
        raise ValueError(f"dtype is {dtype}, expected float32 or float64")
    if dtype == jnp.float32 or jnp.result_type(float) == jnp.float64:
        return _spectrum(f, params, x, dtype)
    with jax.enable_x64(True):
        spectrum = _spectrum(f, params, x, dtype)
    if any(isinstance(part, Tracer) for part in spectrum):
        raise ValueError("dtype is float64 under a transformation without x64: call it outside, or inside jax.enable_x64(True)")
    return Spectrum(*(np.asarray(part) for part in spectrum))


def _spectrum(f: Callable, params: PyTree, x: Array, dtype) -> Spectrum:
    def cast(leaf):
        return leaf.astype(dtype) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    params, x = jax.tree.map(cast, params), cast(x)
    check_per_example(f, params, x)
    values, error = _values_and_error(f, params, x)
    return Spectrum(values, error, jnp.all(error <= TOLERANCES[dtype] * LOG_TEN, axis=1))


def _shortfall(spectrum: Spectrum) -> str:
    dtype = spectrum.values.dtype
    error = np.asarray(spectrum.error)
    below, above = ~np.isfinite(error), ~(error <= TOLERANCES[dtype] * LOG_TEN)
    worst = np.max(np.where(below, 0, error)) / LOG_TEN
    remedy = "pass dtype=jnp.float64" if dtype == jnp.float32 else "a layer is close to singular: read each value's own error"
    return (
        f"{int(above.sum())} of {above.size} singular values miss {TOLERANCES[dtype]:g} decades in {dtype}: estimated error "
        f"up to {worst:.1g} decades, {int(below.sum())} below rounding noise; {remedy} (log_singular_values_with_error)"
    )


@partial(jax.jit, static_argnames="f")
def _values_and_error(f, params, x):
    """Plain arrays ([batch, n], [batch, n]); lowers for every platform.

    The product and its transpose are both taken, as either may keep what the other rounds away: scales of a layer's outputs
    survive forward, those of its inputs backward. Each singular value is from the better one; what their difference exceeds
    both error estimates by is added to the error.
    """
    layers = (params, layer_inputs(f, params, x))
    ranks = _layer_ranks(f, layers)
    right = _basis_pulled_back(f, layers)
    left, *forward = _graded_rows(_push, f, layers, right, ranks)
    backward = _graded_rows(_pull, f, layers, left, ranks, reverse=True)[1:]
    both = jax.tree.map(lambda *parts: jnp.concatenate(parts), tuple(forward), tuple(backward))
    values, errors = _singular_values(*both)
    (forward, backward), (forward_error, backward_error) = jnp.split(values, 2), jnp.split(errors, 2)
    worse = jnp.maximum(forward_error, backward_error)
    difference = jnp.where(forward == backward, 0, jnp.abs(forward - backward))
    unexplained = jnp.where(difference > worse, difference - worse, 0)
    return jnp.where(forward_error <= backward_error, forward, backward), jnp.minimum(
        forward_error, backward_error
    ) + unexplained


def _singular_values(rows, variance, lost):
    """Returns (natural logs of the singular values, estimated error), [batch, n] each, descending."""
    before = jax.vmap(log_row_norms)(rows)
    rotated, cosine = jax.vmap(orthogonalised)(rows)
    values = jax.vmap(log_row_norms)(rotated)
    finite = jnp.isfinite(values)
    shrink = jnp.exp(jnp.where(finite, before - values, 0))
    eps = jnp.finfo(values.dtype).eps
    error = eps * (4 * jnp.sqrt(variance) + shrink + jnp.abs(jnp.where(finite, values, 0))) + cosine[:, None]
    error = jnp.where(lost, jnp.inf, jnp.where(values == -jnp.inf, 0, error))
    order = jnp.argsort(-values, axis=1)
    return jnp.take_along_axis(values, order, axis=1), jnp.take_along_axis(error, order, axis=1)


def _push(f, layer, basis: Float[Array, "batch n k"]) -> Array:
    """Returns the layer's Jacobian times basis."""
    layer_params, h = layer
    push = jax.linearize(partial(f, layer_params), h)[1]
    return jax.vmap(push, 2, 2)(basis)


def _pull(f, layer, basis: Float[Array, "batch n k"]) -> Array:
    """Returns the layer's Jacobian, transposed, times basis."""
    layer_params, h = layer
    return pull_back(f, layer_params, h, basis, axis=2)


def _layer_ranks(f, layers) -> Int[Array, "depth batch"]:
    """A bound of each layer's rank that needs no rounding: its number of inputs or outputs that are not exactly dead."""
    batch, n = layers[1].shape[1:]
    probe = jnp.broadcast_to(jnp.cos(jnp.arange(n, dtype=layers[1].dtype))[:, None], (batch, n, 1))

    def live(layer):
        counts = [jnp.sum(move(f, layer, probe)[:, :, 0] != 0, axis=1, dtype=jnp.int32) for move in (_push, _pull)]
        return jnp.minimum(*counts)

    return jax.lax.map(live, layers)


def _basis_pulled_back(f, layers) -> Float[Array, "batch n n"]:
    """Returns an orthogonal basis close to the right singular vectors."""
    batch, n = layers[1].shape[1:]

    def back(basis, layer):
        pulled = _pull(f, layer, basis)
        shift = exponent_of(jnp.max(jnp.abs(pulled), axis=(1, 2)))
        return _qr_by_rows(pulled * power_of_two(-shift, pulled.dtype)[:, None, None])[0], None

    # Any fixed matrix will do that has no structure of its own, so that no singular vector is orthogonal to what it spans.
    generic = jax.random.normal(jax.random.key(0), (n, n), layers[1].dtype)
    start = jnp.broadcast_to(jnp.linalg.qr(generic)[0], (batch, n, n))
    return jax.lax.scan(back, start, layers, reverse=True)[0]


def _graded_rows(move: Callable, f, layers, basis, ranks, *, reverse: bool = False):
    """Returns (basis, W, variance, lost): the product of all layers times the given basis is basis @ W, W as graded `Rows`.

    variance: [batch, n] of the relative error of each row in units of eps, a random walk of the layers' errors; lost: [batch,
    n] rows that vanished in rounding noise and not by exact zeros.
    """
    batch, n = layers[1].shape[1:]

    def step(carry, layer):
        basis, rows, variance, lost = carry
        moved = move(f, layer[0], basis)
        shift = exponent_of(jnp.max(jnp.abs(moved), axis=(1, 2)))
        basis, upper, size = _qr_by_rows(moved * power_of_two(-shift, moved.dtype)[:, None, None])
        upper, amplification, noise = _without_noise(upper, size, layer[1])
        lost = lost | (noise & (rows.exponent > DEAD))
        return (basis, jax.vmap(multiply_upper)(upper, shift, rows), variance + jnp.square(amplification), lost), None

    identity = normalised(jnp.eye(n, dtype=basis.dtype), jnp.zeros(n, jnp.int32))
    rows = Rows(*(jnp.broadcast_to(part, (batch, *part.shape)) for part in identity))
    start = (basis, rows, jnp.zeros((batch, n), basis.dtype), jnp.zeros((batch, n), bool))
    return jax.lax.scan(step, start, (layers, ranks), reverse=reverse)[0]


def _qr_by_rows(matrix: Float[Array, "batch n n"]) -> tuple[Array, Array, Array]:
    """Returns (Q, R, size): with the largest rows first, so that small rows (saturated units) keep their relative accuracy.

    Householder's QR is then stable row by row (Cox and Higham 1998). size: [batch, n], eps times which is the error of a row
    of R.
    """
    row_norms = jnp.sqrt(jnp.sum(jnp.square(matrix), axis=2))
    order = jnp.argsort(-row_norms, axis=1)
    basis, upper = jnp.linalg.qr(jnp.take_along_axis(matrix, order[:, :, None], axis=1))
    basis = jnp.take_along_axis(basis, jnp.argsort(order, axis=1)[:, :, None], axis=1)
    return basis, upper, jnp.sqrt(jnp.sum(jnp.square(basis * row_norms[:, :, None]), axis=1))


def _without_noise(upper: Float[Array, "batch n n"], size: Float[Array, "batch n"], rank: Int[Array, "batch"]):
    """(R without rows that are 0 but for rounding, error amplification of each row, rows lost in noise below the rank)."""
    eps = jnp.finfo(upper.dtype).eps
    row_norms = jnp.sqrt(jnp.sum(jnp.square(upper), axis=2))
    beyond = jnp.arange(upper.shape[1], dtype=jnp.int32)[None] >= rank[:, None]
    dead = beyond & (row_norms <= jnp.sqrt(eps) * jnp.max(row_norms, axis=1, keepdims=True))
    noise = ~dead & (row_norms <= 2 * eps * size)
    diagonal = jnp.abs(jnp.diagonal(upper, axis1=1, axis2=2))
    amplification = jnp.where(dead | noise, 0, size / jnp.where(diagonal == 0, eps * size, diagonal))
    return jnp.where((dead | noise)[:, :, None], 0, upper), amplification, noise
