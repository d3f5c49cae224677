"""For a paper: every measurement by name and the tables of claims, in LaTeX, Typst and JSON, so that none is typed."""

import json
import re
import unicodedata
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from experiments.study.formatting import format_measurement, format_number, format_parts, to_latex, to_typst
from experiments.study.mathematics import FORMULA, SYMBOLS, plain
from experiments.study.mathematics import to_latex as to_latex_formula
from experiments.study.measurement import Measurement
from experiments.study.results import Judged, Results
from jaxnotes.command import files

_HEADER = "Generated from results/*.json; do not edit."
_PARTS = "number (the value with its 95% interval, unless said otherwise), value, low, high, prediction, unit, n (seeds)"
_LATEX_HEAD = rf"""% {_HEADER} In the preamble: \input{{numbers}}
% \jx[PART]{{NAME}}, where PART is {_PARTS}.
\newcommand{{\jx}}[2][number]{{\ifcsname jx/#1/#2\endcsname\csname jx/#1/#2\endcsname\else
  \PackageError{{jaxnotes}}{{numbers.tex has no #1 of "#2"}}{{The names stand in numbers.tex.}}\fi}}
\newcommand{{\jxpart}}[3]{{\expandafter\gdef\csname jx/#1/#2\endcsname{{#3}}}}
\newcommand{{\jxnumber}}[8]{{\jxpart{{number}}{{#1}}{{\ensuremath{{#2}}}}\jxpart{{value}}{{#1}}{{\ensuremath{{#3}}}}%
  \jxpart{{low}}{{#1}}{{\ensuremath{{#4}}}}\jxpart{{high}}{{#1}}{{\ensuremath{{#5}}}}%
  \if\relax\detokenize{{#6}}\relax\else\jxpart{{prediction}}{{#1}}{{\ensuremath{{#6}}}}\fi
  \jxpart{{unit}}{{#1}}{{#7}}\jxpart{{n}}{{#1}}{{#8}}}}
"""
_TYPST_HEAD = f"""// {_HEADER} At the top: #import "numbers.typ": jx
// #jx("NAME", part: "PART"), where PART is {_PARTS}, or meaning.
"""
_TYPST_END = """
#let jx(name, part: "number") = {
  let found = numbers.at(name, default: (:)).at(part, default: none)
  assert(found != none, message: "numbers.typ has no " + part + " of " + repr(name))
  found
}"""
# What LaTeX would read as its own, and what stands outside of formulas only.
_ESCAPED = {
    "_": r"\_", "^": r"\^{}", "%": r"\%", "&": r"\&", "#": r"\#", "~": r"\~{}",
    "√": r"\ensuremath{\surd}", "|": r"\ensuremath{|}",
}  # fmt: skip


def write(out_dir: Path, topics: list[Results]) -> None:
    """Writes `numbers.{json,tex,typ}` and `table.{tex,typ}` from the results of all topics present.

    `numbers.json` maps `claim/measurement` to value, low, high, n, unit, prediction and meaning. `numbers.tex` has the macro
    `\\jx` and `numbers.typ` the function `jx`, which give a number of that name, or a part of it, as text or in formulas; a
    comment over each name says what it is.
    `table.tex` and `table.typ` have a table per topic, one column wide, of its claims with verdict and deciding measurement.
    """
    written = {
        "numbers.json": json.dumps(dict(_entries(topics)), indent=1, ensure_ascii=False, allow_nan=False),
        "numbers.tex": "\n".join([_LATEX_HEAD, *_commented(topics, "%", _latex_number)]),
        "numbers.typ": "\n".join(
            [_TYPST_HEAD + "#let numbers = (", *_commented(topics, "  //", _typst_number), ")", _TYPST_END]
        ),
        "table.tex": "\n\n".join([f"% {_HEADER}", *map(_latex_table, topics)]),
        "table.typ": "\n\n".join([f"// {_HEADER}", *map(_typst_table, topics)]),
    }
    for name, text in written.items():
        files.write_text(Path(out_dir) / name, text + "\n")


def named(topics: list[Results]) -> Iterator[tuple[str, Judged, Measurement]]:
    """Yields every measurement with its claim and its name, `claim/measurement`, in the notes' order."""
    for results in topics:
        for judged in results.claims.values():
            for measurement in judged.evidence.measurements:
                yield f"{judged.claim.identifier}/{measurement.name}", judged, measurement


def _entries(topics: list[Results]) -> Iterator[tuple[str, dict]]:
    for name, _, m in named(topics):
        fields = {field: getattr(m, field) for field in ("value", "low", "high", "n", "unit", "prediction")}
        yield name, fields | {"meaning": m.source}


def _commented(topics: list[Results], mark: str, line) -> Iterator[str]:
    """Yields each claim's sentence as a comment, and under it each measurement's meaning and the line that defines it."""
    for claim, members in groupby(named(topics), lambda entry: entry[1].claim):
        yield f"{mark} {claim.identifier}: {plain(claim.statement['en'])}"
        for name, _, m in members:
            yield from ([f"{mark}   {m.source}"] if m.source else [])
            yield line(name, m)


def _latex_number(name: str, m: Measurement) -> str:
    texts = (format_measurement(m), *format_parts(m), "" if m.prediction is None else format_number(m.prediction))
    arguments = (name, *map(to_latex, texts), latex_text(m.unit), str(m.n))
    return r"\jxnumber" + "".join(f"{{{argument}}}" for argument in arguments)


def _typst_number(name: str, m: Measurement) -> str:
    formula = lambda text: f"${to_typst(text)}$"
    value, low, high = map(formula, format_parts(m))
    prediction = "none" if m.prediction is None else formula(format_number(m.prediction))
    parts = {"number": formula(format_measurement(m)), "value": value, "low": low, "high": high, "prediction": prediction}
    texts = {"unit": _quoted(m.unit), "n": str(m.n), "meaning": _quoted(m.source)}
    return f"  {_quoted(name)}: ({', '.join(f'{part}: {text}' for part, text in (parts | texts).items())}),"


def _quoted(text: str) -> str:
    """Returns a string as Typst writes it, whose escapes are JSON's."""
    return json.dumps(text, ensure_ascii=False)


def _latex_table(results: Results) -> str:
    """Returns a table that fits a column, of a page with two as well, and needs no package."""
    widths = r"@{}p{0.58\columnwidth}@{\hspace{0.03\columnwidth}}p{0.39\columnwidth}@{}"
    lines = [rf"{{\par\noindent\footnotesize\begin{{tabular}}{{{widths}}} \hline"]
    for judged in results.claims.values():
        statement, measurement = latex_text(judged.claim.statement["en"]), judged.deciding
        value, low, high = (rf"\ensuremath{{{to_latex(part)}}}" for part in format_parts(measurement))
        number = value if measurement.low == measurement.high else f"{value} [{low}, {high}]"  # a line may end between them
        said = rf"{judged.verdict} \newline {measurement.name}: {number}"
        lines.append(rf"\raggedright {statement} & \raggedright {said} \tabularnewline \hline")
    return "\n".join([*lines, r"\end{tabular}\par\medskip}"])


def _typst_table(results: Results) -> str:
    lines = ["#table(columns: (3fr, 2fr), stroke: (x: none, y: 0.5pt), inset: (x: 0pt, y: 4pt), column-gutter: 6pt,"]
    for judged in results.claims.values():
        number = to_typst(format_measurement(judged.deciding))
        statement = _quoted(plain(judged.claim.statement["en"]))
        lines.append(f"  {statement}, [{judged.verdict} \\ {judged.deciding.name}: ${number}$],")
    return "\n".join([*lines, ")"])


def latex_text(text: str) -> str:
    """Text whose formulas stand between dollars as LaTeX.

    Raises:
      ValueError: a character that no rule here covers; the message names it.
    """
    parts = FORMULA.split(text)  # words and formulas by turns
    return "".join(f"${to_latex_formula(part)}$" if i % 2 else _latex_words(part) for i, part in enumerate(parts))


def _latex_words(text: str) -> str:
    text = unicodedata.normalize("NFC", text)
    out = re.sub("x[\u0302\u0303]|.", lambda found: _latex_character(found[0]), text)
    unknown = sorted({c for c in out if not c.isascii()})
    if unknown:
        raise ValueError(f"no LaTeX is known for {unknown} in {text!r}; add it to mathematics.SYMBOLS")
    return out


def _latex_character(character: str) -> str:
    formula = rf"\ensuremath{{{SYMBOLS[character]}}}" if character in SYMBOLS else character
    return _ESCAPED.get(character, formula)
