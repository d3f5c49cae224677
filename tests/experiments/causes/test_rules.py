"""The rules of causes on made-up evidence: the sentence true, its condition, its refutation, and what decides nothing."""

import pytest

from experiments.study import rules
from experiments.study.measurement import Evidence, Measurement

CLAIMS = {name: claim._replace(published=()) for name, claim in rules.load_claims("causes").items()}


def verdict(claim: str, half: float, **values) -> str:
    """Returns the verdict on values `name=value` or `name=(value, prediction)`, all of one half-width."""
    measurements = []
    for name, value in values.items():
        value, prediction = value if isinstance(value, tuple) else (value, None)
        measurements.append(Measurement(name.replace("_", "-"), value, value - half, value + half, 16, "", prediction))
    return rules.judge(CLAIMS[f"causes.{claim}"], Evidence(tuple(measurements)), {}).verdict


@pytest.mark.parametrize(
    "large, half, found",
    [(0.065, 1e-4, "holds-if"), (-0.3, 1e-4, "holds"), (0.065, 0.04, "undecided")],
)
def test_vanish_asks_whether_the_derivative_alone_decides(large, half, found):
    slopes = {"slope_tanh": (-0.34, -0.34), "slope_sigmoid": (-1.44, -1.44), "slope_large": (large, 0.065)}
    ratios = {"update_ratio_tanh": -8, "update_ratio_sigmoid": -37, "update_ratio_large": 25 * large}
    assert verdict("vanish", half, derivative_large=0.7, **slopes, **ratios) == found


def test_vanish_fails_where_neither_stack_does():
    ratios = {"update_ratio_tanh": 2, "update_ratio_sigmoid": 2, "update_ratio_large": 2}
    slopes = {"slope_tanh": (0.1, 0.1), "slope_sigmoid": (0.1, 0.1), "slope_large": (0.1, 0.1)}
    assert verdict("vanish", 1e-4, derivative_large=0.7, **slopes, **ratios) == "fails"


@pytest.mark.parametrize("biases, weights, found", [(-0.5, 0.3, "holds-if"), (-0.5, -0.3, "holds"), (0.3, 0.3, "fails")])
def test_saturation_is_judged_by_biases_and_by_weights(biases, weights, found):
    values = {
        "saturated_biases": 0.5,
        "saturated_weights": 0.5,
        "slope_change": (biases, biases),
        "slope_change_weights": weights,
    }
    both = {f"{name}_{activation}": value for name, value in values.items() for activation in ("tanh", "sigmoid")}
    assert verdict("saturation", 0.01, **both) == found


@pytest.mark.parametrize("sigmoid, relu, found", [(0.0, -0.35, "holds-if"), (-0.3, -0.35, "holds"), (0.0, 0.3, "fails")])
def test_small_weights_are_judged_by_the_size_of_the_signal(sigmoid, relu, found):
    signals = {"forward_slope_relu": (relu, -0.35), "forward_slope_tanh": (relu, -0.35), "forward_slope_sigmoid": sigmoid}
    assert verdict("init-small", 1e-3, difference_slope_sigmoid=-1.4, gradient_slope_sigmoid=-1.4, **signals) == found


@pytest.mark.parametrize("above, below, found", [(0.1, -0.2, "holds-if"), (0.1, 0.2, "holds"), (-0.1, -0.2, "fails")])
def test_explode_asks_weights_above_one_on_both_sides_of_chi(above, below, found):
    slopes = {f"slope_{name}": (above, above) for name in ("tanh", "relu")}
    slopes |= {f"slope_{name}_below": (below, below) for name in ("tanh", "relu", "sigmoid")}
    assert verdict("explode", 1e-3, overflow_depth=(208.0, 208.4), **slopes) == found


@pytest.mark.parametrize(
    "shallow, deep, half, found", [(0.5, 9, 0.01, "holds"), (6, 90, 0.01, "fails"), (0.9, 9, 0.1, "undecided")]
)
def test_where_asks_what_few_layers_do(shallow, deep, half, found):
    sizes = {(length, kind): size for kind in ("stack", "recurrent") for length, size in (("short", shallow), ("long", deep))}
    values = {f"explode_{kind}_{length}": size for (length, kind), size in sizes.items()}
    values |= {f"vanish_{kind}_{length}": -size for (length, kind), size in sizes.items()}
    assert verdict("where", half, **values) == found


@pytest.mark.parametrize(
    "sgd, adam, found", [(8, -2.5, "holds-if"), (8, 3, "holds"), (-2, -2.5, "fails"), (8, -0.95, "undecided")]
)
def test_updates_are_judged_with_and_without_adam(sgd, adam, found):
    exploding = {"update_sgd_exploding": sgd, "update_adam_exploding": adam}
    assert verdict("updates", 0.1, update_sgd_critical=-2.7, update_adam_critical=-2.1, **exploding) == found


@pytest.mark.parametrize("scale, straight, found", [(1.0, 0.99, "holds"), (1.3, 0.2, "fails"), (1.3, 0.99, "undecided")])
def test_depth_is_judged_by_its_scale_and_its_straightness(scale, straight, found):
    names = [f"{side}_{activation}" for side in ("below", "above") for activation in ("relu", "tanh")]
    values = {f"depth_scale_{name}": (scale, 1.0) for name in names} | {f"linearity_{name}": straight for name in names}
    assert verdict("depth", 1e-3, **values) == found
