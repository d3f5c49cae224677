"""`tap`: a name for a value inside a function, kept through jit, grad, vmap, scan and remat, and free at run time."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir
from jaxtyping import Array

MODEL_OUTPUT = "model-output"  # role of what the loss gets


@dataclasses.dataclass(frozen=True)
class Mark:
    """What a tapped value is.

    Attributes:
      name: of the layer.
      kind: class of the module, or "tap".
      owner: path of the layer in the tree of parameters.
      output: which of several arrays the layer returns.
      role: "output"; of batch normalisation also "input", "running-mean" and "running-variance"; "model-output" of what
        the loss gets; of what no layer returns "scores" (into a softmax), "squared", "cancels" (in a difference) and
        "residual" (the stream, then the branch of a residual sum).
      mode: "training" or "inference" of a layer that differs between the two.
      detail: what else is known of a value of that role, hashable; of a dropout layer's output the share dropped.
    """

    name: str
    kind: str = "tap"
    owner: tuple[str, ...] = ()
    output: int = 0
    role: str = "output"
    mode: str = ""
    detail: Any = None

    def as_role(self, role: str) -> "Mark":
        """Returns the mark of another of the same layer's values."""
        return dataclasses.replace(self, role=role)


def tap(name: str, value: Array) -> Array:
    """Names a value, so that `probe.read` gives a row for it; returns it unchanged.

    An identity to all transformations, so that it may stay in the code: the compiled program is the same without it. A tap
    inside a scan or called several times gives several rows. Parameters below params[name] count as the layer's own.

    Args:
      name: of the layer, not empty; a path has slashes, such as "block/attention".
      value: an array of any shape and dtype.

    Raises:
      TypeError: the name is not a string, or the value is not an array.
      ValueError: the name is empty.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a tap is a string, got {name!r}: tap(name, value)")
    if not name:
        raise ValueError("the name of a tap is empty; name the layer, such as 'hidden'")
    if not isinstance(value, jax.Array) and not hasattr(value, "__array__"):
        raise TypeError(f"tap {name!r} got {type(value).__name__}, expected an array; tap each array of a structure by itself")
    return bind(jnp.asarray(value), Mark(name, owner=tuple(name.split("/"))))


def bind(value: Array, mark: Mark) -> Array:
    """Returns the array, marked as what a layer returns or reads, so that a survey of the program finds it."""
    return tap_primitive.bind(value, mark=mark)


def bind_outputs(outputs: Any, mark: Mark) -> Any:
    """Marks every array in what a layer returned; what is not an array stays as it is."""
    leaves, structure = jax.tree.flatten(outputs)
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, jax.Array)]
    for number, i in enumerate(places):
        leaves[i] = bind(leaves[i], dataclasses.replace(mark, output=number))
    return jax.tree.unflatten(structure, leaves)


tap_primitive = Primitive("tap")
tap_primitive.def_impl(lambda value, mark: value)
tap_primitive.def_abstract_eval(lambda value, mark: value)
mlir.register_lowering(tap_primitive, lambda context, value, mark: [value])


def _jvp(primals, tangents, *, mark: Mark):
    return tap_primitive.bind(primals[0], mark=mark), tangents[0]  # the derivative passes by unmarked


def _batch(values, dimensions, *, mark: Mark):
    # To the front: whoever maps over examples finds them on the first axis.
    return tap_primitive.bind(jnp.moveaxis(values[0], dimensions[0], 0), mark=mark), 0


ad.primitive_jvps[tap_primitive] = _jvp
batching.primitive_batchers[tap_primitive] = _batch
