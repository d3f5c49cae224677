"""Findings about the gradient's way back: vanishing, exploding, wrong initialisation."""

import math

from jaxnotes import meanfield
from jaxnotes.diagnosis._finding import Finding, Remedy
from jaxnotes.diagnosis._profile import Place, cells, depth_profile, ends, faded
from jaxnotes.diagnosis._remedies import against_exploding, against_vanishing, carried_by_residuals, off_critical, rescaling
from jaxnotes.diagnosis._theory import gains
from jaxnotes.diagnosis._thresholds import STANDARD, Thresholds
from jaxnotes.probe import Activation, Report

UNDERFLOW_DECADES = 30.0  # a gradient this small is followed by 0 within a few steps
ORTHOGONAL = Remedy(
    "initialise the recurrent weights orthogonal, times 1", "every step then keeps norms where the activation is linear"
)
SHORT_WAY = Remedy("let outputs at more steps enter the loss, or attend to them", "early steps get a gradient on a short way")


def vanishing(report: Report, thresholds: Thresholds = STANDARD) -> list[Finding]:
    """The gradient at the first layers is a small share of that at the last."""
    places = depth_profile(report)
    if len(places) == 2:
        return _between_two(places, thresholds)
    if len(places) > 2:
        first, last = ends([place.log10_gradient for place in places])
        # None at all that has not shrunk to it is a matter of dead units or of what cuts it off.
        decades = thresholds.vanishing_gradient_decades
        if last - first >= decades and (math.isfinite(first) or faded(report)):
            layers = tuple(place.name for place in places if place.log10_gradient <= last - decades)
            evidence = _from_end_to_end(first, last)
            claims = ("causes.product", "causes.vanish", "causes.depth")
            return [Finding("vanishing-gradient", layers, evidence, claims, against_vanishing(report, len(places)))]
    return []


def _between_two(places: list[Place], thresholds: Thresholds) -> list[Finding]:
    """The gradient all but ends between two layers: more than a layer does, so that a loop over steps stands between."""
    first, last = (place.log10_gradient for place in places)
    if not (math.isfinite(first) and last - first >= thresholds.vanishing_gradient_decades_over_time):
        return []
    evidence = f"between {places[0].name} and {places[1].name} the gradient shrinks from 10^{last:.1f} to 10^{first:.1f}"
    look = Remedy(
        f"look at what is computed between {places[0].name} and {places[1].name}: a loop multiplies the gradient at every step",
        "the step that shrinks it is found",
    )
    gated = Remedy("use an LSTM or GRU for a loop over time", "its cell passes gradients on by the gate's value")
    claims = ("causes.vanish", "causes.depth")
    return [Finding("vanishing-gradient", (places[0].name,), evidence, claims, (look, ORTHOGONAL, gated, SHORT_WAY))]


def _from_end_to_end(first: float, last: float) -> str:
    start = "0" if first == -math.inf else f"10^{first:.1f}"
    return f"the loss's gradient is {start} at the first layers and 10^{last:.1f} at the last"


def exploding(report: Report, thresholds: Thresholds = STANDARD) -> list[Finding]:
    """The gradient at the first layers is a multiple of that at the last."""
    places = depth_profile(report)
    if len(places) < 3:
        return []
    first, last = ends([place.log10_gradient for place in places])
    normalised = [layer for layer in report.layers if "BatchNorm" in layer.kind and layer.mode != "inference"]
    weighted = [layer for layer in report.layers if not math.isnan(layer.weight_variance)]
    by_norm = len(normalised) >= max(3, len(weighted) // 2)
    least = thresholds.batch_norm_explosion_decades if by_norm else thresholds.exploding_gradient_decades
    if not math.isfinite(last) or first - last < least:
        return []
    layers = tuple(place.name for place in places if place.log10_gradient >= last + (first - last) / 2)
    evidence = _from_end_to_end(first, last)
    if by_norm:
        return [_batch_norm_explosion(layers, evidence, normalised)]
    claims = ("causes.product", "causes.explode", "causes.depth")
    return [Finding("exploding-gradient", layers, evidence, claims, against_exploding(report))]


def _batch_norm_explosion(layers: tuple[str, ...], evidence: str, normalised: list) -> Finding:
    activation = next((layer.activation_function for layer in normalised if layer.activation_function), None)
    evidence += _batch_norm_theory(activation, len(normalised)) if activation else ""
    remedies = (
        Remedy(
            "add residual connections around pairs of layers", "blocks then act as the identity at the start: about 10^0.0", 0.0
        ),
        Remedy(
            "put layer normalisation in place of batch normalisation",
            "no coupling of examples, which is what makes gradients grow",
        ),
        Remedy("use fewer layers", "the growth is exponential in the number of layers"),
    )
    return Finding("batch-norm-explosion", layers, evidence, ("normalization.gradients", "remedies.residual"), remedies)


def _batch_norm_theory(activation: Activation, layers: int) -> str:
    """What theory says of so many layers, as more evidence; nothing for an activation function that it does not cover."""
    try:
        gain = meanfield.batch_norm_gain(activation.function)
    except (ValueError, TypeError):
        return ""
    return (
        f"; theory for batch normalisation and {activation.name}: the squared gradient grows by a factor of {gain:.3g} per "
        f"layer, {layers} layers make 10^{0.5 * math.log10(gain) * layers:.1f}"
    )


def through_time(report: Report, thresholds: Thresholds = STANDARD) -> list[Finding]:
    """The gradient vanishes or explodes over the steps of a recurrent network."""
    findings = []
    for cell in cells(report):
        steps = len(cell.log10_gradients)
        first, last = ends(list(cell.log10_gradients))
        evidence = f"over {steps} steps of {cell.name} the gradient goes from {power(last)} at the last back to {power(first)}"
        if last - first >= thresholds.vanishing_gradient_decades_over_time and _shrinks(cell.log10_gradients):
            claims = ("causes.vanish", "causes.depth")
            findings.append(Finding("vanishing-gradient", (cell.name,), evidence, claims, _long_memory(cell.kind, steps)))
        elif first - last >= thresholds.exploding_gradient_decades and math.isfinite(last):
            clip = Remedy("clip the gradient by its global norm", "steps stay bounded; directions are kept")
            claims = ("causes.explode", "remedies.clip")
            findings.append(Finding("exploding-gradient", (cell.name,), evidence, claims, (clip, ORTHOGONAL)))
    return findings


def _shrinks(log10_gradients: tuple[float, ...]) -> bool:
    """Returns whether a gradient that is 0 at the first steps has become so by shrinking: a cut is another matter."""
    finite = [value for value in log10_gradients if math.isfinite(value)]
    return bool(finite) and (len(finite) == len(log10_gradients) or min(finite) < -UNDERFLOW_DECADES)


def _long_memory(kind: str, steps: int) -> tuple[Remedy, ...]:
    """What makes a cell remember so many steps: a gate's bias at about their logarithm (Tallec & Ollivier 2018)."""
    bias, forgets = f"{math.log(steps):.1f}, the logarithm of the steps", "the cell forgets over that many steps"
    if "LSTM" in kind:
        return Remedy(f"start the forget gate's bias at {bias}", forgets), SHORT_WAY
    if "GRU" in kind or "MGU" in kind:
        return Remedy(f"start the bias of the gate that keeps the old state at {bias}", forgets), SHORT_WAY
    gated = Remedy(
        f"use an LSTM or GRU, with the forget gate's bias at {bias}", "its cell passes gradients on by the gate's value"
    )
    return gated, ORTHOGONAL


def power(log10: float) -> str:
    """Returns 10^… as text; 0 where the logarithm is -inf."""
    return "0" if log10 == -math.inf else f"10^{log10:.1f}"


def initialisation(report: Report, thresholds: Thresholds = STANDARD) -> list[Finding]:
    """Weights whose variance is far from the critical one of their activation function, where the readings show it."""
    found = gains(report)
    off = off_critical(found, thresholds.initialisation_variance_factor)
    if len(off) < 2 or carried_by_residuals(report):
        return []
    places = depth_profile(report)
    first, last = ends([place.log10_gradient for place in places])
    expected = sum(0.5 * math.log10(max(g.layer.weight_variance, 1e-300) / g.critical) for g in off)
    forward = math.log10(max(off[-1].layer.activation_rms, 1e-300)) - math.log10(max(off[0].layer.activation_rms, 1e-300))
    saturated = expected > 0 and any(g.activation.saturates and g.layer.saturated_fraction > 0.3 for g in off)
    decades = thresholds.initialisation_decades
    seen = any(change * expected > 0 and abs(change) >= 0.5 * decades for change in (first - last, forward))
    if abs(expected) < decades or not (seen or saturated):
        return []
    size = "small" if expected < 0 else "large"
    one = off[0]
    evidence = (
        f"the weights of {len(off)} layers are too {size}: weight variance times fan-in is {one.layer.weight_variance:.3g} at "
        f"{one.layer.label}, critical for {one.layer.activation} is {one.critical:.3g}"
    )
    claims = (f"causes.init-{size}", "remedies.he" if "relu" in one.layer.activation else "remedies.xavier")
    layers = tuple(g.layer.label for g in off)
    return [Finding("initialisation", layers, evidence, claims, (rescaling(off),))]
