"""Fingerprints: what a topic depends on is in, what does not shape its result is out."""

import dataclasses

from experiments.causes import measurement as causes
from experiments.saturation import measurement as saturation
from experiments.study import fingerprint


def test_the_closure_follows_imports_of_both_packages():
    found = fingerprint.closure("experiments.saturation")
    expected = {"experiments.saturation", "experiments.measurement", "jaxnotes.layers.activations", "jaxnotes.models.mlp"}
    assert expected <= found
    assert any(name.startswith("jaxnotes.jacobians.") for name in found)


def test_figures_rules_and_the_command_line_are_left_out():
    found = fingerprint.closure("experiments.saturation")
    assert not any(name.startswith(("experiments.figures", "experiments.rules", "experiments.script")) for name in found)


def test_a_changed_line_setting_or_seed_changes_the_key(monkeypatch, tmp_path):
    settings = dataclasses.asdict(saturation.TOPIC.settings.preset("quick"))
    key = fingerprint.of_run("experiments.saturation", settings, 0)
    assert key == fingerprint.of_run("experiments.saturation", settings, 0)
    assert key != fingerprint.of_run("experiments.saturation", settings | {"width": 65}, 0)
    assert key != fingerprint.of_run("experiments.saturation", settings, 1)
    assert key != fingerprint.of_run(causes.__name__, settings, 0)
    copy = tmp_path / "experiments"
    copy.mkdir()
    source = (fingerprint.ROOT / "experiments/files.py").read_text()  # imports nothing of the project
    for text in (source, source + "\n# changed\n"):
        (copy / "files.py").write_text(text)
        monkeypatch.setattr(fingerprint, "ROOT", tmp_path)
        digest = fingerprint.of_code("experiments.files")
        monkeypatch.undo()
        assert (digest == fingerprint.of_code("experiments.files")) == (text == source)
