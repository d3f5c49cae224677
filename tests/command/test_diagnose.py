"""The command: exit statuses, files, and one line for bad input."""

import json
import subprocess
import sys

import jax
import numpy as np
import pytest

from jaxnotes.command import inputs
from jaxnotes.command.errors import InputError

MODELS = """
import jax, jax.numpy as jnp
import flax.linen as nn
from experiments.depths import DEPTH
from jaxnotes import probe

class Network(nn.Module):
    scale: float
    @nn.compact
    def __call__(self, x):
        for _ in range(DEPTH):
            x = nn.relu(nn.Dense(64, kernel_init=nn.initializers.normal(self.scale))(x))
        return nn.Dense(10)(x)

def healthy(key):
    return Network(0.17), Network(0.17).init(key, jnp.zeros((1, 784)))

def faulty(key):
    return Network(0.01), Network(0.01).init(key, jnp.zeros((1, 784)))

def plain():
    return lambda x: probe.tap("out", x[:, :3])

def broken():
    raise RuntimeError("no weights")

def loss(outputs, targets):
    return jnp.mean((outputs - targets[:, :3]) ** 2)

number = 3
"""


@pytest.fixture
def folder(tmp_path):
    """A user's folder, with models and a package of their own that happens to have the name of this project's study."""
    (tmp_path / "models.py").write_text(MODELS)
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "__init__.py").touch()
    (tmp_path / "experiments" / "depths.py").write_text("DEPTH = 6\n")
    return tmp_path


def diagnose(folder, *flags):
    """The installed command, in the user's folder."""
    command = [sys.executable, "-P", "-c", "from jaxnotes.command.entry import diagnose; diagnose()", *flags]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)


def test_a_faulty_model_is_status_3_with_page_numbers_and_figure(folder):
    done = diagnose(folder, "--model=models.py:faulty", "--verify")
    assert done.returncode == 3, done.stderr
    assert "initialisation" in done.stdout and "after:" in done.stdout and "Dense_0" in done.stdout
    document = json.loads((folder / "out" / "diagnosis.json").read_text())
    assert document["command"] == "jaxnotes-diagnose --model=models.py:faulty --verify"
    assert {"initialisation", "vanishing-gradient"} <= {found["kind"] for found in document["findings"]}
    assert len(document["report"]["layers"]) == 7 and document["verified"][0]["gone"]
    assert document["report"]["layers"][-1]["saturated_fraction"] is None  # no activation function behind the last layer
    page = (folder / "out" / "diagnosis.html").read_text()
    assert "<svg" in page and "causes.init-small" in page and 'src="http' not in page
    figures = folder / "out" / "figures"
    assert {path.name for path in figures.iterdir()} == {f"diagnosis.{s}" for s in ("svg", "pdf", "png")}
    assert b"/Type3" not in (figures / "diagnosis.pdf").read_bytes()  # which publishers refuse


def test_a_healthy_model_is_status_0(folder):
    done = diagnose(folder, "--model=models.py:healthy")
    assert done.returncode == 0, done.stderr
    assert "no findings" in done.stdout


def test_a_project_and_flags_say_what_is_judged_and_how_it_is_printed(folder):
    (folder / "pyproject.toml").write_text("[tool.jaxnotes]\nignore = ['vanishing-gradient']\n")
    done = diagnose(folder, "--model=models.py:faulty", "--format=github")
    assert done.returncode == 3, done.stderr
    line = MODELS.splitlines().index("def faulty(key):") + 1
    (annotation,) = done.stdout.splitlines()
    assert annotation.startswith(f"::error file=models.py,line={line},title=jaxnotes initialisation::")
    flags = ("--ignore=initialisation", "--threshold=vanishing_gradient_decades=9", "--format=json")
    done = diagnose(folder, "--model=models.py:faulty", *flags)  # in place of the file's
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["findings"] == [] and document["ignored"] == ["initialisation"]
    assert done.stdout == (folder / "out" / "diagnosis.json").read_text()


def test_a_kind_is_explained_without_a_model(folder):
    done = diagnose(folder, "--explain=clipping")
    assert done.returncode == 0 and "clip_norm=1e-3" in done.stdout and "clipping_never_factor = 0.01" in done.stdout


def test_settings_that_are_none_are_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert inputs.settings(["clipping"], ["dead_units_share=0.9"]).thresholds == {"dead_units_share": 0.9}
    for ignore, thresholds, message in (
        (["clip"], [], "^--ignore and --threshold: there is no kind of finding 'clip'; near it: clipping$"),
        (None, ["large=1"], "there is no threshold 'large'; near it: large_update_share"),
        (None, ["large_update_share"], "^--threshold=large_update_share must be NAME=VALUE, a number$"),
    ):
        with pytest.raises(InputError, match=message):
            inputs.settings(ignore, thresholds)
    (tmp_path / "pyproject.toml").write_text("[tool.jaxnotes]\nignore = ['clip']\n")
    with pytest.raises(InputError, match="pyproject.toml: .*there is no kind of finding 'clip'"):
        inputs.settings(None, [])


def test_a_batch_and_a_loss_of_ones_own(folder):
    np.savez(folder / "batch.npz", inputs=np.random.default_rng(0).normal(size=(20, 4)), targets=np.zeros((20, 4)))
    done = diagnose(folder, "--model=models.py:plain", "--batch=batch.npz", "--loss=models.py:loss")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--modle=x"], "Unknown command line flag"),
        ([], "--model must have a value"),
        (["--model=nowhere.py:build"], "there is no file nowhere.py"),
        (["--model=nowhere.py:build", "--out_dir=/dev/null/x"], "--out_dir=/dev/null/x cannot be written"),
        (["--explain=clip"], "--explain=clip: there is no kind of finding 'clip'; near it: clipping"),
    ],
)
def test_bad_input_is_one_line_and_status_2(folder, flags, message):
    done = diagnose(folder, *flags)
    assert done.returncode == 2 and len(done.stderr.strip().splitlines()) == 1
    assert message in done.stderr


@pytest.mark.parametrize(
    ("spelled", "message"),
    [
        ("models.py", "must be path/to/file.py:function$"),
        ("models.py:nothing", "has no 'nothing'; it has .*healthy"),
        ("models.py:number", "is a int"),
        ("models.py:broken", "failed: RuntimeError: no weights"),
        ("experiments:build", "there is no file"),
    ],
)
def test_a_model_that_cannot_be_had(folder, monkeypatch, spelled, message):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in sys.modules if name.partition(".")[0] == "experiments"]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(InputError, match=message):
        inputs.model(spelled, jax.random.key(0))


def test_a_batch_that_cannot_be_had(tmp_path):
    (tmp_path / "text.npz").write_text("text")
    np.savez(tmp_path / "named.npz", pictures=np.zeros(3))
    for file, message in (
        ("no.npz", "there is no such file"),
        ("text.npz", "is no .npz file"),
        ("named.npz", "has arrays pictures"),
    ):
        with pytest.raises(InputError, match=message):
            inputs.batches(str(tmp_path / file), 10)


def test_a_loss_or_a_batch_that_does_not_fit():
    with pytest.raises(InputError, match="or one of cross_entropy"):
        inputs.loss("hinge")
    batches = inputs.batches("digits", 4)
    assert [images.shape for images, _ in batches] == [(4, 28, 28, 1), (4, 784), (4, 1, 28, 28)]
    with pytest.raises(InputError, match=r"does not take the batch; inputs of shape \[4, 28, 28, 1\]: ValueError"):
        inputs.read_first(lambda x: x, batches, "squared_error", {})
