"""Numbers as text, the same in pages, tables, conditions and LaTeX."""

import math
import re

from experiments.study.measurement import Measurement


def format_number(value: float, digits: int = 4) -> str:
    """`digits` significant digits, plain between 1e-3 and 1e6, else as 1.234e-5."""
    if value == 0:
        return "0"
    if 1e-3 <= abs(value) < 1e6:
        decimals = max(digits - 1 - math.floor(math.log10(abs(value))), 0)
        text = f"{value:.{decimals}f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}e{int(exponent)}"


def format_parts(measurement: Measurement) -> tuple[str, str, str]:
    """Value and ends of the 95% interval, all to the digit that the interval's half-width supports; three alike where exact."""
    if measurement.low == measurement.high:
        return (format_number(measurement.value),) * 3
    half = (measurement.high - measurement.low) / 2
    largest = max(abs(measurement.low), abs(measurement.high))
    digits = min(max(math.floor(math.log10(largest)) - math.floor(math.log10(half)) + 2, 2), 8)
    value, low, high = (_aligned(v, largest, digits) for v in (measurement.value, measurement.low, measurement.high))
    return value, low, high


def format_measurement(measurement: Measurement) -> str:
    """The value with its interval; the value alone where it is exact."""
    value, low, high = format_parts(measurement)
    return value if measurement.low == measurement.high else f"{value} [{low}, {high}]"


def _aligned(value: float, largest: float, digits: int) -> str:
    """`value` cut at the decimal where `largest` has its `digits`-th significant digit."""
    exponent = math.floor(math.log10(largest))
    if -3 <= exponent < 6:
        return f"{value:.{max(digits - 1 - exponent, 0)}f}"
    return f"{value / 10.0**exponent:.{digits - 1}f}e{exponent}"


def to_latex(text: str) -> str:
    """Returns the output of the functions above in LaTeX's math notation."""
    text = re.sub(r"e(-?\d+)", r"\\times 10^{\1}", text)
    return text.replace(" [", r"\ [").replace(", ", r",\,")


def to_typst(text: str) -> str:
    """Returns the same in Typst's math notation."""
    return re.sub(r"e(-?\d+)", r" times 10^(\1)", text).replace(" [", " thin [")
