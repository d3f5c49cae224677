"""Dropout (Srivastava et al. 2014): the notes' form, scaled at inference, and the inverted form, scaled in training.

Every probability here is the probability to KEEP a unit; Flax, Keras and PyTorch take the probability to drop it.
"""

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jaxtyping import Array, Bool, Float, Key

from jaxnotes import _checks
from jaxnotes._checks import SHARE, counts, flag, floats, number

Probability = float | int | Float[Array, ""]


def keep_mask(key: Key[Array, ""], keep_probability: Probability, shape: tuple[int, ...]) -> Bool[Array, "..."]:
    """m ~ Bernoulli(keep_probability), independent in every entry: True where the unit stays.

    Raises:
      TypeError: no random key, number or tuple of sizes where one is meant.
      ValueError: a probability outside [0, 1], or a negative size.
    """
    _checks.key("key", key)
    _check_probability(keep_probability)
    if not jnp.issubdtype(jnp.result_type(keep_probability), jnp.floating):
        keep_probability = jnp.asarray(keep_probability, jnp.float32)  # the draw takes no 0 or 1 without a point
    return jax.random.bernoulli(key, keep_probability, counts("shape", shape, 0))


def dropout(
    x: Float[Array, "*shape"], keep_probability: Probability, *, train: bool, key: Key[Array, ""] | None = None
) -> Float[Array, "*shape"]:
    """The notes' form: x · m in training, keep_probability · x at inference; the two agree in expectation.

    Args:
      x: units, any shape; each entry has a mask of its own.
      keep_probability: p, the probability to keep a unit.
      train: True draws the mask; static.
      key: random key; needed in training unless p is 0 or 1.

    Returns:
      Array of the shape and dtype of x. A dropped unit is 0 even where x is infinite or NaN.

    Raises:
      TypeError: x is not of a floating type, train not True or False, or the key no random key.
      ValueError: a probability outside [0, 1], or no key where one is needed.
    """
    x = _checked(x, keep_probability, train, key)
    if train:
        return _masked(x, keep_probability, key)
    return x * jnp.asarray(keep_probability, x.dtype)


def inverted_dropout(
    x: Float[Array, "*shape"], keep_probability: Probability, *, train: bool, key: Key[Array, ""] | None = None
) -> Float[Array, "*shape"]:
    """The inverted form: x · m / keep_probability in training, x at inference; the two agree in expectation, except at p = 0.

    Arguments and errors are those of `dropout`; where p = 0 the training output is 0, as in Flax. On the same key it is
    `dropout` divided by p.
    """
    x = _checked(x, keep_probability, train, key)
    if not train:
        return x
    keep = jnp.asarray(keep_probability, x.dtype)
    return _masked(x / jnp.where(keep > 0, keep, jnp.ones_like(keep)), keep_probability, key)


def _masked(x: Array, keep_probability: Probability, key: Array | None) -> Array:
    if key is None:
        if isinstance(keep_probability, Tracer) or 0 < keep_probability < 1:
            raise ValueError("dropout in training draws a mask and got no key; pass key=jax.random.key(...), or train=False")
        return x if keep_probability == 1 else jnp.zeros_like(x)
    return jnp.where(keep_mask(key, keep_probability, x.shape), x, jnp.zeros_like(x))


def _checked(x: Array, keep_probability: Probability, train: bool, key: Array | None) -> Array:
    _check_probability(keep_probability)
    flag("train", train)
    if key is not None:
        _checks.key("key", key)
    return floats("x", x)


def _check_probability(keep_probability: Probability) -> None:
    number("keep_probability", keep_probability, SHARE, "the probability to keep a unit")
