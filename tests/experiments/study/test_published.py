"""What papers report: at least these, each agreeing with the reference by the criterion that stands beside it."""

import pytest

from experiments.study import reference, rules
from experiments.study.measurement import Measurement

REFERENCE = reference.read()["topics"]
PUBLISHED = [(name, report) for name, claim in rules.load_claims().items() for report in claim.published]


@pytest.mark.parametrize("claim, report", PUBLISHED, ids=[f"{claim}-{report.measurement}" for claim, report in PUBLISHED])
def test_a_published_number_agrees_with_the_reference(claim, report):
    stored = REFERENCE.get(claim.partition(".")[0], {}).get("claims", {}).get(claim)
    if stored is None:
        pytest.skip("the reference has no such claim yet")
    by_name = {name: Measurement(name, *numbers) for name, numbers in stored["measurements"].items()}
    assert rules.decide(report.criterion, by_name) == "met"


def test_a_report_says_what_theirs_is():
    for claim, report in PUBLISHED:
        assert report.source and report.where and report.setting and report.value, claim
