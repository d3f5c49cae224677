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


def test_a_named_function_keeps_a_distance_but_from_a_bracket():
    assert ">ln</mo>" in mathml(r"\ln x", "inline") and ">log</mo>" in mathml(r"\log_{10} x", "inline")
    for latex in (r"\ln(x)", r"\exp\left(x\right)", r"\chi_{\tanh}"):
        assert re.search("<mi>(ln|exp|tanh)</mi>", mathml(latex, "inline"))


def test_a_sign_stands_closer_than_a_difference():
    assert operators("f(-1, -x) = -x - 1").count('<mo form="prefix">&#x02212;</mo>') == 3
    assert operators("x - 1") == ["<mo>&#x02212;</mo>"]


def test_line_breaks_of_the_source_are_spaces():
    assert mathml("a\n= b", "block") == mathml("a = b", "block")
