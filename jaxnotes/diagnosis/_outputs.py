"""Findings about the outputs against the loss and the targets."""

import math
from functools import partial

import numpy as np

from jaxnotes.diagnosis._finding import Finding, Remedy
from jaxnotes.diagnosis._thresholds import Thresholds
from jaxnotes.probe import OutputReading, Report

ROWS = 0.99  # share of rows that are distributions
OUTSIDE = 0.05  # share of targets beyond the outputs' range; a choice: healthy programs have none
NARROW = 4.0  # width of a range that keeps a softmax from being sure: tanh has 2, a cap of logits 20 to 100
PAIRS = 1e-5  # relative change of a loss in float32 that is none
SOURCE = "Goodfellow, Bengio and Courville 2016, Deep Learning, section 6.2.2: output units and the losses that go with them"


def shapes(report: Report, _: Thresholds) -> list[Finding]:
    """Outputs and targets that broadcast against one another, so that every example meets the targets of all."""
    outputs, targets, answer = report.outputs, report.targets, report.loss_response
    if outputs is None or targets is None or answer is None or outputs.shape == targets.shape or targets.spread == 0:
        return []
    try:
        together = np.broadcast_shapes(outputs.shape, targets.shape)
    except ValueError:
        return []
    if math.prod(together) <= max(math.prod(outputs.shape), math.prod(targets.shape)) or not answer.pairs < PAIRS:
        return []
    evidence = (
        f"outputs of shape {list(outputs.shape)} and targets of shape {list(targets.shape)} broadcast to {list(together)}: the "
        "loss is the same whichever target stands by which example"
    )
    column = outputs.shape[-1] == 1
    remedies = (
        Remedy(
            "pass targets[:, None], or outputs[:, 0]" if column else f"give the targets the shape {list(outputs.shape)}",
            "each example is compared with its own target",
        ),
        Remedy("assert outputs.shape == targets.shape in the loss", "the next such slip is an error"),
    )
    return [Finding("shapes", (), evidence, (), remedies, source="NumPy's rules of broadcasting")]


def output_activation(report: Report, _: Thresholds) -> list[Finding]:
    """An activation function at the end that the loss applies again, that it misses, or that cannot reach the targets."""
    outputs, answer = report.outputs, report.loss_response
    if outputs is None or answer is None:
        return []
    if outputs.always_one and len(outputs.shape) > 1 and outputs.shape[-1] == 1:
        evidence = f"all {math.prod(outputs.shape)} outputs are 1: a softmax over one unit is 1 whatever comes in"
        remedies = (
            Remedy(
                "give the last layer one unit without softmax, and a binary cross-entropy on logits", "a gradient that is not 0"
            ),
            Remedy("give the last layer one unit per class", "a softmax that has something to choose from"),
        )
        return _found(evidence, remedies)
    rule = {
        "logits": partial(_activated_logits, "a softmax"),
        "binary logits": partial(_activated_logits, "a sigmoid"),
        "probabilities": _no_distribution,
        "binary probabilities": _no_probability,
        "log-probabilities": _no_logarithm,
        "values": _short_of_targets,
        "margins": _short_of_targets,
    }.get(answer.takes)
    return rule(report, outputs) if rule else []


def _found(evidence: str, remedies: tuple[Remedy, ...], layers: tuple[str, ...] = ()) -> list[Finding]:
    return [Finding("output-activation", layers, evidence, (), remedies, source=SOURCE)]


def _name(outputs: OutputReading) -> str:
    return "softmax" if _is_softmax(outputs) else outputs.activation or "no activation function"


def _is_softmax(outputs: OutputReading) -> bool:
    return outputs.rows_sum_to_one >= ROWS or outputs.other_axis_sums_to_one is not None


def _activated_logits(taken: str, report: Report, outputs: OutputReading) -> list[Finding]:
    """Probabilities, or otherwise cut values, for a loss that takes logits."""
    softmax = _is_softmax(outputs)
    width = outputs.activation_high - outputs.activation_low
    cut = outputs.activation and (
        width <= NARROW or outputs.activation_low > -NARROW / 2 or outputs.activation_high < NARROW / 2
    )
    if not softmax and not cut:
        return []
    sums = "every row of the outputs sums to 1"
    if not outputs.rows_sum_to_one >= ROWS:
        axis = outputs.other_axis_sums_to_one
        sums = f"the outputs of shape {list(outputs.shape)} sum to 1 over axis {axis}, which is not that of the classes"
    seen = (
        f"{sums} and none of them is negative ({outputs.low:.3g} to {outputs.high:.3g})"
        if softmax
        else f"the model ends in {outputs.activation}, outputs lie in [{outputs.low:.3g}, {outputs.high:.3g}]"
    )
    evidence = f"the loss takes logits and applies {taken} by itself; {seen}"
    remedies = (
        Remedy(
            f"leave out the {_name(outputs)} at the end of the model", "logits of any size; probabilities can reach 0 and 1"
        ),
        Remedy("or pass a loss of probabilities: the mean of -log p[label]", "the activation function is applied once"),
    )
    return _found(evidence, remedies, _last(report))


def _no_distribution(report: Report, outputs: OutputReading) -> list[Finding]:
    """Rows that are no distributions for a loss that takes their probabilities."""
    if outputs.low >= 0 and not outputs.rows_sum_to_one < 0.5:
        return []
    evidence = (
        f"the loss is -log p of the label and does not normalise; outputs lie in [{outputs.low:.3g}, {outputs.high:.3g}], "
        f"{outputs.rows_sum_to_one:.0%} of the rows sum to 1"
    )
    remedies = (
        Remedy("use a loss that takes logits: optax.softmax_cross_entropy_with_integer_labels", "exact for logits of any size"),
        Remedy("or end the model with softmax", "rows that sum to 1: more for one class is less for the others"),
    )
    return _found(evidence, remedies, _last(report))


def _no_probability(report: Report, outputs: OutputReading) -> list[Finding]:
    """Values outside [0, 1] for a binary cross-entropy of probabilities."""
    if outputs.low >= 0 and outputs.high <= 1:
        return []
    evidence = (
        f"the loss takes probabilities; outputs lie in [{outputs.low:.3g}, {outputs.high:.3g}], "
        f"{1 - outputs.inside_unit:.0%} of them outside [0, 1]"
    )
    remedies = (
        Remedy("use a loss that takes logits: optax.sigmoid_binary_cross_entropy", "exact for logits of any size"),
        Remedy("or end the model with a sigmoid", "outputs in (0, 1)"),
    )
    return _found(evidence, remedies, _last(report))


def _no_logarithm(report: Report, outputs: OutputReading) -> list[Finding]:
    """Probabilities for a loss that takes their logarithms; raw logits are the loss's matter."""
    if not outputs.rows_sum_to_one >= ROWS:
        return []
    evidence = "the loss is minus the output of the label and takes log-probabilities; every row of the outputs sums to 1"
    remedies = (Remedy("end the model with log_softmax in place of softmax", "the loss is then the cross-entropy"),)
    return _found(evidence, remedies, _last(report))


def _short_of_targets(report: Report, outputs: OutputReading) -> list[Finding]:
    """An activation function whose range does not reach the targets."""
    targets = report.targets
    if targets is None or not outputs.targets_outside > OUTSIDE:
        return []
    ends = f"[{outputs.activation_low:.3g}, {outputs.activation_high:.3g}]"
    evidence = (
        f"the model ends in {_name(outputs)}, whose range is {ends}; {outputs.targets_outside:.0%} of the targets lie outside, "
        f"in [{targets.low:.4g}, {targets.high:.4g}]"
    )
    remedies = (
        Remedy("end the model with a linear layer", "outputs reach any target"),
        Remedy(f"or scale the targets to {ends}", "every target within reach"),
    )
    return _found(evidence, remedies, _last(report))


def _last(report: Report) -> tuple[str, ...]:
    return (report.layers[-1].label,) if report.layers else ()
