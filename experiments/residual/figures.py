"""Figures of the topic `residual`."""

import numpy as np

from experiments.study.figures.style import COLORS, MARKERS, curve, new_figure, seeds_note, settings_note
from experiments.study.measurement import Evidence

_RATIO = r"log$_{10}$ gradient norm / last layer's"
_ARMS = {"plain": "plain", "unscaled": "residual", "scaled": "residual, branch × 1/√L"}


def form(evidence: Evidence):
    """Output against input: the identity plus what the branch adds."""
    figure, axes = new_figure()
    x, added = evidence.arrays["x"], evidence.arrays["added"]
    axes.plot([-4, 4], [-4, 4], "-", color=COLORS[6], lw=0.8, label="x")
    axes.plot(x, x + added, ".", color=COLORS[0], ms=2, label="y = F(x) + x", rasterized=True)
    axes.plot(x, added, ".", color=COLORS[1], ms=2, label="F(x)", rasterized=True)
    axes.set(xlabel="input unit", ylabel="output unit", xlim=(-4, 4))
    settings_note(axes, "one block; each point is one unit of one example")
    axes.legend(loc="upper left")
    return figure


def identity(evidence: Evidence):
    """∂F/∂x, ∂F/∂x + I and their singular values side by side."""
    figure, (left, middle, right) = new_figure(3, height=2.2)
    arrays = evidence.arrays
    limit = np.abs(arrays["block"]).max()
    for axes, name, title in ((left, "branch", "∂F/∂x"), (middle, "block", "∂y/∂x = ∂F/∂x + I")):
        image = axes.imshow(arrays[name], cmap="RdBu_r", vmin=-limit, vmax=limit, interpolation="nearest")
        axes.set(title=title, xlabel="input unit", xticks=[], yticks=[])
    left.set_ylabel("output unit")
    figure.colorbar(image, ax=(left, middle), shrink=0.8, location="bottom", pad=0.02)
    for series, (name, label) in enumerate((("branch-singular", "∂F/∂x"), ("block-singular", "∂F/∂x + I"))):
        values = arrays[name]
        right.plot(np.arange(1, values.size + 1), values, MARKERS[series], color=COLORS[series], mfc="white", label=label)
    right.axhline(1, color="#888888", lw=0.6)
    right.set(xlabel="index", ylabel="singular value", ylim=(-0.1, None))
    right.legend(loc="upper right")
    return figure


def path(evidence: Evidence):
    """Gradient profiles with and without the shortcut, and the share of the gradient by path length."""
    figure, (left, right) = new_figure(2, height=2.5)
    arrays = evidence.arrays
    styles = zip(("plain", "residual"), (1, 0), strict=True)
    for name, series in styles:
        for number, depth in enumerate(arrays["depths"]):
            position = np.linspace(0, 1, depth + 1)
            label = f"{name}, {', '.join(map(str, arrays['depths']))} layers" if number == 0 else None
            look = {"fmt": MARKERS[number], "alpha": 1 - 0.2 * number}
            curve(left, evidence, f"{name}-{depth}", series=series, label=label, x=position, most=12, **look)
    left.set(xlabel="layer / depth", ylabel=_RATIO)
    settings_note(left, "gradient profile; circles, squares, triangles: rising depth")
    left.legend(loc="lower right")
    curve(right, evidence, "share", series=0, label="measured, 95% interval", most=40)
    right.set(xlabel="path length (branches taken)", ylabel="share of squared gradient")
    settings_note(right, f"{arrays['share-mean'].size - 1} blocks; line: mean-field theory")
    right.legend(loc="upper right")
    return figure


def _branches(evidence: Evidence, arms: dict[str, str]):
    figure, axes = new_figure()
    for series, (name, label) in enumerate(arms.items()):
        curve(axes, evidence, name, series=series, label=label)
    axes.set(xlabel="layer", ylabel=_RATIO)
    weight_variance = evidence.arrays["weight-variance"]
    settings_note(
        axes, rf"ReLU, branch $\sigma_w^2$ = {weight_variance:g}; line: theory; n = {evidence.measurements[0].n} seeds"
    )
    axes.legend()
    return figure


def small_branch(evidence: Evidence):
    """Small branches: the plain net loses the gradient, the residual one keeps it."""
    return _branches(evidence, {"residual": "with the shortcut", "plain": "branches alone"})


def large_branch(evidence: Evidence):
    """Large branches: the gradient explodes unless the branch is scaled or starts at zero."""
    arms = {"unscaled": "unscaled", "scaled": "branch × 1/√L", "zero-initialised": "branch starts at 0"}
    return _branches(evidence, arms)


def deep(evidence: Evidence):
    """Test accuracy over depth, and the first steps at the extreme depth."""
    figure, (left, right) = new_figure(2, height=2.4)
    depths = evidence.arrays["depths"]
    for series, (arm, label) in enumerate(_ARMS.items()):
        curve(left, evidence, f"accuracy-{arm}", series=series, label=label, x=depths, ls="-")
        if f"loss-{arm}-mean" in evidence.arrays:
            curve(right, evidence, f"loss-{arm}", series=series, label=label, ls="-")
    left.set(xscale="log", xlabel="hidden layers", ylabel="test accuracy", ylim=(-0.03, 1.03))
    seeds = seeds_note(evidence[f"accuracy-{arm}-deep"] for arm in _ARMS)
    settings_note(left, f"MNIST, {seeds} seeds, each arm at its tuned learning rate")
    left.legend(loc="center right")
    right.set(xlabel="step", ylabel="training loss (nats)")
    settings_note(right, f"first steps at {evidence.arrays['extreme-depth']} layers")
    right.legend()
    return figure


def degradation(evidence: Evidence):
    """Training error over depth."""
    figure, axes = new_figure()
    for series, (arm, label) in enumerate(_ARMS.items()):
        curve(axes, evidence, arm, series=series, label=label, x=evidence.arrays["depths"], ls="-")
    axes.set(xscale="log", xlabel="hidden layers", ylabel="training error", ylim=(-0.03, 1.03))
    seeds = seeds_note(evidence[f"{arm}-change"] for arm in _ARMS)
    settings_note(axes, f"MNIST, equal steps, {seeds} seeds, tuned learning rates")
    axes.legend(loc="center right")
    return figure


FIGURES = {
    "residual.form": form,
    "residual.identity": identity,
    "residual.path": path,
    "residual.small-branch": small_branch,
    "residual.large-branch": large_branch,
    "residual.deep": deep,
    "residual.degradation": degradation,
}
