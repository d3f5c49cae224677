"""Figures of the question `norms`."""

import numpy as np

from experiments.study.figures.style import COLORS, curve, new_figure, points, settings_note
from experiments.study.measurement import Evidence

# Not imported from the question: a figure is a function of results alone.
_NORMS = {"batch": "batch norm", "layer": "layer norm"}
_NETWORKS = {"cnn": "CNN", "mlp": "MLP"}
_TEXT = {
    "rnn-varied": "RNN,\nlengths vary",
    "rnn-equal": "RNN,\nequal",
    "transformer-varied": "Transformer,\nlengths vary",
    "transformer-equal": "Transformer,\nequal",
}


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
    """Test accuracy against batch size, of an MLP and a CNN."""
    figure, panels = new_figure(2, height=2.5, share_y=True)
    n = evidence["gain-mlp-layer"].n
    for panel, name in zip(panels, ("mlp", "cnn"), strict=True):
        sizes = evidence.arrays[f"{name}-sizes"]
        for series, (norm, label) in enumerate({**_NORMS, "group": "group norm"}.items()):
            curve(panel, evidence, f"{name}-{norm}", sizes, series=series, label=label, ls="-")
        panel.set(xscale="log", xlabel="batch size", xticks=sizes, xticklabels=sizes)
        panel.minorticks_off()
        settings_note(panel, f"{_NETWORKS[name]} on MNIST, equal epochs, running statistics; n = {n}")
    panels[0].set(ylabel="test accuracy")
    panels[0].legend(loc="lower right")
    return figure


def domains(evidence: Evidence):
    """Test accuracy on images and loss on text in generation mode, with each norm."""
    figure, (left, right) = new_figure(2, height=2.6)
    for panel, measured, names, norms in (
        (left, "accuracy", ("cnn", "mlp"), _NORMS),
        (right, "loss", tuple(_TEXT), {**_NORMS, "none": "no norm"}),
    ):
        for series, (norm, label) in enumerate(norms.items()):
            places = [place for place, name in enumerate(names) if _has(evidence, f"{measured}-{name}-{norm}")]
            found = [evidence[f"{measured}-{names[place]}-{norm}"] for place in places]
            points(panel, np.asarray(places) + 0.14 * (series - 0.5), found, series=series, label=label)
        panel.set_xticks(range(len(names)), [{**_NETWORKS, **_TEXT}[name] for name in names])
        panel.set(xlim=(-0.5, len(names) - 0.5))
    left.set(ylabel="test accuracy")
    settings_note(left, f"MNIST, batches of {evidence.arrays['batch']}; n = {evidence['gain-cnn'].n}")
    left.legend(loc="best")
    right.set(ylabel="nats per character")
    right.tick_params(axis="x", labelsize=6)
    settings_note(right, f"text in generation mode, lower is better; n = {evidence['gain-rnn-varied'].n}")
    right.legend(fontsize=6)
    return figure


def _has(evidence: Evidence, name: str) -> bool:
    return any(measurement.name == name for measurement in evidence.measurements)


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
