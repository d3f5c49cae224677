"""One question to the probe, and the compiled program that answers all questions of the same structure."""

import dataclasses
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from jaxnotes.probe._adapted import Adapted, ModelError
from jaxnotes.probe._program import Program, split, trace


@dataclasses.dataclass(frozen=True)
class Request:
    """A model, a loss and a batch.

    Attributes:
      adapted: the model.
      loss: (outputs, targets) -> number.
      inputs: positional arguments.
      keywords: arguments by keyword; arrays are data, all else is part of the model's structure.
      targets: what the loss compares with.
      key: random key, or None.
    """

    adapted: Adapted
    loss: Callable
    inputs: tuple
    keywords: Mapping[str, Any]
    targets: Any
    key: Any

    def arguments(self) -> list[Array]:
        """Returns the flat arguments of the traced program."""
        parameters, rest = split(self.adapted.parameters)
        data, _ = self.divided_keywords()
        others = jax.tree.leaves((rest, self.adapted.state, self.inputs, data, self.targets, self.key))
        return [jnp.asarray(leaf) for leaf in (*parameters, *others)]

    def divided_keywords(self) -> tuple[dict, dict]:
        """Returns the keywords whose values hold arrays, and all others."""
        data = {name: value for name, value in self.keywords.items() if _has_arrays(value)}
        return data, {name: value for name, value in self.keywords.items() if name not in data}

    def abstract(self) -> "Request":
        """Returns the request with shapes in place of arrays, so that a program that is kept holds no data."""
        data, structure = self.divided_keywords()
        adapted = dataclasses.replace(
            self.adapted, parameters=_shapes(self.adapted.parameters), state=_shapes(self.adapted.state)
        )
        return Request(
            adapted, self.loss, _shapes(self.inputs), {**_shapes(data), **structure}, _shapes(self.targets), _shapes(self.key)
        )

    def identity(self) -> tuple:
        """Returns what is equal for requests that the same program answers; hashable where the model's structure is."""
        data, structure = self.divided_keywords()
        leaves, tree = jax.tree.flatten(
            (self.adapted.parameters, self.adapted.state, self.inputs, data, self.targets, self.key)
        )
        kinds = tuple((leaf.shape, str(leaf.dtype)) if hasattr(leaf, "dtype") else type(leaf) for leaf in leaves)
        return self.adapted.identity, self.loss, tuple(sorted(structure.items())), tree, kinds, jnp.result_type(float)

    def trace(self) -> Program:
        """Traces the program that answers this request."""
        data, structure = self.divided_keywords()
        return trace(self.adapted, self.loss, self.inputs, data, structure, self.targets, self.key)


def _has_arrays(value: Any) -> bool:
    return any(isinstance(leaf, jax.Array | np.ndarray | jax.ShapeDtypeStruct) for leaf in jax.tree.leaves(value))


def _shapes(tree: Any) -> Any:
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype) if hasattr(x, "dtype") else x, tree)


class _Keyed:
    """A request that equals another of the same identity."""

    def __init__(self, request: Request):
        self.request, self.identity = request, request.identity()

    def __hash__(self) -> int:
        return hash(self.identity)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Keyed) and self.identity == other.identity


def program_of(request: Request) -> tuple[Program, Request, bool]:
    """Returns the program of a request, the request as it is answered, and whether its model misses a random key.

    A model that draws random numbers and got no key is read with `jax.random.key(0)`. A layer without a stream of random
    numbers counts as missing one whatever key is given, as training would stop there.

    Raises:
      ModelError: no layer of the model can be read.
    """
    missing = False
    try:
        program = _kept(request)
    except Exception as error:
        if request.key is not None or not request.adapted.needs_key(error):
            raise
        request, missing = dataclasses.replace(request, key=jax.random.key(0)), True
        try:
            program = _kept(request)
        except Exception:
            raise error from None
    if not any(site.mark.role == "output" for site in program.sites):
        hidden = "; ".join(program.surveyed.notes)
        raise ModelError(
            f"no layer of this {request.adapted.framework} model was met"
            + (f" ({hidden})" if hidden else "")
            + ("; name values inside the function with probe.tap(name, value)" if request.adapted.framework == "plain" else "")
        )
    return program, request, missing or (bool(request.adapted.keyless) and "rngs" not in request.keywords)


def _kept(request: Request) -> Program:
    keyed = _Keyed(request.abstract())
    try:
        hash(keyed)
    except TypeError:  # a model with unhashable structure is traced anew each time
        return request.trace()
    return _traced(keyed)


@lru_cache(maxsize=32)
def _traced(keyed: _Keyed) -> Program:
    return keyed.request.trace()
