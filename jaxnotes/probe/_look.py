"""What one look at a training step finds: norms per layer, and per parameter whether it moves."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from jaxnotes.probe._parameters import names_of


class Names(NamedTuple):
    """Names of what is read, in the order of the readings."""

    layers: tuple[str, ...]
    parameters: tuple[str, ...]
    activations: tuple[str, ...]


class Readings(NamedTuple):
    """What one look finds, per parameter; None where it is not known. The host makes norms of layers of it.

    Attributes:
      gradients, updates, weights: [2, parameters] largest absolute entry, and the sum of squares of (entry / largest).
      checksums: [parameters] sum of the entries' bits, which any change of one entry changes.
      pair: squared norm of this gradient, of the one before, and their product.
      activations: [activations] RMS.
    """

    gradients: Array
    updates: Array | None
    weights: Array | None
    checksums: Array | None
    pair: Array | None
    activations: Array | None


def readings(updates: Any, changes: Any, params: Any, previous: Any, activations: Any) -> Readings:
    """Reads a gradient, the optimiser's changes and the parameters, where they are known."""
    gradients = by_parameter(updates)
    own = None if params is None else _same(by_parameter(params), gradients)
    acts = by_parameter(activations)
    return Readings(
        _measured(gradients),
        None if changes is None else _measured(by_parameter(changes)),
        None if own is None else _measured(own),
        None if not own else jnp.stack([checksum(leaf) for leaf in own.values()]),
        None if previous is None else _pair(gradients, by_parameter(previous)),
        jnp.stack([_rms(leaf) for leaf in acts.values()]) if acts else None,
    )


def _same(found: dict, like: dict) -> dict | None:
    """The entries of the same names, in the same order; None where one is missing."""
    return {name: found[name] for name in like} if all(name in found for name in like) else None


def by_parameter(tree: Any) -> dict[str, Array]:
    """Returns the arrays of floating numbers in a tree by their names."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    floating = [(path, leaf) for path, leaf in leaves if hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return {"/".join(names_of(path)) or "parameters": leaf for path, leaf in floating}


def by_layer(tree: Any) -> dict[str, list[Array]]:
    """Returns the same by layer: paths without the parameter's own name, in order."""
    return grouped(by_parameter(tree))


def grouped(parameters: dict[str, Any]) -> dict[str, list]:
    """Returns the values of parameters as a list per layer."""
    layers: dict[str, list] = {}
    for name, leaf in parameters.items():
        layers.setdefault(name.rpartition("/")[0] or name, []).append(leaf)
    return layers


def sizes(layers: dict[str, list[Array]]) -> Array:
    """Returns [layers] the root mean square of each layer's entries: one fast pass, which overflows where one exceeds 10^19."""
    means = []
    for leaves in layers.values():
        squares = sum(jnp.sum(_square(leaf)) for leaf in leaves)
        means.append(squares / max(sum(leaf.size for leaf in leaves), 1))
    return jnp.sqrt(jnp.stack(means)) if means else jnp.zeros(0, jnp.float32)


def all_finite(layers: dict[str, list[Array]]) -> Array:
    """Returns whether every entry is finite."""
    return jnp.stack([jnp.isfinite(leaf).all() for leaves in layers.values() for leaf in leaves]).all()


def _square(leaf: Array) -> Array:
    if jnp.iscomplexobj(leaf):
        return _square(leaf.real) + _square(leaf.imag)
    return jnp.square(leaf.astype(jnp.float32))


def _measured(parameters: dict[str, Array]) -> Array:
    """[2, parameters] largest absolute entry, and the sum of squares of what is left when it is divided out."""
    found = [_largest_and_squares(leaf) for leaf in parameters.values()]
    return jnp.stack([jnp.stack(column) for column in zip(*found, strict=True)]) if found else jnp.zeros((2, 0), jnp.float32)


def _largest_and_squares(leaf: Array) -> tuple[Array, Array]:
    size = jnp.abs(leaf).astype(jnp.float32)
    largest = jnp.max(size, initial=0)
    return largest, jnp.sum(jnp.square(size / jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1)))


def checksum(leaf: Array) -> Array:
    """Returns the sum of the bits of all entries as one unsigned integer: exact in any order, where a float's would round."""
    if jnp.iscomplexobj(leaf):
        return checksum(leaf.real) + 3 * checksum(leaf.imag)
    bits = {1: jnp.uint8, 2: jnp.uint16}.get(leaf.dtype.itemsize, jnp.uint32)
    return jnp.sum(jax.lax.bitcast_convert_type(leaf, bits).astype(jnp.uint32), dtype=jnp.uint32)


def _pair(gradient: dict[str, Array], before: dict[str, Array]) -> Array:
    """The squared norms of two gradients and their scalar product."""
    wide = lambda leaf: leaf.astype(jnp.promote_types(leaf.dtype, jnp.float32))
    times = lambda a, b: sum(jnp.sum(wide(x).conj() * wide(y)).real for x, y in zip(a.values(), b.values(), strict=True))
    return jnp.stack([times(gradient, gradient), times(before, before), times(gradient, before)])


def _rms(leaf: Array) -> Array:
    return jnp.sqrt(jnp.mean(jnp.square(jnp.abs(leaf).astype(jnp.float32))))
