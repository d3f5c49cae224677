"""`explain`: every check over a report, in order of importance."""

from jaxnotes.diagnosis import gradients, settings, units
from jaxnotes.diagnosis.finding import Findings
from jaxnotes.probe import Report

CHECKS = (
    units.dead,
    units.saturated,
    gradients.initialisation,
    gradients.vanishing,
    gradients.exploding,
    gradients.through_time,
    units.constant,
    settings.small_batch,
    settings.stale_statistics,
    settings.dropout,
    settings.large_update,
    settings.clipping,
)


def explain(report: Report) -> Findings:
    """Findings of a reading, causes before effects; none for a healthy model.

    Where a value is not finite, that alone is reported: what comes behind it says nothing.

    Raises:
      TypeError: not a report of `probe.read`.
    """
    if not isinstance(report, Report):
        raise TypeError(f"explain takes the report that probe.read returns, got {type(report).__name__}")
    broken = units.nonfinite(report)
    return Findings(broken or [found for check in CHECKS for found in check(report)])
