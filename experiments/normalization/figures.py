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
    """Scale of activations and gradients by layer; what becomes of the scale of the inputs."""
    figure, panels = new_figure(3, height=2.7)
    names = {"small": "half", "he": "He", "large": "twice", "normalised": "twice, batch norm"}
    for axes, kind, label in zip(panels, ("activation", "gradient"), ("RMS activation", "gradient norm"), strict=False):
        for series, (name, weights) in enumerate(names.items()):
            weight_variance = evidence.arrays[f"variance-{name}"]
            _curve(axes, evidence, f"{kind}-{name}", series=series, label=rf"$\sigma_w^2$ = {weight_variance:g} ({weights})")
        axes.set(xlabel="layer", ylabel=rf"log$_{{10}}$ {label}")
    inputs = {"plain": "He", "normalised": "He, batch norm"}
    for series, (name, label) in enumerate(inputs.items()):
        for which, factor in (("low", "0.1"), ("high", "10")):
            number = 2 * series + (which == "high")
            _curve(panels[2], evidence, f"input-{which}-{name}", series=number, label=f"{label}, inputs × {factor}")
    panels[2].set(xlabel="layer", ylabel=r"log$_{10}$ RMS activation")
    settings_note(panels[0], f"ReLU, line: σ_w²/2 per layer; n = {evidence['activation-drift-he'].n}", _THIRD)
    settings_note(panels[1], "relative to the last layer", _THIRD)
    settings_note(panels[2], f"inputs of another scale; n = {evidence['input-decades-plain'].n}", _THIRD)
    panels[0].legend(loc="lower left", fontsize=5)
    panels[2].legend(loc="best", fontsize=5)
    return figure


def implication(evidence: Evidence):
    """Scale of activations and gradients by layer, of stacks whose activations are stable."""
    figure, panels = new_figure(2, height=2.5)
    names = {
        "batch-norm": "ReLU, batch norm",
        "layer-norm-relu": "ReLU, layer norm",
        "layer-norm-sigmoid": "sigmoid, layer norm",
        "plain-sigmoid": "sigmoid, none",
    }
    for axes, kind, label in zip(panels, ("activation", "gradient"), ("RMS activation", "gradient norm"), strict=True):
        for series, (name, text) in enumerate(names.items()):
            _curve(axes, evidence, f"{kind}-{name}", series=series, label=text)
        axes.set(xlabel="layer", ylabel=rf"log$_{{10}}$ {label}")
    panels[0].set(ylim=(-1, 1))
    settings_note(panels[0], f"relative to the first layer; n = {evidence['gradient-change-batch-norm'].n} seeds")
    settings_note(panels[1], "relative to the last layer; lines: theory")
    panels[1].legend(loc="lower right", fontsize=6)
    return figure


def inputs(evidence: Evidence):
    """Growth of activations and accuracy against the scale and the shift of the inputs."""
    figure, rows = new_figure(4, height=2.5)
    names = {"plain": "none", "batch": "batch norm, batch's own", "running": "batch norm, running", "layer": "layer norm"}
    x = 10.0 ** evidence.arrays["decades"]
    labels = {"growth": r"growth (log$_{10}$)", "accuracy": "test accuracy"}
    panels = ((kind, change) for change in ("scale", "shift") for kind in labels)
    for axes, (kind, change) in zip(rows, panels, strict=True):
        for series, (name, label) in enumerate(names.items()):
            _curve(axes, evidence, f"{kind}-{name}-{change}", x, series=series, label=label, most=20, ls="-")
        axes.set(xscale="log", xlabel=f"{change} of the inputs", ylabel=labels[kind])
        if kind == "growth":
            axes.set(ylim=(-1, 3.5))
    settings_note(rows[0], f"trained; n = {evidence['growth-batch'].n} seeds", 28)
    figure.legend(*rows[0].get_legend_handles_labels(), loc="outside lower center", ncols=4)
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
    """Saturated sigmoid units by the variance of the weights, and with the loss on the way of training."""
    figure, panels = new_figure(3, height=2.6)
    x = evidence.arrays["steps"]
    curves = {
        "initial": (evidence.arrays["variances"], "saturated units (share)"),
        "saturated": (x, "saturated units (share)"),
        "loss": (x, "training loss (nats)"),
    }
    for axes, (kind, (places, label)) in zip(panels, curves.items(), strict=True):
        for series, name in enumerate(("plain", "normalised")):
            _curve(axes, evidence, f"{kind}-{name}", places, series=series, label=_ARMS[name], most=20, ls="-")
        axes.set(xlabel="step", ylabel=label, ylim=(0, None))
    panels[0].set(xscale="log", xlabel=r"variance of the weights, $\sigma_w^2$")
    variance = evidence.arrays["weight-variance"]
    settings_note(panels[0], "at initialisation; slope below 5% of its maximum", _THIRD)
    settings_note(panels[1], f"sigmoid, σ_w² = {variance:g}", _THIRD)
    settings_note(panels[2], f"MNIST, n = {evidence['saturated-change'].n} seeds", _THIRD)
    panels[0].legend(loc="upper left", fontsize=6)
    return figure


def gradients(evidence: Evidence):
    """The gradient by layer; the gain by position; the gain by width and by batch."""
    figure, (left, middle, right) = new_figure(3, height=2.7)
    names = {
        "relu": "ReLU, batch norm",
        "residual": "ReLU, batch norm, shortcuts",
        "layer-norm": "ReLU, layer norm",
        "layer-norm-tanh": "tanh, layer norm",
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
    settings_note(middle, "by layer; line: theory; grey: the window measured", _THIRD)
    sizes = arrays["sizes"]
    for series, (name, label) in enumerate(
        (("width", "by width"), ("batch", "by batch"), ("linear-batch", "linear, by batch"))
    ):
        _curve(right, evidence, name, sizes, series=series, label=label, most=25)
    right.set(xscale="log", xlabel="width or batch", xticks=sizes, xticklabels=sizes)
    right.minorticks_off()
    right.tick_params(axis="x", labelsize=6)
    settings_note(right, "lines: theory of a wide layer at each batch", _THIRD)
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
    notes = ("MLP; a layer's input distribution", "Santurkar et al. (2018)", f"n = {evidence['log-loss-plain'].n} seeds")
    for axes, note in zip(panels, notes, strict=True):
        settings_note(axes, note, _THIRD)
    figure.legend(*panels[2].get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure


def learning_rate(evidence: Evidence):
    """Final loss against the learning rate; steps to the target at the best one."""
    figure, panels = new_figure(2, height=2.8)
    labels = {"relu": "ReLU", "sigmoid": "sigmoid", "cnn": "ReLU CNN"}
    found = []
    for name, label in labels.items():
        for arm in ("plain", "normalised"):
            series, text = len(found), f"{label}, {_ARMS[arm]}"
            _curve(
                panels[0],
                evidence,
                f"loss-{arm}-{name}",
                evidence.arrays[f"rates-{name}"],
                series=series,
                label=text,
                most=20,
                ls="-",
            )
            found.append(evidence[f"steps-{arm}-{name}"])
            points(panels[1], [series], [found[-1]], series=series, label=text)
    panels[0].set(xscale="log", yscale="log", xlabel="learning rate", ylabel="final training loss (nats)")
    panels[1].set(yscale="log", xticks=[], ylabel="steps to the target loss")
    settings_note(panels[0], f"SGD on MNIST, capped at 10; n = {evidence['rate-change-relu'].n} seeds")
    settings_note(panels[1], "each at its best rate; all steps where it is missed")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


FIGURES = {
    "normalization.drift": drift,
    "normalization.formula": formula,
    "normalization.moments": moments,
    "normalization.range": saturated_range,
    "normalization.gradients": gradients,
    "normalization.shift": shift,
    "normalization.learning-rate": learning_rate,
    "normalization.inputs": inputs,
    "normalization.implication": implication,
}
