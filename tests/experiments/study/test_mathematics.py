"""Formulas of claims: readable without their dollars, and LaTeX that is right."""

import pytest

from experiments.study import mathematics, rules


@pytest.mark.parametrize(
    "formula, latex",
    [
        ("x̂ = (x − μ_B)/√(σ_B² + ε)", r"\hat{x} = (x - \mu _B)/\sqrt{\sigma _B^2 + \varepsilon }"),
        ("1/(1+e^(−x))", "1/(1+e^{-x})"),
        ("χ = σ_w² E φ'²", r"\chi  = \sigma _w^2\,\mathbb{E}\,\varphi '^2"),
        ("∂F/∂x + I", r"\partial F/\partial x + I"),
        ("m ~ Bernoulli(p)", r"m \sim  \mathrm{Bernoulli}(p)"),
        ("ln √L → −∞", r"\ln \sqrt{L} \to  -\infty "),
        ("10^−3.7 ≈ 1", r"10^{-3.7} \approx  1"),
    ],
)
def test_characters_of_a_terminal_are_set_as_latex(formula, latex):
    assert mathematics.to_latex(formula) == latex


def test_a_character_without_latex_is_named():
    with pytest.raises(ValueError, match=r"no LaTeX is known for \['ж'\] in 'ж = 1'"):
        mathematics.to_latex("ж = 1")


def test_every_formula_of_every_claim_has_its_latex_and_dollars_come_in_pairs():
    found = 0
    for claim in rules.load_claims().values():
        for text in (*claim.statement.values(), *claim.condition.values(), *claim.counterexample.values()):
            assert "$" not in mathematics.FORMULA.sub("", text), text
            formulas = mathematics.FORMULA.findall(text)
            assert all(mathematics.to_latex(formula).isascii() for formula in formulas)
            found += len(formulas)
            assert "$" not in mathematics.plain(text)
    assert found > 50


def test_no_formula_stands_outside_of_dollars():
    for claim in rules.load_claims().values():
        for text in (*claim.statement.values(), *claim.condition.values(), *claim.counterexample.values()):
            assert not set("√²½¼∂σχφεμ→∞") & set(mathematics.FORMULA.sub("", text)), text
