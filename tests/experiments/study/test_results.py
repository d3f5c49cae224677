"""The results' format: round trip, half-written files, the fields that readers rely on, and numbers for LaTeX."""

import contextlib
import json
import os

import numpy as np
import pytest

from experiments.study import paper_numbers, results, rules
from experiments.study.formatting import format_measurement, format_number, to_latex
from experiments.study.measurement import Evidence, Measurement, Search, exact, interval
from jaxnotes.command import files

SEARCH = Search(0.1, (0.01, 0.1, 1.0), ((0.5, 0.6), (0.7, 0.9), (-np.inf, -np.inf)), True)


@pytest.fixture
def measured(saturation_run, limits):
    return results.judged(saturation_run, {"saturation.limits": limits(searches={"arm": SEARCH})})


def test_results_survive_a_round_trip(tmp_path, measured, saturation_run):
    results.save(tmp_path, measured)
    read = results.load(tmp_path, "saturation")
    assert read.run == saturation_run
    before, after = (found.claims["saturation.limits"] for found in (measured, read))
    assert after.evidence.measurements == before.evidence.measurements and after.judgement == before.judgement
    assert after.evidence.searches == {"arm": SEARCH}
    np.testing.assert_array_equal(after.evidence.arrays["x"], [0, 1, 2])


def test_the_file_has_the_fields_of_the_format(tmp_path, measured):
    results.save(tmp_path, measured)
    document = json.loads((tmp_path / "results/saturation.json").read_text())
    assert {"schema", "topic", "command", "seed", "scale", "versions", "device", "seconds", "claims"} <= document.keys()
    entry = document["claims"]["saturation.limits"]
    assert entry["verdict"] == "holds" and entry["condition"] is None and entry["rule"].startswith("holds when ")
    assert set(entry["measurements"][0]) == {"name", "value", "low", "high", "n", "unit", "prediction", "source"}
    assert entry["figures"] == ["saturation-limits.svg", "saturation-limits.png"]  # nothing for print at scale quick
    assert entry["searches"]["arm"] == {
        "rate": 0.1,
        "rates": [0.01, 0.1, 1.0],
        "scores": [[0.5, 0.6], [0.7, 0.9], [None, None]],
        "inside": True,
    }
    assert results.figure_files("a.b", "paper") == ["a-b.svg", "a-b.pdf", "a-b.png"]


def test_claims_are_in_the_notes_order_whatever_order_they_were_measured_in(saturation_run, limits):
    few = {name: limits() for name in ("saturation.limits", "saturation.blocks")}
    pretend = list(limits().measurements)
    pretend += [Measurement(n, 1.0, 1.0, 1.0, 1, "", 1.0) for n in ("gain-unsaturated", "gain-saturated")]
    pretend += [exact("log10-change", -2), exact("log10-gradient-saturated", -9)]
    few["saturation.blocks"] = limits(measurements=tuple(pretend))
    found = results.judged(saturation_run, dict(reversed(few.items())))
    assert list(found.claims) == ["saturation.limits", "saturation.blocks"]


def test_arrays_of_another_run_or_half_a_file_are_not_read(tmp_path, measured):
    results.save(tmp_path, measured)
    path = tmp_path / "results/saturation.npz"
    whole = path.read_bytes()
    path.write_bytes(whole[:-7])
    assert results.load(tmp_path, "saturation") is None
    path.write_bytes(whole)
    (tmp_path / "results/saturation.json").write_text('{"schema": 1, ')
    assert results.load(tmp_path, "saturation") is None
    assert results.load(tmp_path, "causes") is None


def test_a_run_cut_off_between_its_two_files_and_an_older_schema_are_not_read(tmp_path, measured, saturation_run, limits):
    results.save(tmp_path, results.judged(saturation_run, {"saturation.limits": limits(arrays={"x": np.zeros(3)})}))
    other = (tmp_path / "results/saturation.npz").read_bytes()
    results.save(tmp_path, measured)
    arrays, document = tmp_path / "results/saturation.npz", tmp_path / "results/saturation.json"
    own = arrays.read_bytes()
    arrays.write_bytes(other)
    assert results.load(tmp_path, "saturation") is None
    arrays.write_bytes(own)
    assert results.load(tmp_path, "saturation") is not None
    edit(document, f'"schema": {results.SCHEMA}', '"schema": 1')
    assert results.load(tmp_path, "saturation") is None


def test_the_file_says_what_decides_by_how_much_under_which_condition_and_what_changed(tmp_path, monkeypatch, saturation_run):
    change = rules.Change("2026-01-02", "rule", "b", "a", {"en": "w", "zh": "因"})
    texts = {"condition": {"en": "a is {a}", "zh": "a 为 {a}"}, "counterexample": {"en": "a only {a}", "zh": "a 只有 {a}"}}
    criteria = {"holds": ["a above 9"], "holds-if": ["a above 1"], "fails": ["a below 0"]}
    rule = rules.Claim("saturation.x", {"en": "", "zh": ""}, criteria, history=(change,), **texts)
    monkeypatch.setattr(rules, "load_claims", lambda topic: {"saturation.x": rule})

    def entry(value):
        evidence = Evidence((Measurement("a", value, value - 0.5, value + 0.5, 5),))
        results.save(tmp_path, results.judged(saturation_run, {"saturation.x": evidence}))
        return json.loads((tmp_path / "results/saturation.json").read_text())["claims"]["saturation.x"]

    under = entry(3.0)
    assert under["verdict"] == "holds-if" and (under["deciding"], under["margin"]) == ("a above 1", 4.0)
    assert (under["condition"], under["condition_zh"]) == ("a is 3.00 [2.50, 3.50]", "a 为 3.00 [2.50, 3.50]")
    assert under["counterexample"] is None
    assert under["history"] == [change._asdict()]
    refuted = entry(-1.5)
    assert refuted["verdict"] == "fails" and (refuted["deciding"], refuted["margin"]) == ("a below 0", 3.0)
    assert (refuted["condition"], refuted["counterexample"], refuted["counterexample_zh"]) == (
        None,
        "a only -1.50 [-2.00, -1.00]",
        "a 只有 -1.50 [-2.00, -1.00]",
    )
    assert entry(0.5)["verdict"] == "undecided"


def test_results_of_code_that_measured_other_things_are_not_read(tmp_path, measured):
    results.save(tmp_path, measured)
    path = tmp_path / "results/saturation.json"
    edit(path, "", "")
    assert results.load(tmp_path, "saturation") is not None
    edit(path, '"at-minus-infinity"', '"at-the-end"')
    assert results.load(tmp_path, "saturation") is None


@pytest.mark.parametrize("step", [0, 1, 2, 3])
def test_at_each_moment_of_a_save_a_complete_pair_is_there(tmp_path, monkeypatch, measured, saturation_run, limits, step):
    """The run is cut off before one of the three renames: earlier results stand until the JSON is there, then the new ones."""
    earlier = results.judged(saturation_run, {"saturation.limits": limits(arrays={"x": np.zeros(3)})})
    results.save(tmp_path, earlier)
    replace, calls = os.replace, []

    def cut_off(source, target):
        calls.append(target)
        if len(calls) > step:
            raise KeyboardInterrupt
        replace(source, target)

    monkeypatch.setattr(os, "replace", cut_off)
    with contextlib.suppress(KeyboardInterrupt):
        results.save(tmp_path, measured)
    assert len(calls) == min(step + 1, 3)
    stored = results.load(tmp_path, "saturation").claims["saturation.limits"].evidence
    np.testing.assert_array_equal(stored.arrays["x"], [0, 0, 0] if step < 2 else [0, 1, 2])
    assert stored.searches == ({} if step < 2 else {"arm": SEARCH})


@pytest.mark.parametrize("suffix", ["json", "npz"])
def test_no_damaged_byte_is_read(tmp_path, measured, suffix):
    results.save(tmp_path, measured)
    path = tmp_path / f"results/saturation.{suffix}"
    whole, read = path.read_bytes(), results.load(tmp_path, "saturation")
    assert read is not None
    for place in range(0, len(whole), 17):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        found = results.load(tmp_path, "saturation")
        assert found is None or found.run == read.run  # of a damaged key, which nothing reads
        assert found is None or found.claims["saturation.limits"].evidence.measurements == measurements(read)


def measurements(found: results.Results):
    return found.claims["saturation.limits"].evidence.measurements


def edit(path, old: str, new: str) -> None:
    """Changes what is stored, and leaves its digest out, as it was until November 2026."""
    document = json.loads(path.read_text().replace(old, new))
    document.pop("sha256", None)
    path.write_text(json.dumps(document))


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    files.write_text(path, "old")

    def refuse(*args):
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="disk full"):
        files.write_text(path, "new")
    assert path.read_text() == "old" and [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_what_is_read_and_saved_again_is_the_same_file(tmp_path, measured):
    results.save(tmp_path, measured)
    first = [path.read_bytes() for path in sorted((tmp_path / "results").iterdir())]
    results.save(tmp_path, results.load(tmp_path, "saturation"))
    assert first == [path.read_bytes() for path in sorted((tmp_path / "results").iterdir())]


def test_what_decides_is_said_with_its_interval_and_unit(measured):
    assert results.decided_by(measured.claims["saturation.limits"]) == "rate-right: 1 nats"


def test_numbers_hold_value_and_interval(tmp_path, saturation_run, limits):
    numbers = (*limits().measurements, interval("accuracy-152", [0.93, 0.95, 0.94]))
    paper_numbers.write(tmp_path, [results.judged(saturation_run, {"saturation.limits": limits(measurements=numbers)})])
    assert r"\jxnumber{saturation.limits/accuracy-152}{0.940\ [0.915,\,0.965]}" in (tmp_path / "numbers.tex").read_text()
    stored = json.loads((tmp_path / "numbers.json").read_text())["saturation.limits/accuracy-152"]
    assert stored["n"] == 3 and stored["value"] == pytest.approx(0.94) and stored["prediction"] is None


@pytest.mark.parametrize(
    "value, text",
    [
        (0, "0"),
        (17.32868, "17.33"),
        (-0.000123456, "-1.235e-4"),
        (1e7, "1.000e7"),
        (1000, "1000"),
        (0.25, "0.25"),
        (-350.04, "-350"),
    ],
)
def test_numbers_as_text(value, text):
    assert format_number(value) == text


def test_digits_follow_the_interval():
    assert format_measurement(Measurement("a", 0.123456, 0.1200, 0.1269, 5)) == "0.1235 [0.1200, 0.1269]"
    assert format_measurement(Measurement("a", 1.23456e-9, 1.2e-9, 1.27e-9, 5)) == "1.235e-9 [1.200e-9, 1.270e-9]"
    assert to_latex("1.235e-9 [1.200e-9, 1.270e-9]") == (r"1.235\times 10^{-9}\ [1.200\times 10^{-9},\,1.270\times 10^{-9}]")
