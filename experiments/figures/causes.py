"""Figures of the topic `causes`."""

import numpy as np

from experiments.figures.style import COLORS, measured, new_figure, settings_note, theory
from experiments.measurement import Evidence

_PASSED = "layers that the gradient has passed"
_GRADIENT = r"log$_{10}$ gradient norm"


def _curve(axes, evidence: Evidence, name: str, *, series: int, label: str, x=None) -> None:
    """Points with intervals of one curve of the evidence, and its prediction as a line where it has one."""
    arrays = evidence.arrays
    x = np.arange(arrays[f"{name}-mean"].size) if x is None else x
    if f"{name}-predicted" in arrays:
        theory(axes, x, arrays[f"{name}-predicted"], series=series)
    measured(axes, x, *(arrays[f"{name}-{part}"] for part in ("mean", "low", "high")), series=series, label=label)


def _seeds(evidence: Evidence) -> str:
    return f"n = {evidence.measurements[0].n} seeds, 95% intervals"


def product(evidence: Evidence):
    """Relative difference between the product of Jacobians and the gradient, by layer."""
    figure, axes = new_figure()
    for series, name in enumerate(("float32", "float64")):
        depth = evidence.arrays[f"{name}-mean"].size
        _curve(axes, evidence, name, series=series, label=name, x=np.arange(depth))
        precision = {"float32": 2.0**-24, "float64": 2.0**-53}[name]
        axes.axhline(np.log10(precision), color=COLORS[series], lw=0.7, ls=":")
    axes.set(xlabel="layer", ylabel=r"log$_{10}$ relative difference")
    settings_note(axes, f"product of Jacobians against jax.grad; dotted: unit roundoff; {_seeds(evidence)}")
    axes.legend(loc="center left")
    return figure


def _backward(evidence: Evidence, arms: dict[str, str], note: str = ""):
    figure, axes = new_figure()
    for series, (name, label) in enumerate(arms.items()):
        _curve(axes, evidence, name, series=series, label=label)
    axes.set(xlabel=_PASSED, ylabel=_GRADIENT)
    settings_note(axes, f"line: mean-field theory; {note}{_seeds(evidence)}")
    axes.legend()
    return figure


def vanish(evidence: Evidence):
    """The gradient falls exponentially where the factor is below 1."""
    return _backward(evidence, {"tanh": "tanh, σ_w² = 0.6, σ_b² = 0.05", "sigmoid": "sigmoid, σ_w² = 1, σ_b² = 0"})


def saturation(evidence: Evidence):
    """Growth of the gradient a layer against the variance of the pre-activations, weights kept."""
    figure, axes = new_figure()
    for series, (name, label) in enumerate({"tanh": "tanh, σ_w² = 1.5", "sigmoid": "sigmoid, σ_w² = 4"}.items()):
        _curve(axes, evidence, name, series=series, label=label, x=evidence.arrays[f"{name}-q"])
    axes.set(xscale="log", xlabel="variance of the pre-activations, q*", ylabel="gradient growth (nats a layer)")
    axes.axhline(0, color="#888888", lw=0.6)
    settings_note(axes, f"biases alone move q*; line: ½ ln χ; {_seeds(evidence)}")
    axes.legend(loc="lower left")
    return figure


def init_small(evidence: Evidence):
    """The signal shrinks: activations of ReLU and tanh, the difference of two inputs in a sigmoid net."""
    figure, (left, right) = new_figure(2, height=2.3)
    for series, (name, label) in enumerate({"relu": "ReLU, σ_w² = 1", "tanh": "tanh, σ_w² = 0.5"}.items()):
        _curve(left, evidence, name, series=series, label=label)
        start = evidence.arrays[f"{name}-mean"][-1]
        size = evidence.arrays[f"{name}-mean"].size
        slope = evidence[f"forward-slope-{name}"].prediction / np.log(10)
        theory(left, np.arange(size), start + slope * (np.arange(size) - size + 1), series=series)
    left.set(xlabel="layer", ylabel=r"log$_{10}$ RMS activation")
    settings_note(left, f"line: predicted slope; {_seeds(evidence)}")
    left.legend(loc="lower left")
    _curve(right, evidence, "sigmoid", series=2, label="sigmoid, σ_w² = 1")
    right.set(xlabel="layer", ylabel=r"log$_{10}$ distance of two inputs")
    settings_note(right, "sigmoid(0) = ½: activations stay, differences vanish")
    right.legend(loc="lower left")
    return figure


def explode(evidence: Evidence):
    """The gradient grows exponentially where the factor is above 1."""
    overflow = evidence["overflow-depth"]
    note = f"float32 overflows after {overflow.value:.0f} layers at tanh, σ_w² = 16; "
    return _backward(evidence, {"tanh": "tanh, σ_w² = 2.25", "relu": "ReLU, σ_w² = 4"}, note)


def init_large(evidence: Evidence):
    """Forward only ReLU grows; backward all do."""
    figure, (left, right) = new_figure(2, height=2.3)
    arms = {"relu": "ReLU, σ_w² = 4", "tanh": "tanh, σ_w² = 4", "sigmoid": "sigmoid, σ_w² = 400"}
    for series, (name, label) in enumerate(arms.items()):
        _curve(left, evidence, f"forward-{name}", series=series, label=label)
        _curve(right, evidence, f"backward-{name}", series=series, label=label)
    left.set(xlabel="layer", ylabel=r"log$_{10}$ RMS activation")
    right.set(xlabel=_PASSED, ylabel=_GRADIENT)
    settings_note(left, f"forward; {_seeds(evidence)}")
    settings_note(right, "backward; line: mean-field theory")
    left.legend(loc="upper left")
    return figure


def depth(evidence: Evidence):
    """A factor a little off 1 becomes an exponential with depth."""
    below, above = (evidence[f"depth-scale-{side}"] for side in ("below", "above"))
    arms = {"below": f"χ < 1: e-fold every {below.value:.1f} layers", "above": f"χ > 1: e-fold every {above.value:.1f} layers"}
    return _backward(evidence, arms, "ReLU; ")


FIGURES = {
    "causes.product": product,
    "causes.vanish": vanish,
    "causes.saturation": saturation,
    "causes.init-small": init_small,
    "causes.explode": explode,
    "causes.init-large": init_large,
    "causes.depth": depth,
}
