"""Rates with their intervals out of the outcomes, as data and as tables on the terminal."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from scipy import stats

from experiments.diagnosis.measurement import MOMENTS
from experiments.diagnosis.record import Record
from experiments.diagnosis.remedies import Tried

LEAST_NAMED, MOST_ALARMS = 0.90, 0.02  # wanted


def rate(hits: Iterable[bool]) -> dict[str, float]:
    """Returns how many, of how many, and the 95 % interval of the share by Clopper and Pearson (1934)."""
    counted = list(hits)
    if not counted:
        return {"hits": 0, "of": 0, "low": 0.0, "high": 1.0}
    interval = stats.binomtest(sum(counted), len(counted)).proportion_ci()
    return {"hits": sum(counted), "of": len(counted), "low": round(interval.low, 3), "high": round(interval.high, 3)}


def summary(records: Sequence[Record]) -> dict[str, Any]:
    """Returns the rates of all, by kind, form and family; the misses and false alarms by name; the remedies by kind."""
    faulty = [r for r in records if r.expected]
    healthy = [r for r in records if not r.expected]
    tried = [(r.program, one) for r in faulty for one in r.tried]
    form = lambda record: record.form
    return {
        "designs": {"faulty": len({r.design for r in faulty}), "healthy": len({r.design for r in healthy})},
        "faults": _faults(faulty),
        "faults by kind": _grouped(faulty, lambda record: record.expected[0], _faults),
        "faults by form": _grouped(faulty, form, _faults),
        "faults by family": _grouped(faulty, lambda record: record.family, _faults),
        "healthy": _alarms(healthy),
        "healthy by form": _grouped(healthy, form, _alarms),
        "alarms by kind": _alarms_by_kind(healthy),
        "remedies": _grouped([one for _, one in tried], lambda one: one.kind, _remedies),
        "not named": [_line(r) for r in faulty if not r.named()],
        "false alarms": [_line(r) for r in healthy if r.detected()],
        "crashes": [_line(r) for r in records if r.crashed],
        "other finding by a remedy": sorted({f"{name}: {t.kind} → {', '.join(t.another)}" for name, t in tried if t.another}),
        "learnt": {"healthy": rate(r.score >= r.learnt for r in healthy), "faulty": _worse(faulty, healthy)},
    }


def _grouped(entries: Sequence[Any], by: Callable[[Any], str], measure: Callable[[Sequence[Any]], Any]) -> dict[str, Any]:
    groups: dict[str, list] = {}
    for entry in entries:
        groups.setdefault(by(entry), []).append(entry)
    return {name: measure(groups[name]) for name in sorted(groups)}


def _faults(records: Sequence[Record]) -> dict[str, dict]:
    found = {"detected": rate(r.detected() for r in records), "named": rate(r.named() for r in records)}
    found |= {f"named, {moment}": rate(r.named(moment) for r in records) for moment in MOMENTS}
    return found | {"named or hinted": rate(r.hinted() for r in records)}


def _alarms(records: Sequence[Record]) -> dict[str, dict]:
    found = {"alarm": rate(r.detected() for r in records)}
    found |= {f"alarm, {moment}": rate(r.detected(moment) for r in records) for moment in MOMENTS}
    return found | {"hint": rate(bool(r.hints) for r in records)}


def _alarms_by_kind(records: Sequence[Record]) -> dict[str, int]:
    kinds = sorted({kind for record in records for kind in record.kinds})
    return {kind: sum(kind in record.kinds for record in records) for kind in kinds}


def _remedies(tried: Sequence[Tried]) -> dict[str, Any]:
    return {
        "helps": rate(t.helps for t in tried),
        "harms": rate(t.harms for t in tried),
        "gone": rate(t.gone for t in tried),
        "another finding": rate(bool(t.another) for t in tried),
    }


def _worse(faulty: Sequence[Record], healthy: Sequence[Record]) -> dict[str, float]:
    """Returns the share of faulty programs whose score is below their twin's; of those whose twin was measured."""
    scores: dict[str, list[float]] = {}
    for record in healthy:
        scores.setdefault(record.design, []).append(record.score)
    known = [r for r in faulty if r.twin in scores]
    return rate(not r.score >= min(scores[r.twin]) - 0.02 for r in known)


def _line(record: Record) -> dict[str, Any]:
    score = None if math.isnan(record.score) else round(record.score, 3)
    line = {"program": record.program, "seed": record.seed, "score": score}
    line |= {"expected": list(record.expected)} if record.expected else {}
    line |= {moment: list(getattr(record, moment).kinds) for moment in MOMENTS}
    errors = sorted({said.error for said in (record.start, record.trained) if said.error})
    return line | ({"hints": sorted(record.hints)} if record.hints else {}) | ({"errors": errors} if errors else {})


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
