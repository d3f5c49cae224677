"""What a network may ask of a form, and what training needs of a model."""

import abc
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

Initializer = Callable[..., Array]  # (key, shape, dtype) -> weights [..., inputs, outputs]


class Trainable(NamedTuple):
    """A model in parts.

    Attributes:
      parameters: tree that the optimiser changes.
      state: tree of running statistics.
      apply: (parameters, state, inputs, key or None) -> (outputs, new state), in training mode.
      rebuild: (parameters, state) -> the model as `probe.read` takes it.
    """

    parameters: Any
    state: Any
    apply: Callable[[Any, Any, tuple, Any], tuple[Any, Any]]
    rebuild: Callable[[Any, Any], Any]


class Layers(abc.ABC):
    """Layers with parameters, in one form; each call of a method is a layer of its own.

    Arrays are [..., features]; pictures [..., height, width, channels] at the door, see `picture`. `initializer` and `bias` are
    the form's own default where None.
    """

    @abc.abstractmethod
    def dense(self, x: Array, features: int, initializer: Initializer | None = None, bias: float | None = None) -> Array:
        """Affine map of the last axis."""

    @abc.abstractmethod
    def conv(self, x: Array, features: int, stride: int = 1, initializer: Initializer | None = None) -> Array:
        """Convolution of 3 × 3, or of 3 over one axis, that keeps the size."""

    @abc.abstractmethod
    def layer_norm(self, x: Array) -> Array:
        """Layer normalisation over the last axis."""

    @abc.abstractmethod
    def batch_norm(self, x: Array) -> Array:
        """Batch normalisation with momentum 0.9."""

    @abc.abstractmethod
    def dropout(self, x: Array, rate: float) -> Array:
        """Dropout with the share to drop."""

    @abc.abstractmethod
    def embed(self, tokens: Array, entries: int, features: int, initializer: Initializer | None = None) -> tuple[Array, Array]:
        """Returns the rows of a table for the tokens, and the table [entries, features]."""

    @abc.abstractmethod
    def recurrent(self, x: Array, cell: str, features: int) -> Array:
        """States [..., steps, features] of a recurrent cell, "gru", "lstm" or "rnn", over [..., steps, inputs]."""

    @abc.abstractmethod
    def attention(self, x: Array, heads: int, mask: Array | None = None) -> Array:
        """Self-attention over [..., steps, features]; mask [steps, steps] is True where a query may look."""

    @abc.abstractmethod
    def parameter(self, name: str, initializer: Initializer, shape: tuple[int, ...]) -> Array:
        """A parameter of the network itself."""

    def picture(self, x: Array) -> Array:
        """Pictures in the form's own order of axes."""
        return x

    def pool(self, x: Array) -> Array:
        """Largest value of 2 × 2."""
        return x.reshape(*x.shape[:-3], x.shape[-3] // 2, 2, x.shape[-2] // 2, 2, x.shape[-1]).max((-4, -2))

    def global_mean(self, x: Array) -> Array:
        """Mean over a picture's places."""
        return x.mean((-3, -2))

    def flatten(self, x: Array) -> Array:
        """One axis in place of a picture's three."""
        return x.reshape(*x.shape[:-3], -1)


def attend(query: Array, key: Array, value: Array, mask: Array | None = None, scale: float | None = None) -> Array:
    """Softmax attention over [..., steps, heads, features]; scores are multiplied by `scale`, 1/√features by default."""
    scores = jnp.einsum("...qhd,...khd->...hqk", query, key) * (query.shape[-1] ** -0.5 if scale is None else scale)
    scores = scores if mask is None else jnp.where(mask, scores, -1e9)
    return jnp.einsum("...hqk,...khd->...qhd", jax.nn.softmax(scores, axis=-1), value)
