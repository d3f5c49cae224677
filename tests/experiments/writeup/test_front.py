"""The front page: its moving picture against the library's theory, its totals, and the three lines from files."""

import math
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from experiments import writeup
from experiments.study import results, rules
from experiments.writeup import front, picture
from experiments.writeup.conditions import brief
from experiments.writeup.words import PROFILE, TRUST
from jaxnotes import meanfield

ACTIVATIONS = {"sigmoid": jax.nn.sigmoid, "tanh": jax.nn.tanh, "relu": jax.nn.relu, "leaky_relu": jax.nn.leaky_relu}
SCALES = {"none": lambda depth: None, "plain": lambda depth: 1.0, "scaled": lambda depth: depth**-0.5}


@pytest.fixture(scope="module")
def page(browser):
    page = browser.new_page()
    page.add_script_tag(path=writeup.HERE / "source" / "_static" / "profile.js")
    yield page
    page.close()


@pytest.mark.parametrize("shortcut", SCALES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("weight_variance", [0.2, 1.0, 4.0])
def test_the_script_computes_what_the_library_does(page, standard_promotion, activation, shortcut, weight_variance):
    depth = 20
    chosen = {"activation": activation, "weightVariance": weight_variance, "depth": depth, "shortcut": shortcut}
    logs = meanfield.log_gradient_gain(
        ACTIVATIONS[activation], 1.0, weight_variance, 0.0, depth, branch_scale=SCALES[shortcut](depth)
    )
    expected = (logs[-1] - logs) / (2 * math.log(10))
    np.testing.assert_allclose(page.evaluate("chosen => profile(chosen)", chosen), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("curve, kind", [([-5, 0], "vanishes"), ([0.3, 0], "arrives"), ([12, 0], "explodes")])
@pytest.mark.parametrize("language", PROFILE)
def test_the_script_says_what_it_draws(page, language, curve, kind):
    found, text = page.evaluate("([curve, texts]) => said(curve, 50, texts)", [curve, PROFILE[language]])
    assert found == kind and "50" in text and "{" not in text


def test_the_picture_in_the_repository_is_that_of_today(standard_promotion):
    assert picture.PATH.read_text(encoding="utf-8") == picture.drawing()


def test_a_critical_network_is_a_flat_line(standard_promotion):
    np.testing.assert_allclose(picture.profile(jax.nn.relu, 2.0, None), np.zeros(picture.DEPTH + 1), atol=1e-12)


def test_totals_count_each_verdict_in_the_verdicts_order():
    found = [SimpleNamespace(verdict=verdict) for verdict in ("fails", "holds", "holds-if", "holds")]
    assert list(front.count(found).items()) == [("holds", 2), ("holds-if", 1), ("fails", 1)]


@pytest.mark.parametrize("language", TRUST)
def test_why_to_believe_a_verdict_is_said_with_numbers_of_files(saturation_run, limits, language):
    (judged,) = results.judged(saturation_run, {"saturation.limits": limits()}).claims.values()
    sets = {"saturation": {"code": "now", "claims": {"saturation.limits": {"verdict": "holds", "margin": 3.0}}}}
    summary = {"seed 0": sets, "seed 1": sets, "seed 0, AVX2": sets}
    lines = [text for _, text in front.trust([judged], summary, {"topics": {}}, TRUST[language])]
    criteria = sum(len(listed) for listed in judged.claim.criteria.values())
    assert str(criteria) in lines[0] and "{" not in "".join(lines)
    expected = {
        "en": "1 of 1 claims have one verdict in all 2 seed sets and under 2",
        "zh": "1 条论断中有 1 条在全部 2 组种子、2 套",
    }
    assert expected[language] in lines[1]
    alone = [text for _, text in front.trust([judged], {"seed 0": sets}, {"topics": {}}, TRUST[language])]
    assert {"en": "one set of seeds", "zh": "一组种子"}[language] in alone[1]


@pytest.mark.parametrize(
    "template, said",
    [
        ("The window is small. It gains {a} points.", "The window is small"),
        ("Its gain is above 1 (tanh: {a}, ReLU: {b}). More.", "Its gain is above 1"),
        ("It reads the map: it loses {a}.", "It reads the map"),
        ("窗口较小时成立。准确率提高 {a}。", "窗口较小时成立"),
        ("激活函数无界时成立（ReLU：{a}）。", "激活函数无界时成立"),
        ("It grows by {a} nats: its square doubles.", "It grows by 7 nats"),
    ],
)
def test_a_condition_in_brief_has_words_and_no_measured_number(template, said):
    claim = SimpleNamespace(condition={"en": template}, counterexample={})
    assert brief(claim, "holds-if", {"en": template.replace("{a}", "7").replace("{b}", "8")}, "en") == said


def test_every_condition_has_a_brief_form():
    for claim in rules.load_claims().values():
        for verdict, texts in (("holds-if", claim.condition), ("fails", claim.counterexample)):
            for language, text in texts.items():
                assert 0 < len(brief(claim, verdict, texts, language)) <= len(text)
