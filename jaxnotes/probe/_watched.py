"""`Watched`: the record of one look at a training step, and what it is on a line of a file."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxnotes.probe._look import Names, Readings, grouped
from jaxnotes.probe._loss_sums import since_largest, statistics


@dataclasses.dataclass(frozen=True, eq=False)
class Watched:
    """One look at a training step. What is not known is NaN, None or empty.

    Attributes:
      step: number of updates before this one.
      layers: path of each layer that has parameters, such as "block_0/dense".
      log10_norms: log10 of the gradient's norm, one per layer; -inf where it is 0, NaN where it is not finite.
      nonfinite: names of the layers whose gradient is not finite.
      spike: the layer whose gradient's RMS rose the most above its own running mean since the last look, where it rose by
        more than `spike_decades`; else "".
      first_nonfinite: the step at which a gradient was first not finite; -1: never.
      spike_step, spike_rise: when that was, and by how many decades.
      losses: how many losses came since the last look.
      loss: the last of them.
      loss_mean, loss_deviation: their mean and standard deviation.
      loss_alternation: mean squared change from one to the next over their variance (von Neumann 1941): about 2 for noise, 4
        where the loss goes up and down at every other step, below 2 where it drifts.
      loss_largest, loss_largest_step: the largest of them, and when that was.
      update_ratios: norm of the update over the norm of the parameters, one per layer.
      weight_norms: norm of the parameters, one per layer.
      parameters: path of each parameter.
      without_gradient, without_update: names of those whose gradient, or update, is exactly 0.
      checksums: one integer per parameter: where it is equal at two looks, the parameter is the same bit by bit.
      activations, activation_rms: names of the values given as `activations`, and their RMS.
      examples: size of the batch, where it was told.
      gradient_square, previous_square, gradient_product: squared norm of this gradient, of that of the step before, and their
        scalar product, where the gradient noise is measured.
    """

    step: int
    layers: tuple[str, ...] = ()
    log10_norms: np.ndarray | None = None
    nonfinite: tuple[str, ...] = ()
    spike: str = ""
    first_nonfinite: int = -1
    spike_step: int = -1
    spike_rise: float = math.nan
    losses: int = 0
    loss: float = math.nan
    loss_mean: float = math.nan
    loss_deviation: float = math.nan
    loss_alternation: float = math.nan
    loss_largest: float = math.nan
    loss_largest_step: int = -1
    update_ratios: np.ndarray | None = None
    weight_norms: np.ndarray | None = None
    parameters: tuple[str, ...] = ()
    without_gradient: tuple[str, ...] = ()
    without_update: tuple[str, ...] | None = None
    checksums: np.ndarray | None = None
    activations: tuple[str, ...] = ()
    activation_rms: np.ndarray | None = None
    examples: int = 0
    gradient_square: float = math.nan
    previous_square: float = math.nan
    gradient_product: float = math.nan

    def scalars(self) -> dict[str, float]:
        """Returns the numbers of the record by a name of two parts, such as "log10_gradient/block_0"; unknown ones left out."""
        found = {"loss": self.loss, "loss/mean": self.loss_mean, "loss/deviation": self.loss_deviation}
        columns = (
            ("log10_gradient", self.layers, self.log10_norms),
            ("update_ratio", self.layers, self.update_ratios),
            ("weight_norm", self.layers, self.weight_norms),
            ("activation_rms", self.activations, self.activation_rms),
        )
        for title, names, values in columns:
            if values is not None:
                found |= {f"{title}/{name}": float(value) for name, value in zip(names, values, strict=True)}
        known = self.losses or not math.isnan(self.loss)
        return {name: value for name, value in found.items() if known or not name.startswith("loss")}

    def as_dict(self) -> dict:
        """Returns the record for JSON: unknown fields left out, numbers that are not finite as text."""
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: _plain(value) for name, value in fields.items() if not _unknown(value)}

    @classmethod
    def from_dict(cls, found: dict) -> "Watched":
        """Returns the record that `as_dict` made a dictionary of."""
        known = {field.name: field for field in dataclasses.fields(cls)}
        return cls(**{name: _unplain(known[name].type, value) for name, value in found.items() if name in known})


def _unknown(value: Any) -> bool:
    """Whether a field says nothing; an empty `without_update` does: all parameters have an update."""
    return value is None or (isinstance(value, float) and math.isnan(value))


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | tuple | list):
        return [_plain(entry) for entry in (value.tolist() if isinstance(value, np.ndarray) else value)]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _unplain(kind: Any, value: Any) -> Any:
    if kind == np.ndarray | None:
        return np.asarray([float(entry) if isinstance(entry, str) else entry for entry in value])
    if isinstance(value, list):
        return tuple(value)
    return float(value) if kind is float else value


def watched(
    names: Names,
    step: int,
    first: int,
    spike: Any,
    losses: Any,
    read: Readings,
    spike_decades: float,
    examples: int | None,
) -> Watched:
    """Returns the record of what the monitor hands to the host."""
    logs = _log10_norms(names, read.gradients)
    updates, weights = (None if found is None else _log10_norms(names, found) for found in (read.updates, read.weights))
    rise, place, at = float(spike[0]), int(spike[1]), step - int(spike[2])
    rose = rise > spike_decades
    count = int(losses[0])
    record = Watched(
        step=step,
        layers=names.layers,
        log10_norms=logs,
        nonfinite=_chosen(names.layers, np.isnan(logs)),
        spike=names.layers[place] if rose else "",
        first_nonfinite=first,
        spike_step=at if rose else -1,
        spike_rise=rise if rose else math.nan,
        update_ratios=None if updates is None or weights is None else _ratios(updates, weights),
        weight_norms=None if weights is None else _ratios(weights, np.zeros_like(weights)),
        parameters=names.parameters,
        without_gradient=_chosen(names.parameters, read.gradients[0] == 0),
        without_update=None if read.updates is None else _chosen(names.parameters, read.updates[0] == 0),
        checksums=None if read.checksums is None else np.asarray(read.checksums, np.int64),
        activations=() if read.activations is None else names.activations,
        activation_rms=None if read.activations is None else np.asarray(read.activations),
    )
    if count:
        largest_step = step - since_largest(losses)
        record = dataclasses.replace(record, losses=count, loss_largest_step=largest_step, **statistics(losses))
    if read.pair is not None and step:
        pair = dict(zip(("gradient_square", "previous_square", "gradient_product"), map(float, read.pair), strict=True))
        record = dataclasses.replace(record, examples=examples or 0, **pair)
    return record


@np.errstate(divide="ignore", invalid="ignore")
def _log10_norms(names: Names, found: Any) -> np.ndarray:
    """[layers] log10 of the Euclidean norm of each layer's parameters together; NaN where an entry is not finite."""
    largest, squares = np.asarray(found, np.float64)
    logs = np.where(np.isfinite(largest), 2 * np.log10(largest) + np.log10(squares), np.nan)
    together = grouped(dict(zip(names.parameters, logs, strict=True)))
    return np.asarray([_joined(column) for column in together.values()]) if together else np.zeros(0)


def _joined(logs: list[float]) -> float:
    """Half the log10 of a sum, from the log10 of its terms, past what a float holds."""
    most = max(logs)
    if np.isnan(logs).any() or most == -np.inf:
        return math.nan if np.isnan(logs).any() else -math.inf
    return 0.5 * (most + math.log10(sum(10 ** (log - most) for log in logs)))


@np.errstate(over="ignore", invalid="ignore")
def _ratios(logs: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Ratios by their logs; NaN for 0 by 0."""
    return np.power(10.0, logs - by)


def _chosen(names: Sequence[str], mask: Any) -> tuple[str, ...]:
    return tuple(name for name, chosen in zip(names, np.asarray(mask), strict=True) if chosen)
