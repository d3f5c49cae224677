"""`monitor`: an Optax transformation that watches every layer's gradient while a model trains, and changes nothing."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from jaxnotes.probe._parameters import names_of


class Watched(NamedTuple):
    """What a callback receives.

    Attributes:
      step: number of updates before this one.
      layers: path of each layer that has parameters, such as "block_0/dense".
      log10_norms: log10 of the gradient's norm, one per layer; -inf where it is 0, NaN where it is not finite.
      nonfinite: names of the layers whose gradient is not finite.
      spike: the layer whose norm rose the most above its own running mean, where it rose by more than `spike_decades`; else "".
      first_nonfinite: the step at which a gradient was first not finite; -1: never.
    """

    step: int
    layers: tuple[str, ...]
    log10_norms: np.ndarray
    nonfinite: tuple[str, ...]
    spike: str
    first_nonfinite: int


class MonitorState(NamedTuple):
    """State of the transformation.

    Attributes:
      step: updates so far.
      mean: running mean of each layer's log10 norm, over the steps that were looked at.
      seen: number of those steps.
      first_nonfinite: step of the first gradient that was not finite, -1 before.
    """

    step: Array
    mean: Array
    seen: Array
    first_nonfinite: Array


def monitor(
    callback: Callable[[Watched], Any], *, every: int = 50, spike_decades: float = 1.0, momentum: float = 0.9
) -> optax.GradientTransformation:
    """Calls back with every layer's log10 gradient norm once every so many steps, and when one is first not finite.

    Updates pass through unchanged, so it goes anywhere in `optax.chain`: in front it sees gradients. Between those steps it
    only looks whether the gradients are finite. Works under jit and in a scan; the callback runs on the host, in order.

    Args:
      callback: takes a `Watched`: writes it to a file, TensorBoard or a list.
      every: steps from one call to the next.
      spike_decades: rise above a layer's running mean that counts as a spike, in decades.
      momentum: weight of the old value in that mean.

    Raises:
      ValueError: `every` is below 1, or the momentum outside [0, 1).
    """
    if isinstance(every, bool) or not isinstance(every, int) or every < 1:
        raise ValueError(f"every is {every!r}, expected a number of steps of at least 1")
    if not 0 <= momentum < 1:
        raise ValueError(f"momentum is {momentum}, expected a number in [0, 1): the weight of the old value")

    def init(params: Any) -> MonitorState:
        layers = len(layer_names(params))
        zero = jnp.zeros((), jnp.int32)
        return MonitorState(zero, jnp.zeros(layers, jnp.float32), zero, jnp.full((), -1, jnp.int32))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, MonitorState]:
        del params
        names = layer_names(updates)
        bad = ~all_finite(updates)
        first = jnp.where(bad & (state.first_nonfinite < 0), state.step, state.first_nonfinite)

        def look(mean: Array, seen: Array) -> tuple[Array, Array]:
            logs = log10_norms(updates)
            rise = jnp.where(seen > 0, logs - mean, 0)
            jax.debug.callback(_tell(callback, names, spike_decades), state.step, logs, rise, first, ordered=True)
            kept = jnp.where(seen > 0, momentum * mean + (1 - momentum) * logs, logs)
            return jnp.where(jnp.isfinite(logs), kept, mean), seen + 1

        due = (state.step % every == 0) | (bad & (state.first_nonfinite < 0))
        mean, seen = jax.lax.cond(due, look, lambda mean, seen: (mean, seen), state.mean, state.seen)
        return updates, MonitorState(state.step + 1, mean, seen, first)

    return optax.GradientTransformation(init, update)


def _tell(callback: Callable, names: Sequence[str], spike_decades: float) -> Callable:
    def tell(step, logs, rise, first) -> None:
        logs, rise = np.asarray(logs), np.nan_to_num(np.asarray(rise), nan=-np.inf)
        most = int(rise.argmax()) if len(rise) else 0
        spike = names[most] if len(rise) and rise[most] > spike_decades else ""
        bad = tuple(name for name, log in zip(names, logs, strict=True) if np.isnan(log))
        callback(Watched(int(step), tuple(names), logs, bad, spike, int(first)))

    return tell


def layer_names(tree: Any) -> list[str]:
    """Returns the layers of a tree of parameters: paths without the parameter's own name, in order, each once."""
    return list(_by_layer(tree))


def log10_norms(tree: Any) -> Array:
    """Returns [layers] log10 of the Euclidean norm of each layer's arrays together; NaN where one is not finite."""
    return jnp.stack([_log10_norm(leaves) for leaves in _by_layer(tree).values()])


def all_finite(tree: Any) -> Array:
    """Returns whether every entry is finite, in one pass: a sum of finite numbers times 0 is 0."""
    return jnp.isfinite(sum(jnp.sum(leaf * 0, dtype=jnp.float32) for leaf in jax.tree.leaves(tree)))


def _by_layer(tree: Any) -> dict[str, list[Array]]:
    layers: dict[str, list[Array]] = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]:
        names = names_of(path)
        layers.setdefault("/".join(names[:-1]) or "/".join(names) or "parameters", []).append(leaf)
    return layers


def _log10_norm(leaves: list[Array]) -> Array:
    largest = jnp.stack([jnp.max(jnp.abs(leaf), initial=0).astype(jnp.float32) for leaf in leaves]).max()
    scale = jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1)
    squares = sum(jnp.sum(jnp.square(leaf.astype(jnp.float32) / scale)) for leaf in leaves)
    log = jnp.log10(scale) + 0.5 * jnp.log10(squares)
    return jnp.where(jnp.isfinite(largest), log, jnp.nan)
