"""Rules: criteria by the whole interval, verdicts by their lists, and every committed rule parses."""

import pytest

from experiments.study import rules, topics
from experiments.study.measurement import Measurement


def number(name="a", value=1.0, low=None, high=None, prediction=None):
    return Measurement(name, value, value if low is None else low, value if high is None else high, 5, "", prediction)


@pytest.mark.parametrize(
    "criterion, low, high, outcome",
    [
        ("a above 1", 1.1, 1.3, "met"),
        ("a above 1", 0.9, 1.3, "undecided"),
        ("a above 1", 0.5, 1.0, "not met"),
        ("a below 1", 0.5, 0.9, "met"),
        ("a below 1", 0.5, 1.1, "undecided"),
        ("a below 1", 1.0, 1.1, "not met"),
        ("a equals 0", 0.0, 0.0, "met"),
        ("a equals 0", 0.0, 0.1, "not met"),
        ("a within 0.1 of 1", 0.95, 1.05, "met"),
        ("a within 0.1 of 1", 0.85, 1.05, "undecided"),
        ("a within 0.1 of 1", 1.2, 1.3, "not met"),
        ("a within 10% of -2", -2.1, -1.9, "met"),
        ("a within 10% of -2", -2.3, -1.9, "undecided"),
        ("a within 5% of prediction", 1.96, 2.04, "met"),
        ("a within 5% of prediction", 1.8, 1.85, "not met"),
    ],
)
def test_a_criterion_is_decided_by_the_whole_interval(criterion, low, high, outcome):
    measured = number(value=(low + high) / 2, low=low, high=high, prediction=2.0)
    assert rules.decide(criterion, {"a": measured}) == outcome


def test_another_measurement_counts_by_its_nearer_bound():
    pair = {"a": number("a", 2.0, 1.5, 2.5), "b": number("b", 1.0, 0.5, 1.6)}
    assert rules.decide("a above b", pair) == "undecided"
    assert rules.decide("b below a", pair) == "undecided"
    assert rules.decide("a above b", pair | {"b": number("b", 1.0, 0.5, 1.4)}) == "met"


def claim(**changes):
    entry = {"holds": ["a above 1"], "holds_if": ["b above 1"], "condition": {"en": "b is {b}", "zh": "b 为 {b}"}}
    return rules.Claim("topic.claim", {"en": "", "zh": ""}, **(entry | changes))


@pytest.mark.parametrize("a, b, verdict", [(2, 0, "holds"), (0, 2, "holds-if"), (0, 0, "fails"), (2, 2, "holds")])
def test_the_verdict_follows_from_the_lists(a, b, verdict):
    assert rules.judge(claim(), [number("a", a), number("b", b)]).verdict == verdict


def test_an_undecided_criterion_does_not_count_as_met():
    judged = rules.judge(claim(holds_if=()), [number("a", 1.5, 0.5, 2.5)])
    assert judged.verdict == "fails" and judged.outcomes == {"a above 1": "undecided"}


def test_the_condition_quotes_what_was_measured_and_is_empty_otherwise():
    judged = rules.judge(claim(), [number("a", 0.0), number("b", 17.3286)])
    assert judged.condition == {"en": "b is 17.33", "zh": "b 为 17.33"}
    assert rules.judge(claim(), [number("a", 2.0), number("b", 0.0)]).condition == {}


def test_the_counterexample_is_said_where_the_verdict_is_fails_and_only_there():
    rule = claim(counterexample={"en": "a is only {a}", "zh": "a 只有 {a}"})
    failed = rules.judge(rule, [number("a", 0.25), number("b", 0.0)])
    assert failed.counterexample == {"en": "a is only 0.25", "zh": "a 只有 0.25"} and failed.condition == {}
    for a, b in ((2.0, 0.0), (0.0, 2.0)):
        assert rules.judge(rule, [number("a", a), number("b", b)]).counterexample == {}


@pytest.mark.parametrize(
    "criterion, message",
    [
        ("a over 1", "above|below|equals"),
        ("c above 1", "'c', which was not measured"),
        ("a within 1 of prediction", "no prediction"),
    ],
)
def test_a_rule_that_cannot_be_decided_says_why(criterion, message):
    with pytest.raises(ValueError, match=message.replace("|", r"\|")):
        rules.decide(criterion, {"a": number()})


def test_every_committed_claim_parses_and_belongs_to_a_topic():
    claims = rules.load_claims()
    assert {claim.topic for claim in claims.values()} == set(topics.TOPICS)
    assert all(claim.statement["en"] and claim.statement["zh"] for claim in claims.values())
    assert claims["causes.depth"].rule.startswith("holds when depth-scale-below within 10% of prediction and ")


def test_a_claim_without_its_condition_is_refused(tmp_path):
    path = tmp_path / "claims.toml"
    path.write_text('["a.b"]\nen = "x"\nzh = "y"\nholds = ["a above 1"]\nholds-if = ["a above 0"]\n')
    with pytest.raises(ValueError, match="needs `condition` and `holds-if` together"):
        rules.load_claims(path)
