"""The command line as a user meets it: help, one line for bad input, files written, earlier results kept."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.study import rules

ROOT = Path(__file__).resolve().parents[3]
TINY = ("--scale=quick", "--width=16", "--seeds=2", "--batch=2")


def run(*arguments, module="experiments.saturation"):
    """Runs a module, or a file by its path, from another folder than the repository's."""
    start = [module] if module.endswith(".py") else ["-m", module]
    command = [sys.executable, *start, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=ROOT.parent)


def test_help_names_every_flag_with_its_defaults():
    shown = run("--help")
    assert shown.returncode == 0
    for word in (
        "usage: python -m experiments.saturation",
        "--width",
        "--bias_variances",
        "Default 256, at scale",
        "--out_dir",
    ):
        assert word in shown.stdout
    assert "--topics" in run("--help", module="experiments.reproduce").stdout


@pytest.mark.parametrize(
    "module, flag, message",
    [
        ("residual", "--depths=10,x", "flag --depths=10,x: expected comma-separated ints"),
        ("residual", "--depths=0", "--depths=0 is below 1"),
        ("residual", "--weight_variance=-1", "--weight_variance=-1.0 is below"),
        ("residual", "--weight_variance=nan", "--weight_variance=nan is not a finite number"),
        ("residual", "--activation=rellu", "--activation=rellu is not one of sigmoid, tanh"),
        ("saturation", "--width=wide", "flag --width=wide"),
        ("saturation", "--no_such=1", "Unknown command line flag 'no_such'"),
        ("saturation", "--out_dir=/dev/null/x", "--out_dir=/dev/null/x cannot be written"),
        ("saturation", "word", "unexpected argument 'word'"),
        ("reproduce", "--topics=causes,sorrow", "--topics=sorrow is not one of causes, remedies, residual"),
    ],
)
def test_bad_input_is_one_line_and_status_2(module, flag, message):
    shown = run(flag, module=f"experiments.{module}")
    assert shown.returncode == 2 and shown.stdout == ""
    assert len(shown.stderr.splitlines()) == 1 and message in shown.stderr


@pytest.fixture(scope="module")
def out_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("out")
    shown = run(*TINY, f"--out_dir={folder}", module=str(ROOT / "experiments/saturation/__main__.py"))  # by path
    assert shown.returncode == 0, shown.stderr
    return folder


def test_a_script_writes_results_figures_numbers_and_pages(out_dir):
    document = json.loads((out_dir / "results/saturation.json").read_text())
    assert document["settings"]["width"] == 16 and document["scale"] == "quick"
    assert document["command"].startswith("python -m experiments.saturation --scale=quick --width=16")
    assert set(document["claims"]) == {f"saturation.{name}" for name in ("range", "limits", "derivative", "blocks")}
    for entry in document["claims"].values():
        assert entry["verdict"] in rules.VERDICTS and entry["measurements"]
        for name in entry["figures"]:
            assert (out_dir / "figures" / name).stat().st_size > 1000
    assert "saturation.range/one-float32" in (out_dir / "numbers.tex").read_text()
    assert "saturation.range/one-float32" in json.loads((out_dir / "numbers.json").read_text())


def test_a_refused_run_leaves_earlier_results_as_they_were(out_dir):
    before = {path: path.read_bytes() for path in out_dir.rglob("*") if path.is_file()}
    assert run("--width=1", f"--out_dir={out_dir}").returncode == 2
    assert before == {path: path.read_bytes() for path in out_dir.rglob("*") if path.is_file()}
