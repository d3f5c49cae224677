"""`explain`: every check over a report, in order of importance."""

from jaxnotes.diagnosis import _gradients, _running, _units
from jaxnotes.diagnosis._finding import Findings
from jaxnotes.probe import Report

CHECKS = (
    _units.dead,
    _units.saturated,
    _gradients.initialisation,
    _gradients.vanishing,
    _gradients.exploding,
    _gradients.through_time,
    _units.constant,
    _running.small_batch,
    _running.stale_statistics,
    _running.dropout,
    _running.large_update,
    _running.clipping,
)


def explain(report: Report) -> Findings:
    """Findings of a reading, causes before effects; none for a healthy model.

    Where a value is not finite, that alone is reported: what comes behind it says nothing.

    Raises:
      TypeError: not a report of `probe.read`.
    """
    if not isinstance(report, Report):
        raise TypeError(f"explain takes the report that probe.read returns, got {type(report).__name__}")
    broken = _units.nonfinite(report)
    return Findings(broken or [found for check in CHECKS for found in check(report)])
