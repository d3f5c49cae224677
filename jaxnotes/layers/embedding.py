"""The embedding layer: a learnable table whose rows are the vectors of symbols."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer, Key

from jaxnotes import _checks
from jaxnotes._checks import NOT_NEGATIVE, count, entries, floats, integers, number


def embedding_init(
    key: Key[Array, ""], n_symbols: int, width: int, *, variance: float | Float[Array, ""] | None = None, dtype=jnp.float32
) -> dict[str, Array]:
    """Returns a table of independent Gaussian entries.

    Args:
      key: random key.
      n_symbols: rows, the size of the vocabulary.
      width: columns, the dimension of a symbol's vector.
      variance: of an entry; None gives 1 / width, so that a row's squared norm is 1 on average.
      dtype: of the table.

    Returns:
      {"table": [n_symbols, width]}.

    Raises:
      TypeError: no random key, size, number or dtype where one is meant.
      ValueError: a size below 1, or a negative, infinite or NaN variance.
    """
    _checks.key("key", key)
    n_symbols, width = count("n_symbols", n_symbols), count("width", width)
    variance = 1 / width if variance is None else variance
    number("variance", variance, NOT_NEGATIVE)
    _checks.dtype("dtype", dtype)
    deviation = jnp.sqrt(jnp.asarray(variance, dtype))
    return {"table": deviation * jax.random.normal(key, (n_symbols, width), dtype)}


def embedding(params: dict[str, Array], indices: Integer[Array, "*shape"]) -> Float[Array, "*shape width"]:
    """Returns the rows of the symbols: equal, in value and gradient, to their one-hot codes times the table.

    An index outside 0 … n_symbols − 1, negative ones included, gives a row of NaN and no gradient, under jit as outside of it:
    a wrong symbol shows up in the loss instead of being taken for another one. Unlike in a product with one-hot codes, a NaN in
    one symbol's row does not reach the others.

    Args:
      params: {"table": [n_symbols, width]}.
      indices: [...] integers.

    Returns:
      [..., width].

    Raises:
      TypeError: indices are not integers, or the table not of a floating type.
      ValueError: the table has not two axes, or no row.
    """
    indices = integers("indices", indices)
    table = floats("table", entries("params", params, "table")[0], "n_symbols width")
    if table.shape[0] == 0:
        raise ValueError("table has 0 rows; give at least one symbol")
    return table.at[indices].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)
