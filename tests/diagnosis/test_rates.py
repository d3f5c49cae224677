"""The yardstick itself: enough programs, of every kind and form; outcomes, rates, remedies and tables of a few of them."""

import json
import math

import jax
import pytest
from absl import flags
from rich.console import Console
from scipy import stats

from experiments.diagnosis import measurement, programs, rates, record, remedies, tables
from experiments.diagnosis.forms import FORMS
from experiments.writeup import peers
from jaxnotes import diagnosis
from jaxnotes.command.errors import InputError

pytestmark = [pytest.mark.usefixtures("standard_promotion"), pytest.mark.filterwarnings("ignore::DeprecationWarning")]

HEALTHY = {program.name: program for family in programs.healthy().values() for program in family}
FAULTY = {program.name: program for family in programs.faulty().values() for program in family}


def test_there_are_a_hundred_designs_of_either_sort_in_four_forms():
    assert len({p.design for p in HEALTHY.values()}) >= 100 and len({p.design for p in FAULTY.values()}) >= 100
    for some in (programs.healthy(), programs.faulty()):
        by_turns = [program for _, program in rates.chosen(some, every_form=False)]
        assert len(by_turns) == len({p.design for p in by_turns}) >= 100
        for form in FORMS:
            assert sum(p.form == form for p in by_turns) >= 15
        assert len(rates.chosen(some, every_form=True)) == sum(map(len, some.values()))


def test_names_are_unique_and_every_fault_has_a_source_and_a_twin():
    assert len(HEALTHY) == sum(map(len, programs.healthy().values())) and len(FAULTY) == sum(
        map(len, programs.faulty().values())
    )
    assert not {*HEALTHY} & {*FAULTY}
    designs = {p.design for p in HEALTHY.values()}
    for program in FAULTY.values():
        assert program.kinds and program.source.count(": ") == 1 and program.twin in designs, program.name


OF_RUNS = {"loss-not-falling", "loss-oscillating", "loss-plateau", "loss-spike", "parameters-unchanged"}  # of no reading


def test_every_kind_of_finding_has_a_fault_and_no_fault_another_kind():
    expected = {kind for program in FAULTY.values() for kind in program.kinds}
    assert not expected - {*diagnosis.KINDS}
    assert {*diagnosis.KINDS} - expected == OF_RUNS


@pytest.mark.parametrize("form", FORMS)
def test_a_healthy_program_learns_and_a_faulty_one_is_named(form, key):
    sound, _ = measurement.measured(HEALTHY[f"two hidden layers/{form}"], key)
    sound = record.record("family", 0, sound, ())
    assert not sound.detected() and sound.score >= sound.learnt
    outcome, _ = measurement.measured(FAULTY[f"biases of -10/{form}"], key)
    faulty = record.record("family", 0, outcome, ())
    assert faulty.detected("start") and faulty.named("start") and faulty.named() and faulty.hinted()
    assert faulty.score < sound.score - 0.3


def test_a_remedy_is_tried_where_its_finding_was_made(key):
    program = FAULTY["weights of 0.01/function"]
    outcome, made = measurement.measured(program, key)
    found = [one for one in remedies.tried(outcome, made, key) if one.moment == "start" and one.kind == "initialisation"]
    assert found[0].gone and found[0].helps and not found[0].harms and found[0].before == pytest.approx(outcome.score)


def test_a_refusal_is_a_finding_and_a_crash_is_none(key):
    program = FAULTY["labels without the last axis/function"]
    assert measurement.read(program, None, key).kinds == ()  # a model that cannot be read
    assert measurement.read(program, 3, key).error.startswith("ModelError")
    refused = measurement._refused
    try:
        jax.nn.relu("no array")
    except TypeError as error:
        assert refused(error).kinds == () and refused(error).error


def outcome(program, start=(), trained=(), hints=(), score=0.5, tried=()):
    first, second = measurement.Reading(kinds=start, hints=hints), measurement.Reading(kinds=trained)
    return record.record("family", 0, measurement.Outcome(program, first, second, score), tried)


def test_an_interrupted_run_goes_on(tmp_path):
    fault, path = FAULTY["biases of -10/linen"], tmp_path / "rates.jsonl"
    tried = [remedies.Tried("p", "dead-units", "a", "start", 0.2, 0.9, True, ("inputs",))]
    whole = [outcome(fault, start=("dead-units",), tried=tried), outcome(HEALTHY["two layers, He/function"], hints=("inputs",))]
    journal = record.Journal(path, {"code": "1"})
    for entry in whole:
        journal.add(entry)
    with path.open("a") as file:
        file.write('{"family": "cut off')
    again = record.Journal(path, {"code": "1"})
    assert again.records == whole and again.has(fault.name, 0) and not again.has(fault.name, 1)
    done = []
    assert rates.measure([("family", fault)], [None], True, again, lambda: done.append(1)) == whole and done == [1]
    assert record.Journal(path, {"code": "2"}).records == []


def test_rates_count_what_was_found_with_exact_intervals():
    fault, sound = FAULTY["biases of -10/linen"], HEALTHY["two layers, He/function"]
    tried = [
        remedies.Tried("p", "dead-units", "a", "start", 0.2, after, True, another)
        for after, another in ((0.9, ()), (0.1, ("inputs",)))
    ]
    entries = [
        outcome(fault, start=("dead-units",), score=0.2, tried=tried),
        outcome(fault, trained=("large-update",), score=0.2),
        outcome(fault, hints=("dead-units",), score=math.nan),
        outcome(sound, score=0.9),
        outcome(sound, trained=("inputs",), score=0.9),
    ]
    found = tables.summary(entries)
    counts = {name: (rate["hits"], rate["of"]) for name, rate in found["faults"].items()}
    assert counts == {
        "detected": (2, 3),
        "named": (1, 3),
        "named, start": (1, 3),
        "named, trained": (0, 3),
        "named or hinted": (2, 3),
    }
    exact = stats.beta.ppf([0.025, 0.975], [1, 2], [3, 2])  # Clopper and Pearson: quantiles of beta distributions
    assert [found["faults"]["named"][end] for end in ("low", "high")] == pytest.approx(exact, abs=1e-3)
    assert found["healthy"]["alarm"]["hits"] == 1 and found["alarms by kind"] == {"inputs": 1}
    assert found["remedies"]["dead-units"]["helps"]["hits"] == found["remedies"]["dead-units"]["harms"]["hits"] == 1
    assert found["learnt"]["faulty"]["hits"] == 3 and not tables.met(found)
    assert json.loads(tables.text(found)) == json.loads(json.dumps(found))
    console = Console(record=True, width=200)
    tables.show(found, console)
    shown = console.export_text()
    assert (
        "1 of 3, 33% [1, 91]" in shown and "not named: biases of -10/linen, seed 0: expected dead-units; start nothing" in shown
    )


@pytest.mark.parametrize("flag", ["--kinds=no-kind", "--families=no-family"])
def test_the_command_names_what_it_does_not_know(tmp_path, monkeypatch, flag):
    with pytest.raises(InputError, match=r"has no-(kind|family); the (kinds|families) are "):
        command(monkeypatch, tmp_path, flag)


def test_the_command_writes_rates_and_ends_by_what_is_wanted_of_them(tmp_path, monkeypatch):
    fault, sound = FAULTY["biases of -10/linen"], HEALTHY["two layers, He/function"]
    seen = {}

    def measure(wanted, keys, with_remedies, journal, done):
        seen["designs"] = {program.design for _, program in wanted if program.kinds}
        seen["keys"] = len(keys)
        assert journal.path.is_file() and not with_remedies
        return [outcome(fault, start=("dead-units",)), outcome(sound)]

    monkeypatch.setattr(rates, "measure", measure)
    with pytest.raises(SystemExit) as ended:
        command(monkeypatch, tmp_path, "--kinds=dead-units", "--seeds=2", "--noremedies")
    found = json.loads((tmp_path / "rates.json").read_text())
    assert ended.value.code == (not tables.met(found)) and found["faults"]["named"]["hits"] == 1
    assert found["command"] == "python -m experiments.diagnosis.rates --seeds=2 --kinds=dead-units --remedies=False"
    assert seen["keys"] == 2 and fault.design in seen["designs"]
    assert seen["designs"] == {program.design for program in FAULTY.values() if "dead-units" in program.kinds}
    assert [path.name for path in tmp_path.iterdir()] == ["rates.json"]


def command(monkeypatch, out_dir, *arguments):
    """Runs the command's `main` with these flags."""
    values = flags.FlagValues()
    monkeypatch.setattr(rates, "FLAGS", values)
    rates.define_flags(values)
    values(["rates", f"--out_dir={out_dir}", *arguments])
    monkeypatch.setattr(rates.start, "use_compilation_cache", lambda: None)
    rates.main([])


def test_published_rates_say_what_they_were_measured_on():
    found = peers.published()
    assert len(found) >= 12
    for rate in found:
        assert 0 < rate.share <= 1 and rate.on["en"] and rate.on["zh"]
        assert rate.what in ("detected", "named", "located", "alarm") and rate.by in ("authors", "peers", "independent")
    alarms = {rate.tool: rate.share for rate in found if rate.what == "alarm"}
    assert alarms == {"DeepDiagnosis": pytest.approx(68 / 188), "UMLAUT": 1.0}


def test_our_own_rates_stand_beside_theirs(tmp_path):
    assert peers.ours(tmp_path / "none.json") == ()
    entries = [outcome(FAULTY["biases of -10/linen"], start=("dead-units",)), outcome(HEALTHY["two layers, He/function"])]
    path = tmp_path / "rates.json"
    path.write_text(tables.text({"date": "2026-11-28", **tables.summary(entries)}))
    named = {rate.what: (rate.hits, rate.of) for rate in peers.ours(path)}
    assert named == {"detected": (1, 1), "named": (1, 1), "alarm": (0, 1)}
