"""Findings about the gradient's way back: vanishing, exploding, wrong initialisation."""

import math

from jaxnotes import meanfield
from jaxnotes.diagnosis._finding import Finding, Remedy
from jaxnotes.diagnosis._profile import Place, cells, depth_profile, ends
from jaxnotes.diagnosis._theory import Gain, gains, log10_gradient_ratio
from jaxnotes.probe import Activation, Layer, Report

DECADES = 3.0  # from the last layers to the first: the update of one end is a thousandth of the other's
BATCH_NORM_DECADES = 2.0  # less than DECADES, as its growth of 0.08 decades per layer has a known cause
UNDERFLOW_DECADES = 30.0  # a gradient this small is followed by 0 within a few steps
TIME_DECADES = 9.0  # over the steps of a recurrent network, whose shared parameters learn from the last steps all the same
INITIAL_DECADES = 2.5  # predicted from the weights, and seen
INITIAL_FACTOR = 4.0  # between a weight variance and the critical one
WORTH_RESCALING = 1.5  # the same, for a remedy
ORTHOGONAL = Remedy(
    "initialise the recurrent weights orthogonal, times 1", "every step then keeps norms where the activation is linear"
)
SHORT_WAY = Remedy("let outputs at more steps enter the loss, or attend to them", "early steps get a gradient on a short way")
LAYER_NORM = Remedy("add layer normalisation before each activation", "sizes of activations no longer depend on the weights'")


def vanishing(report: Report) -> list[Finding]:
    """The gradient at the first layers is a small share of that at the last."""
    places = depth_profile(report)
    if len(places) > 2:
        first, last = ends([place.log10_gradient for place in places])
        if math.isfinite(first) and last - first >= DECADES:  # none at all is a matter of dead units
            layers = tuple(place.name for place in places if place.log10_gradient <= last - DECADES)
            evidence = _from_end_to_end(first, last)
            claims = ("causes.product", "causes.vanish", "causes.depth")
            return [Finding("vanishing-gradient", layers, evidence, claims, _vanishing_remedies(report, places))]
    return []


def _from_end_to_end(first: float, last: float) -> str:
    return f"the loss's gradient is 10^{first:.1f} at the first layers and 10^{last:.1f} at the last"


def exploding(report: Report) -> list[Finding]:
    """The gradient at the first layers is a multiple of that at the last."""
    places = depth_profile(report)
    if len(places) < 3:
        return []
    first, last = ends([place.log10_gradient for place in places])
    normalised = [layer for layer in report.layers if "BatchNorm" in layer.kind and layer.mode != "inference"]
    weighted = [layer for layer in report.layers if not math.isnan(layer.weight_variance)]
    by_norm = len(normalised) >= max(3, len(weighted) // 2)
    if not math.isfinite(last) or first - last < (BATCH_NORM_DECADES if by_norm else DECADES):
        return []
    layers = tuple(place.name for place in places if place.log10_gradient >= last + (first - last) / 2)
    evidence = _from_end_to_end(first, last)
    if by_norm:
        return [_batch_norm_explosion(layers, evidence, normalised)]
    claims = ("causes.product", "causes.explode", "causes.depth")
    return [Finding("exploding-gradient", layers, evidence, claims, _exploding_remedies(report, places))]


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


def through_time(report: Report) -> list[Finding]:
    """The gradient vanishes or explodes over the steps of a recurrent network."""
    findings = []
    for cell in cells(report):
        steps = len(cell.log10_gradients)
        first, last = ends(list(cell.log10_gradients))
        evidence = f"over {steps} steps of {cell.name} the gradient goes from {power(last)} at the last back to {power(first)}"
        if last - first >= TIME_DECADES and _shrinks(cell.log10_gradients):
            claims = ("causes.vanish", "causes.depth")
            findings.append(Finding("vanishing-gradient", (cell.name,), evidence, claims, _long_memory(cell.kind, steps)))
        elif first - last >= DECADES and math.isfinite(last):
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


def initialisation(report: Report) -> list[Finding]:
    """Weights whose variance is far from the critical one of their activation function, where the readings show it."""
    found = gains(report)
    off = _off(found, INITIAL_FACTOR)
    constant = [x for x in _constant(report) if x is not report.layers[-1]]
    if len(constant) > 1:
        return [_constant_weights(constant)]
    if len(off) < 2:
        return []
    places = depth_profile(report)
    first, last = ends([place.log10_gradient for place in places])
    expected = sum(0.5 * math.log10(max(g.layer.weight_variance, 1e-300) / g.critical) for g in off)
    forward = math.log10(max(off[-1].layer.activation_rms, 1e-300)) - math.log10(max(off[0].layer.activation_rms, 1e-300))
    saturated = expected > 0 and any(g.activation.saturates and g.layer.saturated_fraction > 0.3 for g in off)
    seen = any(change * expected > 0 and abs(change) >= 0.5 * INITIAL_DECADES for change in (first - last, forward))
    if abs(expected) < INITIAL_DECADES or not (seen or saturated):
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


def _constant(report: Report) -> list[Layer]:
    """Returns the layers whose weights are all equal, but those that start at 0 on purpose.

    The last layer of a branch, or a head, may start at 0: its weights get a gradient, and after one step so do those before it.
    """
    constant = [x for x in report.layers if x.weight_variance == 0 and x.spread <= 1e-6]
    leaves = any(x.parameter_rms == 0 and x.weight_gradient_rms > 0 for x in report.layers)
    waits = lambda x: x.weight_gradient_rms > 0 or x.log10_gradient_norm == -math.inf
    return [x for x in constant if not (leaves and x.parameter_rms == 0 and waits(x))]


def _off(found: list[Gain], factor: float) -> list[Gain]:
    """Layers whose weight variance is more than a factor away from the critical one."""
    return [gain for gain in found if not 1 / factor <= gain.layer.weight_variance / gain.critical <= factor]


def _constant_weights(layers: list) -> Finding:
    names = tuple(layer.label for layer in layers)
    remedy = Remedy(
        "draw the weights at random, with He's or Glorot's variance",
        "units that start equal stay equal: the layer has one unit",
    )
    return Finding("initialisation", names, "all weights of these layers are equal", ("causes.init-small",), (remedy,))


def rescaling(found: list[Gain]) -> Remedy:
    """Weights times √(critical / present variance)."""
    scales = tuple(
        (g.layer.name, math.sqrt(g.critical / g.layer.weight_variance)) for g in found if g.layer.weight_variance > 0
    )
    variances = sorted({f"{g.critical:.3g}" for g in found})
    return Remedy(
        f"initialise with weight variance {' or '.join(variances)} / fan-in",
        "theory: gradients keep their size from layer to layer, first over last 10^0.0",
        0.0,
        scales=scales,
    )


def _vanishing_remedies(report: Report, places: list[Place]) -> tuple[Remedy, ...]:
    found = gains(report)
    predicted = log10_gradient_ratio(found)
    remedies = []
    far = _off(found, WORTH_RESCALING)
    if far:
        remedies.append(rescaling(far))
    if any(g.activation.saturates for g in found):
        remedies.append(Remedy("use ReLU with He's initialisation in place of a saturating activation", _effect(0.0), 0.0))
    if found:
        before = f"; theory for the weights as they are: 10^{predicted:.1f}"
        after = sum(0.5 * math.log10(1 + gain.now) for gain in found)
        remedies.append(Remedy("add residual connections", _effect(after) + before, after))
    else:
        remedies.append(Remedy("add residual connections", "the identity carries the gradient past every layer"))
    remedies.append(LAYER_NORM)
    fewer = max(2, round(len(found) * DECADES / max(-predicted, DECADES))) if found else max(len(places) // 2, 2)
    remedies.append(Remedy(f"use fewer layers, about {fewer}", "the loss is exponential in depth"))
    return tuple(remedies)


def _exploding_remedies(report: Report, places: list[Place]) -> tuple[Remedy, ...]:
    found = gains(report)
    far = _off(found, WORTH_RESCALING)
    remedies = [rescaling(far)] if far else []
    remedies.append(
        Remedy("scale residual branches by 1/√depth, where there are any", "the growth is then at most e, whatever the depth")
    )
    remedies.append(LAYER_NORM)
    remedies.append(Remedy("clip the gradient by its global norm", "steps stay bounded; the ratio between layers remains"))
    return tuple(remedies)


def _effect(log10_ratio: float) -> str:
    return f"theory: gradient at the first over that at the last layer about 10^{log10_ratio:.1f}"
