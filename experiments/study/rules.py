"""Rules: the criteria of each question's `claims.toml`, and how a verdict follows from them and the measurements.

A claim is an entry of `experiments/TOPIC/claims.toml`, written before it is measured, with its statement in both languages
(`en`, `zh`), the `caption` of its figure in both, and up to three lists of criteria over its measurements:

    holds       the sentence is true as stated
    holds-if    it is true under the `condition` (in both languages) that goes with this list
    fails       it is refuted: the opposite is measured

The verdict is that of the first list, in this order, whose criteria are all met. Where none is, it is `undecided`: a
confirmation that was missed is not a refutation. A criterion is decided by an interval and not by the mean:

    NAME above VALUE                 low  > VALUE
    NAME below VALUE                 high < VALUE
    NAME equals VALUE                low = high = VALUE
    NAME within TOLERANCE of VALUE   the interval lies inside VALUE ± TOLERANCE; a tolerance such as 5% is relative to VALUE

VALUE is a number, the word `prediction` (the measurement's own), or another measurement's name (its nearer bound counts).

The interval that decides reaches WIDTH times as far from the mean as the 95% interval that is shown. A verdict needs every
criterion of its list, so that a wrong one is no likelier than one wrong criterion; but there are many claims, and one wrong
verdict among all is what a reader minds. `error_rate` bounds its chance. Holm's procedure would need the claims to be judged
together, and a claim's verdict would change with the others'.

A claim that rests on a training which neither fits nor has reached a plateau (`measurement.Fit`) is `undecided`.

In a `condition` or `counterexample` (said where the claim fails), `{name}` stands for the value measured, `{name:form}` for
what `phrases` says of it in one of its forms, such as `falls by 13 percentage points`, and `{setting:name}` or
`{setting:name[0]}` for a setting; beside the number on which the verdict rests most narrowly stands its interval. Formulas
stand between dollars, see `mathematics`. `history` lists each change of rule, settings or sample after the first
measurement. `published` lists what a paper reports for one of the measurements, with a criterion that says what agreement is.
"""

import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy import stats

from experiments.study import phrases
from experiments.study.measurement import Evidence, Measurement
from experiments.study.topics import TOPICS

EXPERIMENTS = Path(__file__).resolve().parent.parent
WIDTH = 2.0
VERDICTS = ("holds", "holds-if", "fails", "undecided")
LANGUAGES = ("en", "zh")
CHANGES = ("rule", "settings", "sample")
CHECKED = ("against the paper's text", "against the authors' tables", "not checked")
_CRITERION = re.compile(
    r"(?P<name>[a-z0-9-]+) (?:(?P<relation>above|below|equals) |within (?P<tolerance>\S+) of )(?P<value>\S+)"
)
_PLACEHOLDER = re.compile(r"\{(?:(setting):)?([a-z0-9_-]+)(?:\[(-?\d+)\])?(?::([a-z-]+))?\}")


class Change(NamedTuple):
    """A change of a claim's rule, settings or sample after its first measurement; `why` is by language."""

    date: str
    change: str
    before: str
    after: str
    why: Mapping[str, str]


class Published(NamedTuple):
    """What a paper reports for a measurement.

    Attributes:
      criterion: what agreement is, a criterion over one measurement.
      source: a key of the bibliography, or the citation itself.
      where: the equation, table or figure.
      setting: what was measured there, and how it differs from here.
      checked: whether the paper's own text or tables were read; one of `CHECKED`.
      theirs: their number or trend in words, where it is not the number in the criterion.
    """

    criterion: str
    source: str
    where: str
    setting: str
    checked: str
    theirs: str = ""

    @property
    def measurement(self) -> str:
        """The name of the measurement that it is set beside."""
        return parse(self.criterion)["name"]

    @property
    def value(self) -> str:
        """What the paper reports."""
        return self.theirs or parse(self.criterion)["value"]


class Claim(NamedTuple):
    """A claim of the notes with the rule that decides it; texts are by language, `en` and `zh`.

    The first sentence of `caption` says what its figure draws, the others what to see in it; no measured number is in it.
    """

    identifier: str
    statement: Mapping[str, str]
    criteria: Mapping[str, Sequence[str]]  # by verdict, in the order in which they are tried
    condition: Mapping[str, str] = {}
    counterexample: Mapping[str, str] = {}
    history: Sequence[Change] = ()
    published: Sequence[Published] = ()
    caption: Mapping[str, str] = {}

    @property
    def topic(self) -> str:
        """The first word of the identifier."""
        return self.identifier.partition(".")[0]

    @property
    def rule(self) -> str:
        """The rule as one sentence."""
        lists = (f"{verdict} when {' and '.join(criteria)}" for verdict, criteria in self.criteria.items())
        return "; ".join(lists) + "; undecided otherwise"


class Judgement(NamedTuple):
    """A verdict and what it rests on.

    Attributes:
      verdict: one of VERDICTS.
      text: by language, the condition of `holds-if` or the counterexample of `fails` with its numbers; else empty.
      outcomes: `met`, `not met` or `undecided` for each criterion.
      deciding: the criterion with the smallest margin of the list that was met; of an undecided claim, the one that is
        nearest to being decided among those of `holds` that are not met.
      margin: its distance from the bound, see `margin`.
    """

    verdict: str
    text: Mapping[str, str]
    outcomes: Mapping[str, str]
    deciding: str
    margin: float

    @property
    def measurement(self) -> str:
        """The name of the measurement that the deciding criterion reads."""
        return parse(self.deciding)["name"]


def load_claims(*topics: str) -> dict[str, Claim]:
    """Returns the claims of some topics, of all where none is named, in the notes' order.

    Raises:
      ValueError: a claim lacks a statement or a list, or a criterion does not parse.
    """
    claims: dict[str, Claim] = {}
    for topic in topics or TOPICS:
        claims |= read_claims(EXPERIMENTS / topic / "claims.toml")
    return claims


def read_claims(path: Path) -> dict[str, Claim]:
    """Returns the claims of one file, in its order; raises as `load_claims` does."""
    return {name: _claim(name, entry, path) for name, entry in tomllib.loads(path.read_text(encoding="utf-8")).items()}


def _claim(identifier: str, entry: Mapping[str, Any], path: Path) -> Claim:
    where = f"in {path.parent.name}/{path.name}"
    missing = {*LANGUAGES, "caption", "holds", "fails"} - entry.keys()
    if missing:
        raise ValueError(f"claim {identifier!r} lacks {sorted(missing)} {where}")
    if ("holds-if" in entry) != ("condition" in entry):
        raise ValueError(f"claim {identifier!r} needs `condition` and `holds-if` together {where}")
    criteria = {verdict: tuple(entry[verdict]) for verdict in VERDICTS if verdict in entry}
    for criterion in (criterion for listed in criteria.values() for criterion in listed):
        parse(criterion)
    for texts in (entry["caption"], entry.get("condition"), entry.get("counterexample")):
        if texts is not None and texts.keys() != set(LANGUAGES):
            raise ValueError(f"claim {identifier!r} needs each text in {' and '.join(LANGUAGES)} {where}")
    history = tuple(
        Change(**{**change, "date": str(change["date"]), "why": dict(change["why"])}) for change in entry.get("history", ())
    )
    for change in history:
        if change.change not in CHANGES:
            raise ValueError(f"claim {identifier!r}: a change is one of {', '.join(CHANGES)}, not {change.change!r} {where}")
    statement = {language: entry[language] for language in LANGUAGES}
    published = tuple(Published(**report) for report in entry.get("published", ()))
    for report in published:
        parse(report.criterion)
        if report.checked not in CHECKED:
            raise ValueError(f"claim {identifier!r}: `checked` is one of {', '.join(CHECKED)}, not {report.checked!r} {where}")
    texts = entry.get("condition", {}), entry.get("counterexample", {})
    return Claim(identifier, statement, criteria, *texts, history, published, entry["caption"])


def judge(claim: Claim, evidence: Evidence, settings: Mapping[str, Any]) -> Judgement:
    """Returns the verdict that follows from the claim's rule.

    Raises:
      ValueError: a criterion or text names a measurement or setting that is not there.
    """
    by_name = {measurement.name: measurement for measurement in evidence.measurements}
    for report in claim.published:
        _named(report.measurement, by_name, report.criterion)
    outcomes = {criterion: decide(criterion, by_name) for listed in claim.criteria.values() for criterion in listed}
    margins = {criterion: margin(criterion, by_name) for criterion in outcomes}
    for verdict, listed in claim.criteria.items():
        if not evidence.unconvincing and all(outcomes[criterion] == "met" for criterion in listed):
            deciding = min(listed, key=margins.__getitem__)
            text = {"holds": {}, "holds-if": claim.condition, "fails": claim.counterexample}[verdict]
            rests_on = parse(deciding)["name"]
            filled = {language: _fill(words, by_name, settings, language, rests_on) for language, words in text.items()}
            return Judgement(verdict, filled, outcomes, deciding, margins[deciding])
    missed = [criterion for criterion in claim.criteria["holds"] if outcomes[criterion] != "met"]
    deciding = min(missed or claim.criteria["holds"], key=margins.__getitem__)
    return Judgement("undecided", {}, outcomes, deciding, margins[deciding])


def decide(criterion: str, by_name: Mapping[str, Measurement]) -> str:
    """Returns whether a criterion is `met`, `not met`, or `undecided`: the interval that decides straddles the bound."""
    match = parse(criterion)
    measured = _named(match["name"], by_name, criterion)
    bound_low, bound_high = _bounds(match["value"], measured, by_name, criterion)
    low, high = _widened(measured)
    if match["relation"] == "above":
        return _three_way(low > bound_high, high <= bound_low)
    if match["relation"] == "below":
        return _three_way(high < bound_low, low >= bound_high)
    if match["relation"] == "equals":
        return _three_way(low == high == bound_low == bound_high, True)
    tolerance = _tolerance(match["tolerance"], max(abs(bound_low), abs(bound_high)))
    inside = low >= bound_high - tolerance and high <= bound_low + tolerance
    return _three_way(inside, high < bound_low - tolerance or low > bound_high + tolerance)


def margin(criterion: str, by_name: Mapping[str, Measurement]) -> float:
    """Returns the distance of a measurement from the bound of a criterion, in half-widths of its 95% interval.

    Below WIDTH the criterion is undecided. The half-width is that of the side on which the bound lies; where the bound is
    another measurement, it is the nearer end of its widened interval. Infinite where the interval is a point.
    """
    match = parse(criterion)
    measured = _named(match["name"], by_name, criterion)
    bound_low, bound_high = _bounds(match["value"], measured, by_name, criterion)
    if match["tolerance"] is None:
        if bound_low < measured.value < bound_high:
            return 0.0
        bounds = [bound_high if measured.value >= bound_high else bound_low]
    else:
        tolerance = _tolerance(match["tolerance"], max(abs(bound_low), abs(bound_high)))
        bounds = [bound_high - tolerance, bound_low + tolerance]
    return min(_distance(measured, bound) for bound in bounds)


def error_rate(deciding: Sequence[Measurement]) -> float:
    """Returns a bound on the chance that sampling makes any verdict wrong, from the measurement that decides each.

    The worst case, in which every claim lies exactly at a bound of another list of its rule: a wrong verdict then has the
    one-sided error of its deciding criterion, for each of the two other lists. Means of n seeds are Student's; a measurement
    without randomness errs by none.
    """
    random = [measurement.n for measurement in deciding if measurement.n > 1 and measurement.low < measurement.high]
    degrees = np.asarray(random, np.float64) - 1
    return float(2 * stats.t.sf(WIDTH * stats.t.ppf(0.975, degrees), degrees).sum())


def _widened(measured: Measurement) -> tuple[float, float]:
    """Returns the interval that decides."""
    value = measured.value
    return value - WIDTH * (value - measured.low), value + WIDTH * (measured.high - value)


def _distance(measured: Measurement, bound: float) -> float:
    half = measured.high - measured.value if bound > measured.value else measured.value - measured.low
    return abs(bound - measured.value) / half if half else math.inf


def parse(criterion: str) -> re.Match[str]:
    """Returns the parts of a criterion: name, relation, tolerance, value.

    Raises:
      ValueError: it is no criterion.
    """
    match = _CRITERION.fullmatch(criterion)
    if match is None:
        raise ValueError(f"criterion {criterion!r} is not `NAME above|below|equals VALUE` or `NAME within TOLERANCE of VALUE`")
    return match


def _three_way(met: bool, refuted: bool) -> str:
    return "met" if met else "not met" if refuted else "undecided"


def _bounds(text: str, measured: Measurement, by_name: Mapping[str, Measurement], criterion: str) -> tuple[float, float]:
    if text == "prediction":
        if measured.prediction is None:
            raise ValueError(f"criterion {criterion!r}: measurement {measured.name!r} has no prediction")
        return measured.prediction, measured.prediction
    try:
        return float(text), float(text)
    except ValueError:
        return _widened(_named(text, by_name, criterion))


def _tolerance(text: str, scale: float) -> float:
    return float(text[:-1]) / 100 * scale if text.endswith("%") else float(text)


def _named(name: str, by_name: Mapping[str, Measurement], where: str) -> Measurement:
    if name not in by_name:
        raise ValueError(f"{where!r} names {name!r}, which was not measured; there are {sorted(by_name)}")
    return by_name[name]


def named_in(text: str) -> set[str]:
    """Returns the names of the measurements that a condition or counterexample has a field for."""
    return {name for kind, name, _, _ in _PLACEHOLDER.findall(text) if kind != "setting"}


def _fill(text: str, by_name: Mapping[str, Measurement], settings: Mapping[str, Any], language: str, rests_on: str) -> str:
    """Returns a text with its placeholders replaced; the measurement on which the verdict rests has its interval."""

    def shown(match: re.Match[str]) -> str:
        kind, name, index, form = match.groups()
        if kind != "setting":
            return phrases.phrase(_named(name, by_name, text), form or "", language, interval=name == rests_on)
        if name not in settings:
            raise ValueError(f"{text!r} names the setting {name!r}; there are {sorted(settings)}")
        return phrases.setting(settings[name] if index is None else settings[name][int(index)], language)

    return _PLACEHOLDER.sub(shown, text)
