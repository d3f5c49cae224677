"""Findings about the loss itself: its sign, its bound, mean or sum, and its size against chance."""

from jaxnotes.diagnosis._finding import Finding, Remedy
from jaxnotes.diagnosis._outputs import ROWS
from jaxnotes.diagnosis._thresholds import Thresholds
from jaxnotes.probe import LossResponse, OutputReading, Report

AWAY = -0.9  # mean sign, or cosine, of the pull at the targets; 32 healthy programs have 0.2 to 1, and a flipped sign -1
CHANCE = 6.0  # times the loss of equal logits
RESIDUAL_CHANCE = 20.0  # the same behind residual sums without a last normalisation: healthy ones make 2 to 8, by the seed
NORMALISED_CHANCE = 3.0  # the same where the last layer reads normalised values, so that only its weights can be too large
VALUES_CHANCE = 100.0  # times the variance of the targets: healthy programs make about 4, a linear output on dark pixels 15
SUM = 0.02  # distance from 2 of the doubled batch's loss
SOURCE = "the loss's answers to made-up outputs"


def loss(report: Report, _: Thresholds) -> list[Finding]:
    """A loss of the wrong sign, one without a bound, a sum in place of a mean, one that is not for these targets."""
    answer = report.loss_response
    if answer is None:
        return []
    found = _flat(report.outputs, answer) or _sign(answer) or _bound(report.outputs, answer) or _falling(answer)
    return (found or _not_for_these_targets(report, answer)) + _sum(answer, report.examples)


def _finding(evidence: str, *remedies: Remedy, hint: bool = False) -> list[Finding]:
    return [Finding("loss", (), evidence, (), remedies, hint=hint, source=SOURCE)]


def _flat(outputs: OutputReading | None, answer: LossResponse) -> list[Finding]:
    if not answer.flat:
        return []
    evidence = f"the loss is {answer.start:.3g} whatever the outputs are, and has no gradient"
    if outputs is not None and outputs.shape[-1] == 1:
        return _finding(
            f"{evidence}: a softmax over a single output is always 1",
            Remedy("use optax.sigmoid_binary_cross_entropy on the one output", "a loss that follows the output"),
            Remedy("or give the last layer one unit per class", "the softmax compares classes"),
        )
    return _finding(evidence, Remedy("take the loss of the model's outputs", "a gradient"))


def _falling(answer: LossResponse) -> list[Finding]:
    if not answer.fall > 0:
        return []
    evidence = f"the loss falls by {answer.fall:.3g} for each unit by which all outputs move to one side, without end"
    return _finding(
        evidence,
        Remedy("square the difference, or take its absolute value", "a loss that is least where the outputs are the targets"),
        Remedy(
            "leave it so where outputs are scores to be raised, as of a critic, and something else bounds them", "no change"
        ),
    )


def _sign(answer: LossResponse) -> list[Finding]:
    if answer.takes == "minus values":
        evidence = "the loss is least where the outputs are minus the targets"
        return _finding(
            evidence,
            Remedy("subtract the targets, where they are added", "the outputs become the targets"),
            Remedy("leave it so where outputs are meant to be minus the targets, as a score is minus the noise", "no change"),
        )
    if not answer.pull < AWAY:
        return []
    evidence = f"the loss's gradient moves the outputs away from the targets (pull {answer.pull:.2f}, 1 is towards them)"
    return _finding(evidence, Remedy("change the sign of the loss", "descent then brings outputs and targets together"))


def _bound(outputs: OutputReading | None, answer: LossResponse) -> list[Finding]:
    """Minus the output of the label, of outputs that are no log-probabilities."""
    if answer.takes != "log-probabilities" or outputs is None or outputs.rows_log_probabilities > 0.5:
        return []
    if outputs.rows_sum_to_one >= ROWS:
        return []  # probabilities, which are named as such
    evidence = (
        f"the loss is minus the output of the label, {answer.start:.3g} now, and the outputs are not normalised: it falls "
        "without bound as they grow"
    )
    return _finding(
        evidence,
        Remedy("use optax.softmax_cross_entropy_with_integer_labels", "logits in, a loss of at least 0 out"),
        Remedy("or end the model with log_softmax", "the loss is then the cross-entropy"),
    )


def _sum(answer: LossResponse, examples: int) -> list[Finding]:
    if not abs(answer.doubled - 2) < SUM or examples < 2:
        return []
    evidence = (
        f"the loss of a batch beside a copy of itself is {answer.doubled:.3g} times that of the batch: a sum over its "
        f"{examples} examples, with gradients as many times a mean's"
    )
    return _finding(
        evidence, Remedy("take the mean over the batch", "the learning rate and a clipping limit do not depend on its size")
    )


def _not_for_these_targets(report: Report, answer: LossResponse) -> list[Finding]:
    outputs, targets = report.outputs, report.targets
    if answer.takes == "class numbers" and outputs is not None and answer.labels_outside == 0:
        return _class_numbers(outputs)
    if outputs is None or targets is None or not targets.one_hot or outputs.shape != targets.shape or outputs.shape[-1] < 3:
        return []
    remedy = Remedy(
        "use the softmax cross-entropy, on logits", "a gradient that does not fade where the model is sure and wrong"
    )
    if answer.takes == "binary probabilities" and outputs.rows_sum_to_one >= ROWS:
        evidence = f"a binary cross-entropy judges each entry of a softmax over {outputs.shape[-1]} classes by itself"
        return _finding(evidence, remedy)
    if answer.takes == "values":
        return _finding(f"a loss of values on one-hot targets of {outputs.shape[-1]} classes", remedy, hint=True)
    return []


def _class_numbers(outputs: OutputReading) -> list[Finding]:
    evidence = (
        f"the loss is least where all {outputs.shape[-1]} outputs of an example are its label's number: labels are names of "
        "classes, and class 4 is not between 3 and 5"
    )
    return _finding(
        evidence,
        Remedy("use optax.softmax_cross_entropy_with_integer_labels", "one output per class, the label's is raised"),
        Remedy("or, where labels are amounts, give the last layer 1 unit", "a regression"),
    )


def loss_at_start(report: Report, _: Thresholds) -> list[Finding]:
    """A loss far above that of outputs that know nothing."""
    answer = report.loss_response
    if answer is None or not answer.chance > 0:
        return []
    limit = VALUES_CHANCE if answer.takes == "values" else _limit_of_logits(report)
    if not answer.start > limit * answer.chance:
        return []
    knowing = "predicting the targets' mean" if answer.takes == "values" else "giving all classes the same probability"
    evidence = f"the loss is {answer.start:.3g}; {knowing} has {answer.chance:.3g}"
    size = "" if report.outputs is None else f"; outputs have RMS {report.outputs.rms:.3g}"
    remedies = (
        Remedy("make the last layer's weights smaller, or 0", "outputs near 0, a loss at chance"),
        Remedy("scale tied embeddings by 1/√width, or normalise before the last layer", "logits of size 1"),
    )
    source = "Karpathy 2019, A Recipe for Training Neural Networks: verify the loss at initialisation"
    return [Finding("loss-at-start", (), evidence + size, (), remedies, source=source)]


def _limit_of_logits(report: Report) -> float:
    """By what the last layer reads: a residual stream is as large as the branches make it, unless a normalisation follows."""
    if report.residuals.chained and report.residuals.sums:
        following = report.residuals.sums[-1].name
        normalised = any(layer.normalises for layer in report.layers if layer.name == following)
        return NORMALISED_CHANCE if normalised else RESIDUAL_CHANCE
    return NORMALISED_CHANCE if any(layer.normalises for layer in report.layers[-2:]) else CHANCE
