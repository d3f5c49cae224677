"""A step that is too large for the loss's curvature."""

from jaxnotes.diagnosis._finding import Finding, Remedy
from jaxnotes.diagnosis._thresholds import Thresholds
from jaxnotes.probe import Report

UNSTABLE = 2.0  # of a quadratic: from here on a step along an eigenvector overshoots by more than it gains


def curvature(report: Report, _: Thresholds) -> list[Finding]:
    """The optimiser's first step against 2 over the curvature along it; only where the curvature was asked for."""
    found = report.curvature
    if found is None or not found.step > UNSTABLE:
        return []
    evidence = (
        f"the curvature along the first step is {found.step:.3g} of the slope; from 2 on a quadratic rises, not falls; the "
        f"largest eigenvalue of the Hessian is {found.sharpness:.3g}"
    )
    remedies = (
        Remedy(f"divide the learning rate by about {2 * found.step / UNSTABLE:.2g}", "half of the largest step that is stable"),
        Remedy("warm the learning rate up over the first steps", "sharpness falls while the rate grows (Gilmer et al. 2022)"),
    )
    source = "Cohen et al. 2021, gradient descent at the edge of stability"
    return [Finding("large-update", (), evidence, ("normalization.learning-rate",), remedies, source=source)]
