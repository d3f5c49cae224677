"""The rules of the topic pooling on made-up evidence: met, refuted, and neither."""

import dataclasses

import pytest

from experiments.pooling.settings import Pooling
from experiments.study import rules
from experiments.study.convergence import fit
from experiments.study.measurement import Evidence, Measurement

CLAIMS = rules.load_claims("pooling")
FITS = {"train-none": 1.0, "train-max": 1.0, "train-none-global": 1.0, "train-max-global": 1.0}
GAPS = ("gap-change-flatten", "loss-change-flatten", "gap-change-global", "loss-change-global")
COST = {"map-ratio": 0.25, "operations-ratio-layer": 0.25, "bytes-ratio-layer": 0.26}
LATER = ("operations-ratio-later", "bytes-ratio-later", "memory-ratio-later")
RATIOS = ("parameters-ratio-flatten", "parameters-ratio-convolution", "parameters-ratio-global")
KEPT = tuple(f"kept-change-{arm}-{kind}" for kind in ("shift", "noise", "hidden") for arm in ("max", "average"))
READ = tuple(f"class-change-{name}" for name in ("max", "average", "max-global", "average-global"))


def verdict(claim: str, values: dict[str, float], half: float = 0.0, **fits) -> str:
    """Returns the verdict for values whose intervals have a half-width; those that are a whole number have none."""
    measurements = []
    for name, value in values.items():
        around = 0.0 if value == int(value) else half
        prediction = {"parameters-ratio-flatten": 0.08, "operations-ratio-layer": 0.25, "bytes-ratio-layer": 0.2556}.get(name)
        measurements.append(Measurement(name, value, value - around, value + around, 16, "", prediction))
    settings = dataclasses.asdict(Pooling())
    words = {"parameters-flatten-max", "parameters-flatten-none", "place-change-max-global", "place-change-average-global"}
    measurements += [Measurement(name, 1, 1, 1, 1) for name in words - values.keys()]
    return rules.judge(CLAIMS[f"pooling.{claim}"], Evidence(tuple(measurements), fits=fits), settings).verdict


@pytest.mark.parametrize(
    "values, found",
    [((0.24, 0.27, 0.25), "holds"), ((0.24, 0.62, 0.25), "undecided"), ((1.0, 0.27, 1.0), "fails")],
)
def test_cost_is_judged_behind_the_pool(values, found):
    assert verdict("cost", COST | dict(zip(LATER, values, strict=True))) == found


@pytest.mark.parametrize(
    "values, half, found",
    [
        ((-0.05, -0.4, -0.02, -0.1), 0.004, "holds"),
        ((-0.05, -0.4, 0.02, 0.1), 0.004, "holds-if"),
        ((0.05, 0.4, 0.02, 0.1), 0.004, "fails"),
        ((-0.05, -0.4, 0.02, 0.1), 0.015, "undecided"),
    ],
)
def test_overfitting_is_judged_with_both_heads(values, half, found):
    assert verdict("overfitting", FITS | dict(zip(GAPS, values, strict=True)), half) == found


def test_overfitting_is_undecided_where_a_network_does_not_fit():
    changes = dict(zip(GAPS, (-0.05, -0.4, 0.02, 0.1), strict=True))
    assert verdict("overfitting", FITS | changes | {"train-max": 0.97}, 0.004) == "undecided"
    unfinished = fit([[2.0, 1.8, 1.6, 1.4, 1.2]] * 2, [0.5, 0.6])
    assert verdict("overfitting", FITS | changes, 0.004, none=unfinished) == "undecided"


@pytest.mark.parametrize(
    "values, half, found",
    [
        ((0.01, 0.07, 0.01, 0.02), 0.01, "holds"),
        ((0.01, 0.07, -0.29, -0.18), 0.01, "holds-if"),
        ((-0.2, -0.1, -0.29, -0.18), 0.01, "fails"),
        ((0.01, 0.07, -0.29, -0.18), 0.04, "undecided"),
    ],
)
def test_features_are_kept_or_lost_by_one_bound(values, half, found):
    assert verdict("features", dict(zip(READ, values, strict=True)), half) == found


@pytest.mark.parametrize("change, half, found", [(-0.05, 0.01, "holds"), (0.05, 0.01, "fails"), (-0.05, 0.03, "undecided")])
def test_invariance_is_judged_for_the_maximum_and_the_mean(change, half, found):
    changes = {f"{what}-change-{arm}": change for what in ("logit", "flips") for arm in ("max", "average")}
    maps = {"map-change-none": 0.4, "map-change-max": 0.4 + change, "map-change-average": 0.4 + change}
    assert verdict("invariance", changes | maps, half / 2 if change == -0.05 and half == 0.01 else half) == found


@pytest.mark.parametrize(
    "values, found",
    [((0.08, 0.5, 0.5), "holds"), ((0.08, 1, 1), "holds-if"), ((1, 1, 1), "fails"), ((0.08, 1, 0.5), "undecided")],
)
def test_parameters_are_counted_with_both_heads(values, found):
    assert verdict("parameters", dict(zip(RATIOS, values, strict=True))) == found


@pytest.mark.parametrize("ratio, half, found", [(0.19, 0.1, "holds"), (1.4, 0.1, "fails"), (0.9, 0.1, "undecided")])
def test_speed_is_the_time_of_a_step(ratio, half, found):
    assert verdict("speed", {"time-ratio": ratio}, half) == found


@pytest.mark.parametrize(
    "values, half, found",
    [
        ((0.2, 0.2, 0.1, 0.1, 0.1, 0.1), 0.02, "holds"),
        ((0.2, 0.2, -0.07, -0.06, -0.06, -0.07), 0.02, "holds-if"),
        ((-0.2, -0.2, -0.07, -0.06, -0.06, -0.07), 0.02, "fails"),
        ((0.2, 0.2, -0.07, -0.06, 0.01, -0.07), 0.02, "undecided"),
    ],
)
def test_robustness_is_judged_by_each_disturbance(values, half, found):
    assert verdict("robust", dict(zip(KEPT, values, strict=True)), half) == found
