"""Figures of the question `normalization`."""

from functools import partial

import numpy as np

from experiments.study.figures.style import COLORS, curve, new_figure, points, settings_note, theory
from experiments.study.measurement import Evidence

# Not imported from the question: a figure is a function of results alone.
_PASSED = "layers that the gradient has passed"
_GRADIENT = r"log$_{10}$ gradient norm"
_THIRD = 36  # characters of a note above a third of two columns
_ARMS = {"plain": "without", "normalised": "batch norm", "noisy": "batch norm, then noise"}

_curve = partial(curve, most=13)


def drift(evidence: Evidence):
    """Scale of activations and gradients by layer."""
    figure, panels = new_figure(2, height=2.5)
    names = {"small": "half", "he": "He", "large": "twice", "normalised": "twice, batch norm"}
    for axes, kind, label in zip(panels, ("activation", "gradient"), ("RMS activation", "gradient norm"), strict=True):
        for series, (name, weights) in enumerate(names.items()):
            weight_variance = evidence.arrays[f"variance-{name}"]
            _curve(axes, evidence, f"{kind}-{name}", series=series, label=rf"$\sigma_w^2$ = {weight_variance:g} ({weights})")
        axes.set(xlabel="layer", ylabel=rf"log$_{{10}}$ {label}")
    settings_note(panels[0], f"ReLU, line: σ_w²/2 per layer; n = {evidence['activation-drift-he'].n} seeds")
    settings_note(panels[1], "relative to the last layer")
    panels[0].legend(loc="lower left", fontsize=6)
    return figure


def formula(evidence: Evidence):
    """Running variance over updates, biased and unbiased; the variance by one and by two passes."""
    figure, (left, right) = new_figure(2, height=2.4)
    labels = {
        "running-variance-unbiased": "running, of the unbiased variance",
        "running-variance-biased": "running, of the biased variance",
        "normalising-variance": "what normalises: biased",
    }
    for series, (name, label) in enumerate(labels.items()):
        x = np.arange(1, evidence.arrays[f"{name}-mean"].size + 1)
        _curve(left, evidence, name, x, series=series, label=label, most=20)
    left.set(xlabel="updates", ylabel="variance, mean over features")
    arrays = evidence.arrays
    settings_note(left, f"inputs of variance 1, batches of {arrays['batch']}, momentum {arrays['momentum']:g}; line: expected")
    left.legend(loc="center right")
    for series, (name, label) in enumerate((("two-pass", "two passes"), ("one-pass", "E x² − (E x)²"))):
        one = evidence[f"{name}-variance"]
        points(right, [series], [one], series=series, label=label)
    right.axhline(evidence["two-pass-variance"].prediction, color="#888888", lw=0.6, ls=":")
    right.set_xticks((0, 1), ("two passes", "E x² − (E x)²"))
    right.set_yscale("symlog", linthresh=1e-4)
    lowest, highest = evidence["one-pass-variance"].low, evidence["one-pass-variance"].high
    right.set(xlim=(-0.5, 1.5), ylim=(1.5 * min(lowest, -1e-4), 2 * max(highest, 1e-4)), ylabel="variance")
    settings_note(right, "float32, 100 + 0.01 × standard normal; dotted: the true variance")
    return figure


def moments(evidence: Evidence):
    """Output variance against input variance; and over the features in training and at inference."""
    figure, (left, right) = new_figure(2, height=2.4)
    x = evidence.arrays["variances"]
    theory(left, x, evidence.arrays["predicted"], label="σ²/(σ² + ε)")
    _curve(left, evidence, "swept", x, series=1, label="measured", most=25)
    left.set(xscale="log", xlabel="variance of the input, σ²", ylabel="variance of the output")
    settings_note(left, f"training, n = {evidence['variance-ordinary'].n} seeds")
    left.legend(loc="lower right")
    bins = np.linspace(0.6, 1.4, 65)
    for series, (name, label) in enumerate((("inference", "inference"), ("training", "training"))):
        right.hist(evidence.arrays[name], bins, color=COLORS[series], alpha=0.6, label=label)
    right.set(yscale="log", xlabel="variance of a feature's output over a batch", ylabel="features")
    settings_note(right, "one new batch; running statistics are not the batch's own")
    right.legend(loc="upper right")
    return figure


def saturated_range(evidence: Evidence):
    """Saturated sigmoid units and the loss on the way of training."""
    figure, panels = new_figure(2, height=2.4)
    x = evidence.arrays["steps"]
    for axes, kind, label in zip(
        panels, ("saturated", "loss"), ("saturated units (share)", "training loss (nats)"), strict=True
    ):
        for series, name in enumerate(("plain", "normalised")):
            _curve(axes, evidence, f"{kind}-{name}", x, series=series, label=_ARMS[name], most=20, ls="-")
        axes.set(xlabel="step", ylabel=label, ylim=(0, None))
    variance = evidence.arrays["weight-variance"]
    settings_note(panels[0], f"sigmoid, σ_w² = {variance:g}; slope below 5% of its maximum")
    settings_note(panels[1], f"MNIST, tuned learning rates, n = {evidence['saturated-change'].n} seeds")
    panels[0].legend(loc="center right")
    return figure


def gradients(evidence: Evidence):
    """The gradient by layer; the gain by position; the gain by width and by batch."""
    figure, (left, middle, right) = new_figure(3, height=2.7)
    names = {
        "relu": "ReLU, batch norm",
        "residual": "ReLU, batch norm, shortcuts",
        "layer-norm": "ReLU, layer norm",
        "sigmoid": "sigmoid, batch norm",
        "plain-sigmoid": "sigmoid, none",
    }
    for series, (name, label) in enumerate(names.items()):
        _curve(left, evidence, name, series=series, label=label, most=9)
    left.set(xlabel=_PASSED, ylabel=_GRADIENT, ylim=(-4, 8))
    settings_note(left, f"at initialisation; line: predicted gain; n = {evidence['gain-relu'].n}", _THIRD)
    left.legend(loc="upper left", fontsize=5.5)
    limit, arrays = float(evidence.arrays["limit"]), evidence.arrays
    _curve(middle, evidence, "position", series=0, label="ReLU, batch norm", most=25)
    middle.axhline(limit, color=COLORS[0], lw=0.8)
    middle.axvspan(*arrays["window"], color="#dddddd", zorder=0)
    first = arrays["position-mean"][0]
    middle.annotate(
        f"layer 0: {first:.2f}, the input\nis Gaussian, not ReLU's", (0, first), (1.5, first), fontsize=6, va="center"
    )
    middle.set(xlabel="layer", ylabel="gain of the squared gradient", ylim=(0, 1.25 * limit))
    settings_note(middle, "by layer; line: π/(π−1); grey: the window measured", _THIRD)
    sizes = arrays["sizes"]
    for series, (name, label) in enumerate(
        (("width", "by width"), ("batch", "by batch"), ("linear-batch", "linear, by batch"))
    ):
        _curve(right, evidence, name, sizes, series=series, label=label, most=25)
    right.axhline(limit, color=COLORS[6], lw=0.8)
    theory(right, sizes, arrays["linear-predicted"], series=2)
    right.set(xscale="log", xlabel="width or batch", xticks=sizes, xticklabels=sizes)
    right.minorticks_off()
    right.tick_params(axis="x", labelsize=6)
    settings_note(right, f"the other one at {sizes[-1]}; lines: π/(π−1), (B−2)/(B−3)", _THIRD)
    right.legend(loc="best", fontsize=6)
    return figure


def shift(evidence: Evidence):
    """Both measures of covariate shift and the loss over training, at tuned learning rates."""
    figure, panels = new_figure(3, height=2.7)
    x = evidence.arrays["steps"]
    kinds = {
        "input-drift": r"log$_{10}$ drift of inputs per step",
        "gradient-change": r"log$_{10}$ change of the gradient",
        "loss": "training loss (nats)",
    }
    for axes, (kind, label) in zip(panels, kinds.items(), strict=True):
        for series, (name, arm) in enumerate(_ARMS.items()):
            _curve(axes, evidence, f"{kind}-{name}", x, series=series, label=arm, most=10, ls="-")
        _curve(axes, evidence, f"{kind}-normalised-equal", x, series=3, label="batch norm, rate of plain", most=10, ls=":")
        axes.set(xlabel="step", ylabel=label)
    notes = ("drift of a layer's input distribution", "Santurkar et al. (2018)", f"n = {evidence['log-loss-plain'].n} seeds")
    for axes, note in zip(panels, notes, strict=True):
        settings_note(axes, note, _THIRD)
    figure.legend(*panels[2].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def learning_rate(evidence: Evidence):
    """Final loss and steps to the target against the learning rate."""
    figure, panels = new_figure(2, height=2.8)
    rates = evidence.arrays["rates"]
    series = 0
    for name, label in (("relu", "ReLU"), ("sigmoid", "sigmoid")):
        for arm in ("plain", "normalised"):
            for axes, kind in zip(panels, ("loss", "steps"), strict=True):
                text = f"{label}, {_ARMS[arm]}"
                _curve(axes, evidence, f"{kind}-{arm}-{name}", rates, series=series, label=text, most=20, ls="-")
            series += 1
    panels[0].set(xscale="log", yscale="log", xlabel="learning rate", ylabel="final training loss (nats)")
    panels[1].set(xscale="log", xlabel="learning rate", ylabel="steps to the target loss")
    settings_note(panels[0], f"SGD on MNIST, capped at 10; n = {evidence['rate-change-relu'].n} seeds")
    settings_note(panels[1], "all steps where the target is not reached")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


FIGURES = {
    "normalization.drift": drift,
    "normalization.formula": formula,
    "normalization.moments": moments,
    "normalization.range": saturated_range,
    "normalization.gradients": gradients,
    "normalization.shift": shift,
    "normalization.learning-rate": learning_rate,
}
