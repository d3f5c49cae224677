"""Findings about a layer's values: saturated, dead, not finite."""

import math

from jaxnotes.diagnosis._finding import Finding, Remedy
from jaxnotes.diagnosis._thresholds import STANDARD, Thresholds
from jaxnotes.probe import Layer, Report

LARGE_WEIGHTS = 4.0  # weight variance times fan-in, beside 1 for tanh and 2 for ReLU
ALIKE = 0.1  # of a bias, by which the units' may differ and still be called one


def saturated(report: Report, thresholds: Thresholds = STANDARD) -> list[Finding]:
    """Layers most of whose units sit where a sigmoid or tanh is flat; the model's outputs may."""
    found = [
        layer
        for layer in report.layers[:-1]
        if not layer.is_output
        and layer.activation_function is not None
        and layer.activation_function.saturates
        and _saturated_share(layer) > thresholds.saturated_units_share
    ]
    if not found:
        return []
    worst = max(found, key=lambda layer: layer.saturated_fraction)
    evidence = (
        f"{worst.saturated_fraction:.0%} of {worst.label}'s entries lie where {worst.activation}'s slope is below 5% of its "
        f"largest; RMS of the layer {worst.activation_rms:.3g}"
    )
    claims = ("causes.saturation", "saturation.derivative", "saturation.blocks")
    return [Finding("saturated-units", _labels(found), evidence, claims, _unsaturating(report, found))]


def _saturated_share(layer: Layer) -> float:
    """Returns the share of the entries that are flat; for ReLU6, which is 0 for half of them as ReLU is, of the other half."""
    return 2 * layer.saturated_fraction - 1 if layer.activation.startswith("relu") else layer.saturated_fraction


def _unsaturating(report: Report, found: list[Layer]) -> tuple[Remedy, ...]:
    """Smaller weights where they are large for their activation function; else what they read is large, or the biases are."""
    heavy = [layer for layer in found if layer.weight_variance > LARGE_WEIGHTS]
    normal = Remedy("normalise before the activation", "pre-activations of mean 0 and variance 1, whatever the weights")
    other = Remedy("use ReLU or another activation that does not saturate", "slope 1 on the positive side")
    if not heavy:
        source = "the inputs: to mean 0 and variance 1" if found[0] is report.layers[0] else f"what {found[0].label} reads"
        return Remedy(f"scale {source}", "pre-activations of RMS 1: few or none saturated"), normal, other
    scales = tuple((layer.name, 1 / max(layer.activation_rms, 1.0)) for layer in heavy)
    smaller = "make the weights smaller, to pre-activations of RMS 1"
    return Remedy(smaller, "units back on the steep part: few or none saturated", scales=scales), normal, other


def dead(report: Report, thresholds: Thresholds = STANDARD) -> list[Finding]:
    """Layers most of whose units pass no gradient at any example; where both sides are flat they are saturated, not dead."""
    if report.examples < thresholds.dead_units_least_examples:
        return []
    share = thresholds.dead_units_share
    found = [layer for layer in report.layers if layer.dead_fraction > share and _can_die(layer) and layer.activation_rms > 0]
    if not found:
        return []
    worst = max(found, key=lambda layer: layer.dead_fraction)
    evidence = (
        f"{worst.dead_fraction:.0%} of {worst.label}'s units have slope 0 at all {report.examples} examples; "
        f"mean {worst.activation_mean:.3g}"
    )
    return [Finding("dead-units", _labels(found), evidence, ("remedies.nonsaturating",), _reviving(found))]


def _can_die(layer: Layer) -> bool:
    """Returns whether the layer's activation function is flat on one side, as ReLU and, at its lower end, ReLU6."""
    function = layer.activation_function
    return function is not None and (not function.saturates or function.name.startswith("relu"))


def _reviving(found: list[Layer]) -> tuple[Remedy, ...]:
    """Biases of 0 help only where the start's keep units down: what a large step has killed stays dead."""
    held_down = tuple(layer.name for layer in found if _held_down_by_bias(layer))
    remedies = [
        Remedy(
            "draw the weights again and train with a lower learning rate, or warm it up",
            "about half of the units active at each example; dead ones get no gradient that could bring them back, and one "
            "large step is what kills them",
        )
    ]
    if any(layer.activation.startswith("relu") for layer in found):
        remedies.append(Remedy("use leaky ReLU, ELU or GELU", "a slope on the negative side lets units come back"))
    if held_down:
        remedies.insert(0, Remedy("set the biases to 0", "about half of the units active at each example", zeros=held_down))
    return tuple(remedies)


def _held_down_by_bias(layer: Layer) -> bool:
    """Returns whether the units are silent because of a bias that is the same for all of them, as only a start makes it.

    What such a layer reads brings less than the bias takes away; behind a dead layer it brings nothing.
    """
    bias = layer.bias_mean
    differing = math.sqrt(max(layer.bias_variance - bias**2, 0.0))
    spread = math.sqrt(max(layer.activation_rms**2 - layer.activation_mean**2, 0.0))
    alike = -ALIKE * bias
    return bias < -spread and differing <= alike and abs(layer.activation_mean - bias) <= max(spread, alike)


def nonfinite(report: Report, _: Thresholds) -> list[Finding]:
    """Returns the first value that is not finite."""
    where = next((layer for layer in report.layers if layer.nonfinite), None)
    back = next((layer for layer in reversed(report.layers) if layer.nonfinite_gradient), None)
    own = next((parameter for parameter in report.parameters if parameter.nonfinite_gradient), None)
    if where is None and back is None and own is None and not report.nonfinite_inputs and math.isfinite(report.loss):
        return []
    if report.nonfinite_inputs:
        evidence = f"{', '.join(report.nonfinite_inputs[:3])} hold NaN or infinity before the model computes anything"
    elif where is not None:
        total = math.prod(where.output_shape)
        evidence = f"first at {where.label}: {where.nonfinite} of {total} entries; {_before(report, where)}"
    elif math.isfinite(report.loss) and back is not None:
        evidence = (
            f"values are finite; the gradient is not, on its way back first at {back.label}: {back.nonfinite_gradient} entries"
        )
    elif math.isfinite(report.loss) and own is not None:
        evidence = f"values and the layers' gradients are finite; that of {own.name} is not: {own.nonfinite_gradient} entries"
    else:
        evidence = f"all layers are finite, the loss is {report.loss}"
    origin = where or back
    layers = (origin.label,) if origin else (own.name,) if own else ()
    remedies = (
        Remedy("run with jax.config.update('jax_debug_nans', True)", "stops at the operation that makes the first NaN"),
        Remedy("lower the learning rate or clip the gradient", "a run that diverged no longer does"),
        Remedy("guard logarithms, divisions and square roots at 0", "log(x + ε), and a safe derivative at 0"),
    )
    return [Finding("non-finite", layers, evidence, ("causes.explode",), remedies)]


def _before(report: Report, layer: Layer) -> str:
    place = next(i for i, other in enumerate(report.layers) if other is layer)
    if place == 0:
        return "it is the first layer"
    previous = report.layers[place - 1]
    return f"before it {previous.label} reached {max(abs(previous.activation_min), abs(previous.activation_max)):.3g}"


def _labels(layers: list[Layer]) -> tuple[str, ...]:
    return tuple(layer.label for layer in layers)
