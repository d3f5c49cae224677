"""`explain`: every check over a report, causes before effects."""

from jaxnotes.diagnosis import _attention, _curvature, _formats, _gradients, _no_gradient, _running, _structure, _units
from jaxnotes.diagnosis._finding import Findings
from jaxnotes.probe import Report

# Of these the first that finds something is all that is reported: what comes behind it says nothing.
BROKEN = (_units.nonfinite,)

CHECKS = (
    # the data
    # the outputs, the loss and the targets
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
    _running.large_update,
    _curvature.curvature,
    _running.clipping,
)


def explain(report: Report) -> Findings:
    """Findings of a reading, causes before effects; none where no check sees a fault.

    Where a value is not finite, that alone is reported: what comes behind it says nothing.

    Raises:
      TypeError: not a report of `probe.read`.
    """
    if not isinstance(report, Report):
        raise TypeError(f"explain takes the report that probe.read returns, got {type(report).__name__}")
    checks = tuple(check.__name__.replace("_", "-") for check in (*BROKEN, *CHECKS))
    broken = next((found for check in BROKEN if (found := check(report))), None)
    return Findings(broken or [found for check in CHECKS for found in check(report)], checks)
