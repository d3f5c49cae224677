"""The reference: what is stored, and what is said of a run whose verdicts are others."""

import dataclasses

import pytest
from scipy import stats

from experiments.study import reference, results


@pytest.fixture
def stored(tmp_path, saturation_run, limits):
    paper = dataclasses.replace(saturation_run, scale="paper")
    reference.write(
        [results.judged(paper, {"saturation.limits": limits(rate=(1.0, 0.9999999, 1.0000001))})], tmp_path / "r.json"
    )
    return reference.read(tmp_path / "r.json")


def test_a_measurement_is_a_line_of_its_own(tmp_path, stored):
    entry = stored["topics"]["saturation"]["claims"]["saturation.limits"]
    assert entry["verdict"] == "holds" and entry["measurements"]["rate-right"] == [1.0, 0.9999999, 1.0000001, 8, "nats"]
    assert '"rate-right": [ 1.0, 0.9999999, 1.0000001, 8, "nats" ],\n' in (tmp_path / "r.json").read_text()
    assert stored["topics"]["saturation"].keys() >= {"seed", "scale", "versions", "device", "processor", "code"}


def test_the_error_rate_is_that_of_the_deciding_measurement(stored):
    expected = 2 * stats.t.sf(2 * stats.t.ppf(0.975, 7), 7)  # of 8 seeds, for two other lists
    assert reference.error_rate(stored) == pytest.approx(expected)


def test_equal_verdicts_are_counted(stored, saturation_run, limits):
    same = reference.compare([results.judged(saturation_run, {"saturation.limits": limits()})], stored)
    assert str(same) == "1 of 1 verdicts as in the reference"


def test_another_verdict_is_named_with_both_intervals_and_margins(stored, saturation_run, limits):
    paper = dataclasses.replace(saturation_run, scale="paper")
    other = results.judged(paper, {"saturation.limits": limits(rate=(1.0, 0.5, 1.5))})
    found = reference.compare([other], stored)
    assert (found.agree, found.claims) == (0, 1)
    assert found.lines == (
        "saturation.limits: undecided by 'rate-right within 1e-6 of prediction', margin 0.0; reference: holds by "
        "'rate-right within 1e-6 of prediction', margin 10.0; rate-right is 1.00 [0.50, 1.50] here and "
        "1.0000000 [0.9999999, 1.0000001] there",
    )


def test_a_smaller_run_that_decides_less_is_not_listed(stored, saturation_run, limits):
    found = reference.compare([results.judged(saturation_run, {"saturation.limits": limits(rate=(1.0, 0.5, 1.5))})], stored)
    assert str(found) == "0 of 1 verdicts as in the reference"


def test_a_claim_that_the_reference_lacks_is_left_out(tmp_path, saturation_run, limits):
    found = reference.compare(
        [results.judged(saturation_run, {"saturation.limits": limits()})], reference.read(tmp_path / "none")
    )
    assert str(found) == "The reference has none of these claims."


def test_writing_a_topic_keeps_the_others(tmp_path, stored, saturation_run, limits):
    other = dataclasses.replace(saturation_run, topic="causes")
    reference.write([results.Results(other, {})], tmp_path / "r.json")
    assert set(reference.read(tmp_path / "r.json")["topics"]) == {"saturation", "causes"}
