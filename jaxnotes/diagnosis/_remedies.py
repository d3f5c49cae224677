"""Remedies for gradients that vanish or explode over the layers, by what the model has and lacks."""

import math

from jaxnotes.diagnosis._finding import Remedy
from jaxnotes.diagnosis._theory import Gain, gains, log10_gradient_ratio
from jaxnotes.diagnosis._thresholds import STANDARD
from jaxnotes.probe import Report

WORTH_RESCALING = 1.5  # between a weight variance and the critical one
LARGEST_PREACTIVATION = 2.0  # RMS up to which a sigmoid or tanh keeps most of its slope
LAYER_NORM = Remedy("add layer normalisation before each activation", "sizes of activations no longer depend on the weights'")
WARM_UP = Remedy(
    "warm the learning rate up over the first some hundred steps",
    "the large gradients of the last blocks meet a small rate (Xiong et al. 2020)",
)
PRE_NORM = Remedy(
    "put the normalisation into the branch, before its first layer: x + f(norm(x))",
    "the sum goes from block to block with nothing between, and the gradient with it",
)


def off_critical(found: list[Gain], factor: float) -> list[Gain]:
    """Returns the layers whose weight variance is more than a factor away from the critical one."""
    ratios = [(gain, gain.layer.weight_variance / gain.critical) for gain in found if gain.layer.weight_variance > 0]
    return [gain for gain, ratio in ratios if not 1 / factor <= ratio <= factor]


def normalised(report: Report) -> bool:
    """Returns whether layers of the kind that Transformers have normalise each example."""
    return any(kind in layer.kind for layer in report.layers for kind in ("LayerNorm", "RMSNorm", "GroupNorm"))


def carried_by_residuals(report: Report) -> bool:
    """Returns whether a normalisation and residual connections set the gradient's size, and not the weights' variance."""
    return report.residuals.additions > 1 and (normalised(report) or any("BatchNorm" in x.kind for x in report.layers))


def post_norm(report: Report) -> bool:
    """Returns whether most residual sums are normalised before the next one adds to them."""
    found = report.residuals
    return normalised(report) and found.additions > 1 and found.chained < found.additions / 2


def rescaling(found: list[Gain]) -> Remedy:
    """Weights times √(critical / present variance); less where a sigmoid or tanh would be saturated by its inputs."""
    scales = tuple((gain.layer.name, _factor(gain)) for gain in found if gain.layer.weight_variance > 0)
    variances = sorted({f"{gain.critical:.3g}" for gain in found})
    less = any(_factor(gain) < math.sqrt(gain.critical / gain.layer.weight_variance) for gain in found)
    return Remedy(
        f"initialise with weight variance {' or '.join(variances)} / fan-in"
        + (f", less where pre-activations would be larger than {LARGEST_PREACTIVATION:.0f}" if less else ""),
        "theory: gradients keep their size from layer to layer, first over last 10^0.0",
        0.0,
        scales=scales,
    )


def _factor(gain: Gain) -> float:
    critical = math.sqrt(gain.critical / gain.layer.weight_variance)
    if not gain.activation.saturates or gain.layer.activation_rms <= 0:
        return critical
    return min(critical, max(LARGEST_PREACTIVATION / gain.layer.activation_rms, 1.0)) if critical > 1 else critical


def against_vanishing(report: Report, layers: int) -> tuple[Remedy, ...]:
    """What lets the gradient reach the first of so many layers; nothing that is there already."""
    if carried_by_residuals(report):
        return (WARM_UP, PRE_NORM) if post_norm(report) else (WARM_UP, _fewer(layers // 2))
    found = gains(report)
    predicted = log10_gradient_ratio(found)
    far = off_critical(found, WORTH_RESCALING)
    remedies = [rescaling(far)] if far else []
    if any(gain.activation.saturates for gain in found):
        remedies.append(Remedy("use ReLU with He's initialisation in place of a saturating activation", _effect(0.0), 0.0))
    if not report.residuals.additions:
        remedies.append(_residual(found, predicted))
    if not normalised(report):
        remedies.append(LAYER_NORM)
    decades = STANDARD.vanishing_gradient_decades
    fewer = round(len(found) * decades / max(-predicted, decades)) if found else layers // 2
    return (*remedies, _fewer(fewer))


def _residual(found: list[Gain], predicted: float) -> Remedy:
    if not found:
        return Remedy("add residual connections", "the identity carries the gradient past every layer")
    after = sum(0.5 * math.log10(1 + gain.now) for gain in found)
    before = f"; theory for the weights as they are: 10^{predicted:.1f}"
    return Remedy("add residual connections", _effect(after) + before, after)


def _fewer(layers: int) -> Remedy:
    return Remedy(f"use fewer layers, about {max(layers, 2)}", "the loss is exponential in depth")


def against_exploding(report: Report) -> tuple[Remedy, ...]:
    """What keeps the gradient from growing on its way to the first layers; nothing that is there already."""
    carried = carried_by_residuals(report)
    far = [] if carried else off_critical(gains(report), WORTH_RESCALING)
    remedies = [rescaling(far)] if far else []
    remedies += [PRE_NORM] if post_norm(report) else []
    if report.residuals.additions:
        remedies.append(Remedy("scale residual branches by 1/√depth", "the growth is then at most e, whatever the depth"))
    remedies += [] if normalised(report) else [LAYER_NORM]
    remedies.append(Remedy("clip the gradient by its global norm", "steps stay bounded; the ratio between layers remains"))
    return tuple(remedies)


def _effect(log10_ratio: float) -> str:
    return f"theory: gradient at the first over that at the last layer about 10^{log10_ratio:.1f}"
