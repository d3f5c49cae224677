"""What a paper takes: a document in Typst, and in LaTeX where it is installed, that uses numbers, table and a figure."""

import dataclasses
import re
import shutil
import subprocess

import pytest
import typst

from experiments.saturation import measurement as saturation
from experiments.study import figures, paper_numbers, results, rules

pytestmark = pytest.mark.usefixtures("standard_promotion")


@pytest.fixture
def out_dir(tmp_path, standard_promotion, unchecked):
    """The smallest topic, measured, drawn and written out."""
    folder = tmp_path
    settings = saturation.TOPIC.settings.preset("quick", width=16, seeds=2, batch=2)
    claims = saturation.TOPIC.measure(settings, saturation.TOPIC.key(0))
    run = results.Run("saturation", "c", 0, "paper", dataclasses.asdict(settings), {}, "cpu", 1.0, "k")
    measured = results.judged(run, claims)
    figures.draw_topic(folder, measured)
    paper_numbers.write(folder, [measured])
    return folder


def test_a_typst_document_uses_numbers_table_and_figure(out_dir):
    document = out_dir / "paper.typ"
    document.write_text(
        '#import "numbers.typ": *\nThe maximum is #saturationDerivativeMaximum, $x = saturationDerivativeMaximum$.\n'
        '#figure(image("figures/saturation-blocks.svg"), caption: [Blocks.])\n#include "table.typ"\n'
    )
    assert typst.compile(document).startswith(b"%PDF")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex: install LaTeX to compile the LaTeX document too")
def test_a_latex_document_uses_numbers_table_and_figure(out_dir):
    (out_dir / "paper.tex").write_text(
        "\\documentclass{article}\\usepackage{longtable,graphicx}\\input{numbers}\\begin{document}"
        "The maximum is \\saturationDerivativeMaximum.\\includegraphics{figures/saturation-blocks.pdf}"
        "\\input{table}\\end{document}"
    )
    done = subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper"], cwd=out_dir, capture_output=True)
    assert done.returncode == 0, done.stdout[-2000:]


def test_every_statement_has_its_latex():
    for claim in rules.load_claims().values():
        assert paper_numbers.latex_text(claim.statement["en"]).isascii()
    assert paper_numbers.latex_text("king ≈ queen, 5% of $x̂ = 2$") == r"king \ensuremath{\approx} queen, 5\% of $\hat{x} = 2$"
    with pytest.raises(ValueError, match="no LaTeX is known for"):
        paper_numbers.latex_text("ж")


def test_the_two_languages_name_the_same_numbers(out_dir):
    latex = re.findall(r"\\newcommand\{\\(\w+)\}", (out_dir / "numbers.tex").read_text())
    assert latex and latex == re.findall(r"#let (\w+) =", (out_dir / "numbers.typ").read_text())


def test_numbers_in_typst():
    assert paper_numbers.to_typst("1.2e-5 [1.1e-5, 1.3e-5]") == "1.2 times 10^(-5) thin [1.1 times 10^(-5), 1.3 times 10^(-5)]"
    assert paper_numbers.macro_name("x.y", "a-1") == "xYAOne"
