"""Scores on their way into a softmax: how sharp the rows are, how many are uniform, how many see nothing at all."""

import dataclasses
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxnotes.probe._survey import Site

MASKED = -5e3  # scores below it are masked: masks are -10,000 or less, and scores lie within some hundreds
SHARP = 0.99  # the largest weight of a saturated row: softmax's slope p (1 - p) is 4 % of its largest there


@dataclasses.dataclass(frozen=True)
class Scores:
    """What a traced program says of scores.

    Attributes:
      axis: over which the softmax sums.
      depth: length d of the queries and keys.
      scaled: whether queries, keys or scores were multiplied or divided by one number or by a parameter.
      other_axis: whether the weights are then summed over another axis.
    """

    axis: int
    depth: int
    scaled: bool
    other_axis: bool = False


@dataclasses.dataclass(frozen=True)
class Attention:
    """Readings of one softmax over scores; rows are those of all examples, heads and queries that see two keys or more.

    Attributes:
      name: of the layer.
      call: 0 for the first softmax of that name, 1 for the second, …
      depth: length d of the queries and keys.
      scaled: whether queries, keys or scores were multiplied or divided by a number or by a parameter.
      score_spread: RMS over rows of the standard deviation of the scores in a row; about √d for queries and keys of unit
        variance that are not scaled, 1 after division by √d.
      entropy: of each head, mean over rows of the entropy of the weights over that of equal weights; one number where no axis
        of heads is seen.
      saturated_rows: share of the rows whose largest weight is over 0.99.
      uniform_rows: share of the rows whose entropy is over 0.999 of the largest.
      masked_rows: share of all rows in which every key is masked.
      mask_on_queries: whether rows are masked as a whole or not at all, and some are.
      queries, keys: how many there are in an example.
      other_axis: whether the weights are summed over another axis than that over which they add up to 1.
    """

    name: str
    call: int
    depth: int
    scaled: bool
    score_spread: float
    entropy: tuple[float, ...]
    saturated_rows: float
    uniform_rows: float
    masked_rows: float
    mask_on_queries: bool
    queries: int = 0
    keys: int = 0
    other_axis: bool = False


class _Rows(NamedTuple):
    """Of one softmax."""

    spread: Array
    entropy: Array  # [heads]
    saturated: Array
    uniform: Array
    masked: Array
    partly_masked: Array


def attention(sites: Sequence[Site], values: Sequence[Array]) -> tuple[Attention, ...]:
    """Returns one entry per softmax over scores; the steps of a scan are taken together."""
    calls: dict[str, int] = {}
    found = []
    for site, value in zip(sites, values, strict=True):
        if site.mark.role != "scores":
            continue
        seen: Scores = site.mark.detail
        rows = jax.device_get(_measure(value, axis=seen.axis - len(site.shape), heads=_heads(site.shape, seen.axis)))
        call = calls[site.mark.name] = calls.get(site.mark.name, -1) + 1
        found.append(
            Attention(
                name=site.mark.name,
                call=call,
                depth=seen.depth,
                scaled=seen.scaled,
                score_spread=float(rows.spread),
                entropy=tuple(map(float, np.atleast_1d(rows.entropy))),
                saturated_rows=float(rows.saturated),
                uniform_rows=float(rows.uniform),
                masked_rows=float(rows.masked),
                mask_on_queries=bool(rows.masked > 0 and rows.partly_masked == 0),
                queries=site.shape[-2] if len(site.shape) > 1 else 1,
                keys=site.shape[seen.axis],
                other_axis=seen.other_axis,
            )
        )
    return tuple(found)


def _heads(shape: tuple[int, ...], axis: int) -> int | None:
    """Returns the axis of heads of [examples, heads, queries, keys], from the end; None for another number of axes."""
    long = [i for i, size in enumerate(shape) if size > 1 or i in (0, axis)]
    return 1 - len(shape) if len(shape) == 4 and len(long) >= 3 and axis == 3 else None


@partial(jax.jit, static_argnames=("axis", "heads"))
def _measure(scores: Array, *, axis: int, heads: int | None) -> _Rows:
    scores = jnp.moveaxis(scores.astype(jnp.float32), axis, -1)
    seen = scores > MASKED
    keys = jnp.count_nonzero(seen, axis=-1)
    counted = keys > 1
    share = lambda mask: jnp.sum(mask & counted) / jnp.maximum(jnp.sum(counted), 1)
    mean = jnp.sum(jnp.where(seen, scores, 0), axis=-1, keepdims=True) / jnp.maximum(keys, 1)[..., None]
    variance = jnp.sum(jnp.where(seen, jnp.square(scores - mean), 0), axis=-1) / jnp.maximum(keys, 1)
    logs = jax.nn.log_softmax(jnp.where(seen, scores, -jnp.inf), axis=-1)
    weights = jnp.where(seen, jnp.exp(logs), 0)
    entropy = -jnp.sum(jnp.where(weights > 0, weights * logs, 0), axis=-1) / jnp.log(jnp.maximum(keys, 2))
    over = tuple(i for i in range(entropy.ndim) if heads is None or i != entropy.ndim + heads + 1)
    rows = jnp.maximum(jnp.sum(counted, axis=over), 1)
    return _Rows(
        spread=jnp.sqrt(jnp.sum(jnp.where(counted, variance, 0)) / jnp.maximum(jnp.sum(counted), 1)),
        entropy=jnp.sum(jnp.where(counted, entropy, 0), axis=over) / rows,
        saturated=share(weights.max(axis=-1) > SHARP),
        uniform=share(entropy > 0.999),
        masked=jnp.mean(keys == 0),
        partly_masked=jnp.mean((keys > 0) & (keys < scores.shape[-1])),
    )
