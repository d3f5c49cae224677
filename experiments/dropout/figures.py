"""Figures of the topic `dropout`."""

import numpy as np

from experiments.study.figures.style import COLORS, curve, measured, new_figure, points, settings_note, theory
from experiments.study.measurement import Evidence

# Not imported from the topic: a figure is a function of results alone.
_ARMS = {"plain": "without dropout", "dropout": "with dropout"}
_SIZES = ("tiny", "medium", "large")
_NETWORKS = {"linear": "softmax layer after the mask", "hidden": "hidden and softmax layer after it"}


def mask(evidence: Evidence):
    """Masks of successive steps, and the fraction of units that stay against p."""
    figure, (left, right) = new_figure(2, height=2.4)
    left.imshow(evidence.arrays["picture"], cmap="Greys", interpolation="nearest", vmin=0, vmax=1.3)
    left.set(xlabel="unit", ylabel="step")
    settings_note(left, "masks m of one layer; dark: kept")
    keeps = evidence.arrays["keeps"]
    line = np.asarray([0, 1])
    theory(right, line, line, label="p, the probability to keep")
    right.plot(line, 1 - line, ":", color=COLORS[6], label="if p were the probability to drop")
    curve(right, evidence, "kept", keeps, series=1, label="measured, 95% interval")
    right.set(xlabel="p", ylabel="fraction of units kept", ylim=(0, 1.35))
    settings_note(right, f"n = {evidence['unit-correlation'].n} seeds")
    right.legend(loc="upper left")
    return figure


def scale(evidence: Evidence):
    """Mean in training over that at inference, before and after a ReLU."""
    figure, axes = new_figure(height=2.5)
    keeps = evidence.arrays["keeps"]
    fine = np.linspace(keeps[0], 1, 200)
    labels = {
        "linear": ("pre-activation; line: 1", np.ones_like(fine)),
        "relu": ("after ReLU; line: 1/√p", fine**-0.5),
        "unscaled": ("after ReLU, no scale at inference; line: √p", fine**0.5),
    }
    for series, (name, (label, predicted)) in enumerate(labels.items()):
        theory(axes, fine, predicted, series=series)
        curve(axes, evidence, name, keeps, series=series, label=label)
    axes.set(xlabel="p, the probability to keep", ylabel="mean, training / inference", ylim=(0, 3.4))
    settings_note(axes, f"random layers, n = {evidence['relu-ratio'].n} seeds")
    axes.legend(loc="upper right")
    return figure


def subnetworks(evidence: Evidence):
    """How many different masks the steps of a training see, by units of the layer."""
    figure, axes = new_figure(height=2.4)
    arrays = evidence.arrays
    sizes, steps = arrays["sizes"], int(arrays["steps"])
    theory(axes, sizes, arrays["predicted"], label="expected")
    axes.plot(sizes, np.minimum(2.0**sizes, steps), ":", color=COLORS[6], label=r"min(2$^n$, steps)")
    curve(axes, evidence, "distinct", sizes, series=1, label="measured, 95% interval")
    axes.set(xlabel="n, units of the layer", ylabel="different masks", yscale="log")
    chance = evidence["log10-pair-chance"]
    settings_note(axes, f"{steps} steps; trained network: two steps share a mask with chance 10$^{{{chance.value:.0f}}}$")
    axes.legend(loc="lower right")
    return figure


def ensemble(evidence: Evidence):
    """Monte-Carlo averages against the exact one, weight scaling beside them; and their accuracies."""
    figure, (left, right) = new_figure(2, height=2.6)
    samples = evidence.arrays["samples"]
    for series, (name, label) in enumerate(_NETWORKS.items()):
        distance = evidence.arrays[f"distance-{name}-mean"]
        theory(left, samples, distance[-1] * np.sqrt(samples[-1] / samples), series=series)
        curve(left, evidence, f"distance-{name}", samples, series=series, label=label)
        scaled = evidence[f"arithmetic-difference-{name}"].value
        left.axhline(scaled, color=COLORS[series], lw=0.8, ls="--")
    left.set(xscale="log", yscale="log", xlabel="masks averaged", ylabel="distance from the exact mean\n(total variation)")
    settings_note(left, "points: Monte-Carlo mean; line: slope −½; dashed: weight scaling")
    left.legend(loc="lower left")
    kinds = {
        "mean-subnetwork": "one\nsubnetwork",
        "arithmetic": "arithmetic\nmean",
        "geometric": "geometric\nmean",
        "scaled": "weight\nscaling",
    }
    for series, name in enumerate(_NETWORKS):
        found = [evidence[f"accuracy-{kind}-{name}"] for kind in kinds]
        at = np.arange(len(kinds)) + 0.16 * (series - 0.5)
        points(right, at, found, series=series)
    right.set(xticks=range(len(kinds)), xticklabels=kinds.values(), ylabel="test accuracy", xlim=(-0.5, 3.5))
    settings_note(right, f"MNIST, exact over all masks; n = {found[0].n} trained networks each")
    return figure


def overfitting(evidence: Evidence):
    """Test error and the gap to training accuracy over data size, with and without dropout, wide and narrow."""
    figure, (left, right) = new_figure(2, height=2.6)
    x, (wide, narrow) = evidence.arrays["examples"].astype(float), evidence.arrays["widths"]
    for series, (arm, label) in enumerate(_ARMS.items()):
        found = [evidence[f"accuracy-{arm}-{size}"] for size in _SIZES]
        shown = tuple(zip(*((1 - m.value, 1 - m.high, 1 - m.low) for m in found), strict=True))
        measured(left, x, *shown, series=series, label=f"{label}, {wide} units", ls="-")
        gaps = [[evidence.arrays[f"gap-{arm}-{size}-{part}"] for size in _SIZES] for part in ("mean", "low", "high")]
        measured(right, x, *gaps, series=series, label=label, ls="-")
        one = evidence[f"accuracy-{arm}-narrow"]
        look = {"series": series + 2, "color": COLORS[series]}
        measured(left, x[-1:], [1 - one.value], [1 - one.high], [1 - one.low], label=f"{label}, {narrow} units", **look)
        gap = [[evidence.arrays[f"gap-{arm}-narrow-{part}"]] for part in ("mean", "low", "high")]
        measured(right, x[-1:], *gap, **look)
    left.set(xscale="log", yscale="log", xlabel="training examples", ylabel="test error")
    settings_note(left, f"MNIST, n = {evidence['gap-change-large'].n} seeds, each arm at its tuned learning rate")
    left.set_ylim(0.012, 0.9)  # room for the legend
    left.legend(loc="lower left")
    right.set(xscale="log", xlabel="training examples", ylabel="training − test accuracy")
    settings_note(right, "generalisation gap; same symbols")
    right.axhline(0, color="#888888", lw=0.6)
    return figure


def redundancy(evidence: Evidence):
    """Accuracy against the fraction of units deleted; the worst single unit; the correlation of units."""
    figure, (left, middle, right) = new_figure(3, height=2.5)
    fractions = 100 * evidence.arrays["fractions"]
    for series, (arm, label) in enumerate(_ARMS.items()):
        curve(left, evidence, f"accuracy-{arm}", fractions, series=series, label=label, ls="-")
        for axes, name in ((middle, "worst-unit"), (right, "correlation")):
            points(axes, [series], [evidence[f"{name}-{arm}"]], series=series)
    left.axhline(0.1, color="#888888", lw=0.6, ls=":")
    left.set(xlabel="units deleted (%)", ylabel="test accuracy", ylim=(0, 1))
    settings_note(left, f"no rescaling; dotted: chance; n = {evidence['ablation-change'].n}")
    left.legend(loc="lower left")
    for axes, label, note in (
        (middle, "accuracy lost", "worst single hidden unit deleted"),
        (right, "mean |correlation| of units", "last hidden layer, test set"),
    ):
        axes.set(xticks=(0, 1), xticklabels=("without", "with dropout"), xlim=(-0.5, 1.5), ylabel=label)
        axes.set_ylim(0, None)
        settings_note(axes, note)
    return figure


FIGURES = {
    "dropout.mask": mask,
    "dropout.scale": scale,
    "dropout.subnetworks": subnetworks,
    "dropout.ensemble": ensemble,
    "dropout.overfitting": overfitting,
    "dropout.redundancy": redundancy,
}
