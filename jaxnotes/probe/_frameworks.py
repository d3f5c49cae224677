"""Finds the adapter for a model without importing a framework that is not in use."""

from collections.abc import Callable
from typing import Any

import jax

from jaxnotes.probe import _plain
from jaxnotes.probe._adapted import Adapted, ModelError
from jaxnotes.probe._parameters import names_of


def adapt(model: Any, train: bool | None, batched: bool, named: frozenset[str] = frozenset()) -> Adapted:
    """Returns the model as the probe runs it; `named` are the inputs that it gets by keyword.

    Raises:
      ModelError: not a model that the probe reads.
    """
    pair: tuple[Any, Any] = model if isinstance(model, tuple) and len(model) == 2 else (model, None)
    first, second = pair
    bases = _modules_of_bases(first)
    if "flax.linen.module" in bases:
        from jaxnotes.probe import _linen

        return _linen.adapt(first, second, train)
    if any(base.startswith("flax.nnx") for base in bases) and second is None:
        from jaxnotes.probe import _nnx

        return _nnx.adapt(first, train)
    if any(base.startswith("equinox.") for base in bases):
        from jaxnotes.probe import _equinox

        return _equinox.adapt(first, second, train, batched, named)
    if not callable(first) or isinstance(first, type):
        raise ModelError(
            f"model is {_described(model)}; expected (flax.linen.Module, variables), a flax.nnx.Module, an equinox.Module, "
            "(equinox.Module, State), a function, or (function, parameters)"
        )
    return _plain.adapt(first, second)


def with_parameters(model: Any, change: Callable[[tuple[str, ...], Any], Any]) -> Any:
    """Returns a model of the same kind with other parameters; the model given stays as it is.

    Args:
      model: as `read` takes it.
      change: (path of names in the tree of parameters, array) -> array of the same shape and dtype.

    Raises:
      ModelError: not a model that the probe reads.
    """
    adapted = adapt(model, None, False)
    changed = jax.tree_util.tree_map_with_path(lambda path, leaf: change(names_of(path), leaf), adapted.parameters)
    return adapted.rebuild(changed)


def _modules_of_bases(model: Any) -> set[str]:
    """Returns the modules that define what the model is an instance of; none for a class, which is no model yet."""
    return set() if isinstance(model, type) else {base.__module__ for base in type(model).__mro__}


def _described(model: Any) -> str:
    if isinstance(model, tuple):
        return f"a tuple of {len(model)}: ({', '.join(type(entry).__name__ for entry in model)})"
    return f"the class {model.__name__}, not an instance" if isinstance(model, type) else f"a {type(model).__name__}"
