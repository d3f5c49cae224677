"""Rates with their intervals out of the outcomes, as data and as tables on the terminal."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from scipy import stats

from experiments.diagnosis.measurement import MOMENTS, Outcome
from experiments.diagnosis.remedies import Tried

LEAST_NAMED, MOST_ALARMS = 0.90, 0.02  # wanted

Entry = tuple[str, int, Outcome]  # family, number of the seed, outcome


def rate(hits: Iterable[bool]) -> dict[str, float]:
    """Returns how many, of how many, and the 95 % interval of the share by Clopper and Pearson (1934)."""
    counted = list(hits)
    if not counted:
        return {"hits": 0, "of": 0, "low": 0.0, "high": 1.0}
    interval = stats.binomtest(sum(counted), len(counted)).proportion_ci()
    return {"hits": sum(counted), "of": len(counted), "low": round(interval.low, 3), "high": round(interval.high, 3)}


def summary(entries: Sequence[Entry], tried: Sequence[Tried]) -> dict[str, Any]:
    """Returns the rates of all, by kind, form and family; the misses and false alarms by name; the remedies by kind."""
    faulty = [e for e in entries if e[2].program.kinds]
    healthy = [e for e in entries if not e[2].program.kinds]
    form = lambda entry: entry[2].program.form
    return {
        "designs": {name: len({o.program.design for _, _, o in some}) for name, some in _both(faulty, healthy)},
        "faults": _faults(faulty),
        "faults by kind": _grouped(faulty, lambda entry: entry[2].program.kinds[0], _faults),
        "faults by form": _grouped(faulty, form, _faults),
        "faults by family": _grouped(faulty, lambda entry: entry[0], _faults),
        "healthy": _alarms(healthy),
        "healthy by form": _grouped(healthy, form, _alarms),
        "alarms by kind": _alarms_by_kind(healthy),
        "remedies": _grouped(tried, lambda one: one.kind, _remedies),
        "not named": [_line(e) for e in faulty if not e[2].named()],
        "false alarms": [_line(e) for e in healthy if e[2].detected()],
        "crashes": [_line(e) for e in entries if _crashed(e[2])],
        "other finding by a remedy": sorted({f"{t.program}: {t.kind} → {', '.join(t.another)}" for t in tried if t.another}),
        "learnt": {"healthy": rate(o.score >= o.program.task.learnt for _, _, o in healthy), "faulty": _worse(faulty, healthy)},
    }


def _both(faulty: Sequence[Entry], healthy: Sequence[Entry]) -> tuple[tuple[str, Sequence[Entry]], ...]:
    return ("faulty", faulty), ("healthy", healthy)


def _grouped(entries: Sequence[Any], by: Callable[[Any], str], measure: Callable[[Sequence[Any]], Any]) -> dict[str, Any]:
    groups: dict[str, list] = {}
    for entry in entries:
        groups.setdefault(by(entry), []).append(entry)
    return {name: measure(groups[name]) for name in sorted(groups)}


def _faults(entries: Sequence[Entry]) -> dict[str, dict]:
    outcomes = [outcome for _, _, outcome in entries]
    found = {"detected": rate(o.detected() for o in outcomes), "named": rate(o.named() for o in outcomes)}
    found |= {f"named, {moment}": rate(o.named(moment) for o in outcomes) for moment in MOMENTS}
    return found | {"named or hinted": rate(o.hinted() for o in outcomes)}


def _alarms(entries: Sequence[Entry]) -> dict[str, dict]:
    outcomes = [outcome for _, _, outcome in entries]
    found = {"alarm": rate(o.detected() for o in outcomes)}
    found |= {f"alarm, {moment}": rate(o.detected(moment) for o in outcomes) for moment in MOMENTS}
    return found | {"hint": rate(bool(o.start.hints or o.trained.hints) for o in outcomes)}


def _alarms_by_kind(entries: Sequence[Entry]) -> dict[str, int]:
    kinds = sorted({kind for _, _, outcome in entries for kind in outcome.kinds})
    return {kind: sum(kind in outcome.kinds for _, _, outcome in entries) for kind in kinds}


def _remedies(tried: Sequence[Tried]) -> dict[str, Any]:
    return {
        "helps": rate(t.helps for t in tried),
        "harms": rate(t.harms for t in tried),
        "gone": rate(t.gone for t in tried),
        "another finding": rate(bool(t.another) for t in tried),
    }


def _worse(faulty: Sequence[Entry], healthy: Sequence[Entry]) -> dict[str, float]:
    """Returns the share of faulty programs whose score is below their twin's; of those whose twin was measured."""
    scores: dict[str, list[float]] = {}
    for _, _, outcome in healthy:
        scores.setdefault(outcome.program.design, []).append(outcome.score)
    known = [o for _, _, o in faulty if o.program.twin in scores]
    return rate(not o.score >= min(scores[o.program.twin]) - 0.02 for o in known)


def _crashed(outcome: Outcome) -> bool:
    return any(reading.error and not reading.kinds for reading in (outcome.start, outcome.trained))


def _line(entry: Entry) -> dict[str, Any]:
    _, seed, outcome = entry
    program = outcome.program
    line = {"program": program.name, "seed": seed, "score": None if math.isnan(outcome.score) else round(outcome.score, 3)}
    line |= {"expected": list(program.kinds)} if program.kinds else {}
    line |= {moment: list(getattr(outcome, moment).kinds) for moment in MOMENTS}
    hints = sorted({*outcome.start.hints, *outcome.trained.hints})
    errors = sorted({reading.error for reading in (outcome.start, outcome.trained) if reading.error})
    return line | ({"hints": hints} if hints else {}) | ({"errors": errors} if errors else {})


def met(found: dict[str, Any]) -> bool:
    """Whether the rates are what is wanted."""
    share = lambda counted: counted["hits"] / max(counted["of"], 1)
    return share(found["faults"]["named"]) >= LEAST_NAMED and share(found["healthy"]["alarm"]) <= MOST_ALARMS


def text(found: dict[str, Any]) -> str:
    """Returns the JSON, an entry a line."""
    lines = []
    for name, value in found.items():
        one_a_line = (
            isinstance(value, dict | list) and value and isinstance(next(iter(value)), dict | str) and name != "versions"
        )
        if isinstance(value, list) and one_a_line:
            inner = ",\n".join(f"  {_compact(entry)}" for entry in value)
            lines.append(f" {_compact(name)}: [\n{inner}\n ]")
        elif one_a_line and any(isinstance(entry, dict) for entry in value.values()):
            inner = ",\n".join(f"  {_compact(key)}: {_compact(entry)}" for key, entry in value.items())
            lines.append(f" {_compact(name)}: {{\n{inner}\n }}")
        else:
            lines.append(f" {_compact(name)}: {_compact(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def shown(counted: dict[str, float]) -> str:
    """Returns "9 of 10, 90 % [55, 100]"; "–" for none of none."""
    if not counted["of"]:
        return "–"
    share = counted["hits"] / counted["of"]
    return f"{counted['hits']} of {counted['of']}, {share:.0%} [{100 * counted['low']:.0f}, {100 * counted['high']:.0f}]"


def show(found: dict[str, Any], console: Console) -> None:
    """Prints what is in the file."""
    titles = ("detected", "named", "named, start", "named, trained", "named or hinted")
    _print(console, "faulty programs", titles, {"all": found["faults"], **found["faults by kind"]})
    _print(console, "by form", titles, found["faults by form"])
    _print(console, "healthy programs", ("alarm", "alarm, start", "alarm, trained", "hint"), _with_all(found))
    _print(console, "remedies", ("helps", "harms", "gone", "another finding"), found["remedies"])
    for name in ("not named", "false alarms", "crashes"):
        for line in found[name]:
            console.print(f"{name}: {_sentence(line)}", highlight=False, markup=False)
    for line in found["other finding by a remedy"]:
        console.print(f"other finding by a remedy: {line}", highlight=False, markup=False)
    console.print(f"named {shown(found['faults']['named'])}, at least {LEAST_NAMED:.0%} wanted", highlight=False, markup=False)
    console.print(f"alarms {shown(found['healthy']['alarm'])}, at most {MOST_ALARMS:.0%} wanted", highlight=False, markup=False)


def _with_all(found: dict[str, Any]) -> dict[str, dict]:
    return {"all": found["healthy"], **found["healthy by form"]}


def _sentence(line: dict[str, Any]) -> str:
    said = "; ".join(f"{name} {', '.join(value) or 'nothing'}" for name, value in line.items() if isinstance(value, list))
    return f"{line['program']}, seed {line['seed']}: {said}"


def _print(console: Console, title: str, columns: Sequence[str], rows: dict[str, dict]) -> None:
    table = Table(title=title, title_justify="left")
    for name in ("", *columns):
        table.add_column(name)
    for name, measured in rows.items():
        table.add_row(name, *(shown(measured[column]) for column in columns))
    console.print(table)
