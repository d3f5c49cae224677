"""What a claim's evidence shows beside its numbers: how rates were chosen, and what changed after the first measurement."""

from types import SimpleNamespace

import numpy as np
import pytest

from experiments.study import results
from experiments.study.measurement import Search
from experiments.study.rules import Change
from experiments.writeup import evidence, overview
from experiments.writeup.numbers import typographic
from experiments.writeup.words import WORDS


@pytest.mark.parametrize("language, kind, why", [("en", "rule", "too strict"), ("zh", "规则", "过严")])
def test_a_change_is_shown_with_its_date_kind_both_sides_and_reason(language, kind, why):
    change = Change("2026-01-02", "rule", "a above 2", "a above 1", {"en": "too strict", "zh": "过严"})
    shown = evidence._history([change, change._replace(date="2026-01-03")], WORDS[language], language)
    first, second = (item.astext() for item in shown.children)
    assert first == f"2026-01-02, {kind}: a above 2 → a above 1. {why}" and second.startswith("2026-01-03")


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
