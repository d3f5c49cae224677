"""Intervals against SciPy's, and their coverage of a known mean."""

import numpy as np
import pytest
from scipy import stats

from experiments.study.measurement import Evidence, Measurement, exact, fraction, interval, mean_interval, share


def test_the_interval_is_students_t_as_scipy_gives_it():
    samples = np.random.default_rng(1).normal(3, 2, 12)
    expected = stats.ttest_1samp(samples, 0).confidence_interval(0.95)
    measured = interval("a", samples)
    np.testing.assert_allclose([measured.low, measured.high], [expected.low, expected.high], rtol=1e-12)
    assert measured.n == 12 and measured.value == pytest.approx(samples.mean())


def test_the_interval_covers_the_true_mean_in_95_of_100_repetitions():
    samples = np.random.default_rng(2).normal(1.0, 5.0, (6, 20_000))
    low, high = mean_interval(samples)
    covered = np.mean((low <= 1.0) & (high >= 1.0))
    assert abs(covered - 0.95) < 4 * np.sqrt(0.95 * 0.05 / 20_000)


def test_equal_samples_give_an_interval_of_width_zero():
    measured = interval("a", np.full(4, 0.1))
    assert measured.low <= measured.value <= measured.high and measured.high - measured.low < 1e-15


@pytest.mark.parametrize(
    "samples, message", [([1.0], "at least 2 seeds"), ([1.0, np.nan], "not finite"), ([], "at least 2 seeds")]
)
def test_what_has_no_interval_is_refused(samples, message):
    with pytest.raises(ValueError, match=message):
        interval("a", samples)


def test_a_value_outside_its_interval_is_refused():
    with pytest.raises(ValueError, match="outside its interval"):
        Measurement("a", 2.0, 0.0, 1.0, 3)


def test_evidence_is_read_by_name():
    evidence = Evidence((exact("a", 1), exact("b", 2)))
    assert evidence["b"].value == 2.0
    with pytest.raises(KeyError, match="no measurement 'c'"):
        evidence["c"]


def test_a_fraction_keeps_its_interval_inside_0_and_1_and_is_students_where_that_is_far_from_both():
    samples = np.random.default_rng(3).normal(0.5, 0.002, 8)
    plain, logit = interval("a", samples), fraction("a", samples)
    np.testing.assert_allclose([logit.low, logit.high], [plain.low, plain.high], atol=1e-6)
    near = fraction("a", [0.999, 0.9, 1.0, 0.99])
    assert interval("a", [0.999, 0.9, 1.0, 0.99]).high > 1 > near.high > near.value > near.low > 0
    assert fraction("a", [1.0, 1.0]).low == 1.0  # nothing varies
    with pytest.raises(ValueError, match="no fraction"):
        fraction("a", [0.5, 1.2])


def test_the_interval_of_a_fraction_covers_the_mean_of_a_skewed_distribution():
    samples = np.random.default_rng(4).beta(9.0, 1.0, (4000, 8))
    found = [fraction("a", row) for row in samples]
    covered = np.mean([m.low <= 0.9 <= m.high for m in found])
    assert 0.92 < covered < 0.98


def test_a_share_has_the_exact_interval_of_a_binomial():
    all_of_20 = share("a", np.ones(20, bool))
    assert all_of_20.high == 1.0 and all_of_20.low == pytest.approx(0.025 ** (1 / 20))  # p^20 = 2.5%
    half = share("a", [True, False, True, False])
    assert half.value == 0.5 and half.low == pytest.approx(stats.beta.ppf(0.025, 2, 3)) and half.n == 4
    with pytest.raises(ValueError, match="no seeds"):
        share("a", [])
