"""Findings about one real step of the optimiser: too large, too small, uphill, or most of it decay."""

import math

from jaxnotes.diagnosis._finding import Finding, Remedy
from jaxnotes.diagnosis._thresholds import STANDARD, Thresholds
from jaxnotes.probe import FirstStep, Report

RAISED = 1.5  # loss after the step over the loss before, where it is also above chance: near 0 a fresh Adam state raises any
RAISED_ALONE = 6.0  # a choice, where chance is unknown: a fresh Adam state made 4.4 of a Transformer after 200 steps
SLOW = 2000.0  # loss over its change to first order
SMALL_STEP = 1e-4  # ‖step‖ / ‖parameters‖; Adam at 1e-3 makes 3e-3 to 7e-3 of networks of width 16 to 64
UNLEARNT = 0.5  # share of the chance loss: below it small gradients are what learning leaves
WARM_UP = 1.2  # the second step over the first
DECAY = 0.05  # decay over the rest of the step
DECAY_SIZE = 3e-4  # share of the parameters that one step's decay takes
DECAY_BALANCE = 0.3  # size that random steps and decay settle at, over the present size
RATES = ("normalization.learning-rate",)
WARM_UP_RATE = Remedy("warm the learning rate up over the first steps", "early steps, whose size is least known, are small")


def large_update(report: Report, thresholds: Thresholds = STANDARD) -> list[Finding]:
    """A step that raises the loss, or changes a layer by a large share of its size without lowering the loss.

    A hint where the model has learnt: the optimiser's state is a new one, whose first steps are larger than those of the run.
    """
    step = report.first_step
    share = thresholds.large_update_share
    found = [layer for layer in report.layers if layer.update_ratio > share and not math.isnan(layer.weight_variance)]
    raised = step is not None and _is_raised(step, report)
    lowered = step is not None and step.loss_after < step.loss
    if not raised and (not found or lowered):
        return []
    evidence = [f"one step takes the loss from {step.loss:.4g} to {step.loss_after:.4g} on the same batch"] if step else []
    factor = 10.0
    if found:
        worst = max(found, key=lambda layer: layer.update_ratio)
        usual = "0.001 to 0.01 is usual"
        evidence.append(f"it changes {worst.label}'s parameters by {worst.update_ratio:.2g} of their RMS; {usual}")
        factor = max(worst.update_ratio / 0.01, factor)
    remedies = (
        Remedy(f"divide the learning rate by about {factor:.1g}", "steps that follow the gradient as far as it holds"),
        WARM_UP_RATE,
    )
    learnt = step is not None and step.loss < UNLEARNT * _chance(report)
    layers = tuple(layer.label for layer in found)
    return [Finding("large-update", layers, "; ".join(evidence), RATES, remedies, hint=learnt)]


def _is_raised(step: FirstStep, report: Report) -> bool:
    if not math.isfinite(step.loss_after):
        return math.isfinite(step.loss)
    rise, chance = step.loss_after - step.loss, _chance(report)
    return rise > ((RAISED if chance else RAISED_ALONE) - 1) * abs(step.loss) and step.loss_after > chance


def _chance(report: Report) -> float:
    answer = report.loss_response
    return abs(answer.chance) if answer is not None and math.isfinite(answer.chance) else 0.0


def small_update(report: Report, _: Thresholds) -> list[Finding]:
    """Steps that would take thousands of times longer than is usual, while there is still something to learn."""
    step = report.first_step
    if step is None or not 0 < step.size < SMALL_STEP or not step.along_gradient < 0 or _warms_up(step):
        return []
    steps = step.loss / -step.along_gradient
    if not steps > SLOW or step.loss < UNLEARNT * _chance(report):
        return []
    evidence = (
        f"one step changes the parameters by {step.size:.2g} of their size and the loss of {step.loss:.3g} by "
        f"{-step.along_gradient:.2g} to first order: some {steps:.1g} steps for all of it"
    )
    factor = 10 ** round(math.log10(3e-3 / step.size))
    remedies = (
        Remedy(f"multiply the learning rate by 10, and again, up to about {factor:.0g} in all", "steps of 0.001 to 0.01"),
        Remedy("use Adam", "steps whose size does not depend on the gradient's"),
    )
    return [Finding("small-update", (), evidence, RATES, remedies)]


def _warms_up(step: FirstStep) -> bool:
    """Returns whether steps grow by equal amounts, or from 0; momentum's grow by ever smaller ones."""
    second, third = step.growth
    return math.isinf(second) or second > WARM_UP and third - second >= 0.99 * (second - 1)


def uphill(report: Report, _: Thresholds) -> list[Finding]:
    """A step along the gradient and not against it."""
    step = report.first_step
    if step is None or not step.along_gradient > 0:
        return []
    evidence = (
        f"the step goes up the gradient: the inner product is {step.along_gradient:.3g}, the loss goes from {step.loss:.4g} to "
        f"{step.loss_after:.4g}"
    )
    remedy = Remedy("change the sign: optax.scale(-rate), and optax.apply_updates adds what it is given", "the loss falls")
    return [Finding("loss", (), evidence, RATES, (remedy,))]


def weight_decay(report: Report, _: Thresholds) -> list[Finding]:
    """Decay that holds the weights at a small share of their size.

    Steps of random direction that each change the parameters by a share r, against decay by a share d per step, settle where
    their size is r / √(2 d) of the present one.
    """
    step = report.first_step
    if step is None or not step.decay_size > DECAY_SIZE or not step.decay_over_gradient > DECAY:
        return []
    balance = step.decay_size / step.decay_over_gradient / math.sqrt(2 * step.decay_size)
    if not balance < DECAY_BALANCE:
        return []
    evidence = (
        f"decay takes {step.decay_size:.2g} of the parameters per step and is {step.decay_over_gradient:.2g} of what follows "
        f"the gradient; steps of random direction would hold the weights at {balance:.2g} of their present size"
    )
    remedy = Remedy(
        f"divide the weight decay by {10 ** math.ceil(math.log10((DECAY_BALANCE / balance) ** 2)):.0f}",
        "weights keep the size that the gradient gives them",
    )
    source = "Loshchilov and Hutter 2019 for decoupled decay; the balance is that of a random walk with decay"
    return [Finding("weight-decay", (), evidence, (), (remedy,), source=source)]
