"""What changed between two runs, on results that are made up."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import compare
from experiments.study import results
from experiments.study.measurement import Measurement, exact
from jaxnotes.command.errors import InputError

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def made(saturation_run, limits):
    """Makes the results of a run that measured `saturation.limits`."""

    def run(rate=(1.0, 1.0, 1.0), *, further: tuple[Measurement, ...] = (), **changes):
        run = dataclasses.replace(saturation_run, **changes)
        evidence = limits(rate=rate, measurements=(*limits(rate=rate).measurements, *further))
        return [results.judged(run, {"saturation.limits": evidence})]

    return run


def test_the_same_run_twice_has_no_difference(made):
    assert str(compare.compare(made(), made())).splitlines() == [
        "0 of 1 verdicts differ",
        "0 of 4 numbers moved by more than their intervals",
        "No setting differs",
        "Both runs have the same claims and numbers",
    ]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((1.0, 0.9, 1.1), (1.15, 1.05, 1.25), False),  # the intervals meet
        ((1.0, 0.9, 1.1), (1.3, 1.2, 1.4), True),
        ((1.3, 1.2, 1.4), (1.0, 0.9, 1.1), True),
        ((1.0, 0.9, 1.1), (1.2, 1.2, 1.2), True),
        ((1.0, 1.0, 1.0), (1.00001, 1.00001, 1.00001), False),  # exact, and shown as the same
        ((1.0, 1.0, 1.0), (1.01, 1.01, 1.01), True),
    ],
)
def test_a_number_moved_where_its_intervals_do_not_meet(first, second, expected):
    assert compare.moved(Measurement("a", *first, 8), Measurement("a", *second, 8)) == expected


def test_another_verdict_is_named_with_what_decides_it(made):
    found = compare.compare(made(), made(rate=(0.7, 0.6, 0.8)))
    (verdict,) = found.verdicts
    assert verdict.startswith("saturation.limits: holds (rate-right: 1 nats) → ")
    assert found.moved == (
        "saturation.limits/rate-right: 1 → 0.70 [0.60, 0.80] nats",
        "saturation.limits/rate-left: 1 → 0.70 [0.60, 0.80] nats",
    )
    assert "2 of 4 numbers moved by more than their intervals:\n  saturation.limits/rate-right" in str(found)


def test_settings_and_all_else_a_run_depends_on_are_named(made):
    other = made(seed=1, settings={"width": 32, "depths": [2, 4]}, versions={"jax": "0.10"}, key="k2")
    assert compare.compare(made(), other).settings == (
        "seed: 0 → 1 (saturation)",
        "width: 16 → 32 (saturation)",
        "depths: none → 2,4 (saturation)",
        "version of jax: none → 0.10 (saturation)",
    )
    assert compare.compare(made(), made(key="k2")).settings == ("the code that measures (saturation)",)


def test_what_only_one_run_has_is_named_once(made):
    further = results.Results(dataclasses.replace(made()[0].run, topic="causes"), {})
    assert compare.compare(made(), [*made(further=(exact("new", 1.0),)), further]).only == (
        "second: number saturation.limits/new",
        "second: topic causes",
    )
    assert compare.compare(made(), [further]).only == ("first: topic saturation", "second: topic causes")


def test_folders_without_results_are_one_clear_line(tmp_path, made):
    with pytest.raises(InputError, match="has no results: name the --out_dir of a run"):
        compare.read(tmp_path / "none")
    results.save(tmp_path, made()[0])
    assert compare.read(tmp_path)[0].run == made()[0].run
    (tmp_path / "results" / "causes.json").write_text("{}")
    with pytest.raises(InputError, match="causes cannot be read: not whole"):
        compare.read(tmp_path)


def test_the_command_prints_what_differs(tmp_path, made):
    for name, run in (("a", made()), ("b", made(seed=1))):
        results.save(tmp_path / name, run[0])
    command = [sys.executable, "-m", "experiments.compare"]
    run = lambda *folders: subprocess.run([*command, *folders], cwd=ROOT, capture_output=True, text=True, timeout=300)
    done = run(str(tmp_path / "a"), str(tmp_path / "b"))
    assert done.returncode == 0 and "seed: 0 → 1 (saturation)" in done.stdout, done.stderr
    done = run(str(tmp_path / "a"))
    assert (done.returncode, done.stderr) == (2, "compare: there is no OUT_B; give OUT_A OUT_B, --help says what they are\n")
