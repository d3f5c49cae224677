"""Forms in which a model may be written. A network is written once, against `Layers`, and made in each of them.

A network is a hashable function (layers, *inputs) -> outputs. It indexes axes from the end, as Equinox' models take one example
and the others a batch.
"""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from jax import Array

from experiments.diagnosis.forms import equinox, function, linen, nnx
from experiments.diagnosis.forms.layers import Layers, Trainable

FORMS: dict[str, ModuleType] = {"linen": linen, "nnx": nnx, "equinox": equinox, "function": function}

__all__ = ["FORMS", "Layers", "Trainable", "build", "trainable"]


def build(form: str, network: Callable, inputs: tuple, key: Array) -> Any:
    """Returns the network as `probe.read` takes it in that form, with fresh parameters; `inputs` are a batch of examples."""
    return FORMS[form].build(network, inputs, key)


def trainable(form: str, model: Any) -> Trainable:
    """Returns what a training step needs of a model of that form."""
    return FORMS[form].trainable(model)
