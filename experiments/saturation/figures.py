"""Figures of the topic `saturation`."""

import numpy as np

from experiments.study.figures.style import COLORS, MARKERS, measured, new_figure, settings_note, theory
from experiments.study.measurement import Evidence

# Not imported from the topic: a figure is a function of results alone.
_FLOAT_TYPES = ("float16", "bfloat16", "float32", "float64")


def value_range(evidence: Evidence):
    """Each floating-point type follows the exact curve, then jumps to exactly 0 on the left and exactly 1 on the right."""
    figure, (left, right) = new_figure(2, height=2.5)
    x, exactly = evidence.arrays["x"], evidence.arrays["log10-sigmoid"]
    theory(left, x[x <= 0], exactly[x <= 0], series=6, label="real numbers")
    theory(right, -x[(x <= 0) & (x >= -45)], exactly[(x <= 0) & (x >= -45)], series=6, label="real numbers")
    for series, name in enumerate(_FLOAT_TYPES):
        computed = evidence.arrays[f"sigmoid-{name}"]
        zero, one = evidence[f"zero-{name}"].value, evidence[f"one-{name}"].value
        _until(left, x, computed, (x <= 0) & (computed > 0), series, f"{name}: 0 from {zero:.1f}")
        _until(right, x, 1 - computed, (x >= 0) & (computed < 1), series, f"{name}: 1 from {one:.2f}")
        if zero > x[0]:
            left.axvline(zero, color=COLORS[series], lw=0.6, ls=":")
        right.axvline(one, color=COLORS[series], lw=0.6, ls=":")
    left.set(xlabel="x", ylabel=r"log$_{10}$ σ(x)", xlim=(-127, 2))
    right.set(xlabel="x", ylabel=r"log$_{10}$ (1 − σ(x))", xlim=(-1, 46))
    settings_note(left, "left end; dotted: from here on exactly 0")
    settings_note(right, "right end; dotted: from here on exactly 1")
    left.legend(loc="lower right")
    right.legend(loc="lower left")
    return figure


def _until(axes, x, values, kept, series: int, label: str) -> None:
    kept = np.flatnonzero(kept)
    kept = kept[:: max(len(kept) // 14, 1)]
    look = {"ls": "", "marker": MARKERS[series], "mfc": "none", "color": COLORS[series]}
    axes.plot(x[kept], np.log10(values[kept]), label=label, **look)


def limits(evidence: Evidence):
    """The distance from either limit falls by a factor of e per unit of x."""
    figure, axes = new_figure()
    x = evidence.arrays["x"]
    theory(axes, x, -np.logaddexp(0, -x) / np.log(10), series=0)
    theory(axes, x, -np.logaddexp(0, x) / np.log(10), series=1)
    for series, (name, label) in enumerate((("log10-left", "σ(x)"), ("log10-right", "1 − σ(x), as σ(−x)"))):
        kept = slice(series, None, 8)
        axes.plot(x[kept], evidence.arrays[name][kept], MARKERS[series], mfc="white", color=COLORS[series], label=label)
    axes.set(xlabel="x", ylabel=r"log$_{10}$ distance from the limit")
    settings_note(axes, "float64; lines: e^(−|x|) / (1 + e^(−|x|)) and its complement")
    axes.legend(loc="lower center")
    return figure


def derivative(evidence: Evidence):
    """Sigmoid and its derivative; and the tail of the derivative, where the textbook formula cancels to 0."""
    figure, (left, right) = new_figure(2, height=2.4)
    arrays = evidence.arrays
    x = arrays["x"]
    near = np.abs(x) <= 10
    theory(left, x[near], arrays["sigmoid"][near], series=0, label="σ(x)")
    theory(left, x[near], arrays["derivative"][near], series=1, label="σ'(x)")
    left.plot(evidence["argument-of-maximum"].value, evidence["maximum"].value, "o", color=COLORS[1], mfc="white")
    left.annotate(
        f"maximum {evidence['maximum'].value:.4g}", (0.6, 0.25), textcoords="offset points", xytext=(12, 3), fontsize=7
    )
    left.set(xlabel="x", ylabel="value", ylim=(-0.03, 1.05))
    left.legend(loc="upper left")
    tail = x >= 0
    theory(right, x[tail], np.log10(arrays["derivative"][tail]), series=6, label="float64")
    for series, (name, label) in enumerate(
        (("derivative-float32", "σ(x)σ(−x), float32"), ("formula-float32", "σ(x)(1 − σ(x)), float32"))
    ):
        kept = np.flatnonzero(tail & (arrays[name] > 0))[:: 130 - 20 * series]
        right.plot(x[kept], np.log10(arrays[name][kept]), MARKERS[series], mfc="white", color=COLORS[series], label=label)
    lost = x[tail & (arrays["formula-float32"] == 0)].min()
    right.axvline(lost, color=COLORS[1], lw=0.6, ls=":")
    right.annotate(f"formula gives 0\nfrom x = {lost:.1f}", (lost, -2), textcoords="offset points", xytext=(4, 0), fontsize=7)
    right.set(xlabel="x", ylabel=r"log$_{10}$ σ'(x)")
    right.legend(loc="lower left")
    return figure


def blocks(evidence: Evidence):
    """The more units saturate, the less gradient passes."""
    figure, axes = new_figure()
    arrays = evidence.arrays
    saturated = 100 * arrays["saturated"]
    theory(axes, saturated, arrays["predicted"], label="mean-field theory")
    measured(axes, saturated, arrays["log10-gradient"], arrays["low"], arrays["high"], series=1, label="measured, 95% interval")
    for position, variance, height in zip(saturated, arrays["bias-variances"], arrays["log10-gradient"], strict=True):
        axes.annotate(f"{variance:g}", (position, height), textcoords="offset points", xytext=(4, 4), fontsize=6)
    axes.set(xlabel="saturated units (%)", ylabel=r"log$_{10}$ gradient ratio" + "\nfirst / last layer")
    settings_note(axes, f"sigmoid stack, equal weights; numbers: bias variance; n = {evidence['log10-change'].n}")
    axes.legend(loc="lower left")
    return figure


FIGURES = {
    "saturation.range": value_range,
    "saturation.limits": limits,
    "saturation.derivative": derivative,
    "saturation.blocks": blocks,
}
