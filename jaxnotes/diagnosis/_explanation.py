"""`explain`: every check over a report, causes before effects."""

from jaxnotes.diagnosis import _gradients, _running, _units
from jaxnotes.diagnosis._finding import Findings
from jaxnotes.diagnosis._history import explain_history
from jaxnotes.probe import History, Report

# Of these the first that finds something is all that is reported: what comes behind it says nothing.
BROKEN = (_units.nonfinite,)

CHECKS = (
    # the data
    # the outputs, the loss and the targets
    # the parameters and the structure
    # the values of layers
    _units.dead,
    _units.saturated,
    # the gradient on its way back
    _gradients.initialisation,
    _gradients.vanishing,
    _gradients.exploding,
    _gradients.through_time,
    # the representation
    _units.constant,
    # number formats
    # how the model is run
    _running.small_batch,
    _running.stale_statistics,
    _running.dropout,
    # the step
    _running.large_update,
    _running.clipping,
)


def explain(report: Report | History) -> Findings:
    """Findings of a reading or of a watched run, causes before effects; none where no check sees a fault.

    Where a value is not finite, that alone is reported: what comes behind it says nothing.

    Raises:
      TypeError: neither a report of `probe.read` nor a `probe.History`.
    """
    if isinstance(report, History):
        return explain_history(report)
    if not isinstance(report, Report):
        raise TypeError(f"explain takes the report that probe.read returns or a probe.History, got {type(report).__name__}")
    checks = tuple(check.__name__.replace("_", "-") for check in (*BROKEN, *CHECKS))
    broken = next((found for check in BROKEN if (found := check(report))), None)
    return Findings(broken or [found for check in CHECKS for found in check(report)], checks)
