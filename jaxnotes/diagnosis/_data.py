"""Findings about the batch: inputs and targets that are not scaled, labels that are none of the classes."""

import math

from jaxnotes.diagnosis._finding import Finding, Remedy
from jaxnotes.diagnosis._thresholds import Thresholds
from jaxnotes.probe import InputReading, Layer, Report, TargetReading

# Inputs of 32 healthy programs, tried on one set of seeds, have an RMS of 0.3 to 1.2.
LARGE = 10.0
SMALL = 0.02
SMALL_LARGEST = 0.1  # a one-hot row of thousands has an RMS below SMALL and an entry of 1
UNEQUAL = 100.0  # largest over median feature
CONSUMED = 0.1  # of what the first weights make of the inputs: below it the model scales them by itself
LEARNT = 0.5  # share of the chance loss
ONE_CLASS_EXAMPLES = 16  # drawn evenly from 3 classes or more, one class has a probability below 1e-7
TWO_CLASSES = ("binary logits", "binary probabilities", "margins")
ONE_OF_TWO_EXAMPLES = 64  # of two with 95 to 5 it has one of 4%
SCALING = "LeCun, Bottou, Orr and Müller 1998, Efficient BackProp, section 4.3: inputs of mean 0 and variance 1"
RULES = "a rule of UMLAUT (Schoop, Huang and Hartmann 2021) and of TheDeepChecker (Ben Braiek and Khomh 2023)"


def inputs(report: Report, _: Thresholds) -> list[Finding]:
    """Inputs that are far from size 1 where the first layer reads them, or features of very different sizes."""
    first = _first_reader(report)
    if first is None:
        return []
    read = [reading for reading in report.inputs if not reading.is_integer and _is_consumed(reading, first)]
    for reading in read:
        if max(reading.rms, reading.largest_typical_feature) > LARGE or _is_small(reading):
            return [_not_scaled(reading, first)]
    for reading in read:
        if reading.largest_feature_rms > UNEQUAL * reading.median_feature_rms and reading.largest_typical_feature > 1:
            return [_unequal(reading)]
    return []


def _first_reader(report: Report) -> Layer | None:
    """Returns the first layer with a weight matrix, where no normalisation stands before the second and takes the scale off."""
    for layer in report.layers:
        if layer.normalises:
            return None
        if layer.weight_variance > 0:
            place = next(i for i, other in enumerate(report.layers) if other is layer)
            following = report.layers[place + 1 : place + 2]
            return None if any(other.normalises for other in following) else layer
    return None


def _is_consumed(reading: InputReading, first: Layer) -> bool:
    return first.activation_rms > CONSUMED * math.sqrt(first.weight_variance) * reading.rms


def _is_small(reading: InputReading) -> bool:
    return 0 < reading.rms < SMALL and max(abs(reading.low), abs(reading.high)) < SMALL_LARGEST


def _not_scaled(reading: InputReading, first: Layer) -> Finding:
    evidence = (
        f"inputs{reading.name} lie in [{reading.low:.4g}, {reading.high:.4g}] with RMS {reading.rms:.3g}, a feature's median "
        f"size is up to {reading.largest_typical_feature:.3g}; {first.label} reads them as they are"
    )
    byte = reading.low >= 0 and 1 < reading.high <= 255 and reading.rms > LARGE
    scale = (
        "divide by 255" if byte else "subtract each feature's mean and divide by its standard deviation, of the training set"
    )
    remedies = (
        Remedy(scale, "inputs of size 1, for which initialisations and usual learning rates are made"),
        Remedy("normalise as the first layer: batch or layer normalisation", "the same from the batch or the example"),
    )
    return Finding("inputs", (first.label,), evidence, ("normalization.inputs",), remedies, source=SCALING)


def _unequal(reading: InputReading) -> Finding:
    evidence = (
        f"features of inputs{reading.name} differ in size: RMS {reading.largest_feature_rms:.3g} for the largest, "
        f"{reading.median_feature_rms:.3g} for the median one"
    )
    remedy = Remedy("divide each feature by its standard deviation", "every feature has a say; one rate fits all weights")
    return Finding("inputs", (), evidence, ("normalization.inputs",), (remedy,), hint=True, source=SCALING)


def targets(report: Report, _: Thresholds) -> list[Finding]:
    """Targets that are not scaled, that are constant, or of one class only."""
    found, answer = report.targets, report.loss_response
    if found is None or report.examples < 2:
        return []
    if _one_class(report):
        binary = answer is not None and answer.takes in TWO_CLASSES  # a critic sees batches of real examples alone
        few = report.outputs is not None and report.outputs.shape[-1] == 2 and report.examples < ONE_OF_TWO_EXAMPLES
        return [_constant(report, found, hint=binary or few)]
    if answer is None or answer.takes != "values" or report.outputs is None or found.rms == 0:
        return []
    reached = report.outputs.rms > 0.3 * found.rms or answer.start < LEARNT * answer.chance
    small = found.rms < SMALL and answer.start > 100 * answer.chance > 0
    if not (found.rms > LARGE and not reached or small):
        return []
    evidence = (
        f"targets lie in [{found.low:.4g}, {found.high:.4g}] with RMS {found.rms:.3g}, the outputs have RMS "
        f"{report.outputs.rms:.3g}"
    )
    remedy = Remedy(
        "subtract the targets' mean and divide by their standard deviation, and undo it on the outputs",
        "the first steps need not carry the outputs there; the loss at the start is about 1",
    )
    return [Finding("targets", (), evidence, ("normalization.inputs",), (remedy,), source=RULES)]


def _one_class(report: Report) -> bool:
    """Returns whether labels, or the targets of a squared error but 0, are the same for all of many examples."""
    found, answer = report.targets, report.loss_response
    if found is None or answer is None or found.classes_present != 1 or report.examples < ONE_CLASS_EXAMPLES:
        return False
    if answer.takes == "values":
        return found.rms > 0
    return answer.takes in ("logits", "probabilities", "log-probabilities", *TWO_CLASSES)


def _constant(report: Report, found: TargetReading, hint: bool) -> Finding:
    what = "labels" if found.is_integer else "targets"
    evidence = f"all {what} of the {report.examples} examples are {found.low:.4g}"
    remedies = (
        Remedy("shuffle the examples before they are cut into batches", "batches that hold all classes"),
        Remedy(f"look how the {what} are made", "a constant is learnt by the last bias alone"),
    )
    return Finding("targets", (), evidence, (), remedies, hint=hint, source=RULES)


def labels(report: Report, _: Thresholds) -> list[Finding]:
    """Labels beyond the classes or negative, where the loss acts on them; labels of another kind than the loss is for."""
    found, answer, outputs = report.targets, report.loss_response, report.outputs
    if found is None or answer is None or outputs is None:
        return []
    if answer.labels_outside_used > 0:
        return [_outside_classes(found, answer.labels_outside, outputs.shape[-1])]
    if answer.takes.startswith("binary") and (found.low < 0 or found.high > 1):
        return [_not_of_two(found, "a binary cross-entropy takes labels in [0, 1]")]
    if answer.takes == "margins" and found.low >= 0:
        return [_not_of_two(found, "a hinge loss takes labels -1 and 1; labels of 0 pull at nothing")]
    column = (*outputs.shape[:-1], 1)
    if found.is_integer and found.shape == column != outputs.shape and answer.pairs < 1e-5 and found.classes_present > 1:
        evidence = (
            f"labels of shape {list(found.shape)} meet outputs of shape {list(outputs.shape)}, and the loss is the same "
            "whichever label stands by which example"
        )
        remedy = Remedy("pass labels[..., 0]", "each example is compared with its own label")
        return [Finding("labels", (), evidence, (), (remedy,), source="shapes of the batch")]
    return []


def labels_apart(report: Report, thresholds: Thresholds) -> list[Finding]:
    """Labels that neither a linear probe nor the nearest neighbour predicts; a hint, for both may miss what is there."""
    found = report.dependence
    if found is None or found.standard_errors >= thresholds.labels_standard_errors:
        return []
    evidence = (
        f"of {found.examples} labels a linear probe predicts {found.linear_probe:.1%} from the other examples (chance "
        f"{found.linear_chance:.1%}), the nearest example's label {found.neighbour:.1%} (chance {found.neighbour_chance:.1%})"
    )
    remedies = (
        Remedy("look at some examples beside their labels", "inputs and labels that were shuffled apart show at once"),
        Remedy("leave it so where the rule is fine, as parity, or the data are made up", "nothing changes"),
    )
    source = "Karpathy 2019, A Recipe for Training Neural Networks: become one with the data"
    return [Finding("labels", (), evidence, (), remedies, hint=True, source=source)]


def _outside_classes(found: TargetReading, outside: float, classes: int) -> Finding:
    evidence = (
        f"labels lie in [{found.low:.0f}, {found.high:.0f}] and the outputs have {classes} classes, 0 to {classes - 1}: "
        f"{outside:.1%} of the labels are none of them, and the loss acts on their examples"
    )
    remedies = []
    if found.low < 0:
        masked = "jnp.where(labels >= 0, loss of each example, 0)"
        remedies.append(Remedy(f"leave these examples out: {masked}", "labels of padding no longer count as a class"))
    if found.low >= 1 and found.high == classes:
        remedies.append(Remedy("count classes from 0: labels - 1", f"labels 0 to {classes - 1}"))
    if found.high >= classes:
        remedies.append(Remedy(f"give the last layer {found.high + 1:.0f} units", "one output per class"))
    source = "Optax's integer labels: NaN beyond the classes, -1 is the last class, as indices of arrays are"
    return Finding("labels", (), evidence, (), tuple(remedies), source=source)


def _not_of_two(found: TargetReading, expected: str) -> Finding:
    evidence = f"{expected}; these lie in [{found.low:.4g}, {found.high:.4g}]"
    remedy = Remedy("convert the labels, or scale the targets to that range", "a loss that is bounded and least at the target")
    return Finding("labels", (), evidence, (), (remedy,), source="the loss's closed form at constant outputs")
