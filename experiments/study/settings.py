"""Settings of a topic: a frozen dataclass whose fields say their help, their range and their value at each scale."""

import dataclasses
import math
from typing import Any, Self

from jaxnotes.command.errors import InputError

SCALES = ("quick", "paper")


class SettingsError(InputError):
    """A setting outside its range; the message is one line for the user."""


def setting(paper: Any, help: str, *, quick: Any = None, minimum: float | None = None, choices=None) -> Any:
    """Returns a field of a topic's settings.

    Args:
      paper: default, the value at scale paper.
      help: what it is, with its unit.
      quick: the value at scale quick; the default where None.
      minimum: smallest value allowed, of each element for a tuple.
      choices: values allowed.
    """
    metadata = {"help": help, "quick": paper if quick is None else quick, "minimum": minimum, "choices": choices}
    return dataclasses.field(default=paper, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Base of every topic's settings; checks each field against what `setting` said of it."""

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            elements = value if isinstance(value, tuple) else (value,)
            if not elements:
                raise SettingsError(f"--{field.name} is empty; give at least one value, for example {field.default}")
            for element in elements:
                _check(field, element)

    @classmethod
    def preset(cls, scale: str, **changes: Any) -> Self:
        """Returns the settings of a scale, with some of them changed.

        Raises:
          SettingsError: an unknown scale, or a value outside its range.
        """
        if scale not in SCALES:
            raise SettingsError(f"--scale={scale} is not one of {', '.join(SCALES)}")
        values = {field.name: field.metadata["quick"] for field in dataclasses.fields(cls)} if scale == "quick" else {}
        return cls(**(values | changes))


@dataclasses.dataclass(frozen=True)
class TrainingSettings(Settings):
    """Base of the settings of a topic that trains networks."""

    tuning_seeds: int = setting(3, "Seeds on which each learning rate is chosen, and nothing else.", quick=1, minimum=1)
    train_seeds: int = setting(8, "Seeds trained at the tuned learning rate.", quick=2, minimum=2)
    learning_rates: tuple[float, ...] = setting((1e-3, 3e-3, 1e-2), "Learning rates to begin with, rising.")

    def __post_init__(self) -> None:
        super().__post_init__()
        rates = self.learning_rates
        if not all(a < b for a, b in zip((0, *rates), rates, strict=False)):
            listed = ",".join(map(str, rates))
            raise SettingsError(f"--learning_rates={listed} must be positive and rising, for example 0.001,0.003,0.01")


def _check(field: dataclasses.Field, value: Any) -> None:
    minimum, choices = field.metadata["minimum"], field.metadata["choices"]
    if choices is not None and value not in choices:
        raise SettingsError(f"--{field.name}={value} is not one of {', '.join(map(str, choices))}")
    if isinstance(value, float) and not math.isfinite(value):
        raise SettingsError(f"--{field.name}={value} is not a finite number")
    if minimum is not None and value < minimum:
        raise SettingsError(f"--{field.name}={value} is below {minimum}, the smallest value allowed")
