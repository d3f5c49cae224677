"""Findings about attention: scores that are not scaled, rows that are saturated or masked, sums over another axis."""

import math

from jaxnotes.diagnosis._finding import Finding, Remedy
from jaxnotes.diagnosis._thresholds import Thresholds
from jaxnotes.probe import Attention, Report

# Healthy Transformers, of Flax's and T5's form, have a spread of 0.6 to 1.1 at initialisation and of 0.9 to 2.0 after 200 steps
# of Adam (depth 16, two seeds); unit queries and keys that are not divided have √d.
LEAST_SPREAD = 3.0
UNSCALED = 0.5  # of √d
SATURATED = 0.9  # share of the rows
CONSTANT = 1e-3  # spread of the scores
VASWANI = "Vaswani et al. 2017, section 3.2.1"


def attention(report: Report, _: Thresholds) -> list[Finding]:
    """What the scores of each softmax show, the worst of a kind alone."""
    checks = (_other_axis, _masked, _unscaled, _saturated, _constant)
    findings, taken = [], set()
    for check in checks:
        found = {_label(one): seen for one in report.attention if _label(one) not in taken and (seen := check(one))}
        taken.update(found)
        if found:
            first, (evidence, remedies, source, hint) = next(iter(found.items()))
            findings.append(Finding("attention", tuple(found), f"{first}: {evidence}", (), remedies, hint=hint, source=source))
    return findings


def _label(one: Attention) -> str:
    return one.name if one.call == 0 else f"{one.name} (call {one.call})"


def _other_axis(one: Attention):
    if not one.other_axis:
        return None
    remedy = Remedy(
        "take the softmax over the axis of the keys, the last of [heads, queries, keys]", "each query's weights sum to 1"
    )
    return "the softmax runs over another axis than the sum of the values", (remedy,), VASWANI, False


def _masked(one: Attention):
    if not one.masked_rows:
        return None
    every, square = one.masked_rows == 1, one.queries == one.keys
    if not every and not one.mask_on_queries:
        return None
    evidence = "every key of every query is masked"
    if not every:
        evidence = (
            f"{one.masked_rows:.0%} of the queries have every key masked and the others none, as by a mask on the queries"
        )
    remedies = (
        Remedy("mask keys: a mask of shape [examples, 1, 1, keys], True where a key may be seen", "padded keys get no weight"),
        Remedy("look whether True means seen or hidden", "libraries differ"),
    )
    return f"{evidence}; these rows have equal weights", remedies, "softmax of equal scores is uniform", not (every or square)


def _unscaled(one: Attention):
    root = math.sqrt(one.depth)
    if one.scaled or one.score_spread <= max(LEAST_SPREAD, UNSCALED * root):
        return None
    evidence = (
        f"scores are not divided by √d = {root:.3g}; their standard deviation in a row is {one.score_spread:.3g}, and "
        f"{one.saturated_rows:.0%} of the rows have a weight over 0.99"
    )
    remedy = Remedy(f"divide the scores by √{one.depth}", f"a standard deviation of about {one.score_spread / root:.2g}")
    return evidence, (remedy,), VASWANI, False


def _saturated(one: Attention):
    if one.saturated_rows <= SATURATED:
        return None
    evidence = (
        f"{one.saturated_rows:.0%} of the rows have a weight over 0.99; the standard deviation of the scores in a row is "
        f"{one.score_spread:.3g}, mean entropy {sum(one.entropy) / len(one.entropy):.2g} of the largest"
    )
    remedies = (
        Remedy("normalise queries and keys, or make their weights smaller", "scores of a standard deviation of about 1"),
        Remedy("lower the learning rate of queries and keys, or warm it up", "scores that have grown in training stay small"),
    )
    return evidence, remedies, "Zhai et al. 2023, entropy collapse; Dehghani et al. 2023, section 2", False


def _constant(one: Attention):
    if not 0 < one.score_spread < CONSTANT or one.uniform_rows < 1:
        return None
    evidence = f"scores differ by {one.score_spread:.2g} within a row: every query takes the plain mean of the values"
    remedy = Remedy(
        "look whether queries and keys are divided twice or start too small", "scores of a standard deviation of about 1"
    )
    return evidence, (remedy,), VASWANI, True
