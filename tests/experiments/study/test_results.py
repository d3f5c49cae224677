"""The results' format: round trip, half-written files, the fields that readers rely on, and LaTeX macros."""

import json
import os

import numpy as np
import pytest

from experiments.study import files, paper_numbers, results
from experiments.study.formatting import format_measurement, format_number, to_latex
from experiments.study.measurement import Evidence, Measurement, exact, interval

HEADER = {
    "topic": "saturation",
    "command": "c",
    "seed": 0,
    "scale": "quick",
    "versions": {},
    "device": "cpu",
    "seconds": 1.5,
    "key": "k",
}


@pytest.fixture
def measured():
    names = ("rate-right", "rate-left")
    numbers = [Measurement(n, 1.0, 1.0, 1.0, 1, "nats", 1.0, "law") for n in names]
    numbers += [exact("at-plus-infinity", 1), exact("at-minus-infinity", 0)]
    return results.Results(HEADER, {"saturation.limits": Evidence(tuple(numbers), {"x": np.arange(3.0)})})


def test_results_survive_a_round_trip(tmp_path, measured):
    results.save(tmp_path, measured)
    read = results.load(tmp_path, "saturation")
    assert (
        read.header == HEADER
        and read.claims["saturation.limits"].measurements == measured.claims["saturation.limits"].measurements
    )
    np.testing.assert_array_equal(read.claims["saturation.limits"].arrays["x"], [0, 1, 2])


def test_the_file_has_the_fields_of_the_format(tmp_path, measured):
    results.save(tmp_path, measured)
    document = json.loads((tmp_path / "results/saturation.json").read_text())
    assert {"schema", "topic", "command", "seed", "scale", "versions", "device", "seconds", "claims"} <= document.keys()
    entry = document["claims"]["saturation.limits"]
    assert entry["verdict"] == "holds" and entry["condition"] is None and entry["rule"].startswith("holds when ")
    assert set(entry["measurements"][0]) == {"name", "value", "low", "high", "n", "unit", "prediction", "source"}
    assert entry["figures"] == ["saturation-limits.svg", "saturation-limits.pdf", "saturation-limits.png"]


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
    plain = Evidence((exact("a", 1), Measurement("b", 0.1 + 0.2, 0.1, 0.7, 3)), {"x": np.arange(3.0)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            results,
            "_judged",
            lambda claims: {c: {"measurements": [vars(m) for m in e.measurements]} for c, e in claims.items()},
        )
        results.save(tmp_path, measured._replace(claims={"saturation.blocks": plain, "saturation.range": plain}))
        first = [path.read_bytes() for path in sorted((tmp_path / "results").iterdir())]
        results.save(tmp_path, results.load(tmp_path, "saturation"))
    assert first == [path.read_bytes() for path in sorted((tmp_path / "results").iterdir())]


def test_macros_are_letters_only_and_hold_value_and_interval(tmp_path, measured):
    judged = measured.claims["saturation.limits"]
    numbers = (*judged.measurements, interval("accuracy-152", [0.93, 0.95, 0.94]))
    paper_numbers.write(tmp_path, [measured._replace(claims={"saturation.limits": judged._replace(measurements=numbers)})])
    text = (tmp_path / "numbers.tex").read_text()
    assert r"\newcommand{\saturationLimitsAccuracyOneFiveTwo}{\ensuremath{0.940\ [0.915,\,0.965]}}" in text
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
