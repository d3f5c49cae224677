"""A program that somebody might have written: a model in one form, its data, loss and optimiser, healthy or with one fault."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import optax
from jax import Array

from experiments.diagnosis.forms import FORMS, build
from experiments.diagnosis.tasks import Task

ADAM = optax.adam(1e-2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """A program, healthy where it has no kinds.

    Attributes:
      design: name of the design or the fault; the same in every form.
      form: "linen", "nnx", "equinox" or "function".
      network: function of (layers, *inputs), see `forms`; None where `make` is given.
      task: data.
      loss: as `probe.read` takes it.
      optimizer: of the training, and shown to `probe.read`.
      kinds: kinds of finding of which one must be found; () for a healthy program.
      source: in words, the public set or report from which a fault's idea is.
      twin: the design that is healthy and otherwise the same; "" where the fault is a model of its own.
      random: whether the model draws random numbers, and so needs a key.
      inference: whether the model is read as for inference once it is trained.
      carries: whether training keeps the new running statistics.
      later: data that the trained model meets, where it is not what it was trained on.
      clip_norm: limit of the gradient's norm, in training and for `probe.read`.
      make: (key, inputs) -> model, of programs whose fault lies in how a framework is used.
    """

    design: str
    task: Task
    network: Callable | None = None
    form: str = "linen"
    loss: Callable | str = "cross_entropy"
    optimizer: optax.GradientTransformation = ADAM
    kinds: tuple[str, ...] = ()
    source: str = ""
    twin: str = ""
    random: bool = False
    inference: bool = False
    carries: bool = True
    later: Task | None = None
    clip_norm: float | None = None
    make: Callable[[Array, tuple], Any] | None = None

    @property
    def name(self) -> str:
        """Unique over all programs."""
        return f"{self.design}/{self.form}"

    def model(self, key: Array) -> Any:
        """Returns the model at initialisation, as `probe.read` takes it."""
        inputs = positional(self.task.batch(key)[0])
        if self.make is not None:
            return self.make(key, inputs)
        assert self.network is not None
        return build(self.form, self.network, inputs, key)


def positional(inputs: Any) -> tuple:
    """Returns a batch's inputs as a tuple."""
    return inputs if isinstance(inputs, tuple) else (inputs,)


def over(program: Program, *forms: str) -> tuple[Program, ...]:
    """Returns the program in each of the forms, or in all four."""
    return tuple(dataclasses.replace(program, form=form) for form in forms or FORMS)


def fault(healthy: Program, design: str, kinds: str | Sequence[str], source: str, **changes: Any) -> Program:
    """Returns a program that is like a healthy one but for the changes."""
    kinds = (kinds,) if isinstance(kinds, str) else tuple(kinds)
    return dataclasses.replace(healthy, design=design, kinds=kinds, source=source, twin=healthy.design, **changes)
