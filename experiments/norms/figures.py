"""Figures of the question `norms`."""

import numpy as np

from experiments.study.figures.style import COLORS, curve, new_figure, points, settings_note
from experiments.study.measurement import Evidence

# Not imported from the question: a figure is a function of results alone.
_NORMS = {"batch": "batch norm", "layer": "layer norm"}
_NETWORKS = {"cnn": "CNN", "mlp": "MLP", "rnn": "RNN", "transformer": "Transformer"}


def axes(evidence: Evidence):
    """|∂output/∂input| of both norms between the entries of a few examples and features."""
    figure, panels = new_figure(2, height=3.0)
    size = evidence.arrays["batch"].shape[0]
    block = int(np.sqrt(size))
    for panel, (name, label) in zip(panels, _NORMS.items(), strict=True):
        values = np.ma.masked_equal(evidence.arrays[name], 0)
        panel.set_facecolor("#dddddd")
        image = panel.imshow(np.ma.log10(values), cmap="viridis", interpolation="nearest", vmin=-3, vmax=0)
        ticks = np.arange(block) * block + (block - 1) / 2
        panel.set_xticks(ticks, range(1, block + 1))
        panel.set_yticks(ticks, range(1, block + 1))
        for edge in range(1, block):
            panel.axhline(edge * block - 0.5, color="white", lw=0.4)
            panel.axvline(edge * block - 0.5, color="white", lw=0.4)
        panel.set(xlabel="input's example", ylabel="output's example")
        settings_note(panel, f"{label}: {block} features inside each block of two examples; grey: exactly 0")
    figure.colorbar(image, ax=list(panels), label=r"log$_{10}$ |∂output/∂input|", shrink=0.8)
    return figure


def batch_size(evidence: Evidence):
    """Test accuracy against batch size, by running statistics and by the batch's own."""
    figure, (left, right) = new_figure(2, height=2.5, share_y=True)
    sizes, n = evidence.arrays["sizes"], evidence["gain-small"].n
    kinds = (("inference", "inference: running statistics"), ("training", "statistics of test batches of the same size"))
    for panel, (kind, note) in zip((left, right), kinds, strict=True):
        for series, (name, label) in enumerate(_NORMS.items()):
            curve(panel, evidence, f"{kind}-{name}", sizes, series=series, label=label, ls="-")
        panel.set(xscale="log", xlabel="batch size", xticks=sizes, xticklabels=sizes)
        panel.minorticks_off()
        settings_note(panel, note + (f"; MLP on MNIST, n = {n}" if kind == "inference" else "; equal epochs"))
    left.set(ylabel="test accuracy")
    left.legend(loc="lower center")
    return figure


def domains(evidence: Evidence):
    """Test accuracy of both norms in each kind of network."""
    figure, panel = new_figure(height=2.5)
    names = [str(name) for name in evidence.arrays["networks"]]
    for series, (norm, label) in enumerate(_NORMS.items()):
        found = [evidence[f"accuracy-{name}-{norm}"] for name in names]
        points(panel, np.arange(len(names)) + 0.12 * (2 * series - 1), found, series=series, label=label)
    panel.set_xticks(range(len(names)), [_NETWORKS[name] for name in names])
    panel.set(ylabel="test accuracy", xlim=(-0.5, len(names) - 0.5))
    n = {name: evidence[f"gain-{name}"].n for name in names}
    seeds = ", ".join([f"n = {n[names[0]]}", *(f"{n[name]} ({_NETWORKS[name]})" for name in names if n[name] != n[names[0]])])
    settings_note(panel, f"MNIST (rows as steps), batches of {evidence.arrays['batch']}, {seeds}")
    panel.legend(loc="best")
    return figure


def running(evidence: Evidence):
    """Test accuracy by running and by batch statistics against the momentum."""
    figure, panel = new_figure(height=2.4)
    momenta = evidence.arrays["momenta"]
    x = np.arange(len(momenta))
    panel.axvline(int(np.flatnonzero(momenta == evidence["momentum-usual"].value)[0]), color=COLORS[5], lw=0.6, ls=":")
    curve(panel, evidence, "batch", x, series=1, label="statistics of the test batch", ls="-")
    curve(panel, evidence, "running", x, series=0, label="running statistics", ls="-")
    panel.set_xticks(x, [f"{m:g}" for m in momenta])
    panel.set(xlabel="momentum, the weight of the old value", ylabel="test accuracy")
    settings_note(
        panel, f"MLP after {evidence.arrays['steps']} steps, n = {evidence['gap-usual'].n}; dotted: the usual momentum"
    )
    panel.legend(loc="lower left")
    return figure


FIGURES = {
    "norms.axes": axes,
    "norms.batch-size": batch_size,
    "norms.domains": domains,
    "norms.running": running,
}
