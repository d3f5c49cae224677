"""`assert_healthy`, in code and as pytest's fixture."""

import importlib
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest

from jaxnotes import diagnosis, probe
from jaxnotes.diagnosis import _health

pytestmark = pytest.mark.usefixtures("standard_promotion")
ROOT = Path(__file__).resolve().parent.parent.parent


def layers(parameters, x):
    return probe.tap("out", jnp.tanh(probe.tap("hidden", x @ parameters["hidden"])) @ parameters["out"])


def model(key, size):
    weights = {"hidden": (16, 32), "out": (32, 4)}
    return layers, {name: size * jax.random.normal(key, shape) / shape[0] ** 0.5 for name, shape in weights.items()}


def test_a_finding_fails_with_its_text_and_none_passes(key):
    batch = jax.random.normal(key, (16, 16)), jnp.arange(16) % 4
    healthy = diagnosis.assert_healthy(model(key, 1.0), batch, "cross_entropy", jacobian=False)
    assert healthy == () and healthy.checks
    faulty = model(key, 30.0)
    with pytest.raises(AssertionError, match=r"^\d findings? among [^\n]*\n(.*\n)*saturated-units: hidden\n  evidence: "):
        diagnosis.assert_healthy(faulty, batch, "cross_entropy", jacobian=False)
    ignored = diagnosis.assert_healthy(faulty, batch, "cross_entropy", jacobian=False, ignore=diagnosis.KINDS)
    assert ignored == () and ignored.ignored == diagnosis.KINDS


def test_a_hint_does_not_fail(key, monkeypatch):
    hint = diagnosis.Finding("targets", (), "one class", (), (), hint=True, source="a rule")
    monkeypatch.setattr(_health, "explain", lambda report, **options: diagnosis.Findings([hint], ("targets",)))
    batch = jax.random.normal(key, (16, 16)), jnp.arange(16) % 4
    assert diagnosis.assert_healthy(model(key, 1.0), batch, "cross_entropy", jacobian=False) == (hint,)


SUITE = """
import sys, pytest

def test_jax_waits_for_the_first_call(assert_healthy):
    assert "jax" not in sys.modules and "numpy" not in sys.modules

def test_health(assert_healthy):
    import jax.numpy as jnp
    from jaxnotes import probe
    x = jnp.linspace(-1, 1, 64).reshape(16, 4)
    model, batch = (lambda p, x: probe.tap("out", p["bias"] + 1e-5 * x), {"bias": jnp.ones((1, 4))}), (x, x)
    check = lambda **said: assert_healthy(model, batch, "squared_error", jacobian=False, clip_norm=1e4, **said)
    assert check() == ()  # by pyproject.toml
    with pytest.raises(AssertionError, match="2 findings"):
        check(ignore=())
    with pytest.raises(AssertionError, match="^1 finding .*\\nclipping"):
        check(ignore=["constant-representation"])
    assert check(ignore=["clipping"], thresholds={"constant_representation_share": 1e-9}) == ()
"""
PROJECT = """
[tool.jaxnotes]
ignore = ["constant-representation", "clipping"]
"""


def test_the_fixture_takes_the_projects_settings_and_imports_jax_late(tmp_path):
    (tmp_path / "pyproject.toml").write_text(PROJECT + "[tool.pytest.ini_options]\naddopts = '-p no:cacheprovider'\n")
    (tmp_path / "test_model.py").write_text(SUITE)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "jaxnotes.pytest_plugin", "test_model.py"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout


def test_the_entry_point_names_the_plugin():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    plugin = importlib.import_module(project["entry-points"]["pytest11"]["jaxnotes"])
    assert plugin.assert_healthy.__doc__
