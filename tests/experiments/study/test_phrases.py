"""Measurements in words: the direction from the sign, percentage points, factors beside logarithms, intervals."""

import math

import pytest

from experiments.study import phrases
from experiments.study.measurement import Measurement


def measured(value: float, half: float = 0.001) -> Measurement:
    return Measurement("a", value, value - half, value + half, 8)


@pytest.mark.parametrize(
    "form, value, english, chinese",
    [
        ("change", -0.132, "falls by 13 percentage points", "下降 13 个百分点"),
        ("change", 0.0811, "rises by 8.1 percentage points", "上升 8.1 个百分点"),
        ("drop", -0.132, "rises by 13 percentage points", "上升 13 个百分点"),
        ("lead", -0.0199, "is behind by 2 percentage points", "落后 2 个百分点"),
        ("loss", -0.3515, "falls by 0.35 nats", "下降 0.35 奈特"),
        ("loss-lead", 0.378, "is ahead by 0.38 nats", "领先 0.38 奈特"),
        ("percent", 0.4622, "46%", "46%"),
        ("percent", 0.926, "92.6%", "92.6%"),
        ("percent", 0.99963, "99.963%", "99.963%"),
        ("percent", 1.0, "100%", "100%"),
        ("percent", 2.3e-15, "2.3e-15", "2.3e-15"),
        ("power", -6.643, "10^-6.64", "10^-6.64"),
        ("nats", math.log(0.71), "0.71 (-0.342 nats)", "0.71 倍（-0.342 奈特）"),
        ("nats", math.log(1.032), "1.032 (0.0315 nats)", "1.032 倍（0.0315 奈特）"),
        ("nats", 34.8 * math.log(10), "10^34.8 (80.1 nats)", "10^34.8 倍（80.1 奈特）"),
        ("decades", math.log10(0.18), "0.18 (-0.745 decades)", "0.18 倍（-0.745 个数量级）"),
        ("decades", -37.73, "10^-37.7", "10^-37.7 倍"),
        ("", 17.3286, "17.3", "17.3"),
    ],
)
def test_a_number_is_said_in_both_languages(form, value, english, chinese):
    exact = Measurement("a", value, value, value, 1)
    assert [phrases.phrase(exact, form, language) for language in ("en", "zh")] == [english, chinese]


def test_what_does_not_differ_from_nothing_has_no_direction():
    straddling = Measurement("a", -0.00225, -0.0065, 0.002, 8)
    assert phrases.phrase(straddling, "change", "en") == "stays within 0.65 percentage points"
    assert phrases.phrase(straddling, "lead", "zh") == "相差不超过 0.65 个百分点"
    assert phrases.phrase(straddling, "nats", "en") == "1 (to within 0.0065 nats)"
    for value in (0.0, 2.8e-17):  # rounding is no change
        nothing = Measurement("a", value, -abs(value), value, 8)
        assert phrases.phrase(nothing, "change", "en") == "does not change"
        assert phrases.phrase(nothing, "lead", "zh") == "持平"


@pytest.mark.parametrize(
    "form, value, half, said",
    [
        ("change", -0.132, 0.01, "falls by 13.2 [12.2, 14.2] percentage points"),
        ("percent", 0.5, 0.1, "50 [40, 60]%"),
        ("nats", -0.338, 0.01, "0.713 (-0.338 [-0.348, -0.328] nats)"),
        ("power", -2.0, 0.1, "10^-2 [10^-2.1, 10^-1.9]"),
        ("", 1.25, 0.25, "1.25 [1.00, 1.50]"),
    ],
)
def test_the_interval_stands_in_the_unit_of_the_value(form, value, half, said):
    assert phrases.phrase(measured(value, half), form, "en", interval=True) == said


def test_settings_are_read_as_a_sentence():
    assert phrases.setting((2, 100, 1000), "en") == "2, 100 and 1000"
    assert phrases.setting([0.01, 1.0, 4.0], "zh") == "0.01、1 和 4"
    assert [phrases.setting(value, "en") for value in (4.0, [10], "relu")] == ["4", "10", "relu"]


def test_an_unknown_form_is_refused():
    with pytest.raises(ValueError, match="there is no form 'points' of a measurement; choose one of number, percent"):
        phrases.phrase(measured(1.0), "points", "en")
