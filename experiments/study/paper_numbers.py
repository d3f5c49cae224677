"""For a paper: every measurement by name and the table of claims, in LaTeX, Typst and JSON, so that none is typed."""

import json
import re
from pathlib import Path

from experiments.study.formatting import format_measurement, to_latex, to_typst
from experiments.study.mathematics import FORMULA, plain
from experiments.study.mathematics import to_latex as to_latex_formula
from experiments.study.results import Judged, Results
from jaxnotes.command import files

_DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
_HEADER = "Generated from results/*.json; do not edit. Each name: value [95% interval]."
# What claims say beyond ASCII and outside of formulas, and what LaTeX would read otherwise.
_LATEX = {
    "×": r"\ensuremath{\times}", "−": r"\ensuremath{-}", "≈": r"\ensuremath{\approx}",
    "_": r"\_", "^": r"\^{}", "%": r"\%", "&": r"\&", "#": r"\#", "~": r"\~{}",
}  # fmt: skip


def macro_name(claim: str, measurement: str) -> str:
    """LaTeX allows letters only: `residual.deep`, `accuracy-152` gives `residualDeepAccuracyOneFiveTwo`."""
    words = re.split(r"[^A-Za-z0-9]+", f"{claim}-{measurement}")
    name = words[0] + "".join(word[:1].upper() + word[1:] for word in words[1:])
    return re.sub(r"[0-9]", lambda digit: _DIGITS[int(digit[0])], name)


def write(out_dir: Path, topics: list[Results]) -> None:
    """Writes `numbers.{json,tex,typ}` and `table.{tex,typ}` from the results of all topics present.

    `numbers.json` maps `claim/measurement` to value, low, high, n, unit and prediction. `numbers.tex` has
    one macro per measurement and `numbers.typ` a variable of the same name; both give the value with its interval, in text and
    in formulas.
    `table.tex` is a `longtable` and `table.typ` a table of all claims with verdict and deciding measurement.
    """
    claims = [judged for results in topics for judged in results.claims.values()]
    measured = [(judged.claim.identifier, m) for judged in claims for m in judged.evidence.measurements]
    fields = ("value", "low", "high", "n", "unit", "prediction")
    numbers = {f"{claim}/{m.name}": {field: getattr(m, field) for field in fields} for claim, m in measured}
    macros = [
        rf"\newcommand{{\{macro_name(c, m.name)}}}{{\ensuremath{{{to_latex(format_measurement(m))}}}}}" for c, m in measured
    ]
    variables = [f"#let {macro_name(claim, m.name)} = ${to_typst(format_measurement(m))}$" for claim, m in measured]
    written = {
        "numbers.json": json.dumps(numbers, indent=1, allow_nan=False),
        "numbers.tex": "\n".join([f"% {_HEADER}", *macros]),
        "numbers.typ": "\n".join([f"// {_HEADER}", *variables]),
        "table.tex": _latex_table(claims),
        "table.typ": _typst_table(claims),
    }
    for name, text in written.items():
        files.write_text(Path(out_dir) / name, text + "\n")


def _latex_table(claims: list[Judged]) -> str:
    lines = [f"% {_HEADER} Needs \\usepackage{{longtable}}."]
    lines += [r"\begin{longtable}{p{0.52\textwidth}lp{0.28\textwidth}}"]
    lines += [r"claim & verdict & decided by \\ \hline \endhead"]
    for judged in claims:
        statement, number = latex_text(judged.claim.statement["en"]), to_latex(format_measurement(judged.deciding))
        lines.append(rf"{statement} & {judged.verdict} & {judged.deciding.name}: \ensuremath{{{number}}} \\")
    return "\n".join([*lines, r"\end{longtable}"])


def _typst_table(claims: list[Judged]) -> str:
    lines = [f"// {_HEADER}", "#table(columns: (1fr, auto, auto),", "  table.header[claim][verdict][decided by],"]
    for judged in claims:
        statement = json.dumps(plain(judged.claim.statement["en"]), ensure_ascii=False)
        number = to_typst(format_measurement(judged.deciding))
        lines.append(f"  {statement}, [{judged.verdict}], [{judged.deciding.name}: ${number}$],")
    return "\n".join([*lines, ")"])


def latex_text(text: str) -> str:
    """Text whose formulas stand between dollars as LaTeX.

    Raises:
      ValueError: a character that no rule here covers; the message names it.
    """
    parts = FORMULA.split(text)  # words and formulas by turns
    return "".join(f"${to_latex_formula(part)}$" if i % 2 else _latex_words(part) for i, part in enumerate(parts))


def _latex_words(text: str) -> str:
    out = re.sub(".", lambda found: _LATEX.get(found[0], found[0]), text)
    unknown = sorted({c for c in out if not c.isascii()})
    if unknown:
        raise ValueError(f"no LaTeX is known for {unknown} in {text!r}; add it to paper_numbers._LATEX")
    return out
