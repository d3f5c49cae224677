"""Keras 3 on the JAX backend: the model's stateless call, traced while `call` of each of its layers taps what it returns."""

import contextlib
import functools
import inspect
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import keras

from jaxnotes.probe._adapted import Adapted, ModelError, drop_rate, leading_axes, told, training_switch
from jaxnotes.probe._tapping import Mark, bind, bind_outputs


def adapt(model: keras.Layer, trees: tuple, train: bool | None, named: frozenset[str]) -> Adapted:
    """Returns the model as a function of its variables, of their values now or of `trees`, those of `stateless_call`.

    Parameters are a dictionary of layers, each a dictionary of its trainable variables. All others are state, random seeds too,
    and their changes are dropped. Inputs by keyword, those `named`, go to a graph of layers as one dictionary. Losses that
    layers add of themselves, as by a regulariser, are no part of the reading.

    Raises:
      ModelError: another backend than JAX, a model without variables as yet, or other lists of values than its variables'.
    """
    trainable, others = _values(model, trees)
    layers = dict(_numbered(_layers_of(model, (), set())))
    places = _places(model, layers)
    seeds = _seeds(model, layers.values())
    switch = training_switch(model.call, train)

    def call(parameters, state, inputs, keywords, key):
        values = [parameters[layer][name] for layer, name in places]
        if key is not None:
            draw = lambda i, seed: jax.random.bits(jax.random.fold_in(key, i), seed.shape, seed.dtype)
            state = [draw(i, value) if i in seeds else value for i, value in enumerate(state)]
        inputs, keywords = _arranged(model, inputs, keywords, named)
        with _tapping(layers):
            return model.stateless_call(values, state, *inputs, **{**switch, **keywords})[0]

    parameters: dict[str, dict[str, Any]] = {}
    for (layer, name), value in zip(places, trainable, strict=True):
        parameters.setdefault(layer, {})[name] = value

    def rebuild(new):
        return model, [new[layer][name] for layer, name in places], others

    identity = ("keras", model, tuple(map(_settings, layers.values())), tuple(switch.items()), named)
    return Adapted(call, parameters, others, identity, "keras", leading_axes, rebuild, train=told(switch, None))


def _values(model: keras.Layer, trees: tuple) -> tuple[list, list]:
    """Returns the values of the trainable variables and of all others."""
    backend = keras.backend.backend()
    if backend != "jax":
        raise ModelError(
            f"Keras runs on the backend {backend!r} here, and a model is read on JAX: set the environment variable "
            "KERAS_BACKEND=jax before keras is first imported"
        )
    if not model.built:
        raise ModelError(f"the Keras model {model.name!r} has no variables as yet: call it once on the inputs, model(inputs)")
    own = model.trainable_variables, model.non_trainable_variables
    given = trees or own
    if len(given) != 2 or any(len(values) != len(variables) for values, variables in zip(given, own, strict=True)):
        raise ModelError(
            "a Keras model is read as it is, or as (model, trainable_variables, non_trainable_variables) with as many values "
            f"as it has, {len(own[0])} and {len(own[1])}; got {', '.join(str(len(values)) for values in given)}"
        )
    value = lambda variable: variable.value if isinstance(variable, keras.Variable) else variable
    trainable, others = ([value(variable) for variable in values] for values in given)
    return trainable, others


def _is_graph(layer: keras.Layer) -> bool:
    """Returns whether it is a Sequential or Functional model: it returns what its last layers do."""
    return isinstance(layer, keras.Model) and getattr(layer, "inputs", None) is not None


def _held(value: Any, kind: type) -> Iterator[Any]:
    """Yields what is of a kind in a value, a list or a dictionary, however deep."""
    if isinstance(value, kind):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for entry in value.values() if isinstance(value, Mapping) else value:
            yield from _held(entry, kind)


def _layers_of(layer: keras.Layer, path: tuple[str, ...], seen: set[int]) -> Iterator[tuple[str, keras.Layer]]:
    """Yields all layers inside a layer with their paths of names, inner ones first; graphs of layers give none of their own."""
    children = layer.layers if isinstance(layer, keras.Model) else list(vars(layer).values())
    for child in _held(children, keras.Layer):
        if id(child) not in seen:
            seen.add(id(child))
            inside = (*path, child.name)
            yield from _layers_of(child, inside, seen)
            if not _is_graph(child):
                yield "/".join(inside), child


def _numbered(pairs: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Yields pairs of a name and a value, a name that was there before with a number behind it."""
    met: dict[str, int] = {}
    for name, value in pairs:
        met[name] = met.get(name, -1) + 1
        yield f"{name}_{met[name]}" if met[name] else name, value


def _places(model: keras.Layer, layers: Mapping[str, keras.Layer]) -> list[tuple[str, str]]:
    """Returns (layer, variable) for each trainable variable; one that several layers use belongs to the first."""
    owners: dict[int, str] = {}
    for name, layer in (*layers.items(), (model.name, model)):
        for variable in layer.variables:
            owners.setdefault(id(variable), name)
    paths = _numbered((f"{owners[id(v)]}/{v.name}", None) for v in model.trainable_variables)
    return [(layer, name) for layer, _, name in (path.rpartition("/") for path, _ in paths)]


def _seeds(model: keras.Layer, layers: Iterable[keras.Layer]) -> frozenset[int]:
    """Returns the places of the random seeds among the variables that are not trained."""
    everything = [list(vars(layer).values()) for layer in (model, *layers)]
    states = {id(generator.state) for generator in _held(everything, keras.random.SeedGenerator)}
    return frozenset(i for i, variable in enumerate(model.non_trainable_variables) if id(variable) in states)


def _settings(layer: keras.Layer) -> Hashable:
    """Returns what of a layer may be set anew after it was made, such as a rate, and changes what it computes."""
    simple = lambda value: value is None or isinstance(value, bool | int | float | str) or callable(value)
    public = sorted((name, value) for name, value in vars(layer).items() if not name.startswith("_") and simple(value))
    return bool(layer.trainable), tuple(public)


def _arranged(model: keras.Layer, inputs: tuple, keywords: dict, named: frozenset[str]) -> tuple[tuple, dict]:
    """Returns the arguments as the model takes them: a graph of layers takes all its inputs as one."""
    if not _is_graph(model):
        return inputs, keywords
    by_name = {name: value for name, value in keywords.items() if name in named}
    others = {name: value for name, value in keywords.items() if name not in named}
    return ((by_name,) if by_name else inputs if len(inputs) == 1 else (list(inputs),)), others


@contextlib.contextmanager
def _tapping(layers: Mapping[str, keras.Layer]) -> Iterator[None]:
    """Gives each layer a `call` of its own that taps, and takes it away again; classes are left alone.

    Recurrent layers loop over their cells meanwhile; a fused loop, which Keras chooses where it can, shows no steps.
    """
    missing = object()
    with contextlib.ExitStack() as stack:
        for name, layer in layers.items():
            own: dict[str, Any] = {"call": _tapped(layer, name)}
            if vars(layer).get("use_cudnn") == "auto":
                own["use_cudnn"] = False
            for attribute, value in own.items():
                stack.callback(_restore, layer, attribute, layer.__dict__.get(attribute, missing), missing)
                layer.__dict__[attribute] = value
        yield


def _restore(layer: keras.Layer, attribute: str, before: Any, missing: object) -> None:
    """Sets an attribute back, or takes it away where there was none."""
    if before is missing:
        del layer.__dict__[attribute]
    else:
        layer.__dict__[attribute] = before


def _tapped(layer: keras.Layer, name: str) -> Callable:
    plain: Callable = layer.call
    signature = inspect.signature(plain)

    @functools.wraps(plain)
    def tapped(*arguments, **keywords):
        given = signature.bind(*arguments, **keywords).arguments
        mark = Mark(name, type(layer).__name__, (name,), mode=_mode(layer, given.get("training")), detail=drop_rate(layer))
        if isinstance(layer, keras.layers.BatchNormalization):
            bind(jnp.moveaxis(given["inputs"], layer.axis, -1), mark.as_role("input"))
            bind(layer.moving_mean.value, mark.as_role("running-mean"))
            bind(layer.moving_variance.value, mark.as_role("running-variance"))
        return bind_outputs(plain(*arguments, **keywords), mark)

    return tapped


def _mode(layer: keras.Layer, training: bool | None) -> str:
    """Returns "training" or "inference" for a layer that differs between the two; "" for any other."""
    if isinstance(layer, keras.layers.BatchNormalization):
        return "training" if training and layer.trainable else "inference"
    rate = drop_rate(layer)
    if rate is None:
        return ""
    return "training" if training and rate > 0 else "inference"
