"""Figures of the topic `neurons`."""

import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from experiments.study.figures.style import (
    COLORS,
    MARKERS,
    TWO_COLUMNS,
    curve,
    measured,
    new_figure,
    settings_note,
    theory,
)
from experiments.study.measurement import Evidence

# Not imported from the topic: a figure is a function of results alone.
_ACTIVATIONS = {"sigmoid": "sigmoid", "tanh": "tanh", "relu": "ReLU", "identity": "none"}
_KINDS = {
    "mlp": "MLP",
    "convolution": "convolution",
    "rnn": "RNN",
    "attention": "self-attention",
    "causal-attention": "causal self-attention",
}
_TASKS = {"xor": "XOR", "moons": "two moons", "mnist1d": "MNIST-1D"}


def unit(evidence: Evidence):
    """Output against weighted sum; and output along the weights and across them."""
    figure, (left, right) = new_figure(2, height=2.4)
    arrays = evidence.arrays
    order = np.argsort(arrays["sums"])
    for series, (name, label) in enumerate(_ACTIVATIONS.items()):
        theory(left, arrays["sums"][order], arrays[name][order], series=series, lw=0.6)
        left.plot(arrays["sums"], arrays[name], MARKERS[series], color=COLORS[series], mfc="white", mew=0.6, label=label)
        theory(right, arrays["steps"], arrays[f"along-{name}"], series=series, label=label)
        theory(right, arrays["steps"], arrays[f"across-{name}"], series=series, ls="--")
    left.set(xlabel="Σ w x + b", ylabel="output", ylim=(-2.5, 2.5), xlim=(-3, 3))
    right.set(xlabel="distance moved", ylabel="output", ylim=(-2.5, 2.5))
    settings_note(left, f"one unit of {evidence.arrays['inputs']} inputs; one point per example")
    settings_note(right, "solid: along the weights; dashed: orthogonal to them")
    left.legend(loc="upper left")
    return figure


def kinds(evidence: Evidence):
    """∂output/∂input by pair of positions for each kind, and its decay over the distance."""
    figure = Figure(figsize=(TWO_COLUMNS, 4.4))
    panels = figure.subplots(2, 3).ravel()
    arrays = evidence.arrays
    for axes, (name, title) in zip(panels, _KINDS.items(), strict=False):
        logs = np.ma.masked_invalid(arrays[name])
        axes.set_facecolor("#dddddd")
        image = axes.imshow(logs, cmap="viridis", norm=Normalize(-6, 0), interpolation="nearest")
        axes.set(title=title, xlabel="input position", ylabel="output position")
        axes.set_xticks([0, logs.shape[1] - 1])
        axes.set_yticks([0, logs.shape[0] - 1])
    figure.colorbar(image, ax=list(panels[:3]), label=r"log$_{10}$ |∂output/∂input|", shrink=0.9)
    panels[1].set_title(f"convolution, {arrays['convolution-reach'].size} layers of kernel {arrays['kernel']}")
    last = panels[-1]
    for series, (name, label) in enumerate(_KINDS.items()):
        curve(last, evidence, f"{name}-decay", arrays[f"{name}-lags"], series=series, label=label, most=12)
    last.set(xlabel="positions back", ylabel=r"log$_{10}$ |∂output/∂input|")
    settings_note(last, f"mean, n = {evidence['pairs-mlp'].n} seeds; grey elsewhere: exactly 0")
    last.legend(loc="lower left", fontsize=6)
    return figure


def linear(evidence: Evidence):
    """The network against its one matrix, by depth; and the rank of that matrix."""
    figure, (left, right) = new_figure(2, height=2.4)
    arrays = evidence.arrays
    for series, (name, eps) in enumerate((("float64", np.finfo(np.float64).eps), ("float32", np.finfo(np.float32).eps))):
        curve(left, evidence, f"error-{name}", arrays["depths"], series=series, label=name, most=40)
        left.axhline(np.log10(eps), color=COLORS[series], lw=0.6, ls=":")
    left.set(xlabel="layers", ylabel=r"log$_{10}$ relative difference", ylim=(-17, 0))
    settings_note(left, "network without activations against x M + c; dotted: rounding unit")
    left.legend(loc="upper right")
    curve(right, evidence, "rank", arrays["recorded"], series=2, label="measured", line="Lyapunov exponents")
    right.set(xscale="log", xlabel="layers", ylabel="numerical rank of M", ylim=(0, None))
    settings_note(right, f"float64, Gaussian weights, n = {evidence['rank-deepest'].n} seeds")
    right.legend(loc="lower left")
    return figure


def expressive(evidence: Evidence):
    """Decision regions with and without activations, and the accuracies."""
    figure = Figure(figsize=(TWO_COLUMNS, 3.6))
    grid = figure.add_gridspec(2, 3, width_ratios=(1, 1, 1.3))
    arrays = evidence.arrays
    for row, task in enumerate(("xor", "moons")):
        for column, (arm, label) in enumerate((("identity", "no activation"), ("relu", "ReLU"))):
            axes = figure.add_subplot(grid[row, column])
            _regions(axes, arrays, task, arm)
            axes.set_title(f"{_TASKS[task]}, {label}: {evidence[f'accuracy-{task}-{arm}'].value:.3f}")
    axes = figure.add_subplot(grid[:, 2])
    place = np.arange(len(_TASKS))
    for series, arm in enumerate(arrays["arms"]):
        bounds = [[arrays[f"{task}-{part}"][series] for task in _TASKS] for part in ("mean", "low", "high")]
        measured(axes, place + 0.15 * (series - 1), *bounds, series=series, label=_ACTIVATIONS[str(arm)])
    axes.set_xticks(place, list(_TASKS.values()))
    axes.axhline(0.5, color="#888888", lw=0.6, ls=":")
    axes.set(ylabel="test accuracy", ylim=(0.45, 1.02), xlim=(-0.5, place[-1] + 0.5))
    settings_note(axes, f"n = {evidence['accuracy-xor-relu'].n} seeds, tuned learning rates; dotted: chance of two classes")
    axes.legend(loc="center right", title="activation", title_fontsize=7)
    return figure


def _regions(axes, arrays, task: str, arm: str) -> None:
    """The sign of the margin as background, test points over it."""
    side = (-2, 2, -2, 2)
    axes.imshow(arrays[f"{task}-{arm}-margin"] > 0, cmap="coolwarm", alpha=0.25, origin="lower", extent=side, aspect="auto")
    points, labels = arrays[f"{task}-points"], arrays[f"{task}-labels"]
    for label, color in ((0, COLORS[0]), (1, COLORS[1])):
        own = points[labels == label]
        axes.plot(own[:, 0], own[:, 1], MARKERS[label], color=color, ms=1.2, mew=0.3)
    axes.set(xlim=side[:2], ylim=side[2:], xticks=[], yticks=[])


FIGURES = {
    "neurons.unit": unit,
    "neurons.kinds": kinds,
    "neurons.linear": linear,
    "neurons.expressive": expressive,
}
