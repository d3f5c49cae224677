"""Findings about what layers keep of the inputs: little, few directions, a stream that outgrows its branches, lone channels."""

import math

from jaxnotes.diagnosis._finding import Finding, Remedy
from jaxnotes.diagnosis._profile import depth_profile
from jaxnotes.diagnosis._thresholds import STANDARD, Thresholds
from jaxnotes.probe import Layer, Report

LEAST_VECTORS = 32  # fewer can span few directions only
LEAST_UNITS = 16
LEAST_SUMS = 4
KEEPS_UP = 0.3  # RMS of the last branch over the stream's, from which the next sums grow it by as much again
FEWER = 4.0  # directions of a layer before over those that are few: inputs of two features spread over two


def constant(report: Report, thresholds: Thresholds = STANDARD) -> list[Finding]:
    """Layers whose output hardly depends on the example."""
    if report.examples < 2:
        return []
    # Of a recurrent network only layers that are constant at every step: the first rows of a picture are often blank.
    places = [place.layers for place in depth_profile(report)]
    found = [max(calls, key=lambda layer: layer.spread) for calls in places]
    share = thresholds.constant_representation_share
    found = [layer for layer in found if layer.spread < share and layer.activation_rms > 0]
    if not found:
        return []
    first = found[0]
    evidence = f"{first.label}'s output varies over the examples by {first.spread:.2g} of its size, no more"
    remedies = (
        Remedy(
            "centre the activations: batch or layer normalisation, or tanh in place of sigmoid",
            "differences between examples survive",
        ),
        Remedy(
            "look at the inputs",
            "examples that hardly differ, or features of very different sizes, give this from the first layer on",
        ),
        Remedy("use fewer layers or residual connections", "correlations of two inputs approach 1 exponentially in depth"),
    )
    return [
        Finding(
            "constant-representation",
            tuple(layer.label for layer in found),
            evidence,
            ("causes.depth", "normalization.drift"),
            remedies,
        )
    ]


def low_rank(report: Report, thresholds: Thresholds = STANDARD) -> list[Finding]:
    """Hidden layers that keep hardly more than one direction of many; a hint, since a bottleneck may be meant."""
    judged = [layer for layer in report.layers if not layer.is_output and not layer.over_time and _could_spread(layer)]
    least, found = thresholds.low_rank_representation_directions, []
    widest = max((reading.effective_rank for reading in report.inputs if reading.effective_rank > 0), default=0.0)
    for layer in judged:
        if layer.effective_rank < min(least, widest / FEWER) and layer.spread > 0:
            found.append(layer)
        widest = max(widest, layer.effective_rank) if not found else widest
    if not found:
        return []
    first = found[0]
    evidence = (
        f"{first.label}'s {first.units} units vary in {first.effective_rank:.2g} directions (effective rank), "
        f"where the inputs or a layer before have {widest:.3g}"
    )
    remedies = (
        Remedy("draw weights of both signs", "initializers.uniform(scale) draws from 0 to scale, which leaves one direction"),
        Remedy("use residual connections or fewer layers", "directions that no later layer could bring back are kept"),
        Remedy("normalise between layers", "batch normalisation keeps the rank of a deep stack near √width"),
    )
    names = tuple(layer.label for layer in found)
    source = "Roy and Vetterli 2007; Daneshmand et al. 2020; Dong, Cordonnier and Loukas 2021"
    return [Finding("low-rank-representation", names, evidence, (), remedies, hint=True, source=source)]


def _could_spread(layer: Layer) -> bool:
    """Returns whether the layer has units and vectors enough for a rank to be low."""
    sequence = len(layer.output_shape) == 3
    vectors = math.prod(layer.output_shape[:-1]) if sequence else layer.output_shape[0]
    units = layer.output_shape[-1] if sequence else layer.units
    return len(layer.output_shape) > 1 and units >= LEAST_UNITS and vectors >= LEAST_VECTORS


def residual_growth(report: Report, thresholds: Thresholds = STANDARD) -> list[Finding]:
    """A stream that grows from sum to sum as a power and not as a root, since each branch is as large as the stream."""
    sums = [one for one in report.residuals.sums if one.stream_rms > 0 and math.isfinite(one.stream_rms)]
    if len(sums) < LEAST_SUMS:
        return []
    middle, last = sums[len(sums) // 2], sums[-1]
    if math.log10(last.stream_rms / middle.stream_rms) < thresholds.residual_growth_decades:
        return []
    hint = last.branch_rms < KEEPS_UP * last.stream_rms
    evidence = (
        f"the residual stream's RMS grows from {sums[0].stream_rms:.3g} to {last.stream_rms:.3g} over {len(sums)} sums, "
        f"by {last.stream_rms / middle.stream_rms:.3g} over the last half; the last branch is "
        f"{last.branch_rms / last.stream_rms:.2g} of it"
    )
    remedies = (
        Remedy(
            f"divide each branch by √{len(sums)} = {len(sums) ** 0.5:.3g}, or start its last layer at 0",
            "growth by a factor of √e at most over all blocks",
        ),
        Remedy("normalise at the start of each branch, and once behind the last", "growth as the root of the depth"),
    )
    claims = ("residual.large-branch", "residual.small-branch")
    return [Finding("residual-growth", (), evidence, claims, remedies, hint=hint)]


def outlier_channels(report: Report, thresholds: Thresholds = STANDARD) -> list[Finding]:
    """Single channels that are far larger than the median one; a hint, since large trained Transformers have them and work.

    Not of values that ReLU made: where half of the channels are 0 the median is next to nothing.
    """
    limit = thresholds.outlier_channels_factor
    found = [
        layer for layer in report.layers if layer.largest_channel > limit and layer.activation_min < 0 and not layer.over_time
    ]
    found = [layer for layer in found if layer.output_shape[-1] >= LEAST_UNITS]
    if not found:
        return []
    worst = max(found, key=lambda layer: layer.largest_channel)
    evidence = f"a channel of {worst.label} has {worst.largest_channel:.3g} times the RMS of the median channel"
    remedies = (
        Remedy("look at the scale of the normalisation before it, and at weight decay on it", "channels of like sizes"),
        Remedy("quantise per channel", "the rounding of the others does not follow the largest"),
    )
    source = "Dettmers et al. 2022, LLM.int8(); Kovaleva et al. 2021, BERT Busters"
    return [Finding("outlier-channels", tuple(x.label for x in found), evidence, (), remedies, hint=True, source=source)]
