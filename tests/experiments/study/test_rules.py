"""Rules: criteria by the whole interval, verdicts by their lists, and every committed rule parses."""

import re

import numpy as np
import pytest
from scipy import stats

from experiments.study import rules, topics
from experiments.study.measurement import Evidence, Fit, Measurement


def number(name="a", value=1.0, low=None, high=None, prediction=None):
    return Measurement(name, value, value if low is None else low, value if high is None else high, 5, "", prediction)


@pytest.mark.parametrize(
    "criterion, low, high, outcome",
    [
        ("a above 1", 1.1, 1.28, "met"),
        ("a above 1", 1.1, 1.32, "undecided"),  # the interval reaches twice as far: from 0.99
        ("a above 1", 0.5, 0.8, "not met"),
        ("a above 1", 0.5, 0.9, "undecided"),
        ("a below 1", 0.72, 0.9, "met"),
        ("a below 1", 0.5, 0.9, "undecided"),
        ("a below 1", 1.05, 1.1, "not met"),
        ("a equals 0", 0.0, 0.0, "met"),
        ("a equals 0", 0.0, 0.1, "not met"),
        ("a within 0.1 of 1", 0.96, 1.04, "met"),
        ("a within 0.1 of 1", 0.94, 1.06, "undecided"),
        ("a within 0.1 of 1", 1.2, 1.3, "not met"),
        ("a within 10% of -2", -2.09, -1.91, "met"),
        ("a within 10% of -2", -2.15, -1.9, "undecided"),
        ("a within 5% of prediction", 1.96, 2.04, "met"),
        ("a within 5% of prediction", 1.8, 1.85, "not met"),
    ],
)
def test_a_criterion_is_decided_by_twice_the_interval(criterion, low, high, outcome):
    measured = number(value=(low + high) / 2, low=low, high=high, prediction=2.0)
    assert rules.decide(criterion, {"a": measured}) == outcome


def test_an_interval_with_two_sides_is_widened_on_each_by_itself():
    skewed = {"a": number("a", 0.9, 0.7, 0.94)}
    assert rules.decide("a below 0.99", skewed) == "met" and rules.margin("a below 0.99", skewed) == pytest.approx(2.25)
    assert rules.decide("a above 0.6", skewed) == "undecided" and rules.margin("a above 0.6", skewed) == pytest.approx(1.5)


def test_another_measurement_counts_by_the_nearer_end_of_its_widened_interval():
    pair = {"a": number("a", 2.0, 1.75, 2.25), "b": number("b", 1.0, 0.5, 1.3)}
    assert rules.decide("a above b", pair) == "undecided" and rules.decide("b below a", pair) == "undecided"
    assert rules.decide("a above b", pair | {"b": number("b", 1.0, 0.5, 1.2)}) == "met"
    assert rules.margin("a above b", pair | {"b": number("b", 1.9, 1.0, 2.5)}) == 0


def test_within_a_tolerance_of_another_measurement_means_of_all_that_its_interval_holds():
    pair = {"a": number("a", 1.0, 0.98, 1.02), "b": number("b", 1.05, 1.0, 1.1)}
    assert rules.decide("a within 0.2 of b", pair) == "met"
    assert rules.decide("a within 0.1 of b", pair) == "undecided"
    assert rules.decide("a within 0.1 of b", pair | {"b": number("b", 1.5, 1.45, 1.55)}) == "not met"


@pytest.mark.parametrize("seeds", [4, 8, 20])
def test_a_wrong_verdict_is_as_rare_as_stated(seeds):
    """A mean that lies exactly at its bound is said to be above it as often as one term of the error rate says."""
    samples = np.random.default_rng(0).standard_normal((200_000, seeds))
    half = stats.t.ppf(0.975, seeds - 1) * samples.std(1, ddof=1) / np.sqrt(seeds)
    wrong = np.mean(samples.mean(1) - rules.WIDTH * half > 0)
    measured = Measurement("a", 0.0, -1.0, 1.0, seeds)
    rate = rules.error_rate([measured, measured, number("exact", 1.0)]) / 4  # two claims, two other lists each
    assert wrong == pytest.approx(rate, abs=4 * np.sqrt(rate / len(samples)))


def test_a_training_that_is_not_convincing_leaves_its_claim_undecided():
    met = (number("a", 2.0), number("b", 2.0))
    unfinished = {"net": Fit("unfinished", 0.7, 0.1, required=True)}
    found = rules.judge(claim(), Evidence(met, fits=unfinished), SETTINGS)
    assert found.verdict == "undecided" and found.deciding == "a above 1"
    for fit in (Fit("fits", 1.0, 0.1, True), Fit("plateau", 0.8, 0.01, True), Fit("unfinished", 0.1, 1.0, required=False)):
        assert rules.judge(claim(), Evidence(met, fits={"net": fit}), SETTINGS).verdict == "holds"


def claim(**changes):
    criteria = {"holds": ["a above 1"], "holds-if": ["b above 1"], "fails": ["a below 0"]}
    entry = {
        "criteria": criteria,
        "condition": {"en": "b is {b} at {setting:depths[-1]}", "zh": "深度 {setting:depths}，b 为 {b}"},
    }
    return rules.Claim("topic.claim", {"en": "", "zh": ""}, **(entry | changes))


SETTINGS = {"depths": (10, 60)}


def judged(rule, *measurements):
    return rules.judge(rule, Evidence(measurements), SETTINGS)


@pytest.mark.parametrize(
    "a, b, verdict",
    [(2, 0, "holds"), (2, 2, "holds"), (0.5, 2, "holds-if"), (-1, 2, "holds-if"), (-1, 0, "fails"), (0.5, 0, "undecided")],
)
def test_the_verdict_is_that_of_the_first_list_that_is_met(a, b, verdict):
    assert judged(claim(), number("a", a), number("b", b)).verdict == verdict


def test_a_confirmation_that_was_missed_is_no_refutation():
    rule = claim(criteria={"holds": ["a above 1"], "fails": ["a below 1"]}, condition={})
    found = judged(rule, number("a", 1.5, 0.5, 2.5))
    assert found.verdict == "undecided" and set(found.outcomes.values()) == {"undecided"} and found.text == {}


def test_every_criterion_of_a_list_counts():
    rule = claim(criteria={"holds": ["a above 1", "b above 1"], "fails": ["a below 0", "b below 0"]}, condition={})
    assert judged(rule, number("a", 2), number("b", 0.5)).verdict == "undecided"
    assert judged(rule, number("a", -2), number("b", 0.5)).verdict == "undecided"
    assert judged(rule, number("a", -2), number("b", -0.5)).verdict == "fails"


def test_the_condition_quotes_what_was_measured_and_the_settings_and_is_empty_otherwise():
    found = judged(claim(), number("a", 0.5), number("b", 17.3286))
    assert found.text == {"en": "b is 17.3 at 60", "zh": "深度 10 和 60，b 为 17.3"}
    assert judged(claim(), number("a", 2.0), number("b", 0.0)).text == {}
    with pytest.raises(ValueError, match=r"names the setting 'width'; there are \['depths'\]"):
        judged(claim(condition={"en": "{setting:width}", "zh": ""}), number("a", 0.5), number("b", 2))


def test_a_text_says_directions_and_has_the_interval_of_what_decides():
    condition = {"en": "it {b:change}, and {c:change}", "zh": "{b:change}，{c:change}"}
    found = judged(claim(condition=condition), number("a", 0.5), number("b", 2, 1.9, 2.1), number("c", -0.25))
    assert found.text["en"] == "it rises by 200 [190, 210] percentage points, and falls by 25 percentage points"
    assert found.text["zh"] == "上升 200 [190, 210] 个百分点，下降 25 个百分点"
    assert rules.named_in(condition["en"] + "{setting:depths}") == {"b", "c"}


def test_the_counterexample_is_said_where_the_verdict_is_fails_and_only_there():
    rule = claim(counterexample={"en": "a is only {a}", "zh": "a 只有 {a}"})
    assert judged(rule, number("a", -0.25), number("b", 0.0)).text == {"en": "a is only -0.25", "zh": "a 只有 -0.25"}
    for a, b in ((2.0, 0.0), (0.5, 0.0)):
        assert judged(rule, number("a", a), number("b", b)).text == {}


def test_the_deciding_criterion_is_the_one_nearest_to_its_bound():
    rule = claim(criteria={"holds": ["a above 1", "b above 1"], "fails": ["a below 1"]}, condition={})
    found = judged(rule, number("a", 2.0, 1.6, 2.4), number("b", 4.0, 3.0, 5.0))  # 2.5 half-widths from the bound, and 3
    assert (
        found.verdict == "holds"
        and found.deciding == "a above 1"
        and found.margin == pytest.approx(2.5)
        and found.measurement == "a"
    )
    missed = judged(rule, number("a", 1.1, 0.9, 1.3), number("b", 2.0, 1.5, 2.5))
    assert missed.verdict == "undecided" and missed.deciding == "a above 1" and missed.margin == pytest.approx(0.5)
    rule = claim(criteria={"holds": ["a above 1", "b above 1"], "fails": ["a below -9"]}, condition={})
    far = judged(rule, number("a", -4.0, -5.0, -3.0), number("b", 4.0, 3.0, 5.0))  # b is nearer to its bound, and met
    assert far.verdict == "undecided" and far.deciding == "a above 1" and far.margin == pytest.approx(5.0)


def test_margins_are_distances_in_half_widths():
    measured = number("a", 2.0, 1.6, 2.4, prediction=2.1)
    assert rules.margin("a above 1", {"a": measured}) == pytest.approx(2.5)
    assert rules.margin("a within 0.5 of prediction", {"a": measured}) == pytest.approx(1.0)
    assert rules.margin("a within 10% of 1.6", {"a": measured}) == pytest.approx(0.6)
    pair = {"a": measured, "b": number("b", 0.8, 0.6, 1.0)}  # the nearer end of its widened interval counts
    assert rules.margin("a above b", pair) == pytest.approx(2.0) and rules.margin("b below a", pair) == pytest.approx(2.0)
    assert rules.margin("a above 1", {"a": number("a", 2.0)}) == np.inf


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


def test_every_committed_claim_parses_and_belongs_to_its_topic():
    claims = rules.load_claims()
    for topic in topics.TOPICS:
        own = rules.load_claims(topic)
        assert own and {claim.topic for claim in own.values()} == {topic}
    assert all(claim.statement["en"] and claim.statement["zh"] for claim in claims.values())
    assert claims["causes.depth"].rule.startswith("holds when depth-scale-below-relu within 10% of prediction and ")
    assert claims["causes.depth"].rule.endswith("; undecided otherwise")


def test_histories_are_in_order_of_time_and_in_both_languages():
    changes = [claim.history for claim in rules.load_claims().values()]
    assert all(list(history) == sorted(history, key=lambda change: change.date) for history in changes)
    assert all(change.why["en"] and change.why["zh"] for history in changes for change in history)


@pytest.mark.parametrize("language", rules.LANGUAGES)
def test_every_figure_has_a_caption_of_two_sentences_without_a_number(language):
    stop = {"en": ". ", "zh": "。"}[language]
    captions = {name: claim.caption[language] for name, claim in rules.load_claims().items()}
    assert [name for name, text in captions.items() if not text.rstrip(".。").partition(stop)[2]] == []
    assert [name for name, text in captions.items() if re.search(r"\d", text)] == []
    assert len({*captions.values()}) == len(captions) and max(map(len, captions.values())) <= 450


ENTRY = '["a.b"]\nen = "x"\nzh = "y"\ncaption.en = "x"\ncaption.zh = "y"\nholds = ["a above 1"]\n'


def test_lists_are_tried_in_the_order_of_the_verdicts_whatever_their_order_in_the_file(tmp_path):
    path = tmp_path / "claims.toml"
    path.write_text(
        ENTRY.replace("holds =", 'fails = ["a below 3"]\nholds-if = ["a above 0"]\nholds =')
        + 'condition.en = "c"\ncondition.zh = "d"\n'
    )
    rule = rules.read_claims(path)["a.b"]
    assert list(rule.criteria) == ["holds", "holds-if", "fails"]
    assert judged(rule, number("a", 2.0)).verdict == "holds" and judged(rule, number("a", 0.5)).verdict == "holds-if"


def test_a_history_is_read_as_it_is_written(tmp_path):
    path = tmp_path / "claims.toml"
    change = 'date = 2026-01-02\nchange = "sample"\nbefore = "4"\nafter = "6"\nwhy.en = "few"\nwhy.zh = "少"\n'
    path.write_text(ENTRY + 'fails = ["a below 1"]\n[["a.b".history]]\n' + change)
    assert rules.read_claims(path)["a.b"].history == (
        rules.Change("2026-01-02", "sample", "4", "6", {"en": "few", "zh": "少"}),
    )


@pytest.mark.parametrize(
    "text, message",
    [
        (ENTRY.replace("caption.zh", "# ") + 'fails = ["a below 1"]\n', "needs each text in en and zh"),
        (ENTRY, r"lacks \['fails'\] in .*claims.toml"),
        (ENTRY + 'fails = ["a below 1"]\nholds-if = ["a above 0"]\n', "needs `condition` and `holds-if` together"),
        (ENTRY + 'fails = ["a below 1"]\ncounterexample.en = "x"\n', "needs each text in en and zh"),
        (ENTRY + 'fails = ["a less 1"]\n', "criterion 'a less 1' is not"),
        (
            ENTRY
            + 'fails = ["a below 1"]\n[["a.b".history]]\ndate = 2026-01-01\nchange = "mood"\n'
            + 'before = ""\nafter = ""\nwhy.en = ""\n',
            "one of rule, settings, sample, not 'mood'",
        ),
    ],
)
def test_an_incomplete_claim_is_refused(tmp_path, text, message):
    path = tmp_path / "claims.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        rules.read_claims(path)
