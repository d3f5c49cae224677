"""Rules: the criteria of `claims.toml`, and how a claim's verdict follows from them and its measurements."""

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from experiments.formatting import format_number
from experiments.measurement import Measurement

CLAIMS_FILE = Path(__file__).with_name("claims.toml")
_CRITERION = re.compile(
    r"(?P<name>[a-z0-9-]+) (?:(?P<relation>above|below|equals) |within (?P<tolerance>\S+) of )(?P<value>\S+)"
)


class Claim(NamedTuple):
    """A claim of the notes with the rule that decides it; texts are by language, `en` and `zh`."""

    identifier: str
    statement: Mapping[str, str]
    holds: Sequence[str]
    holds_if: Sequence[str]
    condition: Mapping[str, str]
    counterexample: Mapping[str, str] = {}

    @property
    def topic(self) -> str:
        return self.identifier.partition(".")[0]

    @property
    def rule(self) -> str:
        """The rule as one sentence."""
        text = "holds when " + " and ".join(self.holds)
        if self.holds_if:
            text += "; holds-if when " + " and ".join(self.holds_if)
        return text + "; fails otherwise"


class Judgement(NamedTuple):
    """A verdict, texts by language, and each criterion's outcome.

    The condition is empty unless the verdict is `holds-if`, the counterexample unless it is `fails` and one was written.
    """

    verdict: str
    condition: Mapping[str, str]
    counterexample: Mapping[str, str]
    outcomes: Mapping[str, str]


def load_claims(path: Path = CLAIMS_FILE) -> dict[str, Claim]:
    """Reads the claims, in their order.

    Raises:
      ValueError: a claim lacks a statement or rule, or a criterion does not parse.
    """
    claims = {}
    for identifier, entry in tomllib.loads(path.read_text(encoding="utf-8")).items():
        missing = {"en", "zh", "holds"} - entry.keys()
        if missing:
            raise ValueError(f"claim {identifier!r} lacks {sorted(missing)} in {path.name}")
        if ("holds-if" in entry) != ("condition" in entry):
            raise ValueError(f"claim {identifier!r} needs `condition` and `holds-if` together in {path.name}")
        claim = Claim(
            identifier,
            {language: entry[language] for language in ("en", "zh")},
            entry["holds"],
            entry.get("holds-if", ()),
            entry.get("condition", {}),
            entry.get("counterexample", {}),
        )
        for criterion in (*claim.holds, *claim.holds_if):
            _parse(criterion)
        claims[identifier] = claim
    return claims


def judge(claim: Claim, measurements: Sequence[Measurement]) -> Judgement:
    """The verdict that follows from the claim's rule.

    Raises:
      ValueError: a criterion names a measurement that was not made.
    """
    by_name = {measurement.name: measurement for measurement in measurements}
    outcomes = {criterion: decide(criterion, by_name) for criterion in (*claim.holds, *claim.holds_if)}
    if all(outcomes[criterion] == "met" for criterion in claim.holds):
        return Judgement("holds", {}, {}, outcomes)
    if claim.holds_if and all(outcomes[criterion] == "met" for criterion in claim.holds_if):
        return Judgement("holds-if", _filled(claim.condition, by_name), {}, outcomes)
    return Judgement("fails", {}, _filled(claim.counterexample, by_name), outcomes)


def decide(criterion: str, by_name: Mapping[str, Measurement]) -> str:
    """Whether a criterion is `met`, `not met` or `undecided`: the interval straddles the bound."""
    match = _parse(criterion)
    measured = _named(match["name"], by_name, criterion)
    low, high = _bounds(match["value"], measured, by_name, criterion)
    if match["relation"] == "above":
        return _three_way(measured.low > high, measured.high <= low)
    if match["relation"] == "below":
        return _three_way(measured.high < low, measured.low >= high)
    if match["relation"] == "equals":
        return _three_way(measured.low == measured.high == low == high, True)
    tolerance = _tolerance(match["tolerance"], max(abs(low), abs(high)))
    inside = measured.low >= high - tolerance and measured.high <= low + tolerance
    return _three_way(inside, measured.high < low - tolerance or measured.low > high + tolerance)


def margin(criterion: str, by_name: Mapping[str, Measurement]) -> float:
    """Distance of a measurement from the bound of a criterion, in half-widths of its interval: below 1 is undecided.

    Infinite where the interval is a point.
    """
    match = _parse(criterion)
    measured = _named(match["name"], by_name, criterion)
    low, high = _bounds(match["value"], measured, by_name, criterion)
    if match["tolerance"] is not None:
        tolerance = _tolerance(match["tolerance"], max(abs(low), abs(high)))
        distance = abs(tolerance - abs(measured.value - (low + high) / 2))
    else:
        bound = {"above": high, "below": low, "equals": low}[match["relation"]]
        distance = abs(measured.value - bound)
    half = (measured.high - measured.low) / 2
    return distance / half if half else math.inf


def _three_way(met: bool, refuted: bool) -> str:
    return "met" if met else "not met" if refuted else "undecided"


def _parse(criterion: str) -> re.Match:
    match = _CRITERION.fullmatch(criterion)
    if match is None:
        raise ValueError(f"criterion {criterion!r} is not `NAME above|below|equals VALUE` or `NAME within TOLERANCE of VALUE`")
    return match


def _bounds(text: str, measured: Measurement, by_name, criterion: str) -> tuple[float, float]:
    if text == "prediction":
        if measured.prediction is None:
            raise ValueError(f"criterion {criterion!r}: measurement {measured.name!r} has no prediction")
        return measured.prediction, measured.prediction
    try:
        return float(text), float(text)
    except ValueError:
        other = _named(text, by_name, criterion)
        return other.low, other.high


def _tolerance(text: str, scale: float) -> float:
    return float(text[:-1]) / 100 * scale if text.endswith("%") else float(text)


def _named(name: str, by_name: Mapping[str, Measurement], criterion: str) -> Measurement:
    if name not in by_name:
        raise ValueError(f"criterion {criterion!r} names {name!r}, which was not measured; there are {sorted(by_name)}")
    return by_name[name]


def _filled(texts: Mapping[str, str], by_name: Mapping[str, Measurement]) -> dict[str, str]:
    return {language: _fill(text, by_name) for language, text in texts.items()}


def _fill(text: str, by_name: Mapping[str, Measurement]) -> str:
    def shown(match: re.Match) -> str:
        return format_number(_named(match[1], by_name, match[0]).value)

    return re.sub(r"\{([a-z0-9-]+)\}", shown, text)
