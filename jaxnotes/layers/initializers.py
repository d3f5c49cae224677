"""Weight initialisations: `(key, n_in, n_out, dtype) -> [n_in, n_out]`, named after who proposed them.

Each raises TypeError where no random key, size or floating dtype is given, and ValueError for a size below 1.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from jaxnotes import _checks
from jaxnotes._checks import FINITE, NOT_NEGATIVE, choice, count, number

Initializer = Callable[..., Array]


def weight_variance(value: float | Float[Array, ""]) -> Initializer:
    """N(0, value / n_in): the mean-field parametrisation, σ_w² = value (Poole et al. 2016).

    Raises:
      TypeError: the value is not one real number.
      ValueError: a negative, infinite or NaN value.
    """
    number("value", value, NOT_NEGATIVE, "a weight variance")

    def initializer(key: Key[Array, ""], n_in: int, n_out: int, dtype=jnp.float32) -> Float[Array, "n_in n_out"]:
        return _normal(key, n_in, n_out, value, n_in, dtype)

    return initializer


def lecun_normal(key: Key[Array, ""], n_in: int, n_out: int, dtype=jnp.float32) -> Float[Array, "n_in n_out"]:
    """N(0, 1 / n_in) (LeCun et al. 1998)."""
    return _normal(key, n_in, n_out, 1, n_in, dtype)


def lecun_uniform(key: Key[Array, ""], n_in: int, n_out: int, dtype=jnp.float32) -> Float[Array, "n_in n_out"]:
    """Uniform of variance 1 / n_in (LeCun et al. 1998)."""
    return _uniform(key, n_in, n_out, 1, n_in, dtype)


def xavier_normal(key: Key[Array, ""], n_in: int, n_out: int, dtype=jnp.float32) -> Float[Array, "n_in n_out"]:
    """N(0, 2 / (n_in + n_out)) (Glorot and Bengio 2010, equation 12)."""
    _check(key, n_in, n_out, dtype)  # before the sum
    return _normal(key, n_in, n_out, 2, n_in + n_out, dtype)


def xavier_uniform(key: Key[Array, ""], n_in: int, n_out: int, dtype=jnp.float32) -> Float[Array, "n_in n_out"]:
    """Uniform of variance 2 / (n_in + n_out) (Glorot and Bengio 2010, equation 16)."""
    _check(key, n_in, n_out, dtype)  # before the sum
    return _uniform(key, n_in, n_out, 2, n_in + n_out, dtype)


def he_normal(key: Key[Array, ""], n_in: int, n_out: int, dtype=jnp.float32) -> Float[Array, "n_in n_out"]:
    """N(0, 2 / n_in), for ReLU (He et al. 2015, equation 10)."""
    return _normal(key, n_in, n_out, 2, n_in, dtype)


def he_uniform(key: Key[Array, ""], n_in: int, n_out: int, dtype=jnp.float32) -> Float[Array, "n_in n_out"]:
    """Uniform of variance 2 / n_in, for ReLU (He et al. 2015)."""
    return _uniform(key, n_in, n_out, 2, n_in, dtype)


def orthogonal(gain: float = 1.0) -> Initializer:
    """gain · Q, Q uniform over the matrices with orthonormal columns, or rows where n_in < n_out (Saxe et al. 2014).

    Raises:
      TypeError: the gain is not one real number.
      ValueError: an infinite or NaN gain.
    """
    number("gain", gain, FINITE)

    def initializer(key: Key[Array, ""], n_in: int, n_out: int, dtype=jnp.float32) -> Float[Array, "n_in n_out"]:
        _check(key, n_in, n_out, dtype)
        tall = (max(n_in, n_out), min(n_in, n_out))
        q, r = jnp.linalg.qr(jax.random.normal(key, tall, dtype if jnp.dtype(dtype).itemsize >= 4 else jnp.float32))
        # QR leaves each column's sign to the algorithm; that of a Gaussian matrix's diagonal makes Q uniform (Mezzadri 2007).
        q = q * jnp.where(jnp.diagonal(r) < 0, -1, 1).astype(q.dtype)[None]
        return (gain * (q if n_in >= n_out else q.T)).astype(dtype)

    return initializer


INITIALIZERS: Mapping[str, Initializer] = MappingProxyType(
    {
        "xavier_normal": xavier_normal,
        "xavier_uniform": xavier_uniform,
        "he_normal": he_normal,
        "he_uniform": he_uniform,
        "lecun_normal": lecun_normal,
        "lecun_uniform": lecun_uniform,
        "orthogonal": orthogonal(),
    }
)


def by_name(name: str) -> Initializer:
    """Returns the initializer of a name.

    Raises:
      ValueError: there is none of that name; the message lists the names.
    """
    choice("initializer", name, INITIALIZERS)
    return INITIALIZERS[name]


def _normal(key: Array, n_in: int, n_out: int, numerator, fan: int, dtype) -> Array:
    _check(key, n_in, n_out, dtype)
    return jax.random.normal(key, (n_in, n_out), dtype) * jnp.sqrt(jnp.asarray(numerator / fan, dtype))


def _uniform(key: Array, n_in: int, n_out: int, numerator, fan: int, dtype) -> Array:
    _check(key, n_in, n_out, dtype)
    bound = (3 * numerator / fan) ** 0.5
    return jax.random.uniform(key, (n_in, n_out), dtype, -bound, bound)


def _check(key: Array, n_in: int, n_out: int, dtype) -> None:
    _checks.key("key", key)
    count("n_in", n_in)
    count("n_out", n_out)
    _checks.dtype("dtype", dtype)
