"""`explain`: every check over a report, causes before effects."""

from collections.abc import Iterable, Mapping

from jaxnotes.diagnosis import (
    _attention,
    _curvature,
    _data,
    _formats,
    _gradients,
    _leakage,
    _loss,
    _no_gradient,
    _outputs,
    _representation,
    _running,
    _step,
    _structure,
    _units,
)
from jaxnotes.diagnosis._causes import without_effects
from jaxnotes.diagnosis._finding import KINDS, Finding, Findings
from jaxnotes.diagnosis._history import explain_history
from jaxnotes.diagnosis._names import known
from jaxnotes.diagnosis._thresholds import Thresholds, thresholds_of
from jaxnotes.probe import History, Report

# What can make a loss that is not finite, and is then reported in its place.
CAUSES_OF_NONFINITE = (_data.labels, _leakage.indices, _outputs.output_activation, _running.dropout_of_all)

CHECKS = (
    # the data
    _data.inputs,
    _data.targets,
    _data.labels,
    _data.labels_apart,
    _leakage.indices,
    _leakage.target_leakage,
    # the outputs, the loss and the targets
    _outputs.shapes,
    _outputs.output_activation,
    _loss.loss,
    _loss.loss_at_start,
    # the parameters and the structure
    _no_gradient.no_gradient,
    _no_gradient.fixed_weights,
    _no_gradient.frozen,
    _structure.linear_network,
    _structure.equal_units,
    _structure.mixed_examples,
    # the values of layers
    _units.dead,
    _units.saturated,
    _attention.attention,
    # the gradient on its way back
    _gradients.initialisation,
    _gradients.vanishing,
    _gradients.exploding,
    _gradients.through_time,
    # the representation
    _representation.constant,
    _representation.low_rank,
    _representation.residual_growth,
    _representation.outlier_channels,
    # number formats
    _formats.number_format,
    _formats.cancellation,
    # how the model is run
    _running.small_batch,
    _running.stale_statistics,
    _running.dropout,
    # the step
    _step.uphill,
    _step.large_update,
    _step.small_update,
    _step.weight_decay,
    _curvature.curvature,
    _running.clipping,
)


def explain(report: Report | History, *, ignore: Iterable[str] = (), thresholds: Mapping[str, float] | None = None) -> Findings:
    """Findings of a reading or of a watched run, causes before effects; none where no check sees a fault.

    Where a value is not finite, that or its cause alone is reported: what comes behind it says nothing. A finding that another
    explains is left out. To ignore a kind never brings up a finding that was not there.

    Args:
      report: of `probe.read`, or the history of `probe.monitor`, which has no thresholds to set.
      ignore: kinds of finding to leave out, each one of KINDS.
      thresholds: numbers in place of the standard ones, by the names of `Thresholds`.

    Raises:
      TypeError: neither a report of `probe.read` nor a `probe.History`.
      ValueError: an unknown kind or threshold, or a value that is no positive number; the message has the near names.
    """
    ignored = known("kind of finding", (ignore,) if isinstance(ignore, str) else ignore, KINDS)
    judged_by = thresholds_of(thresholds or {})
    if isinstance(report, History):
        found = explain_history(report)
    elif isinstance(report, Report):
        checks = tuple(check.__name__.replace("_", "-") for check in (_units.nonfinite, *CHECKS))
        found = Findings(_found(report, judged_by), checks)
    else:
        raise TypeError(f"explain takes the report that probe.read returns or a probe.History, got {type(report).__name__}")
    return Findings([finding for finding in found if finding.kind not in ignored], found.checks, ignored)


def _found(report: Report, thresholds: Thresholds) -> list[Finding]:
    """What all checks find, without the effects of what others find."""
    found_by = lambda checks: [found for check in checks for found in check(report, thresholds)]
    if broken := found_by([_units.nonfinite]):
        return found_by(() if report.nonfinite_inputs else CAUSES_OF_NONFINITE) or broken
    return without_effects(found_by(CHECKS), report)
