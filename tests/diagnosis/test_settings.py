"""Kinds that are ignored and thresholds that are set: in code, and by a project's pyproject.toml."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from jaxnotes import diagnosis, probe
from jaxnotes.diagnosis import _explanation


@pytest.fixture(scope="module")
def report():
    """Of a constant function with a clipping limit that never acts: two findings."""
    x = jnp.asarray(np.random.default_rng(0).normal(size=(16, 4)), jnp.float32)
    model = lambda parameters, x: probe.tap("out", parameters["bias"] + 0 * x)
    batch = (x, jnp.zeros((16, 4)))
    return probe.read((model, {"bias": jnp.ones((1, 4))}), batch, "squared_error", clip_norm=1e4, jacobian=False)


def kinds(findings) -> list[str]:
    return [found.kind for found in findings]


def test_ignored_kinds_are_left_out_and_named(report):
    assert kinds(diagnosis.explain(report)) == ["constant-representation", "clipping"]
    findings = diagnosis.explain(report, ignore=("clipping",))
    assert kinds(findings) == ["constant-representation"]
    assert findings.summary.endswith("checks; ignored: clipping") and findings.ignored == ("clipping",)
    assert kinds(diagnosis.explain(report, ignore="clipping")) == ["constant-representation"]
    with pytest.raises(ValueError, match="there is no kind of finding 'cliping'; near it: clipping"):
        diagnosis.explain(report, ignore=["cliping"])


def test_to_ignore_a_kind_brings_up_no_other(report):
    broken = dataclasses.replace(report, loss=float("nan"))
    assert kinds(diagnosis.explain(broken)) == ["non-finite"]
    assert kinds(diagnosis.explain(broken, ignore=["non-finite"])) == []


def test_a_threshold_decides(report):
    norm = report.gradient_norm  # of the limit 10,000
    for share, found in ((1.01, True), (0.99, False)):
        findings = diagnosis.explain(report, thresholds={"clipping_never_factor": share * norm / 1e4})
        assert ("clipping" in kinds(findings)) is found


@pytest.mark.parametrize(
    ("thresholds", "message"),
    [
        ({"clipping_factor": 1}, "there is no threshold 'clipping_factor'; near it: clipping_.*_factor"),
        ({"large_update_share": 0}, "large_update_share is 0, expected a positive finite number"),
        ({"large_update_share": "1"}, "large_update_share is '1', expected a positive finite number"),
        ({"large_update_share": True}, "expected a positive finite number"),
        ({"stale_statistics_variance_factor": 1}, "expected more than 1"),
    ],
)
def test_a_wrong_threshold_is_one_clear_line(report, unchecked, thresholds, message):
    with pytest.raises(ValueError, match=message):
        diagnosis.explain(report, thresholds=thresholds)


def test_each_check_is_given_the_callers_thresholds(report, monkeypatch):
    check = lambda report, thresholds: [
        diagnosis.Finding("inputs", (), f"above {thresholds.large_update_share}", (), (), source="here")
    ]
    monkeypatch.setattr(_explanation, "CHECKS", (check, check))
    findings = diagnosis.explain(report, thresholds={"large_update_share": 0.4})
    assert [x.evidence for x in findings] == ["above 0.4", "above 0.4"]


def test_a_finding_says_where_to_read_more(report):
    assert "more: jaxnotes-diagnose --explain=clipping" in str(diagnosis.explain(report))


PROJECT = """
[tool.jaxnotes]
ignore = ["clipping"]
[tool.jaxnotes.thresholds]
large_update_share = 0.5
dead_units_share = 0.9
"""


def test_settings_come_from_the_nearest_file_with_our_table(tmp_path):
    inner = tmp_path / "package" / "tests"
    inner.mkdir(parents=True)
    assert diagnosis.settings(inner) == diagnosis.Settings()
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / "package" / "pyproject.toml").write_text("[tool.ruff]\nline-length = 100\n")
    found = diagnosis.settings(inner)
    assert found.ignore == ("clipping",)
    assert found.thresholds == {"large_update_share": 0.5, "dead_units_share": 0.9}
    (inner / "pyproject.toml").write_text("[tool.jaxnotes]\n")
    assert diagnosis.settings(inner) == diagnosis.Settings()


def test_what_is_said_later_comes_before_the_file(tmp_path):
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    found = diagnosis.settings(tmp_path)
    assert found.overridden(None, None) == found
    later = found.overridden([], {"large_update_share": 1.0})
    assert later == diagnosis.Settings((), {"large_update_share": 1.0, "dead_units_share": 0.9})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[tool.jaxnotes]\nignore = ['clip']", r"\[tool.jaxnotes\]: there is no kind of finding 'clip'; near it: clipping"),
        ("[tool.jaxnotes]\nignored = []", "there is no setting 'ignored'; near it: ignore"),
        ("[tool.jaxnotes]\nignore = 'clipping'", "ignore is 'clipping', expected a list of kinds"),
        ("[tool.jaxnotes.thresholds]\nlarge_update = 1", "there is no threshold 'large_update'; near it: large_update_share"),
        ("[tool.jaxnotes]\nthresholds = 3", "thresholds is 3, expected a table of numbers"),
        ("[tool]\njaxnotes = 3", "it is 3, expected a table"),
        ("[tool.jaxnotes", "cannot be read: "),
    ],
)
def test_a_wrong_file_is_named(tmp_path, unchecked, text, message):
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(ValueError, match=message) as raised:
        diagnosis.settings(tmp_path)
    assert str(raised.value).startswith(str(tmp_path / "pyproject.toml")) and "\n" not in str(raised.value)
