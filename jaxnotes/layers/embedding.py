"""The embedding layer: a learnable table whose rows are the vectors of symbols."""

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Float, Integer, Key


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
      ValueError: a size below 1, or a negative, infinite or NaN variance.
    """
    if n_symbols < 1 or width < 1:
        raise ValueError(f"a table of {n_symbols} symbols and width {width} is empty; both must be at least 1")
    variance = 1 / width if variance is None else variance
    if not isinstance(variance, Tracer) and not 0 <= variance < float("inf"):
        raise ValueError(f"variance is {variance}; it must be finite, and 0 or positive")
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
      TypeError: indices are not integers.
    """
    if not jnp.issubdtype(indices.dtype, jnp.integer):
        raise TypeError(f"indices have dtype {indices.dtype}; symbols are integers: convert them with indices.astype('int32')")
    return params["table"].at[indices].get(mode="fill", fill_value=jnp.nan, wrap_negative_indices=False)
