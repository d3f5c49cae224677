"""Figures of the question `pooling`."""

import numpy as np

from experiments.study.figures.style import COLORS, MARKERS, measured, new_figure, rows, seeds_note, settings_note, theory
from experiments.study.measurement import Evidence, mean_interval

_NAMES = {
    "none": "none",
    "stride": "stride",
    "max": "maximum",
    "average": "mean",
    "blur": "blur",
    "max-blur": "max, blur",
    "subsampled": "every 2nd",
}
_QUANTITIES = {"operations": "operations", "bytes": "bytes", "memory": "temporary memory"}
_HEADS = {"flatten": "flattened head", "average": "global average"}


def cost(evidence: Evidence):
    """Operations and bytes of a later layer against its map, and what pooling saves behind it and in the whole step."""
    figure, (left, right) = new_figure(2, height=2.4)
    sizes, layers = (evidence.arrays[name] for name in ("sizes", "layers"))
    for series, (index, label) in enumerate(((0, "operations"), (1, "bytes"))):
        left.loglog(sizes, layers[:, index], MARKERS[series], color=COLORS[series], mfc="white", label=label)
        theory(left, sizes, layers[-1, index] * (sizes / sizes[-1]) ** 2, series=series, label="height²")
    left.set(xlabel="height and width of the map (cells)", ylabel="per layer, compiled")
    left.set_xticks(sizes, [str(size) for size in sizes])
    left.minorticks_off()
    settings_note(left, "3×3 convolution, 16 to 32 channels, counted by XLA")
    left.legend()
    for series, (part, label) in enumerate((("later", "all behind the pool"), ("step", "whole network"))):
        values = [evidence[f"{quantity}-ratio-{part}"].value for quantity in _QUANTITIES]
        _bars(right, list(_QUANTITIES.values()), values, series, label)
    right.axvline(0.25, color="#999999", lw=0.6, ls=":")
    right.set(xlabel="with 2×2 maxima, relative to no pooling", xlim=(0, 1))
    settings_note(right, "gradient of a classifier of two blocks, compiled")
    right.legend(loc="upper right")
    return figure


def _bars(axes, labels: list[str], values, series: int, label: str | None = None) -> None:
    """Horizontal bars of the first or second of two series, the first label on top."""
    places = np.arange(len(labels))[::-1]
    axes.barh(places + (0.15 - 0.3 * series), values, 0.3, color=COLORS[series], label=label)
    axes.set_yticks(places, labels)


def parameters(evidence: Evidence):
    """Parameters of the convolutions and of the head, with and without pooling."""
    figure, axes = new_figure()
    counts = evidence.arrays["counts"]  # [heads, none or max, convolutions or head]
    labels = [f"{head}, {part}" for head in _HEADS.values() for part in ("convolutions", "output")]
    for series, name in enumerate(("no pooling", "2×2 pooling")):
        _bars(axes, labels, counts[:, series].ravel(), series, name)
    axes.set(xlabel="parameters", xscale="log")
    settings_note(axes, "28×28 images, blocks of 16 and 32 channels", 36)
    axes.legend(loc="lower right")
    return figure


def speed(evidence: Evidence):
    """Time of a training step of both networks, seed by seed, and its ratio beside that of the operations."""
    figure, (left, right) = new_figure(2, height=2.3)
    milliseconds = 1e3 * np.median(evidence.arrays["seconds"], axis=1)
    seeds = np.arange(1, len(milliseconds) + 1)
    for series, label in enumerate(("no pooling", "2×2 maxima")):
        left.plot(seeds, milliseconds[:, series], MARKERS[series], color=COLORS[series], mfc="white", label=label)
    left.set(xlabel="seed", ylabel="a training step (ms)", ylim=(0, None), xticks=seeds)
    settings_note(left, "equal channels; the networks take turns, step by step")
    left.legend(loc="center right")
    names = {
        "time-ratio": "time",
        "operations-ratio": "operations",
        "operations-ratio-doubled": "operations,\nchannels doubled",
    }
    rows(right, [evidence[name] for name in names], list(names.values()), series=2)
    right.set(xlabel="with 2×2 maxima, relative to no pooling", xlim=(0, 1))
    settings_note(right, f"{seeds_note([evidence['time-ratio']])}; doubled: twice the channels behind each pool")
    return figure


def overfitting(evidence: Evidence):
    """Test accuracy of networks that fit their training set, and how pooling changes gap and loss, by head."""
    figure, (left, middle, right) = new_figure(3, height=2.3)
    arms = ("none", "max", "stride", "none-global", "max-global")
    labels = [_NAMES[arm.removesuffix("-global")] + (", global" if arm.endswith("global") else "") for arm in arms]
    rows(left, [evidence[f"test-{arm}"] for arm in arms], labels)
    left.set(xlabel="test accuracy")
    settings_note(left, f"MNIST-1D; all fit; {seeds_note([evidence['test-none']])}", 36)
    changes = {"flatten": "maximum", "stride": "stride", "global": "maximum,\nglobal"}
    for axes, kind, label in ((middle, "gap", "the gap"), (right, "loss", "test loss (nats)")):
        rows(axes, [evidence[f"{kind}-change-{name}"] for name in changes], list(changes.values()), series=2)
        axes.axvline(0, color="#999999", lw=0.6, ls=":")
        axes.set(xlabel=f"change of {label}")
    settings_note(middle, "training − test accuracy, against no pooling with the same head", 36)
    return figure


def robust(evidence: Evidence):
    """How much of what a network recognises survives a shift, noise and a hidden patch."""
    figure, (left, right) = new_figure(2, height=2.4)
    kinds = {"shift": "shifted", "noise": "with noise", "hidden": "partly hidden"}
    for series, arm in enumerate(("none", "max", "average")):
        found = [evidence[f"kept-{arm}-{kind}"] for kind in kinds]
        rows(left, found, list(kinds.values()), series=series, shift=0.2 - 0.2 * series, label=_NAMES[arm])
    left.set(xlabel="share of the right answers that stay right")
    settings_note(left, f"14×14 digits, {seeds_note([evidence['kept-none-shift']])}")
    left.legend()
    for series, arm in ((1, "max"), (2, "average")):
        found = [evidence[f"kept-change-{arm}-{kind}"] for kind in kinds]
        rows(right, found, list(kinds.values()), series=series, shift=0.3 - 0.2 * series)
    right.axvline(0, color="#999999", lw=0.6, ls=":")
    right.set(xlabel="change by pooling")
    settings_note(right, "against no pooling, paired; 95% intervals")
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
    arms = ("none", "max", "average")
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
    values = evidence["values-per-channel-max"].value
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
    found = [evidence[f"test-{arm}"] for arm in ("max", "frozen")]
    rows(panels[2], found, ("learned", "fixed"))
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
    "pooling.parameters": parameters,
    "pooling.speed": speed,
    "pooling.robust": robust,
}
