"""The command: exit statuses, files, and one line for bad input."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
MODELS = """
import jax, jax.numpy as jnp
import flax.linen as nn
from jaxnotes import probe

class Network(nn.Module):
    scale: float
    @nn.compact
    def __call__(self, x):
        for _ in range(6):
            x = nn.relu(nn.Dense(64, kernel_init=nn.initializers.normal(self.scale))(x))
        return nn.Dense(10)(x)

def healthy(key):
    return Network(0.17), Network(0.17).init(key, jnp.zeros((1, 784)))

def faulty(key):
    return Network(0.01), Network(0.01).init(key, jnp.zeros((1, 784)))

def plain():
    return lambda x: probe.tap("out", x[:, :3])

def loss(outputs, targets):
    return jnp.mean((outputs - targets[:, :3]) ** 2)

number = 3
"""


def diagnose(folder, *flags):
    (folder / "models.py").write_text(MODELS)
    command = [sys.executable, "-m", "experiments.diagnose", f"--out_dir={folder / 'out'}", *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)


def test_a_faulty_model_is_status_3_with_page_numbers_and_figure(tmp_path):
    done = diagnose(tmp_path, f"--model={tmp_path / 'models.py'}:faulty", "--verify")
    assert done.returncode == 3, done.stderr
    assert "initialisation" in done.stdout and "after:" in done.stdout and "Dense_0" in done.stdout
    document = json.loads((tmp_path / "out" / "diagnosis.json").read_text())
    assert {"initialisation", "vanishing-gradient"} <= {found["kind"] for found in document["findings"]}
    assert len(document["report"]["layers"]) == 7 and document["verified"][0]["gone"]
    assert document["report"]["layers"][-1]["saturated_fraction"] is None  # no activation function behind the last layer
    page = (tmp_path / "out" / "diagnosis.html").read_text()
    assert "<svg" in page and "causes.init-small" in page and 'src="http' not in page
    assert {path.name for path in (tmp_path / "out" / "figures").iterdir()} == {f"diagnosis.{s}" for s in ("svg", "pdf", "png")}


def test_a_healthy_model_is_status_0(tmp_path):
    done = diagnose(tmp_path, f"--model={tmp_path / 'models.py'}:healthy")
    assert done.returncode == 0, done.stderr
    assert "no findings" in done.stdout


def test_a_batch_and_a_loss_of_ones_own(tmp_path):
    np.savez(tmp_path / "batch.npz", inputs=np.random.default_rng(0).normal(size=(20, 4)), targets=np.zeros((20, 4)))
    models = tmp_path / "models.py"
    done = diagnose(tmp_path, f"--model={models}:plain", f"--batch={tmp_path / 'batch.npz'}", f"--loss={models}:loss")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model=nowhere.py:build"], "there is no file nowhere.py"),
        (["--model={models}"], "must be path/to/file.py:function"),
        (["--model={models}:nothing"], "has no 'nothing'"),
        (["--model={models}:number"], "is a int"),
        (["--model={models}:healthy", "--batch=nothing.npz"], "there is no such file"),
        (["--model={models}:healthy", "--loss=hinge"], "or one of cross_entropy"),
        (["--model={models}:plain", "--loss=squared_error"], "does not take the batch"),
        (["--modle=x"], "Unknown command line flag"),
        ([], "--model must have a value"),
    ],
)
def test_bad_input_is_one_line_and_status_2(tmp_path, flags, message):
    done = diagnose(tmp_path, *(flag.format(models=tmp_path / "models.py") for flag in flags))
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
    assert message in done.stderr
