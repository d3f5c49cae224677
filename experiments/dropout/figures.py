"""Figures of the topic `dropout`."""

import numpy as np

from experiments.study.figures.style import COLORS, curve, legend_below, new_figure, points, rows, settings_note, theory
from experiments.study.measurement import Evidence

# Not imported from the topic: a figure is a function of results alone.
_ARMS = {"plain": "without dropout", "dropout": "with dropout"}
_SIDES = {"digits": "digits", "narrow": "narrow", "short": "short run", "untuned": "p = ½"}  # beside the curve over data size
_NETWORKS = {f"{name}-{level}": (name, level) for name in ("linear", "hidden") for level in ("low", "high")}  # of the ensemble
_BEHIND = {"linear": "softmax layer after the mask", "hidden": "hidden and softmax layer after it"}
_CAUSES = {"sample": "other training set", "start": "other start", "noise": "noise on the inputs", "patch": "patch hidden"}


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
    keeps = dict(zip(("low", "high"), evidence.arrays["keeps"], strict=True))
    for series, (name, (behind, level)) in enumerate(_NETWORKS.items()):
        distance = evidence.arrays[f"distance-{name}-mean"]
        theory(left, samples, distance[-1] * np.sqrt(samples[-1] / samples), series=series)
        label = f"{_BEHIND[behind]}, p = {keeps[level]:g}"
        curve(left, evidence, f"distance-{name}", samples, series=series, label=label)
        scaled = evidence[f"arithmetic-difference-{name}"].value
        left.axhline(scaled, color=COLORS[series], lw=0.8, ls="--")
    left.set(xscale="log", yscale="log", xlabel="masks averaged", ylabel="distance from the exact mean\n(total variation)")
    settings_note(left, "points: Monte-Carlo mean; line: slope −½; dashed: weight scaling")
    legend_below(left)
    kinds = {
        "mean-subnetwork": "one\nsubnetwork",
        "arithmetic": "arithmetic\nmean",
        "geometric": "geometric\nmean",
        "scaled": "weight\nscaling",
    }
    for series, name in enumerate(_NETWORKS):
        found = [evidence[f"accuracy-{kind}-{name}"] for kind in kinds]
        at = np.arange(len(kinds)) + 0.16 * (series - 1.5)
        points(right, at, found, series=series)
    right.set(xticks=range(len(kinds)), xticklabels=kinds.values(), ylabel="test accuracy", xlim=(-0.5, 3.5))
    settings_note(right, f"MNIST, exact over all masks; n = {found[0].n} trained networks each")
    return figure


def overfitting(evidence: Evidence):
    """Test and training loss and test accuracy over data size, with and without dropout; and what it changes elsewhere."""
    figure, (left, middle, right) = new_figure(3, height=2.6)
    arrays, examples = evidence.arrays, evidence.arrays["examples"]
    for series, (arm, label) in enumerate(_ARMS.items()):
        curve(left, evidence, f"test-loss-{arm}", examples, series=series, label=f"{label}, test", ls="-")
        curve(left, evidence, f"train-loss-{arm}", examples, series=series, label=f"{label}, training", ls=":")
        curve(middle, evidence, f"test-accuracy-{arm}", examples, series=series, label=label, ls="-")
    left.set(xscale="log", yscale="log", xlabel="training examples", ylabel="loss (nats)")
    settings_note(left, "MNIST-1D; each arm at its tuned rate", 36)
    left.legend(loc="lower left", fontsize=5.5)
    middle.set(xscale="log", xlabel="training examples", ylabel="test accuracy", ylim=(0, 1))
    chosen = ", ".join(f"{keep:g}" for keep in arrays["keeps-dropout"])
    settings_note(middle, f"p chosen: {chosen}; n = {evidence['gap-change-large'].n}", 36)
    middle.legend(loc="lower right")
    sizes = {"small": f"{examples[1]:,}", "medium": f"{examples[2]:,}"}
    shown = sizes | _SIDES
    rows(right, [evidence[f"accuracy-change-{name}"] for name in shown], list(shown.values()), series=2)
    right.axvline(0, color="#888888", lw=0.6)
    right.set(xlabel="change of test accuracy")
    settings_note(right, f"with dropout − without; the last three at {examples[2]:,} examples", 36)
    return figure


def redundancy(evidence: Evidence):
    """Accuracy against the fraction of units deleted; the worst single unit; predictions that disturbed inputs change."""
    figure, (left, middle, right) = new_figure(3, height=2.5)
    fractions = 100 * evidence.arrays["fractions"]
    for series, (arm, label) in enumerate(_ARMS.items()):
        curve(left, evidence, f"accuracy-{arm}", fractions, series=series, label=label, ls="-")
        points(middle, [series], [evidence[f"worst-unit-{arm}"]], series=series)
        found = [evidence[f"changed-{name}-{arm}"] for name in ("noise", "patch")]
        points(right, np.arange(2) + 0.2 * (series - 0.5), found, series=series)
    left.axhline(0.1, color="#888888", lw=0.6, ls=":")
    left.set(xlabel="units deleted (%)", ylabel="test accuracy", ylim=(0, 1))
    settings_note(left, f"no rescaling; dotted: chance; n = {evidence['ablation-change'].n}", 36)
    left.legend(loc="lower left")
    middle.set(xticks=(0, 1), xticklabels=("without", "with dropout"), xlim=(-0.5, 1.5), ylabel="accuracy lost")
    settings_note(middle, "worst single hidden unit deleted", 36)
    right.set(xticks=(0, 1), xticklabels=("noise", "patch hidden"), xlim=(-0.5, 1.5), ylabel="share of predictions changed")
    settings_note(right, "disturbed test digits", 36)
    for axes in (middle, right):
        axes.set_ylim(0, None)
    return figure


def stability(evidence: Evidence):
    """The share of predictions that change, with dropout over without, by what differs."""
    figure, axes = new_figure(height=2.6)
    for series, (task, label) in enumerate((("sequences", "MNIST-1D"), ("digits", "digits"))):
        causes = [cause for cause in _CAUSES if task == "sequences" or cause in ("noise", "patch")]
        places = [list(_CAUSES).index(cause) + 0.16 * (series - 0.5) for cause in causes]
        points(axes, places, [evidence[f"log-ratio-{cause}-{task}"] for cause in causes], series=series, label=label)
    axes.axhline(0, color="#888888", lw=0.6)
    axes.set_xticks(range(len(_CAUSES)), [label.replace(" ", "\n", 1) for label in _CAUSES.values()])
    axes.set(ylabel="ln(with dropout / without)", xlim=(-0.5, len(_CAUSES) - 0.5))
    settings_note(axes, f"share of predicted classes that change; n = {evidence['log-ratio-noise-digits'].n} seeds, paired")
    axes.legend(loc="best")
    return figure


FIGURES = {
    "dropout.mask": mask,
    "dropout.scale": scale,
    "dropout.subnetworks": subnetworks,
    "dropout.ensemble": ensemble,
    "dropout.overfitting": overfitting,
    "dropout.redundancy": redundancy,
    "dropout.stability": stability,
}
