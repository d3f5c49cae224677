"""Findings about number formats: what float16 and bfloat16 lose, and what float32 loses in a difference."""

import math

from jaxnotes.diagnosis._finding import Finding, Remedy
from jaxnotes.diagnosis._thresholds import Thresholds
from jaxnotes.probe import Report

HALF_LARGEST = 65504.0
HALF_SMALLEST = 6.1e-5  # below it float16 loses digits
HEADROOM = 4.0
FLUSHED = 0.3  # share of a gradient's entries that are 0 and are no longer with a larger loss
LOST = 0.5
MICIKEVICIUS = "Micikevicius et al. 2018, mixed precision training"
RELATIVE_ERROR = 0.03  # of a variance
FLOAT32 = Remedy("compute it in float32, as for statistics of a normalisation: x.astype(jnp.float32)", "no square overflows")


def number_format(report: Report, _: Thresholds) -> list[Finding]:
    """Values that leave float16 before they are infinite, gradients that are flushed to 0, updates that are rounded away."""
    return [*_squares(report), *_values(report), *_flushed(report), *_lost(report)]


def _squares(report: Report) -> list[Finding]:
    limit = math.sqrt(HALF_LARGEST)
    found = [reading for reading in report.squares if reading.largest > limit]
    if not found:
        return []
    worst = max(found, key=lambda reading: reading.largest)
    evidence = f"values up to {worst.largest:.3g} are squared in float16 at {worst.name}: infinite from {limit:.0f} on"
    names = tuple(dict.fromkeys(reading.name for reading in found))
    return [Finding("number-format", names, evidence, (), (FLOAT32,), source=MICIKEVICIUS)]


def _values(report: Report) -> list[Finding]:
    half = [layer for layer in report.layers if layer.dtype == "float16" and layer.activation_rms > 0]
    large = [x for x in half if max(abs(x.activation_min), abs(x.activation_max)) > HALF_LARGEST / HEADROOM]
    small = [x for x in half if x.activation_rms < HALF_SMALLEST]
    findings = []
    if large:
        worst = max(large, key=lambda x: max(abs(x.activation_min), abs(x.activation_max)))
        size = max(abs(worst.activation_min), abs(worst.activation_max))
        evidence = f"{worst.label} reaches {size:.3g}; float16 ends at 65,504"
        remedy = Remedy("use bfloat16, whose range is float32's, or normalise before", "no overflow")
        findings.append(Finding("number-format", tuple(x.label for x in large), evidence, (), (remedy,), source=MICIKEVICIUS))
    if small:
        evidence = (
            f"the RMS of {small[0].label} is {small[0].activation_rms:.2g}; below {HALF_SMALLEST:.2g} float16 loses digits"
        )
        remedy = Remedy("use bfloat16, whose range is float32's, or normalise before", "all digits of the format")
        findings.append(Finding("number-format", tuple(x.label for x in small), evidence, (), (remedy,), source=MICIKEVICIUS))
    return findings


def _flushed(report: Report) -> list[Finding]:
    found = [p for p in report.parameters if p.zero_gradients - p.zero_gradients_scaled > FLUSHED]
    if not found:
        return []
    worst = max(found, key=lambda p: p.zero_gradients - p.zero_gradients_scaled)
    evidence = (
        f"{worst.zero_gradients:.0%} of the gradient's entries of {worst.name} are 0 in float16; with the loss 1024 times as "
        f"large {worst.zero_gradients_scaled:.0%}"
    )
    remedies = (
        Remedy("scale the loss by about 1024 and divide the gradient by it", "entries below 6e-8 are no longer flushed to 0"),
        Remedy("use bfloat16", "its smallest numbers are float32's"),
    )
    return [Finding("number-format", tuple(p.name for p in found), evidence, (), remedies, source=MICIKEVICIUS)]


def _lost(report: Report) -> list[Finding]:
    found = [p for p in report.parameters if p.multiplies and p.dtype in ("float16", "bfloat16") and p.lost_updates > LOST]
    if not found:
        return []
    worst = max(found, key=lambda p: p.lost_updates)
    evidence = (
        f"the first update changes nothing in {worst.lost_updates:.0%} of {worst.name}'s entries: {worst.dtype} rounds it away"
    )
    remedy = Remedy("hold the parameters in float32 and compute in the short format", "small updates add up")
    return [Finding("number-format", tuple(p.name for p in found), evidence, (), (remedy,), source=MICIKEVICIUS)]


def cancellation(report: Report, _: Thresholds) -> list[Finding]:
    """A variance taken as the difference of two large numbers, most digits of which cancel."""
    found = [reading for reading in report.cancellations if reading.relative_error > RELATIVE_ERROR]
    if not found:
        return []
    worst = max(found, key=lambda reading: reading.relative_error)
    names = tuple(dict.fromkeys(reading.name for reading in found))
    evidence = (
        f"{worst.name}: the mean is {worst.mean_over_spread:.3g} times the standard deviation; the variance, a difference "
        f"of two means in {worst.dtype}, is off by about {worst.relative_error:.0%}"
    )
    remedies = (
        Remedy("take the mean off the values before, as off the inputs", "mean and spread of like size"),
        Remedy("compute the variance from the differences: use_fast_variance=False in Flax", "an error of the format's size"),
    )
    source = "Chan, Golub and LeVeque 1983, algorithms for computing the sample variance"
    return [Finding("cancellation", names, evidence, ("normalization.formula",), remedies, source=source)]
