"""Measurements in words, in both languages: `rises by 8.1 percentage points`, the direction from the sign.

A claim's condition writes `{name:change}`, a page `` {change}`claim/name` ``; both get what `phrase` says of that form.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

from experiments.study.formatting import format_measurement, format_number
from experiments.study.measurement import Measurement

# What goes up, what goes down, and what does neither; `{}` is the size, with its unit.
_WAYS = {
    "change": {
        "en": ("rises by {}", "falls by {}", "stays within {}", "does not change"),
        "zh": ("上升 {}", "下降 {}", "变化不超过 {}", "不变"),
    },
    "lead": {
        "en": ("is ahead by {}", "is behind by {}", "is level to within {}", "is level"),
        "zh": ("领先 {}", "落后 {}", "相差不超过 {}", "持平"),
    },
}
_UNITS = {
    "points": {"en": "percentage points", "zh": "个百分点"},
    "nats": {"en": "nats", "zh": "奈特"},
    "decades": {"en": "decades", "zh": "个数量级"},
}
_WITHIN = {"en": "1 (to within {} {})", "zh": "1 倍（误差不超过 {} {}）"}
_TIMES = {"en": ("{}", "{} ({} {})"), "zh": ("{} 倍", "{} 倍（{} {}）")}
_AND = {"en": (", ", " and "), "zh": ("、", " 和 ")}
ROUNDING = 1e-9  # what is smaller is no change
PLAIN_DECADES = 3  # a factor beyond 10^3 or below 10^-3 is written as a power of ten


def phrase(measurement: Measurement, form: str, language: str, *, interval: bool = False) -> str:
    """Returns a measurement in one of FORMS, or as a number of three digits where `form` is empty.

    Args:
      measurement: what was measured.
      form: `number` value with interval; `percent` of a fraction; `change`, `drop` and `lead` of a difference of two
        fractions, in percentage points, where `drop` is positive for a fall; `loss` and `loss-lead` of one in nats;
        `power` of a logarithm, as a power of ten; `nats` and `decades` of one, as the factor with the logarithm beside it.
      language: en or zh.
      interval: whether the 95% interval stands beside the value.

    Raises:
      ValueError: there is no such form.
    """
    if not form:
        return _sized(measurement, interval, 3)
    if form not in FORMS:
        raise ValueError(f"there is no form {form!r} of a measurement; choose one of {', '.join(FORMS)}")
    return FORMS[form](measurement, language, interval)


def setting(value: object, language: str) -> str:
    """Returns a setting as text: `2, 100 and 1000` of a list, 4 of 4.0."""
    if isinstance(value, (list, tuple)):
        comma, last = _AND[language]
        texts = [setting(item, language) for item in value]
        return last.join([comma.join(texts[:-1]), texts[-1]] if len(texts) > 1 else texts)
    return format_number(value, 6) if isinstance(value, float) else str(value)


def _number(measurement: Measurement, language: str, interval: bool) -> str:
    return format_measurement(measurement)


def _percent(measurement: Measurement, language: str, interval: bool) -> str:
    """A share near 0 or 1 keeps two digits of its distance from there."""
    scaled = _scaled(measurement, 100)
    distance = min(scaled.value, 100 - scaled.value)
    if 0 < measurement.value < 1e-4:
        return _sized(measurement, interval, 2)
    digits = 3 if distance <= 0 else max(math.floor(math.log10(scaled.value)) - math.floor(math.log10(distance)) + 2, 2)
    return f"{_sized(scaled, interval, digits)}%"


def _power(measurement: Measurement, language: str, interval: bool) -> str:
    power, low, high = (f"10^{format_number(v, 3)}" for v in (measurement.value, measurement.low, measurement.high))
    return f"{power} [{low}, {high}]" if interval and low != high else power


def _way(kind: str, unit: str, factor: float) -> Callable[[Measurement, str, bool], str]:
    def said(measurement: Measurement, language: str, interval: bool) -> str:
        scaled, (up, down, within, level) = _scaled(measurement, factor), _WAYS[kind][language]
        name = _UNITS[unit][language]
        if max(abs(scaled.low), abs(scaled.high)) < ROUNDING:
            return level
        if scaled.low <= 0 <= scaled.high:
            return within.format(f"{format_number(max(-scaled.low, scaled.high), 2)} {name}")
        way, size = (up, scaled) if scaled.value > 0 else (down, _scaled(scaled, -1))
        return way.format(f"{_sized(size, interval, 2)} {name}")

    return said


def _factor(unit: str, base: float) -> Callable[[Measurement, str, bool], str]:
    """The factor whose logarithm was measured; the logarithm stands beside it unless it is the factor's power of ten."""

    def said(measurement: Measurement, language: str, interval: bool) -> str:
        name, (bare, both) = _UNITS[unit][language], _TIMES[language]
        if measurement.low <= 0 <= measurement.high:
            return _WITHIN[language].format(format_number(max(-measurement.low, measurement.high), 2), name)
        decades = _scaled(measurement, math.log10(base))
        if abs(decades.value) >= PLAIN_DECADES:
            power = f"10^{format_number(decades.value, 3)}"
            return bare.format(power) if unit == "decades" else both.format(power, _sized(measurement, interval, 3), name)
        digits = 3 if abs(decades.value) > 0.05 else 4
        return both.format(format_number(10**decades.value, digits), _sized(measurement, interval, 3), name)

    return said


FORMS: Mapping[str, Callable[[Measurement, str, bool], str]] = MappingProxyType(
    {
        "number": _number,
        "percent": _percent,
        "change": _way("change", "points", 100),
        "drop": _way("change", "points", -100),
        "lead": _way("lead", "points", 100),
        "loss": _way("change", "nats", 1),
        "loss-lead": _way("lead", "nats", 1),
        "power": _power,
        "nats": _factor("nats", math.e),
        "decades": _factor("decades", 10),
    }
)


def _sized(measurement: Measurement, interval: bool, digits: int) -> str:
    if interval and measurement.low < measurement.high:
        return format_measurement(measurement)
    return format_number(measurement.value, digits)


def _scaled(measurement: Measurement, factor: float) -> Measurement:
    low, high = sorted((factor * measurement.low, factor * measurement.high))
    return dataclasses.replace(measurement, value=factor * measurement.value, low=low, high=high, prediction=None)
