"""What a paper takes: a document in Typst, and in LaTeX where it is installed, that uses numbers, table and a figure."""

import dataclasses
import json
import re
import shutil
import subprocess

import pytest
import typst

from experiments.saturation import measurement as saturation
from experiments.study import figures, paper_numbers, reference, results, rules
from experiments.study.measurement import Measurement

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


PARTS = ("number", "value", "low", "high", "prediction", "unit", "n")


def test_a_typst_document_of_two_columns_uses_numbers_tables_and_figure(out_dir):
    document = out_dir / "paper.typ"
    used = " ".join(f'#jx("saturation.blocks/gain-saturated", part: "{part}")' for part in PARTS)
    document.write_text(
        '#import "numbers.typ": jx\n#set page(columns: 2)\n'
        f'It is $x = #jx("saturation.derivative/maximum")$, or {used}.\n'
        '#figure(image("figures/saturation-blocks.svg"), caption: [Blocks.])\n#include "table.typ"\n'
    )
    assert typst.compile(document).startswith(b"%PDF")


@pytest.mark.parametrize("wrong", ['"saturation.slope/x"', '"saturation.derivative/maximum", part: "mean"'])
def test_typst_names_a_number_that_is_not_there(out_dir, wrong):
    document = out_dir / "paper.typ"
    document.write_text(f'#import "numbers.typ": jx\n#jx({wrong})\n')
    with pytest.raises(typst.TypstError, match="numbers.typ has no (number|mean) of"):
        typst.compile(document)


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex: install LaTeX to compile the LaTeX document too")
def test_a_latex_document_of_two_columns_uses_numbers_tables_and_figure(out_dir):
    used = " ".join(rf"\jx[{part}]{{saturation.blocks/gain-saturated}}" for part in PARTS)
    (out_dir / "paper.tex").write_text(
        "\\documentclass[twocolumn]{article}\\usepackage{graphicx}\\input{numbers}\\begin{document}"
        f"It is \\jx{{saturation.derivative/maximum}}, or {used}. \\includegraphics{{figures/saturation-blocks.pdf}}"
        "\\input{table}\\end{document}"
    )
    done = subprocess.run(["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "paper"], cwd=out_dir, capture_output=True)
    assert done.returncode == 0, done.stdout[-2000:]


def test_every_statement_and_unit_has_its_latex():
    claims = [claim for topic in reference.read()["topics"].values() for claim in topic["claims"].values()]
    units = {unit for claim in claims for *_, unit in claim["measurements"].values()}
    assert "nats²" in units
    for text in (*units, *(claim.statement["en"] for claim in rules.load_claims().values())):
        assert paper_numbers.latex_text(text).isascii()
    assert (
        paper_numbers.latex_text("x̂ ≈ 2_3 → ∞, 5% of $x̂ = 2$")
        == r"\ensuremath{\hat{x}} \ensuremath{\approx} 2\_3 \ensuremath{\to} \ensuremath{\infty}, 5\% of $\hat{x} = 2$"
    )
    with pytest.raises(ValueError, match="no LaTeX is known for"):
        paper_numbers.latex_text("ж")


def test_all_three_formats_name_the_same_numbers_and_say_what_they_are(out_dir):
    stored = json.loads((out_dir / "numbers.json").read_text())
    latex, typst_ = ((out_dir / f"numbers.{suffix}").read_text() for suffix in ("tex", "typ"))
    names = re.findall(r"^\\jxnumber\{([^}]*)\}", latex, re.MULTILINE)
    assert names and names == list(stored) == re.findall(r'^  "([^"]*)": \(', typst_, re.MULTILINE)
    claim = rules.load_claims()["saturation.blocks"].statement["en"]
    meaning = stored["saturation.blocks/gain-saturated"]["meaning"]
    for text, mark in ((latex, "%"), (typst_, "  //")):
        assert f"\n{mark} saturation.blocks: {claim}\n" in text and f"\n{mark}   {meaning}\n" in text


def test_a_number_in_latex_and_typst():
    number = Measurement("accuracy-152", 0.94, 0.915, 0.965, 3, "% of |x|", 1.0)
    assert paper_numbers._latex_number("a.b/accuracy-152", number) == (
        r"\jxnumber{a.b/accuracy-152}{0.940\ [0.915,\,0.965]}{0.940}{0.915}{0.965}{1}{\% of \ensuremath{|}x\ensuremath{|}}{3}"
    )
    assert paper_numbers._typst_number("a.b/accuracy-152", number) == (
        '  "a.b/accuracy-152": (number: $0.940 thin [0.915, 0.965]$, value: $0.940$, low: $0.915$, high: $0.965$, '
        'prediction: $1$, unit: "% of |x|", n: 3, meaning: ""),'
    )
    assert paper_numbers.to_typst("1.2e-5 [1.1e-5, 1.3e-5]") == "1.2 times 10^(-5) thin [1.1 times 10^(-5), 1.3 times 10^(-5)]"
