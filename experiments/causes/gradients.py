"""Gradients of random stacks: their size at each layer, as products of Jacobians, where they overflow, and what weights get."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from experiments.causes.settings import Causes
from experiments.causes.stacks import Arm, Numbers, Shape, activation_at, draw
from experiments.study import profiles
from jaxnotes import jacobians
from jaxnotes.models.mlp import hidden_layer


def backward(settings: Causes, key: Array, arm: Arm, depth: int | None = None, *, tied: bool = False) -> np.ndarray:
    """Returns `log_gradients` of an arm over settings.seeds, from settings.depth layers where no depth is given."""
    shape = (settings.depth if depth is None else depth, settings.batch, settings.width)
    return np.asarray(log_gradients(jax.random.split(key, settings.seeds), arm.numbers, tied, shape=shape))


@partial(jax.jit, static_argnames=("shape",))
def log_gradients(keys: Array, numbers: Numbers, tied: bool | Array = False, *, shape: Shape) -> Array:
    """Returns [seeds, depth + 1] natural logs of the gradient's norm at each layer of random stacks, one stack per key.

    Where they are tied, every layer has the first one's parameters: the steps of a recurrent network.
    """

    def drawn(key: Array) -> tuple[dict[str, Array], Array]:
        params, x = draw(key, numbers, shape)
        return jax.tree.map(lambda p: jnp.where(tied, p[:1], p), params), x

    return profiles.log_gradients(hidden_layer(activation_at(numbers.activation)), drawn, keys)


@partial(jax.jit, static_argnames=("steps", "width"))
def tied_growth(keys: Array, *, steps: int, width: int) -> dict[str, Array]:
    """Returns [seeds] the growth per step of random vectors under powers of one Gaussian matrix, with and without symmetry.

    Its mean squared gain σ_w² is 1.
    """

    def of_seed(key: Array) -> dict[str, Array]:
        key_matrix, key_vector = jax.random.split(key)
        free = jax.random.normal(key_matrix, (width, width)) / jnp.sqrt(width)
        symmetric = jnp.triu(free) + jnp.triu(free, 1).T
        vectors = jax.random.normal(key_vector, (width, 64)) / jnp.sqrt(width)
        found = {}
        for name, matrix in (("free", free), ("symmetric", symmetric)):
            last = jax.lax.fori_loop(0, steps, lambda _, v, matrix=matrix: matrix @ v, vectors)
            found[name] = 0.5 * jnp.log(jnp.mean(jnp.sum(last**2, 0))) / steps
        return found

    return jax.lax.map(of_seed, keys)


def layer_gradients(layer: Callable, params: Any, x: Array, direction: Array) -> Array:
    """Returns [depth, batch, width] the gradient at each layer's input, not rescaled: the gradient of a zero added there."""

    def loss(zeros: Array) -> Array:
        h = jax.lax.scan(lambda h, both: (layer(both[0], h + both[1]), None), x, (params, zeros))[0]
        return jnp.sum(h * direction)

    depth = jax.tree.leaves(params)[0].shape[0]
    return jax.grad(loss)(jnp.zeros((depth, *x.shape), x.dtype))


@partial(jax.jit, static_argnames=("shape", "dtype"))
def product_errors(keys: Array, numbers: Numbers, *, shape: Shape, dtype: Any) -> Array:
    """Returns [seeds, depth] relative differences of the product of Jacobians and the gradient, at each layer's input.

    They are those of the batch's first example.
    """
    layer = hidden_layer(activation_at(numbers.activation))

    def back(vector: Array, jacobian: Array) -> tuple[Array, Array]:
        return vector @ jacobian, vector @ jacobian

    def of_seed(key: Array) -> Array:
        params, x, direction = drawn(key, numbers, shape, dtype)
        local = jacobians.local_jacobians(layer, params, x)[:, 0]  # [depth, width, width]
        products = jax.lax.scan(back, direction[0], local, reverse=True)[1]
        gradients = layer_gradients(layer, params, x, direction)[:, 0]
        return jnp.linalg.norm(products - gradients, axis=-1) / jnp.linalg.norm(gradients, axis=-1)

    return jax.lax.map(of_seed, keys)


@partial(jax.jit, static_argnames=("shape",))
def update_ratios(keys: Array, numbers: Numbers, *, shape: Shape) -> Array:
    """Returns [seeds] log10 of the norm of the first layer's weight gradient over the last layer's, in float64."""
    layer = hidden_layer(activation_at(numbers.activation))

    def of_seed(key: Array) -> Array:
        params, x, direction = drawn(key, numbers, shape, jnp.float64)

        def loss(params: Any) -> Array:
            return jnp.sum(jax.lax.scan(lambda h, p: (layer(p, h), None), x, params)[0] * direction)

        norms = jnp.linalg.norm(jax.grad(loss)(params)["weight"], axis=(1, 2))
        return jnp.log10(norms[0]) - jnp.log10(norms[-1])

    return jax.lax.map(of_seed, keys)


@partial(jax.jit, static_argnames=("shape",))
def finite_layers(keys: Array, numbers: Numbers, *, shape: Shape) -> Array:
    """Returns [seeds] how many layers the float32 gradient passes before it holds an infinity or NaN."""
    layer = hidden_layer(activation_at(numbers.activation))

    def of_seed(key: Array) -> Array:
        gradients = layer_gradients(layer, *drawn(key, numbers, shape, jnp.float32))
        finite = jnp.isfinite(gradients).all(axis=(1, 2))
        return jnp.cumprod(finite[::-1].astype(jnp.int32)).sum()

    return jax.lax.map(of_seed, keys)


def drawn(key: Array, numbers: Numbers, shape: Shape, dtype: Any) -> tuple[dict[str, Array], Array, Array]:
    """Returns a random stack, its input, and the output's gradient: random, of length 1 for each example."""
    key_stack, key_direction = jax.random.split(key)
    params, x = draw(key_stack, numbers, shape, dtype)
    return params, x, profiles.random_direction(key_direction, x.shape, dtype)
