"""Intervals against SciPy's, and their coverage of a known mean."""

import numpy as np
import pytest
from scipy import stats

from experiments.study.measurement import Evidence, Measurement, exact, interval, mean_interval


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
