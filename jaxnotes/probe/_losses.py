"""The losses that the probe knows by name; what they cannot take is one clear line."""

from typing import Any

import jax.numpy as jnp
from jax import Array

from jaxnotes.training import cross_entropy as mean_cross_entropy


def squared_error(outputs: Any, targets: Any) -> Array:
    """Returns the mean over all entries of the squared difference.

    Raises:
      ValueError: outputs and targets differ in shape.
    """
    _one_array(outputs, "squared_error")
    if outputs.shape != jnp.shape(targets):
        convert = ""
        if outputs.size == jnp.size(targets):
            convert = f": pass targets.reshape({outputs.shape}), as [n, 1] and [n] broadcast to all pairs of examples"
        raise ValueError(f"outputs have shape {outputs.shape} and targets {jnp.shape(targets)}; they must be the same{convert}")
    return jnp.mean(jnp.square(outputs - targets))


def cross_entropy(outputs: Any, targets: Any) -> Array:
    """Returns the mean over the batch of the softmax cross-entropy of logits [..., classes] and integer labels [...].

    Raises:
      ValueError: labels that are one-hot, not integers, or of another shape; the message says how to convert them.
    """
    _one_array(outputs, "cross_entropy")
    shape, dtype = jnp.shape(targets), jnp.result_type(targets)
    rows = outputs.shape[:-1]
    got = f'"cross_entropy" takes integer labels of shape {rows} for outputs of shape {outputs.shape}, got {dtype}'
    if shape == outputs.shape and len(shape) > 0:
        raise ValueError(f"{got} of shape {shape}, as one-hot rows: pass labels.argmax(-1)")
    if shape == (*outputs.shape[:-1], 1):
        raise ValueError(f"{got} of shape {shape}: pass labels[..., 0]" + _cast(dtype))
    if shape != rows:
        raise ValueError(f"{got} of shape {shape}: one label per row of the outputs")
    if not jnp.issubdtype(dtype, jnp.integer):
        raise ValueError(f'{got}: pass labels.astype("int32"), or "squared_error" where they are values')
    return mean_cross_entropy(outputs, targets)


def _cast(dtype: Any) -> str:
    return "" if jnp.issubdtype(dtype, jnp.integer) else '.astype("int32")'


def _one_array(outputs: Any, name: str) -> None:
    if not hasattr(outputs, "ndim"):
        held = f" with {', '.join(map(str, outputs))}" if isinstance(outputs, dict) else ""
        raise ValueError(
            f'"{name}" takes one array of outputs, the model returns a {type(outputs).__name__}{held}: pass a loss that picks '
            "one, such as lambda outputs, targets: my_loss(outputs[0], targets)"
        )


LOSSES = {"cross_entropy": cross_entropy, "squared_error": squared_error}
