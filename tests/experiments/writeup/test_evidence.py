"""What a claim's evidence shows beside its numbers: how rates were chosen, and what changed after the first measurement."""

from types import SimpleNamespace

import numpy as np
import pytest
from docutils import nodes

from experiments.study import results, rules
from experiments.study.measurement import Evidence, Measurement, Search
from experiments.study.rules import Change
from experiments.writeup import criteria, digits, evidence, overview
from experiments.writeup.numbers import typeset, typographic
from experiments.writeup.words import WORDS


@pytest.mark.parametrize("language", WORDS)
def test_a_change_is_shown_with_its_date_kind_both_sides_and_reason(language):
    change = Change("2026-01-02", "rule", "a above 2", "a above 1", {"en": "too strict", "zh": "过严"})
    shown = evidence._history([change, change._replace(date="2026-01-03")], WORDS[language], language)
    first, second = (item.astext() for item in shown.children)
    both = "a above 2 → a above 1"
    expected = {"en": f"2026-01-02, rule: {both}. too strict", "zh": f"2026-01-02，规则：{both}。过严"}
    assert first == expected[language] and second.startswith("2026-01-03")


def test_a_search_is_shown_with_the_rate_chosen_and_the_mean_score_of_each_tried():
    search = Search(0.1, (0.01, 0.1, 1.0), ((0.5, 0.7), (0.8, 0.9), (0.1, -np.inf)), True)
    text = evidence._searches({"arm": search}, WORDS["en"]).astext()
    assert "arm" in text and "0.01: 0.6, 0.1: 0.85, 1: " in text and "inf" in text


def test_a_row_of_the_overview_leads_to_the_claim_and_to_its_page(saturation_run, limits):
    (judged,) = results.judged(saturation_run, {"saturation.limits": limits()}).claims.values()
    directive = overview._Overview.__new__(overview._Overview)
    directive.state = SimpleNamespace(
        document=SimpleNamespace(
            settings=SimpleNamespace(env=SimpleNamespace(docname="claims", config=SimpleNamespace(language="en")))
        )
    )
    claim, page, badge, said = directive._row(judged, "saturation")
    (link,) = claim.children  # no condition, since it holds
    assert (link["reftype"], link["reftarget"], link["refdoc"]) == ("ref", "saturation.limits", "claims")
    assert (page["reftype"], page["reftarget"], page.astext()) == ("doc", "/saturation", "saturation")
    assert badge.astext() == "holds" and said.astext() == "rate-right 1 nats"


def test_a_rule_is_read_in_the_language_of_its_page():
    criteria_by_verdict = {"holds": ["a above -1.5", "b within 5% of prediction"], "fails": ["a below b"]}
    claim = rules.Claim("topic.claim", {}, criteria_by_verdict)
    english, chinese = ([item.astext() for item in criteria.rule(claim, language)] for language in ("en", "zh"))
    assert english == [
        "Holds when a is above −1.5; b is within 5% of its prediction.",
        "Fails when a is below b.",
        "Undecided otherwise.",
    ]
    assert chinese == ["成立：a 高于 −1.5；b 与预测值相差不超过 5%。", "不成立：a 低于 b。", "其余情形：无法判定。"]
    names = [name.astext() for name in criteria.rule(claim, "zh").findall(nodes.literal)]
    assert names == ["a", "b", "a", "b"]
    assert not [*digits.typed(criteria.rule(claim, "en"))]


def test_what_the_sample_leaves_open_is_said_with_its_interval():
    claim = rules.Claim("topic.claim", {}, {"holds": ["a above 1"], "fails": ["a below 0"]})
    evidence = Evidence((Measurement("a", 1.0, 0.5, 1.5, 5),))
    judged = results.Judged(claim, evidence, rules.judge(claim, evidence, {}))
    said = [" ".join(node.astext() for node in criteria.straddling(judged, language)) for language in ("en", "zh")]
    assert "a  is above  1   (measured 1.00 [0.50, 1.50])" in said[0] and "（测得 1.00 [0.50, 1.50]）" in said[1]


@pytest.mark.parametrize(
    "text, shown",
    [
        ("1.2e-5 of 10^-3.7 [-1, 2]", "1.2 × 10<−5> of 10<−3.7> [−1, 2]"),
        ("below 1e-12, not 1.1e-12", "below 10<−12>, not 1.1 × 10<−12>"),
        ("$χ = σ_w² E φ'²$ is 0.5", "(χ = σ_w² E φ'²) is 0.5"),
        ("1e+1 of file1e5x", "1e+1 of file1e5x"),
    ],
)
def test_powers_of_ten_and_formulas_are_set(text, shown):
    marks = {nodes.superscript: "<{}>", nodes.math: "({})", nodes.Text: "{}"}
    assert "".join(marks[type(node)].format(node.astext()) for node in typeset(text)) == shown


@pytest.mark.parametrize(
    "text, shown",
    [
        ("-0.5 [-0.6, -0.4]", "−0.5 [−0.6, −0.4]"),
        ("1.2e-5 [-1.1e-5, 1.3e-5]", "1.2e−5 [−1.1e−5, 1.3e−5]"),
        ("rate-right: -1 nats", "rate-right: −1 nats"),
        ("size-2 of MNIST-1D, max-pool", "size-2 of MNIST-1D, max-pool"),
    ],
)
def test_numbers_have_a_true_minus_and_names_keep_their_hyphens(text, shown):
    assert typographic(text) == shown
