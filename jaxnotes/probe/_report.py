"""What a reading returns: one row per layer call, and what is known of the whole model."""

import dataclasses
import html
import math
from collections.abc import Iterable
from typing import Any

from jaxnotes.probe._attention import Attention
from jaxnotes.probe._curvature import Curvature
from jaxnotes.probe._data import InputReading, TargetReading
from jaxnotes.probe._dependence import Dependence
from jaxnotes.probe._each_parameter import Parameter
from jaxnotes.probe._future import Future
from jaxnotes.probe._linearity import Linearity
from jaxnotes.probe._lookups import Lookup
from jaxnotes.probe._loss_response import LossResponse
from jaxnotes.probe._outputs import OutputReading
from jaxnotes.probe._residuals import Residuals
from jaxnotes.probe._seen_activation import Activation
from jaxnotes.probe._squares import Cancellation, Square
from jaxnotes.probe._step import FirstStep


@dataclasses.dataclass(frozen=True)
class Layer:
    """Readings of one call of one layer. A number that does not apply is NaN.

    Attributes:
      name: path of the layer, such as "block_0/attention".
      kind: class of the module, or "tap".
      call: 0 for the first call or time step, 1 for the second, …
      output_shape: of what the layer returned.
      dtype: of it.
      activation: name of the activation function applied to the output, or that made it; "" where none was seen.
      mode: "training" or "inference" of a normalisation or dropout layer, else "".
      activation_mean, activation_rms, activation_min, activation_max: over the finite entries.
      saturated_fraction: share of entries where the activation function's slope is below 5% of its largest.
      dead_fraction: share of units through which no example sends a gradient, as the activation's slope is 0 for all.
      spread: RMS over units of the standard deviation over examples, divided by `activation_rms`; NaN for what depends on no
        input that differs between examples, as a position embedding.
      nonfinite: entries of the output that are NaN or infinite.
      log10_gradient_norm: log10 of the RMS over examples of the norm of dloss/d output.
      nonfinite_gradient: entries of that gradient that are NaN or infinite.
      parameter_gradient_rms: RMS of the gradient of the layer's own parameters.
      parameter_rms: RMS of those parameters.
      update_ratio: RMS of the optimiser's first update of them over `parameter_rms`.
      log10_jacobian_norm: log10 of the RMS over examples of the Frobenius norm of d model output / d output; through batch
        normalisation, where it crosses examples, of the whole batch's Jacobian divided by √examples.
      log10_jacobian_error: standard error of it; 0 where exact.
      partial_jacobian: mean over units of the squared norm of d output / d (outputs of the layers it reads), Doshi et al. 2021:
        in a plain stack the gain χ of the squared gradient from one row to the next.
      weight_variance: variance of the weights times their fan-in, σ_w²; variance and not second moment.
      weight_gradient_rms: RMS of the gradient of those weights alone, without the bias.
      bias_variance: mean square of the bias, σ_b².
      bias_mean: mean of the bias.
      log10_singular_values: log10 of the largest, median and smallest singular value of d model output / d output, each the
        mean over examples; () unless asked for.
      over_time: whether the call is a step of a scan whose steps share their parameters, as those of a recurrent network do.
      is_output: whether the model's output is this layer's, or a function of it entry by entry.
      dropout_rate: share of units that a dropout layer sets to 0, where its mode is training.
      effective_rank: how many directions the outputs spread over: exp of the entropy of the singular values over their sum
        (Roy and Vetterli 2007), of centred vectors, one per position of [examples, positions, units] and one per example
        otherwise, of 128 of them at most.
      largest_channel: RMS of the largest channel over the median one's, for outputs [examples, (positions,) channels].
    """

    name: str
    kind: str
    call: int
    output_shape: tuple[int, ...]
    dtype: str
    activation: str
    mode: str
    activation_mean: float
    activation_rms: float
    activation_min: float
    activation_max: float
    saturated_fraction: float
    dead_fraction: float
    spread: float
    nonfinite: int
    log10_gradient_norm: float
    nonfinite_gradient: int
    parameter_gradient_rms: float = math.nan
    parameter_rms: float = math.nan
    update_ratio: float = math.nan
    log10_jacobian_norm: float = math.nan
    log10_jacobian_error: float = math.nan
    partial_jacobian: float = math.nan
    weight_variance: float = math.nan
    weight_gradient_rms: float = math.nan
    bias_variance: float = math.nan
    bias_mean: float = math.nan
    log10_singular_values: tuple[float, ...] = ()
    over_time: bool = False
    is_output: bool = False
    dropout_rate: float = math.nan
    effective_rank: float = math.nan
    largest_channel: float = math.nan
    activation_function: Activation | None = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def label(self) -> str:
        """The name, with the call where it is not the first."""
        return self.name if self.call == 0 else f"{self.name} (call {self.call})"

    @property
    def normalises(self) -> bool:
        """Whether it is a normalisation, by the class of the module or by the name of a tap."""
        return "Norm" in self.kind or self.kind == "tap" and "norm" in self.name.lower()

    @property
    def units(self) -> int:
        """Number of entries of the output per example."""
        return math.prod(self.output_shape[1:])


@dataclasses.dataclass(frozen=True)
class RunningStatistics:
    """Batch normalisation's running statistics beside those of this batch.

    Attributes:
      name: of the layer.
      mode: "training" or "inference".
      values: how many values per feature the batch has.
      initial: whether the running statistics are still those of a new layer: mean 0, variance 1 (Flax) or 0 (Equinox).
      mean_distance: RMS over features of (running mean - batch mean) / batch standard deviation.
      log_variance_distance: RMS over features of ln(running variance / batch variance).
    """

    name: str
    mode: str
    values: int
    initial: bool
    mean_distance: float
    log_variance_distance: float


@dataclasses.dataclass(frozen=True)
class Report:
    """A model's readings on one batch.

    Attributes:
      layers: one row per layer call, in order of computation.
      loss: of the batch.
      examples: size of the batch.
      framework: "linen", "nnx", "equinox", "haiku", "keras" or "plain".
      train: whether the model was told to train; None where it was not told.
      missing_key: whether the model draws random numbers and was given no key.
      nonfinite_inputs: names of inputs and parameters with a NaN or an infinity.
      crosses_examples: whether an output depends on other examples, as behind batch normalisation.
      running: one row per batch normalisation layer with running statistics.
      clip_norm: the limit of clipping by global norm, as told; None: not told.
      gradient_norm: of the whole gradient of the batch's loss by all parameters, which clipping by global norm compares.
      notes: what could not be read, and why.
      inputs: one reading per array of the inputs.
      targets: None where they are not one array.
      dependence: of labels on inputs; None where they are not one label and one floating array, or fewer than 256 examples.
      future: what outputs make of later inputs; None where the targets are not the inputs one position on.
      outputs: None where they are not one floating array.
      loss_response: how the loss answers to made-up outputs; None where the outputs are not one array.
      first_step: one step of the optimiser, where one was given.
      parameters: one entry per floating parameter.
      attention: one entry per softmax over scores.
      lookups: one entry per table of parameters that indices made of the data are into.
      linearity: weight layers without an activation function between them.
      batch_softmax: names of layers behind a softmax over the examples.
      residuals: residual connections.
      curvature: of the loss, where asked for.
      squares: one entry per value that is squared in float16.
      cancellations: one entry per variance that is computed as a difference of two means.
    """

    layers: tuple[Layer, ...]
    loss: float
    examples: int
    framework: str
    train: bool | None = None
    missing_key: bool = False
    nonfinite_inputs: tuple[str, ...] = ()
    crosses_examples: bool = False
    running: tuple[RunningStatistics, ...] = ()
    clip_norm: float | None = None
    gradient_norm: float = math.nan
    notes: tuple[str, ...] = ()
    inputs: tuple[InputReading, ...] = ()
    targets: TargetReading | None = None
    dependence: Dependence | None = None
    future: Future | None = None
    outputs: OutputReading | None = None
    loss_response: LossResponse | None = None
    first_step: FirstStep | None = None
    parameters: tuple[Parameter, ...] = ()
    attention: tuple[Attention, ...] = ()
    lookups: tuple[Lookup, ...] = ()
    linearity: Linearity = Linearity()
    batch_softmax: tuple[str, ...] = ()
    residuals: Residuals = Residuals()
    curvature: Curvature | None = None
    squares: tuple[Square, ...] = ()
    cancellations: tuple[Cancellation, ...] = ()

    def as_dict(self) -> dict:
        """Returns the report as plain numbers, strings and lists, for JSON; a number that is not finite becomes null."""
        return storable(self)

    def rows(self) -> list[tuple[str, ...]]:
        """Returns the table as text: a header, then one row per layer."""
        return [tuple(title for title, _ in COLUMNS), *(tuple(show(layer) for _, show in COLUMNS) for layer in self.layers)]

    def __str__(self) -> str:
        head = f"{len(self.layers)} layer calls, {self.framework}, {self.examples} examples, loss {self.loss:.4g}"
        return "\n".join((head, *aligned(self.rows()), *(f"note: {note}" for note in self.notes)))

    def _repr_html_(self) -> str:
        return html_table(self.rows())


def storable(value: Any) -> Any:
    """Returns a record or a sequence as what JSON holds: a number that is not finite becomes null, a function is left out."""
    if dataclasses.is_dataclass(value):
        fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if field.repr}
        return {name: storable(entry) for name, entry in fields.items()}
    if isinstance(value, tuple | list):
        return [storable(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def number(value: float, digits: int = 3) -> str:
    """Returns a number for a table; empty where it does not apply."""
    return "" if math.isnan(value) else f"{value:.{digits}g}"


COLUMNS = (
    ("layer", lambda r: r.label),
    ("kind", lambda r: r.kind),
    ("shape", lambda r: "×".join(map(str, r.output_shape))),
    ("activation", lambda r: r.activation),
    ("mean", lambda r: number(r.activation_mean)),
    ("rms", lambda r: number(r.activation_rms)),
    ("saturated", lambda r: number(r.saturated_fraction)),
    ("dead", lambda r: number(r.dead_fraction)),
    ("log10 gradient", lambda r: number(r.log10_gradient_norm)),
    ("parameter gradient", lambda r: number(r.parameter_gradient_rms)),
    ("log10 Jacobian", lambda r: number(r.log10_jacobian_norm)),
    ("gain", lambda r: number(r.partial_jacobian)),
    ("non-finite", lambda r: str(r.nonfinite or "")),
)


def aligned(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Lines of a table of text."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def html_table(rows: Iterable[tuple[str, ...]]) -> str:
    """Returns the same for a page."""
    head, *body = ([html.escape(cell) for cell in row] for row in rows)
    line = lambda row, tag: "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in row) + "</tr>"
    return "<table>" + line(head, "th") + "".join(line(row, "td") for row in body) + "</table>"
