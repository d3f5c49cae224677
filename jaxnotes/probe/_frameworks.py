"""Finds the adapter for a model without importing a framework that is not in use."""

from collections.abc import Callable
from typing import Any

import jax

from jaxnotes.probe import _plain
from jaxnotes.probe._adapted import Adapted, ModelError
from jaxnotes.probe._parameters import names_of


def adapt(
    model: Any,
    train: bool | None,
    batched: bool,
    named: frozenset[str] = frozenset(),
    method: str | Callable | None = None,
) -> Adapted:
    """Returns the model as the probe runs it; `named` are the inputs that it gets by keyword.

    Raises:
      ModelError: not a model that the probe reads.
    """
    parts: list[Any] = list(model) if type(model) is tuple and model else [model]
    first, *trees = parts
    bases = _modules_of_bases(first)
    if method is not None and not any(base.startswith(("flax.", "equinox.")) for base in bases):
        raise ModelError(f"method is {method!r}, which Linen, NNX and Equinox modules take; model is {_described(model)}")
    if any(base.startswith("haiku.") for base in bases):
        from jaxnotes.probe import _haiku

        return _haiku.adapt(first, tuple(trees), train)
    if any(base.startswith("keras.") for base in bases):
        from jaxnotes.probe import _keras

        return _keras.adapt(first, tuple(trees), train, named)
    if len(trees) > 1:
        raise _no_model(model)
    second: Any = trees[0] if trees else None
    if "flax.linen.module" in bases:
        from jaxnotes.probe import _linen

        return _linen.adapt(first, second, train, method)
    if any(base.startswith("flax.nnx") for base in bases) and second is None:
        from jaxnotes.probe import _nnx

        return _nnx.adapt(first, train, method)
    if any(base.startswith("equinox.") for base in bases):
        from jaxnotes.probe import _equinox

        return _equinox.adapt(first, second, train, batched, named, method)
    if not callable(first) or isinstance(first, type):
        raise _no_model(model)
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


def _no_model(model: Any) -> ModelError:
    return ModelError(
        f"model is {_described(model)}; expected (flax.linen.Module, variables), a flax.nnx.Module, an equinox.Module, "
        "(equinox.Module, State), (haiku.Transformed, params), (haiku.TransformedWithState, params, state), a keras.Model, "
        "a function, or (function, parameters)"
    )


def _described(model: Any) -> str:
    if isinstance(model, tuple):
        return f"a tuple of {len(model)}: ({', '.join(type(entry).__name__ for entry in model)})"
    return f"the class {model.__name__}, not an instance" if isinstance(model, type) else f"a {type(model).__name__}"
