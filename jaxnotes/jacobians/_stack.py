"""A stack of equal layers, f(layer_params, h) -> h: what it must satisfy, checked at the public doors, and its forward scan."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array
from jax.core import Tracer
from jaxtyping import Float, PyTree


def depth_of(params: PyTree) -> int:
    """Returns the number of layers: the leading size that all leaves of the stacked parameters share.

    Raises ValueError where there is no leaf, no layer, or no common leading size.
    """
    shapes = {jax.tree_util.keystr(path): jnp.shape(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(params)}
    if not shapes:
        raise ValueError("params holds no array, expected every layer's parameters stacked on axis 0: [depth, ...]")
    scalars = [path for path, shape in shapes.items() if not shape]
    if scalars:
        raise ValueError(f"params{scalars[0]} is a scalar, expected a leading axis of layers: stack it to [depth, ...]")
    sizes = {path: shape[0] for path, shape in shapes.items()}
    if len(set(sizes.values())) > 1:
        raise ValueError(f"params' leaves have leading sizes {sizes}, expected one depth for all: stack every layer on axis 0")
    depth = next(iter(sizes.values()))
    if depth == 0:
        raise ValueError("params has depth 0, expected at least one layer stacked on axis 0")
    return depth


def check_stack(f: Callable, params: PyTree, x: Array) -> int:
    """Returns the depth, after checks of shapes and dtypes, and of values where these are concrete.

    Raises TypeError for a layer that is no hashable callable and for integer inputs; ValueError for shapes that do not chain
    and for NaN or infinity in x or params.
    """
    _check_callable(f, "f")
    check_floating(params, x)
    depth = depth_of(params)
    if jnp.ndim(x) < 2 or jnp.size(x) == 0:
        raise ValueError(f"x has shape {jnp.shape(x)}, expected a batch that is not empty: [batch, width]")
    layer = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), params)
    out = jax.eval_shape(f, layer, jax.ShapeDtypeStruct(x.shape, x.dtype))
    if not isinstance(out, jax.ShapeDtypeStruct) or (out.shape, out.dtype) != (x.shape, x.dtype):
        raise ValueError(
            f"f maps {_named(x)} to {_named(out)}, which does not chain: f(layer_params, h) must keep the shape and dtype of h"
        )
    if _concrete((params, x)):
        for name, value in (("x", x), ("params", params)):
            if _is_true(_holds_nonfinite(value)):
                raise ValueError(f"{name} holds NaN or infinity: find the step after which it stopped being finite")
    return depth


def check_floating(params: PyTree, x: Array) -> None:
    """Raises TypeError where x is no array of floats, or a leaf of params is no array or holds integers."""
    if not hasattr(x, "dtype") or not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"x is {_named(x)}, expected an array of floats: convert it by jnp.asarray(x, jnp.float32)")
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        if not hasattr(leaf, "dtype") or jnp.issubdtype(leaf.dtype, jnp.integer):
            raise TypeError(f"params{jax.tree_util.keystr(path)} is {_named(leaf)}, expected an array of floats: convert it")


def check_scalar_loss(loss: Callable, x: Array) -> None:
    """Raises ValueError where loss(h) is not one floating number."""
    _check_callable(loss, "loss")
    out = jax.eval_shape(loss, jax.ShapeDtypeStruct(x.shape, x.dtype))
    if not isinstance(out, jax.ShapeDtypeStruct) or out.shape != () or not jnp.issubdtype(out.dtype, jnp.floating):
        raise ValueError(f"loss returns {_named(out)}, expected one real number: reduce it, for example by jnp.mean")


def check_per_example(f: Callable, params: PyTree, x: Array) -> int:
    """`check_stack`, and ValueError where the first layer's Jacobian crosses examples (seen only where values are concrete).

    The derivatives of one example's outputs by every other example's inputs must be exactly 0.
    """
    depth = check_stack(f, params, x)
    if x.ndim != 2:
        raise ValueError(f"x has shape {x.shape}, expected [batch, width]: flatten each example, and reshape inside f")
    if _concrete((params, x)) and x.shape[0] > 1 and _is_true(_crosses_examples(f, params, x)):
        raise ValueError(
            "the Jacobian of f crosses examples (batch normalisation does), so no per-example Jacobian exists: "
            "use its evaluation mode, or gradient_norms, which needs no per-example Jacobian"
        )
    return depth


def accumulation_dtype(dtype) -> jnp.dtype:
    """Returns the dtype of norms and sums: float32 for float16 and bfloat16, else the dtype itself."""
    return jnp.dtype(jnp.float64 if dtype == jnp.float64 else jnp.float32)


def layer_inputs(f: Callable, params: PyTree, x: Float[Array, "batch *features"]) -> Float[Array, "depth batch *features"]:
    """h_0 … h_{L-1}, the input of every layer, from one scan."""
    return jax.lax.scan(lambda h, layer: (f(layer, h), h), x, params)[1]


def pull_back(f: Callable, layer_params: PyTree, h: Float[Array, "batch n"], cotangents: Array, axis: int = 0) -> Array:
    """k cotangents of a layer's output, along the given axis, taken back to its input h: [k, batch, n] or [batch, k, n]."""
    pull = jax.vjp(partial(f, layer_params), h)[1]
    return jax.vmap(lambda cotangent: pull(cotangent)[0], axis, axis)(cotangents)


def _check_callable(function: Callable, name: str) -> None:
    if not callable(function):
        raise TypeError(f"{name} is {function!r}, expected a function")
    try:
        hash(function)
    except TypeError:
        kind = type(function).__name__
        raise TypeError(f"{name} is not hashable ({kind}): pass a plain function, and its arrays in params") from None


def _named(value) -> str:
    """dtype[shape] of an array, for messages."""
    if hasattr(value, "dtype") and hasattr(value, "shape"):
        return f"{value.dtype}{list(value.shape)}"
    return type(value).__name__


def _concrete(tree: PyTree) -> bool:
    return not any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(tree))


def _is_true(flag: Array) -> bool:
    """False where the flag is traced, as inside a jitted function that closes over concrete values."""
    return not isinstance(flag, Tracer) and bool(flag)


@jax.jit
def _holds_nonfinite(tree: PyTree) -> Array:
    floats = [leaf for leaf in jax.tree.leaves(tree) if jnp.issubdtype(leaf.dtype, jnp.floating)]
    return jnp.any(jnp.stack([~jnp.all(jnp.isfinite(leaf)) for leaf in floats])) if floats else jnp.array(False)


@partial(jax.jit, static_argnames="f")
def _crosses_examples(f: Callable, params: PyTree, x: Array) -> Array:
    first_layer = jax.tree.map(lambda leaf: leaf[0], params)
    cotangent = jnp.zeros_like(x).at[0].set(jnp.cos(jnp.arange(x.shape[1]).astype(x.dtype)))
    return jnp.any(pull_back(f, first_layer, x, cotangent[None])[0, 1:] != 0)
