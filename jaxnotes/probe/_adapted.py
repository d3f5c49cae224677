"""What every framework's model becomes for the probe: a pure function of parameters, state, inputs and a key, with taps."""

import dataclasses
import inspect
from collections.abc import Callable, Hashable, Mapping
from typing import Any

TRAINING = ("train", "training", "is_training")  # keywords by which models are told that they train
INFERENCE = ("deterministic", "inference", "use_running_average", "eval_mode")


class ModelError(TypeError):
    """A model that the probe cannot read; the message says what it got and what it takes."""


@dataclasses.dataclass(frozen=True)
class Adapted:
    """A model as the probe runs it.

    Attributes:
      call: (parameters, state, inputs, keywords, key) -> outputs; every layer's output is tapped, changes of state are dropped.
      parameters: tree that gradients are taken for.
      state: tree of all other arrays: running statistics, random streams.
      identity: equal for models whose `call` is the same, so that they share a compiled program.
      framework: "linen", "nnx", "equinox", "haiku", "keras" or "plain".
      input_axes: of a weight of so many axes, those that are summed over: the fan-in.
      rebuild: parameters -> the model as the user gave it, with those parameters.
      needs_key: whether an exception is how the framework says that a random key is missing.
      keyless: names of layers that draw random numbers and have no stream to draw them from, whatever key is given.
      train: whether the model was told to train; None where it has no such switch or keeps its own.
    """

    call: Callable
    parameters: Any
    state: Any
    identity: Hashable
    framework: str
    input_axes: Callable[[int], tuple[int, ...]]
    rebuild: Callable
    needs_key: Callable[[Exception], bool] = lambda error: False
    keyless: tuple[str, ...] = ()
    train: bool | None = None


def mode(module: Any, keywords: Mapping[str, Any], switches: Mapping[type, str]) -> str:
    """Returns "training" or "inference" for a layer that differs between the two, as it is set now; "" for any other."""
    name = next((name for kind, name in switches.items() if isinstance(module, kind)), None)
    if name is None:
        return ""
    chosen = keywords.get(name)
    off = getattr(module, name) if chosen is None else chosen
    drops = getattr(module, "rate", getattr(module, "p", 1))
    return "inference" if off or drops == 0 else "training"


def drop_rate(module: Any) -> float | None:
    """Returns the share of units that a dropout layer sets to 0; None for any other layer."""
    rate = getattr(module, "rate", getattr(module, "p", None)) if "Dropout" in type(module).__name__ else None
    return float(rate) if isinstance(rate, int | float) else None


def method_of(kind: type, method: str | Callable | None) -> Callable:
    """Returns the function (model, *inputs) -> outputs by which a model of that class is called.

    It raises `ModelError` where the class has no such method: whoever changes parameters alone needs none.
    """
    if callable(method):
        return getattr(method, "__func__", method)  # without the model that a bound method carries
    name = method or "__call__"
    if any(name in vars(base) for base in kind.__mro__):  # getattr alone finds the `__call__` that makes instances
        return getattr(kind, name)

    def missing(*_, **__):
        raise ModelError(f"{kind.__name__} has no method {name!r}; name another by method=")

    return missing


def training_switch(function: Callable, train: bool | None) -> dict[str, bool]:
    """Returns the keyword, with its value, by which a model is told to train; where it must be said and is not, to train."""
    for name, parameter in inspect.signature(function).parameters.items():
        if name in TRAINING + INFERENCE and (train is not None or parameter.default is inspect.Parameter.empty):
            return {name: switched(name, train is not False)}
    return {}


def switched(name: str, training: bool) -> bool:
    """Returns the value of a switch, which may ask for training or for inference."""
    return training if name in TRAINING else not training


def told(switch: Mapping[str, bool], train: bool | None) -> bool | None:
    """Returns whether a model is told to train: by its switch, or, without one, by what `train` says."""
    return next((value if name in TRAINING else not value for name, value in switch.items()), train)


def leading_axes(axes: int) -> tuple[int, ...]:
    """Returns all axes but the last, for weights of shape [*kernel, in, out]."""
    return tuple(range(axes - 1))


def trailing_axes(axes: int) -> tuple[int, ...]:
    """Returns all axes but the first, for weights of shape [out, in, *kernel]."""
    return tuple(range(1, axes))
