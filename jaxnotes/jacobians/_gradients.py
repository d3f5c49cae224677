"""Norms of the loss's gradient at every layer of a stack, all from one backward pass inside the scan.

Zeros go in and norms come out: an identity whose custom VJP gives an extra zero input the norm of the passing cotangent as its
"gradient". The textbook's way, the gradient with respect to a zero added to each layer's input, is kept beside it.
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, PyTree

from jaxnotes.jacobians._scaling import LOG_TWO, exponent_of, power_of_two, rms_norm, safe_log
from jaxnotes.jacobians._stack import accumulation_dtype, check_scalar_loss, check_stack, depth_of


def gradient_norms(
    f: Callable, params: PyTree, x: Float[Array, "batch *features"], loss: Callable
) -> Float[Array, "depth_and_one"]:
    """Returns [depth + 1] RMS over the batch of the Euclidean norm of dloss/dh_l, l = 0 … L, from one backward pass.

    f: (layer_params, h) -> h, the same for every layer and free to mix examples; params: stacked on axis 0; h_0 = x;
    loss: h_L -> scalar. Norms of float16 and bfloat16 gradients are float32. Raises ValueError or TypeError for shapes that do
    not chain, depth 0, a loss that is no scalar, integers, and NaN where values are concrete.
    """
    check_stack(f, params, x)
    check_scalar_loss(loss, x)
    return _gradient_norms(f, params, x, loss)


def value_and_gradient_norms(
    f: Callable, params: PyTree, x: Float[Array, "batch *features"], loss: Callable
) -> tuple[Float[Array, ""], PyTree, Float[Array, "depth_and_one"]]:
    """Returns (loss, its gradient by params, `gradient_norms`), from the same single backward pass."""
    check_stack(f, params, x)
    check_scalar_loss(loss, x)
    return _value_and_gradient_norms(f, params, x, loss)


def log_gradient_norms(
    f: Callable, params: PyTree, x: Float[Array, "batch *features"], loss: Callable
) -> Float[Array, "depth_and_one"]:
    """Natural log of `gradient_norms`, finite even where the gradient under- or overflows; -inf where it is exactly 0.

    The cotangent is rescaled by a power of two (exact) at every layer. The forward pass itself must stay finite. Errors as
    `gradient_norms`.
    """
    check_stack(f, params, x)
    check_scalar_loss(loss, x)
    return _log_gradient_norms(f, params, x, loss)


def gradient_norms_by_added_zeros(
    f: Callable, params: PyTree, x: Float[Array, "batch *features"], loss: Callable
) -> Float[Array, "depth_and_one"]:
    """`gradient_norms` as the gradient with respect to a zero added to each layer's input: slower and larger, a check."""
    check_stack(f, params, x)
    check_scalar_loss(loss, x)
    return _gradient_norms_by_added_zeros(f, params, x, loss)


def zeros_for_norms(params: PyTree, x: Float[Array, "batch *features"]) -> Float[Array, "depth_and_one"]:
    """Returns the zeros that `tapped_stack` takes: one for each of h_0 … h_L."""
    return jnp.zeros(depth_of(params) + 1, accumulation_dtype(x.dtype))


def tapped_stack(
    f: Callable, params: PyTree, x: Float[Array, "batch *features"], zeros: Float[Array, "depth_and_one"]
) -> Float[Array, "batch *features"]:
    """h_L; the gradient of any loss of it by zeros is `gradient_norms` (for a stack inside a larger model or a training step).

    zeros: from `zeros_for_norms`.
    """
    return _tapped_stack(_norm_tap, f, params, x, zeros)


@partial(jax.jit, static_argnames=("f", "loss"))
def _gradient_norms(f, params, x, loss):
    return jax.grad(lambda zeros: loss(tapped_stack(f, params, x, zeros)))(zeros_for_norms(params, x))


@partial(jax.jit, static_argnames=("f", "loss"))
def _value_and_gradient_norms(f, params, x, loss):
    def total(params, zeros):
        return loss(tapped_stack(f, params, x, zeros))

    value, (gradients, norms) = jax.value_and_grad(total, argnums=(0, 1))(params, zeros_for_norms(params, x))
    return value, gradients, norms


@partial(jax.jit, static_argnames=("f", "loss"))
def _log_gradient_norms(f, params, x, loss):
    zeros = zeros_for_norms(params, x)
    pairs = jax.grad(lambda zeros: loss(_tapped_stack(_rescaling_tap, f, params, x, zeros)))((zeros, zeros))
    log_norms, exponents = pairs
    return log_norms + LOG_TWO * jnp.cumsum(exponents[::-1])[::-1]


@partial(jax.jit, static_argnames=("f", "loss"))
def _gradient_norms_by_added_zeros(f, params, x, loss):
    def total(zeros):
        h = jax.lax.scan(lambda h, layer: (f(layer[0], h + layer[1]), None), x, (params, zeros[:-1]))[0]
        return loss(h + zeros[-1])

    gradients = jax.grad(total)(jnp.zeros((depth_of(params) + 1, *x.shape), x.dtype))
    return jax.vmap(rms_norm)(gradients)


def _tapped_stack(tap: Callable, f: Callable, params: PyTree, x: Array, zeros: PyTree) -> Array:
    """h_L with a tap, (h, zero) -> h, at the input of every layer and at the end."""
    inner, last = jax.tree.map(lambda zero: zero[:-1], zeros), jax.tree.map(lambda zero: zero[-1], zeros)
    h = jax.lax.scan(lambda h, layer: (f(layer[0], tap(h, layer[1])), None), x, (params, inner))[0]
    return tap(h, last)


@jax.custom_vjp
def _norm_tap(h: Array, zero: Array) -> Array:
    """The identity; in the backward pass zero receives the RMS over the batch of the cotangent's norm."""
    return h


_norm_tap.defvjp(lambda h, zero: (h, None), lambda _, cotangent: (cotangent, rms_norm(cotangent)))


@jax.custom_vjp
def _rescaling_tap(h: Array, zeros: tuple[Array, Array]) -> Array:
    """The identity; the backward pass goes on with cotangent · 2^-e, and zeros receive (log of that one's norm, e).

    The gradients of the parameters below come out rescaled: only the two zeros' values mean something.
    """
    return h


def _rescaling_tap_backward(_, cotangent: Array) -> tuple[Array, tuple[Array, Array]]:
    dtype = accumulation_dtype(cotangent.dtype)
    exponent = exponent_of(jax.lax.stop_gradient(jnp.max(jnp.abs(cotangent.astype(dtype)))))
    rescaled = (cotangent.astype(dtype) * power_of_two(-exponent, dtype)).astype(cotangent.dtype)
    return rescaled, (safe_log(rms_norm(rescaled)), exponent.astype(dtype))


_rescaling_tap.defvjp(lambda h, zeros: (h, None), _rescaling_tap_backward)
