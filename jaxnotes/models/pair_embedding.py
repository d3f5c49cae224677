"""Two embedding tables whose rows' product scores a pair: words and contexts, users and items, nodes and neighbours."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, Key

from jaxnotes.layers.embedding import embedding, embedding_init


def pair_embedding_init(
    key: Key[Array, ""], n_left: int, n_right: int, width: int, *, dtype=jnp.float32
) -> dict[str, dict[str, Array]]:
    """Parameters {"left", "right"}: two tables whose entries have variance 1 / width. So has a score, before training.

    Raises:
      ValueError: a size below 1.
    """
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
      TypeError: indices are not integers.
    """
    return jnp.sum(embedding(params["left"], left) * embedding(params["right"], right), axis=-1)


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
      ValueError: negatives is not between 1 and the batch size less 1.
    """
    if not 1 <= negatives < left.shape[0]:
        raise ValueError(
            f"negatives is {negatives} with a batch of {left.shape[0]} pairs; it must lie between 1 and {left.shape[0] - 1}"
        )
    rows, columns = embedding(params["left"], left), embedding(params["right"], right)
    loss = jax.nn.softplus(-jnp.sum(rows * columns, axis=-1))
    for shift in range(1, negatives + 1):
        loss = loss + jax.nn.softplus(jnp.sum(rows * jnp.roll(columns, shift, axis=0), axis=-1))
    return jnp.mean(loss)
