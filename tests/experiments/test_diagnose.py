"""The diagnosis from a checkout: what the claims say and the verdicts measured in its folder stand beside the findings."""

import subprocess
import sys
from pathlib import Path

import numpy as np

from experiments import diagnose
from experiments.study import results

ROOT = Path(__file__).resolve().parents[2]
MODEL = """
import jax
from jaxnotes import probe

def constant():
    return lambda x: probe.tap("out", 0 * x[:, :3] + 1)
"""


def test_verdicts_are_those_of_the_folder(tmp_path, saturation_run, limits):
    results.save(tmp_path, results.judged(saturation_run, {"saturation.limits": limits(ends=(0.0, 2.0))}))
    notes = diagnose.notes(tmp_path)
    assert notes.verdicts == {"saturation.limits": "fails"}
    assert "residual.path" in notes.statements
    assert diagnose.notes(tmp_path / "empty").verdicts == {}


def test_the_page_says_what_the_claims_say(tmp_path):
    (tmp_path / "model.py").write_text(MODEL)
    flags = [
        f"--model={tmp_path / 'model.py'}:constant",
        f"--out_dir={tmp_path}",
        "--loss=squared_error",
        f"--batch={tmp_path / 'b.npz'}",
    ]
    np.savez(tmp_path / "b.npz", inputs=np.random.default_rng(0).normal(size=(20, 4)), targets=np.zeros((20, 3)))
    command = [sys.executable, "-m", "experiments.diagnose", *flags]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 3, done.stderr
    page = (tmp_path / "diagnosis.html").read_text()
    assert "python -m experiments.diagnose --model=" in page
    assert "constant-representation" in page
