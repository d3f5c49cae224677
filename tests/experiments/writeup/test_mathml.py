"""Formulas: what latex2mathml leaves to browsers, set as TeX sets it."""

import re

import pytest

from experiments.writeup.mathml import mathml


def operators(latex: str) -> list[str]:
    """The operators of an inline formula with their attributes."""
    return re.findall(r"<mo[^>]*>[^<]*</mo>", mathml(latex, "inline"))


@pytest.mark.parametrize("latex, bar", [(r"\lVert g_l\rVert^2", "&#x02016;"), ("|x_1 - x_2|", "&#x0007C;")])
def test_paired_bars_are_an_opening_and_a_closing_one_of_the_height_of_text(latex, bar):
    found = [operator for operator in operators(latex) if bar in operator]
    assert found == [f'<mo form="{side}" stretchy="false">{bar}</mo>' for side in ("prefix", "postfix")]


def test_bars_that_were_told_to_stretch_do():
    assert all('stretchy="true"' in bar for bar in operators(r"\left\lVert \frac{a}{b} \right\rVert"))


@pytest.mark.parametrize(
    "latex, before, after",
    [
        (r"\ln x", "0em", "0.17em"),
        (r"\log_{10} x", "0em", "0.17em"),
        (r"y \ln x", "0.17em", "0.17em"),
        (r"\tfrac12 \ln \chi", "0.17em", "0.17em"),
        (r"y \ln(x)", "0.17em", "0em"),
        (r"\exp\left(x\right)", "0em", "0em"),
        (r"\chi_{\tanh}", "0em", "0em"),
        (r"e^{\ln x}", "0em", "0.17em"),
        (r"\operatorname{Var}\varphi", "0em", "0.17em"),
    ],
)
def test_a_named_function_keeps_a_thin_space_but_from_a_bracket(latex, before, after):
    assert re.findall(r'<mo lspace="([^"]+)" rspace="([^"]+)">[a-zV]', mathml(latex, "inline")) == [(before, after)]


def test_a_sign_stands_closer_than_a_difference():
    sign = '<mo form="prefix">&#x02212;</mo>'
    assert operators(r"f(-1, -x) = -x - 1").count(sign) == 3
    assert operators(r"[-5, 5] \to -\infty \cdot -1").count(sign) == 3
    assert '<mo form="prefix">&#x0002B;</mo><mi>&#x0221E;</mi>' in mathml(r"x \to +\infty", "inline")
    for latex in ("x - 1", "(x) - 1", "|x| - 1", "[x] - 1", "x' - 1"):
        assert operators(latex)[-1] == "<mo>&#x02212;</mo>"


def test_a_slash_has_no_space_and_a_relation_has_that_of_its_kind():
    assert operators("a/b") == ['<mo lspace="0em" rspace="0em">&#x0002F;</mo>']
    assert operators(r"x \sim y") == ["<mo>&#x0223C;</mo>"]


def test_a_prime_has_the_size_of_the_text_and_a_power_stands_on_both():
    primed = '<mrow><mi>m</mi><mo lspace="0em" rspace="0em">&#x02032;</mo></mrow>'
    assert mathml("m'", "inline").endswith(f"<mrow>{primed}</mrow></math>")
    assert f"<msup>{primed}<mrow><mn>2</mn></mrow></msup>" in mathml("m'^2", "inline")
    assert operators(r"\sigma''") == ['<mo lspace="0em" rspace="0em">&#x02033;</mo>']


def test_hats_bars_and_tildes_are_accents():
    for latex in (r"\hat x", r"\bar{\rho}", r"\tilde{x}"):
        assert '<mover accent="true">' in mathml(latex, "inline")


def test_line_breaks_of_the_source_are_spaces():
    assert mathml("a\n= b", "block") == mathml("a = b", "block")
