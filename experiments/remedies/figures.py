"""Figures of the question `remedies`."""

from functools import partial

import numpy as np
from matplotlib.figure import Figure

from experiments.study.figures.style import COLORS, TWO_COLUMNS, curve, new_figure, points, settings_note, theory
from experiments.study.measurement import Evidence

# Not imported from the topic: a figure is a function of results alone.
_PASSED = "layers that the gradient has passed"
_GRADIENT = r"log$_{10}$ gradient norm"
_NAMES = {"sigmoid": "sigmoid", "tanh": "tanh", "relu": "ReLU", "leaky_relu": "leaky ReLU", "elu": "ELU"}
_NORMS = {"none": "no norm", "batch": "batch norm", "layer": "layer norm"}
_THIRD = 36  # characters of a note above a third of two columns
_OPTIMIZERS = {"sgd": "SGD", "rmsprop": "RMSProp", "adam": "Adam"}

_curve = partial(curve, most=13)


def _profiles(
    axes,
    evidence: Evidence,
    arms: dict[str, str],
    note: str,
    *,
    room: float = 0.0,
    columns: int = 56,
    xlabel: str = _PASSED,
    **legend,
) -> None:
    """Curves with their legend; `room` above them, as a share of their height."""
    for series, (name, label) in enumerate(arms.items()):
        _curve(axes, evidence, name, series=series, label=label)
    axes.set(xlabel=xlabel, ylabel=_GRADIENT)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + room * (high - low))
    settings_note(axes, note, columns)
    axes.legend(**legend)


def _bars(axes, evidence: Evidence, arms: dict[str, str], *, ylabel: str = "test accuracy") -> None:
    """Points with intervals, one per arm, of measurements named in `arms`."""
    for place, name in enumerate(arms):
        points(axes, [place], [evidence[name]], series=place % len(COLORS))
    axes.set_xticks(range(len(arms)), list(arms.values()))
    axes.set(ylabel=ylabel, xlim=(-0.5, len(arms) - 0.5))


def he(evidence: Evidence):
    """The gradient in He and Xavier initialisation; the scatter of its log over networks; trained accuracy."""
    figure, (left, middle, right) = new_figure(3, height=2.5)
    he, xavier = evidence["gradient-slope-he"], evidence["gradient-slope-xavier"]
    arms = {"gradient-he": f"He: {he.value:.4f} nats per layer", "gradient-xavier": f"Xavier: {xavier.value:.3f}"}
    _profiles(left, evidence, arms, f"ReLU; line: exact at this width; n = {he.n} networks", columns=_THIRD, room=0.25)
    for series, name in enumerate(("narrow", "wide")):
        label = f"{evidence.arrays[f'width-{name}']} units"
        _curve(middle, evidence, f"spread-{name}", series=series, label=label, most=11)
    middle.set(xlabel="layers", ylabel="variance of ln ‖gradient‖")
    settings_note(middle, f"He; line: exact at this width; {evidence['spread-narrow'].n} groups of networks", _THIRD)
    middle.legend(loc="upper left")
    _bars(right, evidence, {"accuracy-he": "He", "accuracy-xavier": "Xavier"})
    right.axhline(0.1, color="#888888", lw=0.6, ls=":")
    right.set_ylim(0, 1)
    settings_note(right, f"trained on MNIST, n = {evidence['accuracy-gain'].n}; dotted: chance", _THIRD)
    return figure


def xavier(evidence: Evidence):
    """The gradient in Xavier initialisation, accuracy over depth by initialisation, and the phase diagram of tanh networks."""
    figure = Figure(figsize=(TWO_COLUMNS, 4.8))
    (left, right), below = figure.subplots(2, 2)
    for axes, activation in zip(below, ("tanh", "sigmoid"), strict=True):
        _initialised(axes, evidence, activation)
    n = evidence["slope-tanh"].n
    _profiles(left, evidence, {"tanh": "tanh", "sigmoid": "sigmoid"}, f"Xavier, line: mean-field theory, n = {n} seeds")
    arrays = evidence.arrays
    weights, biases, slopes = arrays["phase-weights"], arrays["phase-biases"], arrays["phase-slopes"]
    limit = np.abs(slopes).max()
    image = right.pcolormesh(
        weights, biases, slopes, cmap="RdBu_r", vmin=-limit, vmax=limit, shading="nearest", rasterized=True
    )
    theory(right, arrays["critical-weights"], arrays["critical-biases"], series=6, label="χ = 1")
    right.text(weights[1], biases[-2], "vanishes", fontsize=7)
    right.text(weights[-1], biases[1], "explodes", fontsize=7, ha="right")
    right.set(xlabel=r"$\sigma_w^2$", ylabel=r"$\sigma_b^2$", xlim=(weights[0], weights[-1]))
    settings_note(right, f"tanh, {arrays['phase-depth']} layers, one network per cell; line: critical, mean field")
    right.legend(loc="center left")
    figure.colorbar(image, ax=right, label="gradient growth (nats per layer)")
    return figure


def _initialised(axes, evidence: Evidence, activation: str) -> None:
    """Test accuracy over depth, one series per initialisation."""
    layers = evidence.arrays["layers"]
    labels = {"": "Xavier", "-quarter": "Xavier / 4", "-he": "He", "-four": "4 × Xavier"}
    for series, (suffix, label) in enumerate(labels.items()):
        found = [evidence[f"accuracy-{activation}{suffix}-{depth}"] for depth in ("shallow", "middle", "deep")]
        points(axes, layers * (0.96 + 0.03 * series), found, series=series, label=label)
    axes.axhline(0.1, color="#888888", lw=0.6, ls=":")
    axes.set(xlabel="hidden layers", ylabel="test accuracy", ylim=(0, 1.02), xticks=layers)
    settings_note(axes, f"{activation}, digits, tuned learning rates, n = {found[0].n}; dotted: chance")
    axes.legend(loc="lower left", fontsize=6)


def nonsaturating(evidence: Evidence):
    """The whole grid: growth per layer by activation, initialisation, normalisation, shortcut; measured against predicted."""
    figure = Figure(figsize=(TWO_COLUMNS, 4.6))
    grid = figure.add_gridspec(2, 3, width_ratios=(1, 1, 1.15))
    arrays = evidence.arrays
    found, depths = arrays["measured"], arrays["depths"]
    rows = [f"{_NAMES[str(a)]}" for a in arrays["activations"]]
    columns = [f"{i}" for i in arrays["initialisations"]]
    limit = np.abs(found).max()
    for shortcut in range(2):
        axes = figure.add_subplot(grid[shortcut, :2])
        table = np.concatenate([found[:, :, norm, shortcut, -1] for norm in range(found.shape[2])], axis=1)
        image = axes.imshow(table, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
        for (row, column), value in np.ndenumerate(table):
            shade = "white" if abs(value) > 0.6 * limit else "black"
            axes.text(column, row, f"{value:.2f}", ha="center", va="center", fontsize=5.5, color=shade)
        labels = [f"{c}" for _ in _NORMS for c in columns]
        axes.set_xticks(range(len(labels)), labels, fontsize=6)
        axes.set_yticks(range(len(rows)), rows)
        for edge in range(1, len(_NORMS)):
            axes.axvline(edge * len(columns) - 0.5, color="black", lw=0.8)
        kinds = ";  ".join(_NORMS.values())
        settings_note(axes, f"{'residual' if shortcut else 'plain'}, {depths[-1]} layers; {kinds}, each by σ² of the weights")
    figure.colorbar(image, ax=figure.axes, label="growth (nats per layer)", location="bottom", shrink=0.5, aspect=40)
    axes = figure.add_subplot(grid[0, 2])
    line = np.asarray([found.min(), found.max()])
    theory(axes, line, line, series=6, label="equal")
    for series, depth in enumerate(depths):
        x, y = arrays["predicted"][..., series].ravel(), found[..., series].ravel()
        axes.plot(x, y, "o^s"[series % 3], color=COLORS[series], ms=2, mfc="none", mew=0.5, label=f"{depth} layers")
    axes.set(xlabel="mean field (nats per layer)", ylabel="measured")
    settings_note(axes, "every cell of the grid, at each depth")
    axes.legend(loc="upper left")
    _trained(figure.add_subplot(grid[1, 2]), evidence)
    return figure


def _trained(axes, evidence: Evidence) -> None:
    arms = {"relu": "ReLU", "leaky-relu": "leaky\nReLU", "elu": "ELU", "tanh": "tanh", "sigmoid": "sigmoid"}
    arms |= {"sigmoid-critical": "sigmoid,\nχ = 1"}
    _bars(axes, evidence, {f"accuracy-{name}": label for name, label in arms.items()})
    axes.axhline(0.1, color="#888888", lw=0.6, ls=":")
    axes.set_ylim(0, 1)
    axes.tick_params(axis="x", labelsize=6, rotation=60)
    depth, n = evidence.arrays["train-depth"], evidence["accuracy-relu"].n
    settings_note(axes, f"MNIST, {depth} layers, χ = 1 but for the sigmoid, n = {n}", columns=28)


def batch_norm(evidence: Evidence):
    """The gradient with and without batch normalisation: the cure of the sigmoid, the explosion with ReLU."""
    figure, (left, right, trained) = new_figure(3, height=2.5)
    n = evidence["slope-relu"].n
    for series, kind in enumerate(("without", "with")):
        found = [evidence[f"accuracy-{name}-{kind}"] for name in ("sigmoid", "large")]
        points(trained, np.arange(2) + 0.12 * (2 * series - 1), found, series=series, label=kind)
    trained.axhline(0.1, color="#888888", lw=0.6, ls=":")
    trained.set_xticks([0, 1], ["sigmoid", "ReLU, residual,\nσ² = 8"])
    trained.set(ylabel="test accuracy", ylim=(0, 1.02), xlim=(-0.5, 1.5))
    settings_note(trained, f"digits, tuned, n = {found[0].n}; dotted: chance", _THIRD)
    trained.legend(loc="center right")
    arms = {"sigmoid-plain": "without", "sigmoid": "with batch norm"}
    _profiles(left, evidence, arms, f"sigmoid, Xavier; line: mean field; n = {n}", columns=_THIRD)
    arms = {"relu-plain": "without", "relu": "with batch norm", "relu-residual": "with batch norm and shortcuts"}
    _profiles(right, evidence, arms, "ReLU, He; lines: mean field at this batch", columns=_THIRD, fontsize=6)
    return figure


def layer_norm(evidence: Evidence):
    """The gradient with and without layer normalisation in a feed-forward net, an RNN and a Transformer."""
    figure = Figure(figsize=(TWO_COLUMNS, 4.6))
    panels = figure.subplots(2, 2).ravel()
    n = evidence["slope-relu-small"].n
    arms = {
        "relu-small-none": "σ² = 0.5, without",
        "relu-small-layer": "σ² = 0.5, layer norm",
        "relu-large-none": "σ² = 8, without",
        "relu-large-layer": "σ² = 8, layer norm",
    }
    _profiles(panels[0], evidence, arms, f"ReLU; line: mean-field theory; n = {n} seeds", loc="lower left", fontsize=6)
    arms = {
        "sigmoid-none": "sigmoid, without",
        "sigmoid-layer": "sigmoid, layer norm",
        "tanh-none": "tanh, without",
        "tanh-layer": "tanh, layer norm",
    }
    _profiles(panels[1], evidence, arms, "Xavier; line: mean-field theory", loc="lower left", fontsize=6)
    arms = {
        "rnn-small-none": "small weights, without",
        "rnn-small-layer": "small weights, layer norm",
        "rnn-large-none": "large weights, without",
        "rnn-large-layer": "large weights, layer norm",
    }
    _profiles(
        panels[2], evidence, arms, "tanh RNN", room=0.5, loc="upper left", xlabel="time steps that the gradient has passed"
    )
    arms = {"transformer-none": "without", "transformer-layer": "pre-norm"}
    _profiles(panels[3], evidence, arms, "Transformer", xlabel="blocks that the gradient has passed")
    return figure


def clip(evidence: Evidence):
    """What clipping leaves of gradients that explode, and which share of networks learns with and without it."""
    figure, panels = new_figure(3, height=2.5)
    arrays, rates = evidence.arrays, evidence.arrays["rates"]
    n = evidence["solved-rnn-none"].n
    for series, (kind, name) in enumerate({"rnn": "RNN", "lstm": "LSTM"}.items()):
        for form, label in {"norm-value": "by value", "norm-norm": "by norm"}.items():
            marker = "o" if form == "norm-value" else "x"
            label = f"{name}, {label}"
            panels[0].plot(
                arrays[f"{kind}-norm"], arrays[f"{kind}-{form}"], marker, color=COLORS[series], ms=3, mfc="none", label=label
            )
    panels[0].axhline(float(arrays["limit"]), color="#888888", lw=0.6, ls=":")
    panels[0].set(xscale="log", yscale="log", xlabel="gradient norm", ylabel="norm after clipping")
    settings_note(panels[0], f"gradients that explode, {n} networks each; dotted: limit {arrays['limit']:g}", _THIRD)
    panels[0].legend(loc="center right", fontsize=6)
    for panel, (kind, name) in zip(panels[1:], {"rnn": "RNN", "lstm": "LSTM"}.items(), strict=True):
        for series, (form, label) in enumerate({"none": "no clipping", "value": "by value", "norm": "by norm"}.items()):
            shares = arrays[f"solved-{kind}-{form}"]
            panel.plot(rates, shares, "o^s"[series] + "-", color=COLORS[series], ms=4, mfc="none", lw=0.8, label=label)
        panel.set(xscale="log", xlabel="learning rate", ylim=(-0.05, 1.05), xticks=rates)
        panel.set_xticklabels([f"{rate:g}" for rate in rates])
        panel.minorticks_off()
        settings_note(panel, f"{name} on the adding problem, n = {n} seeds", _THIRD)
    panels[1].set(ylabel="share of seeds that solve it")
    panels[1].legend(loc="lower left", fontsize=6)
    return figure


def shallower(evidence: Evidence):
    """Test accuracy of few and many layers at equal parameters."""
    figure, axes = new_figure(height=2.4)
    names = [str(name) for name in evidence.arrays["names"]]
    labels = {"sigmoid": "sigmoid", "relu": "ReLU, He", "residual": "ReLU, residual", "needed": "convolutions,\nwide sums"}
    for series, (size, layers) in enumerate(zip(("shallow", "deep"), evidence.arrays["layers"], strict=True)):
        found = [evidence[f"accuracy-{name}-{size}"] for name in names]
        label = f"{size}, {layers} layers" if size == "shallow" else f"deep, {layers} layers (sums: {evidence.arrays['reach']})"
        points(axes, np.arange(len(names)) + 0.12 * (2 * series - 1), found, series=series, label=label)
    axes.plot([len(names) - 1.12], [evidence["accuracy-needed-shallow"].prediction], "x", color="#333333", ms=6)
    axes.plot([-0.5, len(names) - 1.5], [0.1, 0.1], color="#888888", lw=0.6, ls=":")
    axes.plot([len(names) - 1.5, len(names) - 0.5], [0.5, 0.5], color="#888888", lw=0.6, ls=":")
    axes.set_xticks(range(len(names)), [labels[name] for name in names])
    axes.set(ylabel="test accuracy", ylim=(0, 1.02), xlim=(-0.5, len(names) - 0.5))
    settings_note(axes, f"digits and sums at equal parameters, tuned, n = {found[0].n}; dotted: chance; cross: bound by theory")
    axes.legend(loc="center right")
    return figure


def residual(evidence: Evidence):
    """The gradient with and without shortcuts, at small and large weights."""
    figure, (left, right) = new_figure(2, height=2.5)
    n = evidence["slope-small"].n
    arms = {"small-plain": "plain", "small": "residual"}
    _profiles(left, evidence, arms, f"ReLU, σ² = 0.5; line: mean-field theory; n = {n} seeds")
    arms = {"large-plain": "plain", "large": "residual", "scaled": "residual, branch / √L"}
    _profiles(right, evidence, arms, "ReLU, σ² = 8")
    return figure


def adaptive(evidence: Evidence):
    """The loss against the scale of the gradient, the first update of each layer, and the accuracy of deep sigmoid networks."""
    figure, (left, right, trained) = new_figure(3, height=2.6)
    for series, (name, label) in enumerate(_OPTIMIZERS.items()):
        found = [evidence[f"accuracy-{name}-{size}"] for size in ("few", "many")]
        points(trained, np.arange(2) + 0.12 * (series - 1), found, series=series, label=label)
    trained.axhline(0.1, color="#888888", lw=0.6, ls=":")
    signals = [
        f"{int(layers)} layers,\n10^{evidence[f'signal-{size}'].value:.0f} left"
        for size, layers in zip(("few", "many"), evidence.arrays["trained-layers"], strict=True)
    ]
    trained.set_xticks([0, 1], signals)
    trained.set(ylabel="test accuracy", ylim=(0, 1.02), xlim=(-0.5, 1.5))
    settings_note(trained, f"sigmoid, digits, tuned, n = {found[0].n}; left of the inputs' differences", _THIRD)
    trained.legend(loc="upper right")
    for series, (name, label) in enumerate(_OPTIMIZERS.items()):
        _curve(left, evidence, f"loss-{name}", series=series, label=label, x=evidence.arrays["exponents"], most=25, ls="-")
        layers = np.arange(1, evidence.arrays[f"update-{name}-mean"].size + 1)
        _curve(right, evidence, f"update-{name}", series=series, label=label, x=layers)
    onset = evidence["onset-adam"].prediction
    left.axvline(onset, color="#888888", lw=0.6, ls=":")
    left.set(xlabel=r"log$_{10}$ scale of the gradient", ylabel=r"log$_{10}$ training loss", ylim=(None, 2.1))
    settings_note(left, f"tuned at scale 1, n = {evidence['decades-sgd'].n}; dotted: RMS of the gradient = ε", _THIRD)
    left.legend(loc="center right")
    right.set(xlabel="sigmoid layer", ylabel=r"log$_{10}$ update over the last layer's")
    right.set_xticks(layers)
    settings_note(right, f"n = {evidence['update-ratio-sgd'].n} networks, the first step", _THIRD)
    right.legend(loc="lower right")
    return figure


FIGURES = {
    "remedies.he": he,
    "remedies.xavier": xavier,
    "remedies.nonsaturating": nonsaturating,
    "remedies.batch-norm": batch_norm,
    "remedies.layer-norm": layer_norm,
    "remedies.clip": clip,
    "remedies.shallower": shallower,
    "remedies.residual": residual,
    "remedies.adaptive": adaptive,
}
