"""Figures of the topic `residual`."""

import numpy as np

from experiments.residual.settings import DEPTHS
from experiments.study.figures.style import (
    COLORS,
    MARKERS,
    curve,
    legend_below,
    new_figure,
    points,
    rows,
    seeds_note,
    settings_note,
)
from experiments.study.measurement import Evidence

_RATIO = r"log$_{10}$ gradient norm / last layer's"
_NORMALISED = {"residual": "residual", "plain": "plain", "plain-leaky": "plain, leaky ReLU"}
_CONTROLS = {"unnormalised": "control: residual", "scaled": "control: residual, branch × 1/√L"}


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
    curve(right, evidence, "share", series=0, label=evidence["mean-path-length"].source, most=40, line="infinite width")
    right.set(xlabel="path length (branches taken)", ylabel="share of squared gradient")
    settings_note(right, f"{arrays['share-mean'].size - 1} blocks, {seeds_note([evidence['mean-path-length']])}")
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
    """Large branches: the gradient explodes unless the branch is scaled, starts at zero or is normalised."""
    arms = {
        "unscaled": "unscaled",
        "scaled": "branch × 1/√L",
        "normalised": "batch norm. in the branch",
        "zero-initialised": "branch starts at 0",
    }
    return _branches(evidence, arms)


def _over_depths(axes, evidence: Evidence, quantity: str, arms: dict[str, str]) -> None:
    """Draws a measurement over the depths at which each arm was trained, joined by lines."""
    names = {measurement.name for measurement in evidence.measurements}
    for series, (arm, label) in enumerate(arms.items()):
        at = [(depth, f"{quantity}-{arm}-{name}") for depth, name in zip(evidence.arrays["depths"], DEPTHS, strict=True)]
        depths, found = zip(*((depth, evidence[name]) for depth, name in at if name in names), strict=True)
        axes.plot(depths, [measurement.value for measurement in found], "-", color=COLORS[series], lw=0.8)
        points(axes, np.asarray(depths), found, series=series, label=label)
    axes.set(xscale="log", xlabel="hidden layers", ylim=(-0.03, 1.03))
    axes.set_xticks(evidence.arrays["depths"], [str(depth) for depth in evidence.arrays["depths"]])
    axes.minorticks_off()


def deep(evidence: Evidence):
    """Test accuracy over depth, and the losses of the deepest networks."""
    figure, (left, right) = new_figure(2, height=2.8)
    _over_depths(left, evidence, "accuracy", _NORMALISED | _CONTROLS)
    left.set(ylabel="test accuracy")
    settings_note(left, "MNIST, each arm and depth at its tuned learning rate; control: no batch normalisation")
    legend_below(left)
    deepest = evidence.arrays["depths"][-1]
    labels = {"residual": f"residual, {deepest} layers", "plain": f"plain, {deepest} layers"}
    labels["extreme"] = f"residual, {evidence.arrays['extreme-depth']} layers"
    for series, (name, label) in enumerate(labels.items()):
        curve(right, evidence, f"loss-{name}", series=series, label=label, most=20)
    right.set(xlabel="step", ylabel="training loss (nats)", ylim=(0, None))
    settings_note(right, "batch normalisation in every branch")
    right.legend()
    return figure


def degradation(evidence: Evidence):
    """Training error over depth, and the gradient of the same networks."""
    figure, (left, right) = new_figure(2, height=2.8)
    _over_depths(left, evidence, "error", _NORMALISED | {"residual-leaky": "residual, leaky ReLU"})
    depths = evidence.arrays["depths"]
    longer = [evidence[f"error-plain-leaky-{name}-long"] for name in ("shallow", "deepest")]
    points(left, depths[[0, 3]], longer, series=4, label="plain, leaky ReLU, longer")
    left.set(ylabel="training error")
    settings_note(left, "batch normalisation in every branch")
    legend_below(left)
    arms = dict(reversed(_NORMALISED.items()))
    for series, moment in enumerate(("before", "after")):
        found = [evidence[f"gradient-{moment}-{arm}"] for arm in arms]
        rows(right, found, list(arms.values()), series=series, shift=0.1 - 0.2 * series, label=f"{moment} training")
    right.axvline(0, color="#888888", lw=0.6)
    right.set(xlabel="ln gradient, first block over last")
    settings_note(right, f"{depths[3]} layers")
    legend_below(right)
    return figure


def long_paths(evidence: Evidence):
    """Share of the squared gradient by path length, against how many paths there are of each."""
    figure, (left, right) = new_figure(2, height=2.9)
    blocks = evidence.arrays["share-counted"].size - 1
    left.plot(np.arange(blocks + 1), evidence.arrays["share-counted"], ":", color=COLORS[6], label="number of paths")
    arms = {"unscaled": "unscaled", "scaled": "branch × 1/√L", "normalised": "batch norm. in the branch"}
    for series, (name, label) in enumerate(arms.items()):
        curve(left, evidence, f"share-{name}", series=series, label=label, most=60)
    left.set(xlabel="path length (branches taken)", ylabel="share of squared gradient")
    settings_note(left, f"{blocks} blocks at He's initialisation; line: theory; {seeds_note([evidence['length-unscaled']])}")
    legend_below(left)
    curve(right, evidence, "share-trained", series=3, most=60)
    right.set(xlim=(-0.5, blocks / 3), xlabel="path length (branches taken)", ylabel="share of squared gradient")
    of, seeds = evidence.arrays["share-trained-mean"].size - 1, seeds_note([evidence["length-trained"]])
    settings_note(right, f"{of} trained blocks with batch normalisation in the branch; {seeds}")
    return figure


FIGURES = {
    "residual.form": form,
    "residual.identity": identity,
    "residual.path": path,
    "residual.small-branch": small_branch,
    "residual.large-branch": large_branch,
    "residual.deep": deep,
    "residual.degradation": degradation,
    "residual.long-paths": long_paths,
}
