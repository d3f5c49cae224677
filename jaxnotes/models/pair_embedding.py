"""Two embedding tables whose rows' product scores a pair: words and contexts, users and items, nodes and neighbours."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, Key

from jaxnotes import _checks
from jaxnotes._checks import count, entries, integers, kept
from jaxnotes.layers.embedding import embedding, embedding_init


def pair_embedding_init(
    key: Key[Array, ""], n_left: int, n_right: int, width: int, *, dtype=jnp.float32
) -> dict[str, dict[str, Array]]:
    """Parameters {"left", "right"}: two tables whose entries have variance 1 / width. So has a score, before training.

    Raises:
      TypeError: no random key, size or dtype where one is meant.
      ValueError: a size below 1.
    """
    _checks.key("key", key)
    for name, size in (("n_left", n_left), ("n_right", n_right), ("width", width)):
        count(name, size)
    key_left, key_right = jax.random.split(key)
    return {
        "left": embedding_init(key_left, n_left, width, dtype=dtype),
        "right": embedding_init(key_right, n_right, width, dtype=dtype),
    }


def pair_embedding(
    params: dict[str, dict[str, Array]], left: Integer[Array, "*shape"], right: Integer[Array, "*shape"]
) -> Float[Array, "*shape"]:
    """Returns the score of each pair, the dot product of its rows: the log-odds that the pair occurs.

    Skip-gram is this with words and their contexts (Mikolov et al. 2013), logistic matrix factorisation with users and items.
    An index outside its table gives NaN.

    Raises:
      TypeError: indices are not integers, or a table is not of a floating type.
      ValueError: indices of different shapes, or tables of different widths.
    """
    rows, columns = _rows(params, left, right)
    return jnp.sum(rows * columns, axis=-1)


def negative_sampling_loss(
    params: dict[str, dict[str, Array]],
    left: Integer[Array, "batch"],
    right: Integer[Array, "batch"],
    *,
    negatives: int,
) -> Float[Array, ""]:
    """Mean over the batch of -ln σ(score of the pair) - Σ ln σ(-score of the left symbol with another pair's right one).

    The negatives of a pair are the right symbols of the next pairs of the batch, in turn. In a shuffled batch these follow the
    right symbols' own frequencies, and where the tables are wide enough the optimal score of (i, j) is the pointwise mutual
    information ln p(i, j) / (p(i) p(j)) - ln negatives (Levy and Goldberg 2014).

    Raises:
      TypeError: indices or negatives are not integers, or a table is not of a floating type.
      ValueError: negatives is not between 1 and the batch size less 1, indices of different shapes, or tables of different
        widths.
    """
    left = integers("left", left, "batch")
    if not 1 <= count("negatives", negatives, None) < left.shape[0]:
        raise ValueError(
            f"negatives is {negatives} with a batch of {left.shape[0]} pairs; it must lie between 1 and {left.shape[0] - 1}"
        )
    rows, columns = _rows(params, left, right)
    loss = jax.nn.softplus(-jnp.sum(rows * columns, axis=-1))
    for shift in range(1, negatives + 1):
        loss = loss + jax.nn.softplus(jnp.sum(rows * jnp.roll(columns, shift, axis=0), axis=-1))
    return jnp.mean(loss)


def _rows(params: dict[str, dict[str, Array]], left: Array, right: Array) -> tuple[Array, Array]:
    """Returns the rows of both tables, after checks that they go together."""
    of_left, of_right = entries("params", params, "left", "right")
    left, right = integers("left", left), integers("right", right)
    if left.shape != right.shape:
        raise ValueError(f"left has shape {left.shape} and right {right.shape}; a pair has an index in each: give equal shapes")
    rows = embedding(of_left, left)
    return rows, kept("params['right']", rows, embedding(of_right, right))
