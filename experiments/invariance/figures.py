"""Figures of the question `invariance`."""

import numpy as np

from experiments.study.figures.style import curve, legend_below, measured, new_figure, points, settings_note, theory
from experiments.study.measurement import Evidence, mean_interval

# Not imported from what trains: a figure is a function of results alone.
_NETWORKS = {
    "mlp": "MLP",
    "flatten": "max, flattened",
    "global": "max, global mean",
    "max-blur": "max and blur, global mean",
    "polyphase": "polyphase, global mean",
}
_MAPS = {"flatten": "flattened", "global": "max", "max-blur": "max, blur", "polyphase": "polyphase"}


def definition(evidence: Evidence):
    """Relative change of the output against the shift: an invariant network, its equivariant map, a dense layer."""
    figure, axes = new_figure(height=2.5)
    names = {
        "dense": "dense layer",
        "map": "map of the convolutions",
        "equivariance": "that map, moved back",
        "exact": "global mean of that map",
    }
    for series, (name, label) in enumerate(names.items()):
        curve(axes, evidence, name, evidence.arrays["shifts"], series=series, label=label)
    axes.axhline(np.log10(np.finfo(np.float64).eps), color="#888888", lw=0.6, ls=":")
    axes.set(xlabel="diagonal shift (cells)", ylabel=r"log$_{10}$ relative change", ylim=(-18, 1))
    settings_note(axes, f"circular convolutions, float64, n = {evidence['change-exact'].n}; dotted: rounding; 0 drawn at −17")
    axes.legend(loc="center right")
    return figure


def generalises(evidence: Evidence):
    """Test accuracy against the shift of digits, for networks trained on centred ones."""
    figure, axes = new_figure(height=2.9)
    shifts = evidence.arrays["shifts"]
    centre = len(shifts) // 2
    for series, (name, label) in enumerate(_NETWORKS.items()):
        row = evidence.arrays[f"accuracy-{name}"][:, centre]
        measured(axes, shifts, row.mean(0), *mean_interval(row), series=series, label=label, ls="-")
    axes.axhline(0.1, color="#888888", lw=0.6, ls=":")
    axes.set(xlabel="horizontal shift (pixels)", ylabel="test accuracy", ylim=(0, 1))
    settings_note(axes, f"MNIST 14×14 on 20×20, trained at the centre; n = {evidence['drop-mlp'].n}; dotted: chance")
    legend_below(axes)
    return figure


def convolution(evidence: Evidence):
    """Equivariance error of one convolution by padding, stride and shift, and the change of the output itself."""
    figure, axes = new_figure(height=2.5)
    names = {
        "change": "output itself, circular",
        "stride": "equivariance: circular, stride 2",
        "zeros": "zeros at the border",
        "zeros-inside": "zeros, away from the border",
        "circular": "circular, stride 1",
    }
    shifts = evidence.arrays["shifts"]
    for series, (name, label) in enumerate(names.items()):
        curve(axes, evidence, name, shifts + 0.06 * (series - 2), series=series, label=label)
    axes.set(xlabel="shift (cells)", ylabel="relative change", ylim=(-0.1, 3.0), xticks=shifts)
    settings_note(axes, f"one 3×3 convolution of noise, float64, n = {evidence['error-circular'].n}")
    axes.legend(loc="upper left", fontsize=6)
    return figure


def max_pool(evidence: Evidence):
    """Share of maxima that a shift leaves unchanged, and the predictions that survive one in trained networks."""
    figure, (left, right) = new_figure(2, height=2.4)
    shifts = evidence.arrays["shifts"]
    curve(left, evidence, "share", shifts, series=0, label="measured")
    # Shared cells over all cells of both windows: 1, 2/6, then none.
    theory(left, shifts, np.where(shifts == 0, 1.0, np.where(shifts == 1, 1 / 3, 0.0)), label="shared cells, of both windows")
    left.set(xlabel="shift (cells)", ylabel="windows with the same maximum", xticks=shifts)
    settings_note(left, f"2×2 maxima of unit noise, stride 2; n = {evidence['share-unchanged'].n}")
    left.legend(loc="upper right")
    arms = {"global": "maximum", "max-blur": "maximum,\nthen blur", "polyphase": "polyphase"}
    for series, kind in enumerate(("kept", "accuracy")):
        found = [evidence[f"{kind}-{arm}"] for arm in arms]
        label = "of those right, right a pixel off" if kind == "kept" else "right"
        points(right, np.arange(3) + 0.1 * (2 * series - 1), found, series=series + 1, label=label)
    right.set_xticks(range(3), list(arms.values()))
    right.set(ylabel="share of test digits", xlim=(-0.5, 2.5))
    settings_note(right, f"CNN with a global mean, trained on centred digits; n = {found[0].n}")
    legend_below(right)
    return figure


def cnn(evidence: Evidence):
    """Accuracy at every position of four networks."""
    figure, panels = new_figure(4, height=2.4)
    for axes, (name, label) in zip(panels, _MAPS.items(), strict=True):
        picture = evidence.arrays[f"map-{name}"]
        image = axes.imshow(picture, cmap="viridis", vmin=0, vmax=1)
        middle = picture.shape[0] // 2
        axes.set_xticks((0, middle, 2 * middle), [f"-{middle}", "0", f"+{middle}"])
        axes.set_yticks([])
        axes.set(xlabel="shift (pixels)")
        settings_note(axes, f"{label}: worst {evidence[f'worst-{name}'].value:.2f}", 19)
    figure.colorbar(image, ax=list(panels), label="test accuracy", location="bottom", shrink=0.5)
    return figure


def generalisation(evidence: Evidence):
    """Test accuracy against the examples, with and without invariance, by where the pattern stands."""
    figure, panels = new_figure(3, height=2.4)
    cases = {
        "varied": "any position, seen",
        "unseen": "trained at one position, tested at any",
        "fixed": "always one position",
    }
    for axes, (case, label) in zip(panels, cases.items(), strict=True):
        for series, (arm, name) in enumerate({"usual": "max, flattened", "invariant": "invariant"}.items()):
            curve(axes, evidence, f"{case}-{arm}", evidence.arrays["examples"], series=series, label=name, ls="-")
        axes.set(xscale="log", xlabel="training sequences", ylim=(0, 1.02))
        axes.set_xticks(evidence.arrays["examples"], evidence.arrays["examples"])
        axes.minorticks_off()
        settings_note(axes, f"{label}; n = {evidence[f'gain-{case}'].n}", 26)
    panels[0].set(ylabel="test accuracy")
    panels[1].legend(loc="upper left", fontsize=6)
    return figure


FIGURES = {
    "invariance.definition": definition,
    "invariance.generalises": generalises,
    "invariance.convolution": convolution,
    "invariance.max-pool": max_pool,
    "invariance.cnn": cnn,
    "invariance.generalisation": generalisation,
}
