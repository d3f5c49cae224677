"""Figures of the topic `causes`."""

import numpy as np

from experiments.study.figures.style import COLORS, curve, legend_below, new_figure, settings_note, theory
from experiments.study.measurement import Evidence

_PASSED = "layers that the gradient has passed"
_GRADIENT = r"log$_{10}$ gradient norm"


def _label(evidence: Evidence, name: str) -> str:
    """An arm by its activation and the variances that it was measured with."""
    weight_variance, bias_variance = evidence.arrays[f"{name}-variances"]
    activation = {"relu": "ReLU", "large": "tanh"}.get(word := name.removesuffix("-below"), word)
    label = rf"{activation}, $\sigma_w^2$ = {weight_variance:g}"
    return label + (rf", $\sigma_b^2$ = {bias_variance:g}" if bias_variance else "")


def _seeds(evidence: Evidence) -> str:
    return f"n = {evidence.measurements[0].n} seeds, 95% intervals"


def product(evidence: Evidence):
    """Relative difference between the product of Jacobians and the gradient, by layer."""
    figure, axes = new_figure()
    for series, name in enumerate(("float32", "float64")):
        curve(axes, evidence, name, series=series, label=name)
        precision = {"float32": 2.0**-24, "float64": 2.0**-53}[name]
        axes.axhline(np.log10(precision), color=COLORS[series], lw=0.7, ls=":")
    axes.set(xlabel="layer", ylabel=r"log$_{10}$ relative difference")
    settings_note(axes, f"product of Jacobians against jax.grad; dotted: unit roundoff; {_seeds(evidence)}")
    axes.legend(loc="center left")
    return figure


def _backward(evidence: Evidence, arms: dict[str, str], note: str = ""):
    figure, axes = new_figure()
    for series, (name, label) in enumerate(arms.items()):
        curve(axes, evidence, name, series=series, label=label)
    axes.set(xlabel=_PASSED, ylabel=_GRADIENT)
    settings_note(axes, f"line: mean-field theory; {note}{_seeds(evidence)}")
    legend_below(axes)
    return figure


def vanish(evidence: Evidence):
    """The gradient falls exponentially where χ is below 1, and grows where the weights make up for the derivative."""
    return _backward(evidence, {name: _label(evidence, name) for name in ("tanh", "sigmoid", "large")})


def saturation(evidence: Evidence):
    """Growth of the gradient per layer against the variance of the pre-activations, weights kept."""
    figure, axes = new_figure()
    for series, name in enumerate(("tanh", "sigmoid")):
        curve(axes, evidence, name, series=series, label=_label(evidence, name), x=evidence.arrays[f"{name}-q"])
    axes.set(xscale="log", xlabel="variance of the pre-activations, q*", ylabel="gradient growth (nats per layer)")
    axes.axhline(0, color="#888888", lw=0.6)
    settings_note(axes, f"biases alone move q*; line: ½ ln χ; {_seeds(evidence)}")
    axes.legend(loc="lower left")
    return figure


def init_small(evidence: Evidence):
    """The signal shrinks: activations of ReLU and tanh, the difference of two inputs in a sigmoid net."""
    figure, (left, right) = new_figure(2, height=2.3)
    for series, name in enumerate(("relu", "tanh")):
        curve(left, evidence, name, series=series, label=_label(evidence, name))
        mean = evidence.arrays[f"{name}-mean"]
        layers = np.arange(mean.size)
        slope = evidence[f"forward-slope-{name}"].prediction / np.log(10)
        theory(left, layers, mean[-1] + slope * (layers - layers[-1]), series=series)
    left.set(xlabel="layer", ylabel=r"log$_{10}$ RMS activation")
    settings_note(left, f"line: predicted slope; {_seeds(evidence)}")
    left.legend(loc="lower left")
    curve(right, evidence, "sigmoid", series=2, label=_label(evidence, "sigmoid"))
    mean = evidence.arrays["sigmoid-mean"]
    slope = evidence["difference-slope-sigmoid"].prediction / np.log(10)
    theory(right, np.arange(mean.size), mean[0] + slope * np.arange(mean.size), series=2)
    right.set(xlabel="layer", ylabel=r"log$_{10}$ distance of two inputs")
    settings_note(right, "activations stay near σ(0) = ½, differences vanish")
    right.legend(loc="lower left")
    return figure


def explode(evidence: Evidence):
    """The gradient grows exponentially where χ is above 1; weights above 1 with χ below 1 let it vanish."""
    overflow, weight_variance = evidence["overflow-depth"], evidence.arrays["overflow-variances"][0]
    note = rf"float32 overflows after {overflow.value:.0f} layers at tanh, $\sigma_w^2$ = {weight_variance:g}; "
    arms = ("tanh", "relu", "relu-below", "sigmoid-below", "tanh-below")
    return _backward(evidence, {name: _label(evidence, name) for name in arms}, note)


def init_large(evidence: Evidence):
    """Forward only ReLU grows; backward all do."""
    figure, (left, right) = new_figure(2, height=2.3)
    for series, name in enumerate(("relu", "tanh", "sigmoid")):
        curve(left, evidence, f"forward-{name}", series=series, label=_label(evidence, name))
        curve(right, evidence, f"backward-{name}", series=series, label=_label(evidence, name))
    left.set(xlabel="layer", ylabel=r"log$_{10}$ RMS activation")
    right.set(xlabel=_PASSED, ylabel=_GRADIENT)
    settings_note(left, f"forward; {_seeds(evidence)}")
    settings_note(right, f"backward; line: mean-field theory; n = {evidence['gradient-slope-tanh'].n}")
    left.legend(loc="upper left")
    return figure


def depth(evidence: Evidence):
    """A factor a little off 1 becomes an exponential with depth."""
    arms = {}
    for side, sign in (("below", "<"), ("above", ">")):
        for activation, word in (("relu", "ReLU"), ("tanh", "tanh")):
            name = f"{side}-{activation}"
            arms[name] = f"{word}, χ {sign} 1: ξ = {evidence[f'depth-scale-{name}'].value:.2f} layers"
    return _backward(evidence, arms, "norm ∝ exp(± layers / 2ξ); ")


def where(evidence: Evidence):
    """A deep stack and a recurrent network of as many steps lose or gain decades; at few layers hardly any."""
    figure, axes = new_figure()
    words = {"vanish": r"tanh, $\sigma_w^2$ = 0.5", "explode": r"tanh, $\sigma_w^2$ = 16"}
    for series, (name, kind) in enumerate((n, k) for n in words for k in ("stack", "recurrent")):
        curve(axes, evidence, f"{name}-{kind}", series=series, label=f"{kind}: {words[name]}")
    axes.set(xlabel="layers or steps that the gradient has passed", ylabel=_GRADIENT)
    settings_note(axes, f"line: mean-field theory; {_seeds(evidence)}")
    legend_below(axes)
    return figure


def updates(evidence: Evidence):
    """The first update over the weights, by layer: plain gradient descent and Adam, critical and exploding."""
    figure, axes = new_figure()
    words = {"sgd": "SGD", "adam": "Adam"}
    for series, (optimizer, name) in enumerate((o, n) for o in words for n in ("critical", "exploding")):
        curve(axes, evidence, f"{optimizer}-{name}", series=series, label=f"{words[optimizer]}, {name}")
    axes.axhline(0, color="#888888", lw=0.6)
    axes.set(xlabel="layer", ylabel=r"log$_{10}$ of first update over weights")
    settings_note(axes, f"grey: as large as the weights; {_seeds(evidence)}")
    legend_below(axes)
    return figure


FIGURES = {
    "causes.product": product,
    "causes.vanish": vanish,
    "causes.saturation": saturation,
    "causes.init-small": init_small,
    "causes.explode": explode,
    "causes.init-large": init_large,
    "causes.depth": depth,
    "causes.where": where,
    "causes.updates": updates,
}
