"""Figures of the question `pooling`."""

import numpy as np

from experiments.study.figures.style import COLORS, MARKERS, measured, new_figure, rows, seeds_note, settings_note, theory
from experiments.study.measurement import Evidence, mean_interval

_COST_ARMS = ("none", "max", "average", "stride")
_NAMES = {
    "none": "none",
    "stride": "stride",
    "max": "maximum",
    "average": "mean",
    "blur": "blur",
    "max-blur": "max, blur",
    "subsampled": "every 2nd",
}


def cost(evidence: Evidence):
    """Operations and bytes of a later layer against its map, and what pooling saves in a whole training step."""
    figure, (left, right) = new_figure(2, height=2.4)
    sizes, layers, steps = (evidence.arrays[name] for name in ("sizes", "layers", "steps"))
    for series, (index, label) in enumerate(((0, "operations"), (1, "bytes"))):
        left.loglog(sizes, layers[:, index], MARKERS[series], color=COLORS[series], mfc="white", label=label)
        theory(left, sizes, layers[-1, index] * (sizes / sizes[-1]) ** 2, series=series, label="height²")
    left.set(xlabel="height and width of the map (cells)", ylabel="per layer, compiled")
    left.set_xticks(sizes, [str(size) for size in sizes])
    left.minorticks_off()
    settings_note(left, "3×3 convolution, 16 to 32 channels, counted by XLA")
    left.legend()
    relative = steps / steps[:1]
    places = np.arange(len(_COST_ARMS))[::-1]
    for series, name in enumerate(("operations", "bytes", "temporary memory")):
        right.barh(places + 0.25 * (1 - series), relative[:, series], 0.25, color=COLORS[series], label=name)
    right.set_yticks(places, [_NAMES[arm] for arm in _COST_ARMS])
    right.set(xlabel="one training step, relative to no pooling")
    settings_note(right, f"two blocks; maxima: {evidence['operations-ratio-step'].value:.3f} of the operations")
    right.legend(loc="lower right")
    return figure


def overfitting(evidence: Evidence):
    """Training and test accuracy of each arm, and how pooling changes the gap between them."""
    figure, (left, right) = new_figure(2, height=2.5)
    arms = ("none", "max", "average", "blur", "stride", "none-global", "max-global")
    labels = [_NAMES[arm.removesuffix("-global")] + (", global" if arm.endswith("global") else "") for arm in arms]
    for series, kind in enumerate(("train", "test")):
        found = [evidence[f"{kind}-{arm}"] for arm in arms]
        rows(left, found, labels, series=series, shift=0.12 - 0.24 * series, label=kind)
    left.set(xlabel="accuracy")
    seeds = seeds_note(evidence[f"test-{arm}"] for arm in arms)
    settings_note(left, f"tuned learning rates; {seeds}; the last two average before the head")
    left.legend(loc="center left")
    changes = ("flatten", "average", "blur", "stride", "global")
    shown = [_NAMES.get({"flatten": "max"}.get(name, name), "maximum, global") for name in changes]
    rows(right, [evidence[f"gap-change-{name}"] for name in changes], shown, series=2)
    right.axvline(0, color="#999999", lw=0.6, ls=":")
    right.set(xlabel="change of (training − test accuracy)")
    settings_note(right, "against no pooling with the same head, paired; 95% intervals")
    return figure


def features(evidence: Evidence):
    """Class and position read from the map against the pooling window."""
    figure, panels = new_figure(2, height=2.4)
    windows = evidence.arrays["windows"]
    for axes, which, label in zip(panels, (0, 1), ("test accuracy of the class", "R² of the position"), strict=True):
        for series, name in enumerate(("max", "average")):
            runs = [evidence.arrays["max-1" if n == 1 else f"{name}-{n}"][:, which] for n in windows]
            _curve(axes, windows, np.stack(runs, 1), series, _NAMES[name])
        _curve(axes, [2], evidence.arrays["subsampled-2"][:, which : which + 1], 2, _NAMES["subsampled"])
        axes.set_xscale("log")
        axes.set_xticks(windows, [f"{n}" for n in windows])
        axes.minorticks_off()
        axes.set(xlabel="side of the window (cells)", ylabel=label)
    settings_note(panels[0], f"ridge read-out of a trained layer's map, n = {evidence['class-none'].n}")
    settings_note(panels[1], "digits shifted at random; the largest window is the whole map")
    panels[0].legend(loc="lower left")
    return figure


def _curve(axes, x, runs, series: int, label: str) -> None:
    mean = runs.mean(0)
    measured(axes, x, mean, *mean_interval(runs), series=series, label=label)


def invariance(evidence: Evidence):
    """How much a one-cell shift changes a pooled map, and a trained classifier's predictions."""
    figure, (left, right) = new_figure(2, height=2.6)
    pools = ("none", "stride", "max", "max-blur", "average", "blur")
    labels = [_NAMES[pool] for pool in pools]
    for series, (kind, label) in enumerate((("map", "digits"), ("white", "white noise"))):
        rows(left, [evidence[f"{kind}-change-{pool}"] for pool in pools], labels, series=series, label=label)
    predicted = [(row, evidence[f"white-change-{pool}"].prediction) for row, pool in zip(range(5, -1, -1), pools, strict=True)]
    places, values = zip(*[(row, value) for row, value in predicted if value is not None], strict=True)
    left.plot(values, places, "|", color=COLORS[6], ms=10, label="prediction, white noise")
    left.set(xlabel="1 − correlation of the map before and after", xlim=(0, 1.5))  # room for the legend
    settings_note(left, f"one layer, circular, shift by one cell; n = {evidence['map-change-max'].n}")
    left.legend(loc="lower right", frameon=True, framealpha=0.9, edgecolor="none")
    arms = ("none", "stride", "max", "average", "blur")
    rows(right, [evidence[f"flips-{arm}"] for arm in arms], [_NAMES[arm] for arm in arms], series=2)
    right.set(xlabel="share of predictions changed by a 1-pixel shift", xlim=(0, None))
    settings_note(right, f"trained classifiers of 14×14 digits, {seeds_note(evidence[f'flips-{arm}'] for arm in arms)}")
    return figure


def maximum(evidence: Evidence):
    """A map and its 2×2 and 3×3 maxima."""
    figure, panels = new_figure(3, height=2.4)
    names = (("map", "map"), ("max-2", "2×2 maxima"), ("max-3", "3×3 maxima"))
    limit = np.abs(evidence.arrays["map"]).max()
    for axes, (name, label) in zip(panels, names, strict=True):
        picture = evidence.arrays[name]
        image = axes.imshow(picture, cmap="RdBu_r", vmin=-limit, vmax=limit)
        axes.set_xticks([])
        axes.set_yticks([])
        settings_note(axes, f"{label}, {picture.shape[0]}×{picture.shape[1]}")
    figure.colorbar(image, ax=panels, shrink=0.8, label="value")
    panels[1].set_xlabel(f"difference from NumPy: {evidence['difference-two'].value:g}")
    panels[2].set_xlabel(f"difference from NumPy: {evidence['difference-three'].value:g}")
    return figure


def average(evidence: Evidence):
    """Noise behind a mean is narrower, behind a maximum shifted."""
    figure, axes = new_figure()
    edges = evidence.arrays["edges"]
    centres = (edges[:-1] + edges[1:]) / 2
    for series, (name, label) in enumerate((("map", "map"), ("average", "2×2 means"), ("max", "2×2 maxima"))):
        axes.plot(centres, evidence.arrays[name], drawstyle="steps-mid", color=COLORS[series], label=label)
    density = lambda x, deviation: np.exp(-((x / deviation) ** 2) / 2) / np.sqrt(2 * np.pi) / deviation
    predicted = evidence["noise-variance"].prediction
    for deviation in (1, predicted**0.5):
        axes.plot(centres, density(centres, deviation), color=COLORS[6], lw=0.7, ls="--")
    axes.set(xlabel="value", ylabel="density")
    settings_note(
        axes, f"unit noise; dashed: normal of variance 1 and {predicted:g}; measured {evidence['noise-variance'].value:.4f}"
    )
    axes.legend(loc="upper left")
    return figure


def global_pool(evidence: Evidence):
    """One value per channel from a map of any size: the maximum of noise grows with the map, the mean settles."""
    figure, axes = new_figure()
    sides = evidence.arrays["sides"]
    for series, (name, label) in enumerate((("max", "global maximum"), ("average", "global mean"))):
        mean, deviation = (evidence.arrays[f"{kind}-{name}"] for kind in ("mean", "deviation"))
        measured(axes, sides, mean, mean - deviation, mean + deviation, series=series, label=f"{label} ± deviation")
    for sign in (-1, 1):
        theory(axes, sides, sign / sides, series=1, label="±1 / side" if sign > 0 else None)
    axes.set(xlabel="side of the map (cells)", ylabel="value per channel")
    values = evidence["values-a-channel-max"].value
    settings_note(axes, f"unit noise; {values:g} value per channel from a map of any size")
    axes.legend(loc="center right")
    return figure


def not_convolution(evidence: Evidence):
    """Kernels before and after learning, and what learning them is worth behind the same pooling."""
    figure, panels = new_figure(3, height=2.2)
    for axes, name in zip(panels, ("fixed", "learned"), strict=False):
        kernels = evidence.arrays[name]
        columns = -(-kernels.shape[-1] // 2)
        tiled = np.full((2 * 4 - 1, 4 * columns - 1), np.nan)
        for i in range(kernels.shape[-1]):
            row, column = 4 * (i // columns), 4 * (i % columns)
            tiled[row : row + 3, column : column + 3] = kernels[..., i]
        limit = np.nanmax(np.abs(tiled))
        axes.imshow(tiled, cmap="RdBu_r", vmin=-limit, vmax=limit)
        axes.set_axis_off()
        settings_note(axes, f"first layer's kernels, {name}", 36)
    found = [evidence[f"test-{arm}"] for arm in ("max", "frozen", "none")]
    rows(panels[2], found, ("learned,\npooled", "fixed,\npooled", "learned,\nno pooling"))
    panels[2].set(xlabel="test accuracy")
    added = evidence["parameters-pooling"].value, evidence["parameters-convolution"].value
    settings_note(
        panels[2], f"parameters: pooling {added[0]:g}, a convolution {added[1]:g}; n = {evidence['learned-gain'].n}", 36
    )
    return figure


FIGURES = {
    "pooling.cost": cost,
    "pooling.overfitting": overfitting,
    "pooling.features": features,
    "pooling.invariance": invariance,
    "pooling.max": maximum,
    "pooling.average": average,
    "pooling.global": global_pool,
    "pooling.not-convolution": not_convolution,
}
