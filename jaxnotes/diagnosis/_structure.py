"""Findings about how layers are put together: no activation function between them, units that are equal, examples that mix."""

from jaxnotes.diagnosis._finding import Finding, Remedy, listed
from jaxnotes.diagnosis._thresholds import Thresholds
from jaxnotes.probe import Parameter, Report

MANY_EQUAL = 0.5  # share of the units; of weights drawn at random none are equal
SOME_LINEAR = 0.25  # of the hidden weight layers: a residual network's first projection is followed by none
SOME_EQUAL = 0.25  # where their gradients are equal too
DRAWN = Remedy(
    "draw the weights at random, with He's or Glorot's variance",
    "units that start equal and get equal gradients stay equal: the layer has one unit",
)


def linear_network(report: Report, _: Thresholds) -> list[Finding]:
    """Weight layers in a row without an activation function between them.

    Certain where the whole model is affine or half of the layers lack one. Few such pairs may be meant, as projections.
    """
    found = report.linearity
    pairs = found.pairs or (found.narrow if found.affine else ())
    if not pairs:
        return []
    missing = len({first for first, _ in pairs})
    if not found.affine and missing < SOME_LINEAR * found.hidden:
        return []
    evidence = f"between {pairs[0][0]} and {pairs[0][1]} there is no activation function"
    evidence += f", as behind {missing} of {found.hidden} hidden weight layers"
    if found.affine:
        evidence += "; the model's outputs are an affine function of its inputs: f of the mean input is the mean of f"
    remedies = (
        Remedy("apply an activation function such as ReLU behind every hidden layer", "layers that do more than one could"),
        Remedy("make one layer of two, where a linear map is meant", "the same functions, with fewer parameters"),
    )
    certain = bool(found.pairs) and (found.affine or missing >= found.hidden / 2)
    names = tuple(dict.fromkeys(first for first, _ in pairs))
    return [Finding("linear-network", names, evidence, ("neurons.linear",), remedies, hint=not certain)]


def equal_units(report: Report, _: Thresholds) -> list[Finding]:
    """Weights that give all or many units the same weights, or weights of zero that no step moves."""
    equal = [p for p in report.parameters if p.multiplies and _is_equal(p)]
    zero = [p for p in report.parameters if p.multiplies and p.stuck and p.rms == 0]
    findings = []
    if equal:
        worst = max(equal, key=lambda p: p.equal_units)
        evidence = f"{worst.equal_units:.0%} of the units of {worst.name} {list(worst.shape)} have the weights of another unit"
        evidence += ", and the same gradient" if worst.equal_gradients >= SOME_EQUAL else ""
        findings.append(Finding("equal-units", _names(equal), evidence, ("causes.init-small",), (DRAWN,)))
    if zero:
        names = _names(zero)
        evidence = f"{listed(names)}: all weights are 0, and their gradients too, also after some small steps of the rest"
        remedy = Remedy(
            "let only one of several factors in a row start at zero, and draw the others at random",
            "each factor's gradient is a multiple of the others: where all are 0, none ever moves",
        )
        findings.append(Finding("equal-units", names, evidence, ("causes.product",), (remedy, DRAWN)))
    return findings


def _is_equal(parameter: Parameter) -> bool:
    return parameter.equal_units > MANY_EQUAL or min(parameter.equal_units, parameter.equal_gradients) >= SOME_EQUAL


def _names(found: list[Parameter]) -> tuple[str, ...]:
    return tuple(parameter.name for parameter in found)


def mixed_examples(report: Report, _: Thresholds) -> list[Finding]:
    """Outputs that depend on other examples, where nothing that is known to mix them is there."""
    if report.batch_softmax:
        evidence = f"a softmax before {report.batch_softmax[0] or 'the outputs'} runs over the {report.examples} examples"
        remedy = Remedy("take the softmax over the last axis: axis=-1", "each example's weights sum to 1 by themselves")
        return [Finding("mixed-examples", report.batch_softmax, evidence, (), (remedy,), source="the sum is over the examples")]
    normalised = any("BatchNorm" in layer.kind and layer.mode != "inference" for layer in report.layers)
    if not report.crosses_examples or normalised:
        return []
    evidence = "the first example's outputs depend on other examples, and no batch normalisation is in training mode"
    remedies = (
        Remedy(
            "look at every reshape, transpose, mean and softmax for the axis of the examples",
            "a change of one example then moves its own outputs only",
        ),
        Remedy("leave it so where examples are meant to meet, as nodes of a graph", "nothing changes"),
    )
    source = "the gradient of one example's outputs by the others' values is not zero"
    return [Finding("mixed-examples", (), evidence, (), remedies, hint=True, source=source)]
