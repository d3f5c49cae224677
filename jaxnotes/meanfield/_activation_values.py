"""Activation functions and their derivatives in float64, whatever the precision of the process, each compiled once."""

import contextlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

ScalarFunction = Callable[..., Any]  # from a scalar to a scalar
SIZES = (1024, 8192, 65536)  # the only shapes compiled: points are padded to one of them


def evaluate(activation: ScalarFunction, x: np.ndarray, order: int = 0) -> np.ndarray:
    """φ(x) for order 0, φ'(x) for order 1, as JAX differentiates it: a jump has derivative 0.

    Args:
      activation: function from a scalar to a scalar that JAX can trace.
      x: [points] float64.
      order: 0 or 1.

    Returns:
      [points] float64.

    Raises:
      TypeError: the activation is not callable, or JAX cannot trace it.
      ValueError: it returns another shape or a lower precision, or a value that is not finite.
    """
    function = compiled(activation, order)
    if not x.size:
        return np.zeros(0)
    parts = np.array_split(x, range(SIZES[-1], x.size, SIZES[-1]))
    with _float64():
        # All chunks are dispatched before the first is waited for.
        values = [function(np.pad(part, (0, _padded(part.size) - part.size), mode="edge")) for part in parts]
        values = np.concatenate([np.asarray(value)[: part.size] for value, part in zip(values, parts, strict=True)])
    if not np.isfinite(values).all():
        at = int(np.argmin(np.isfinite(values)))
        what = "derivative" if order else "value"
        raise ValueError(f"the {what} of activation {name(activation)} is {values[at]} at x = {x[at]:.6g}; it must be finite")
    return values


def name(activation: ScalarFunction) -> str:
    """How messages call an activation."""
    return getattr(activation, "__name__", repr(activation))


def compiled(activation: ScalarFunction, order: int) -> Callable:
    """Returns the checked and compiled function; kept for as long as the activation is among the last in use."""
    try:
        hash(activation)
    except TypeError:
        return _compile(activation, order)
    return _compile_once(activation, order)


def _compile(activation: ScalarFunction, order: int) -> Callable:
    _check(activation)

    def value(x):
        return jnp.asarray(activation(x)).astype(jnp.float64)

    def derivative(x):
        return jax.jvp(value, (x,), (jnp.ones_like(x),))[1]

    return jax.jit(jax.vmap(derivative if order else value))


_compile_once = lru_cache(maxsize=128)(_compile)


def _check(activation: ScalarFunction) -> None:
    if not callable(activation):
        raise TypeError(f"the activation must be a function from a scalar to a scalar, got {activation!r}")
    try:
        with _float64():
            out = jax.eval_shape(lambda x: jnp.asarray(activation(x)), jax.ShapeDtypeStruct((), jnp.float64))
    except Exception as error:
        reason = (str(error).strip() or "no message").splitlines()[0]
        raise TypeError(
            f"JAX cannot trace activation {name(activation)} on a float64 scalar ({type(error).__name__}: {reason}); "
            "write it with jax.numpy, elementwise"
        ) from error
    if out.shape != ():
        raise ValueError(f"activation {name(activation)} must return a scalar for a scalar, got shape {list(out.shape)}")
    if out.dtype != jnp.float64 and not (jnp.issubdtype(out.dtype, jnp.integer) or out.dtype == jnp.bool_):
        raise ValueError(f"activation {name(activation)} must keep float64, got {out.dtype.name} for a float64 input")


@contextlib.contextmanager
def _float64():
    """float64 on the host's processor, also inside a function that is being traced."""
    try:
        device = jax.local_devices(backend="cpu")[0]
    except RuntimeError:  # JAX was told to load no CPU backend
        device = None
    with jax.ensure_compile_time_eval(), jax.enable_x64(True), jax.default_device(device):
        yield


def _padded(size: int) -> int:
    return next(bound for bound in SIZES if size <= bound)
