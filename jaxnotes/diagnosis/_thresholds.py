"""`Thresholds`: every number at which a check becomes a finding, in one place, for a user to set."""

import dataclasses
import math
from collections.abc import Mapping

from jaxnotes.diagnosis._names import known


@dataclasses.dataclass(frozen=True)
class Thresholds:
    """Numbers at which a reading becomes a finding; each name begins with the kind of finding that it belongs to.

    Attributes:
      vanishing_gradient_decades: log10 of the gradient norm at the last layers over that at the first. At 3 the update of one
        end is a thousandth of the other's; ReLU stacks of 20 layers at He's variance stay within 1.
      vanishing_gradient_decades_over_time: the same from the last step of a recurrent network back to the first. Its shared
        parameters learn from the last steps all the same; a GRU at initialisation loses 2.4 decades over 28 steps.
      exploding_gradient_decades: log10 of the gradient norm at the first layers, or steps, over that at the last.
      batch_norm_explosion_decades: the same where batch normalisation is the cause, whose growth of 0.08 decades per layer with
        ReLU is known beforehand (π / (π - 1) for the square, Yang et al. 2019).
      initialisation_decades: log10 of what weights away from the critical variance make of the gradient, as predicted; half of
        it must be seen too.
      initialisation_variance_factor: between a weight variance and the critical one (χ = 1, Schoenholz et al. 2017). Glorot's,
        LeCun's and He's lie within a factor of 2 of each other for layers of equal width.
      saturated_units_share: of a layer's entries where the slope is below 5% of its largest.
      dead_units_share: of a layer's units that pass no gradient at any example. In deep healthy ReLU networks half of them can
        be silent for a whole batch.
      dead_units_least_examples: examples of the batch. A unit that is silent half of the time is so for all of 16 once in
        65,536 times.
      constant_representation_share: spread of a layer over the examples as a share of its size. Healthy stacks of 20
        layers keep 0.3 (ReLU) and 0.7 (tanh).
      labels_standard_errors: that the better of a linear probe and the nearest neighbour lies above chance.
      low_rank_representation_directions: effective rank of a layer of 16 units or more on 32 examples or more, where the inputs
        or a layer before have four times as many. What ReLU layers make of one number has 2.
      residual_growth_decades: log10 of what the last half of the residual sums makes of the stream's RMS. Branches of one size
        make √2 of it, 0.15 decades, whatever the depth.
      outlier_channels_factor: RMS of the largest channel over the median one's; up to 4 in healthy programs.
      small_batch_examples: examples at which batch normalisation is no longer called short of them: at 8 the variance of a
        feature is estimated to within √(2 / 7) = 53%.
      stale_statistics_standard_deviations: between a running mean and the batch's, in standard deviations of the batch.
      stale_statistics_variance_factor: between a running variance and the batch's.
      stale_statistics_least_examples: examples of the batch: with 16 its own mean is uncertain by a quarter of a standard
        deviation.
      dropout_kept_units: units per example that dropout leaves of a layer, on average, where it drops over half of them.
      dropout_rate: share of units dropped.
      large_update_share: RMS of the first step over the RMS of the parameters; 0.001 to 0.01 is usual.
      clipping_always_factor: the batch's gradient norm over the limit, beyond which every step has the same length.
      clipping_never_factor: the batch's gradient norm over the limit, below which clipping never acts.
    """

    vanishing_gradient_decades: float = 3.0
    vanishing_gradient_decades_over_time: float = 9.0
    exploding_gradient_decades: float = 3.0
    batch_norm_explosion_decades: float = 2.0
    initialisation_decades: float = 2.5
    initialisation_variance_factor: float = 4.0
    saturated_units_share: float = 0.5
    dead_units_share: float = 0.75
    dead_units_least_examples: float = 16.0
    constant_representation_share: float = 1e-3
    labels_standard_errors: float = 2.0
    low_rank_representation_directions: float = 1.5
    residual_growth_decades: float = 0.75
    outlier_channels_factor: float = 20.0
    small_batch_examples: float = 8.0
    stale_statistics_standard_deviations: float = 1.0
    stale_statistics_variance_factor: float = 4.0
    stale_statistics_least_examples: float = 16.0
    dropout_kept_units: float = 4.0
    dropout_rate: float = 0.7
    large_update_share: float = 0.3
    clipping_always_factor: float = 10.0
    clipping_never_factor: float = 0.01


STANDARD = Thresholds()


def thresholds_of(values: Mapping[str, float]) -> Thresholds:
    """Returns the standard thresholds with these in place of theirs.

    Raises:
      ValueError: a name that is none, with those near it, or a value that is no positive finite number.
    """
    known("threshold", values, [field.name for field in dataclasses.fields(Thresholds)])
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise ValueError(f"threshold {name} is {value!r}, expected a positive finite number")
        if name.endswith("_variance_factor") and value <= 1:
            raise ValueError(f"threshold {name} is {value!r}, expected more than 1: equal variances differ by a factor of 1")
    return dataclasses.replace(STANDARD, **{name: float(value) for name, value in values.items()})


def thresholds_of_kind(kind: str) -> dict[str, float]:
    """Returns the thresholds of one kind of finding by name, with their standard values."""
    start = kind.replace("-", "_") + "_"
    return {name: value for name, value in dataclasses.asdict(STANDARD).items() if name.startswith(start)}
