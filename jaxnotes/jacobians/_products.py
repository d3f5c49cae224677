"""Jacobians of a stack: of each layer, from every layer to the end, and the latter's log-norms reduced inside the sweep."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, PyTree

from jaxnotes.jacobians._scaling import LOG_TWO, exponent_of, power_of_two, safe_log
from jaxnotes.jacobians._stack import accumulation_dtype, check_per_example, depth_of, layer_inputs, pull_back


def local_jacobians(f: Callable, params: PyTree, x: Float[Array, "batch n"]) -> Float[Array, "depth batch n n"]:
    """Returns [depth, batch, n, n] dh_{l+1}/dh_l of every layer and example: entry [l, b, i, j] is dh_{l+1},i / dh_l,j.

    Arguments and errors as `end_to_end`.
    """
    check_per_example(f, params, x)
    return _local_jacobians(f, params, x)


def end_to_end(f: Callable, params: PyTree, x: Float[Array, "batch n"]) -> Float[Array, "depth_and_one batch n n"]:
    """Returns [depth + 1, batch, n_L, n_l] dh_L/dh_l for every l = 0 … L, in one backward sweep of identity cotangents.

    O(depth) products. f: (layer_params, h) -> h acting on a batch, the same for every layer; params: stacked on axis 0; h_0 =
    x. Entries under- and overflow as their dtype does: see `log_frobenius_norms` and `log_singular_values`. Raises ValueError
    or TypeError for shapes that do not chain, depth 0, integers, and, where values are concrete, for NaN and for a layer that
    mixes examples.
    """
    check_per_example(f, params, x)
    return _end_to_end(f, params, x)


def log_frobenius_norms(f: Callable, params: PyTree, x: Float[Array, "batch n"]) -> Float[Array, "depth_and_one batch"]:
    """[depth + 1, batch] natural log of the Frobenius norm of dh_L/dh_l, l = 0 … L; -inf where the Jacobian is exactly 0.

    One backward sweep that stores no Jacobian and rescales each example by a power of two per layer, so that it is finite where
    float32 would under- or overflow. float16 and bfloat16 inputs give float32. Arguments and errors as `end_to_end`.
    """
    check_per_example(f, params, x)
    return _log_frobenius_norms(f, params, x)


def identity_cotangents(x: Float[Array, "batch n"]) -> Float[Array, "n batch n"]:
    """Returns the n unit vectors, the same for every example."""
    return jnp.broadcast_to(jnp.eye(x.shape[1], dtype=x.dtype)[:, None], (x.shape[1], *x.shape))


def rescaled_sweep(f: Callable, params: PyTree, x: Array, cotangents: Float[Array, "k batch n"], axes: tuple[int, ...]):
    """Takes cotangents from h_L to every h_l and reduces their squares over axes; no cotangent is stored.

    Returns (squares, exponents), [depth + 1, …] each, l = 0 … L: the sum of squares is squares · 4^exponents, with exponents
    [depth + 1, batch] int32 common to the k cotangents of an example.
    """

    def back(carry, layer):
        cotangents, exponent, shift = carry
        layer_params, h = layer
        scale = power_of_two(-shift, accumulation_dtype(x.dtype)).astype(x.dtype)
        pulled = pull_back(f, layer_params, h, cotangents * scale[None, :, None])
        squares, extra, shift_of_squares = _squares(pulled, axes)
        exponent = exponent + shift
        return (pulled, exponent, extra + shift_of_squares), (squares, exponent + extra)

    zero = jnp.zeros(x.shape[0], jnp.int32)
    layers = (params, layer_inputs(f, params, x))
    squares, exponents = jax.lax.scan(back, (cotangents, zero, zero), layers, reverse=True)[1]
    last = _squares(cotangents, axes)[0]
    return jnp.concatenate([squares, last[None]]), jnp.concatenate([exponents, zero[None]])


def _squares(cotangents: Float[Array, "k batch n"], axes: tuple[int, ...]) -> tuple[Array, Array, Array]:
    """Returns (sums over axes of squares / 4^extra, extra [batch], exponent [batch] of the remaining root).

    extra is 0 but where the gain of a single layer takes the squares out of their dtype's range, which costs a second look.
    """
    wide = cotangents.astype(accumulation_dtype(cotangents.dtype))

    def plain():
        return jnp.sum(jnp.square(wide), axis=axes), jnp.zeros(wide.shape[1], jnp.int32)

    def scaled():
        extra = exponent_of(jnp.max(jnp.abs(wide), axis=(0, 2)))
        return jnp.sum(jnp.square(wide * power_of_two(-extra, wide.dtype)[None, :, None]), axis=axes), extra

    largest = jnp.sum(plain()[0].reshape(-1, wide.shape[1]), axis=0)
    within = jnp.isfinite(largest) & (largest > jnp.finfo(wide.dtype).tiny / jnp.finfo(wide.dtype).eps)
    squares, extra = jax.lax.cond(jnp.all(within), plain, scaled)
    total = jnp.sum(squares.reshape(-1, wide.shape[1]), axis=0)
    return squares, extra, exponent_of(total) // 2


@partial(jax.jit, static_argnames="f")
def _local_jacobians(f, params, x):
    def forward(h, layer_params):
        return f(layer_params, h), pull_back(f, layer_params, h, jnp.swapaxes(identity_cotangents(x), 0, 1), axis=1)

    return jax.lax.scan(forward, x, params)[1]


@partial(jax.jit, static_argnames="f")
def _end_to_end(f, params, x):
    # Written in place into one buffer: joining the scan's output with the identity would copy all of it.
    depth, identity = depth_of(params), jnp.swapaxes(identity_cotangents(x), 0, 1)
    stored = jnp.zeros((depth + 1, *identity.shape), x.dtype).at[depth].set(identity)

    def back(carry, layer):
        jacobian, stored = carry
        layer_params, h, index = layer
        jacobian = pull_back(f, layer_params, h, jacobian, axis=1)
        return (jacobian, jax.lax.dynamic_update_index_in_dim(stored, jacobian, index, 0)), None

    layers = (params, layer_inputs(f, params, x), jnp.arange(depth))
    return jax.lax.scan(back, (identity, stored), layers, reverse=True)[0][1]


@partial(jax.jit, static_argnames="f")
def _log_frobenius_norms(f, params, x):
    squares, exponents = rescaled_sweep(f, params, x, identity_cotangents(x), axes=(0, 2))
    return safe_log(squares) / 2 + LOG_TWO * exponents.astype(squares.dtype)
