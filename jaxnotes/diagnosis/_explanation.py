"""`explain`: every check over a report, causes before effects."""

from jaxnotes.diagnosis import (
    _attention,
    _curvature,
    _data,
    _formats,
    _gradients,
    _loss,
    _no_gradient,
    _outputs,
    _running,
    _step,
    _structure,
    _units,
)
from jaxnotes.diagnosis._causes import without_effects
from jaxnotes.diagnosis._finding import Findings
from jaxnotes.diagnosis._history import explain_history
from jaxnotes.probe import History, Report

# What can make a loss that is not finite, and is then reported in its place.
CAUSES_OF_NONFINITE = (_data.labels, _outputs.output_activation)

CHECKS = (
    # the data
    _data.inputs,
    _data.targets,
    _data.labels,
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
    _units.constant,
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


def explain(report: Report | History) -> Findings:
    """Findings of a reading or of a watched run, causes before effects; none where no check sees a fault.

    Where a value is not finite, that or its cause alone is reported: what comes behind it says nothing. A finding that another
    explains is left out.

    Raises:
      TypeError: neither a report of `probe.read` nor a `probe.History`.
    """
    if isinstance(report, History):
        return explain_history(report)
    if not isinstance(report, Report):
        raise TypeError(f"explain takes the report that probe.read returns or a probe.History, got {type(report).__name__}")
    checks = tuple(check.__name__.replace("_", "-") for check in (_units.nonfinite, *CHECKS))
    if broken := _units.nonfinite(report):
        causes = () if report.nonfinite_inputs else CAUSES_OF_NONFINITE
        return Findings([found for check in causes for found in check(report)] or broken, checks)
    return Findings(without_effects((found for check in CHECKS for found in check(report)), report), checks)
