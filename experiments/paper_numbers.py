"""`numbers.tex` and `numbers.json`: every measurement by name, for a paper that quotes them without typing one."""

import json
import re
from pathlib import Path

from experiments import files
from experiments.formatting import format_measurement, to_latex
from experiments.results import Results

_DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")


def macro_name(claim: str, measurement: str) -> str:
    """LaTeX allows letters only: `residual.deep`, `accuracy-152` gives `residualDeepAccuracyOneFiveTwo`."""
    words = re.split(r"[^A-Za-z0-9]+", f"{claim}-{measurement}")
    name = words[0] + "".join(word[:1].upper() + word[1:] for word in words[1:])
    return re.sub(r"[0-9]", lambda digit: _DIGITS[int(digit[0])], name)


def write(out_dir: Path, topics: list[Results]) -> None:
    """Writes both files from the results of all topics present.

    `numbers.json` maps `claim/measurement` to value, low, high, n, unit and prediction. `numbers.tex` has a macro a
    measurement that gives the value with its interval, usable in text and math mode.
    """
    numbers, macros = {}, ["% Generated from results/*.json; do not edit. Each macro: value [95% interval]."]
    for results in topics:
        for claim, evidence in results.claims.items():
            for m in evidence.measurements:
                fields = ("value", "low", "high", "n", "unit", "prediction")
                numbers[f"{claim}/{m.name}"] = {field: getattr(m, field) for field in fields}
                shown = to_latex(format_measurement(m))
                macros.append(rf"\newcommand{{\{macro_name(claim, m.name)}}}{{\ensuremath{{{shown}}}}}")
    files.write_text(Path(out_dir) / "numbers.json", json.dumps(numbers, indent=1, allow_nan=False) + "\n")
    files.write_text(Path(out_dir) / "numbers.tex", "\n".join(macros) + "\n")
