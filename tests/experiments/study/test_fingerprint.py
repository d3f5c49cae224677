"""Fingerprints: what a topic depends on is in, what does not shape its result is out."""

import dataclasses
import shutil

import pytest

from experiments.study import fingerprint, topics


def test_the_closure_follows_imports_of_both_packages():
    found = fingerprint.closure("experiments.saturation.measurement")
    ours = {"experiments.saturation.settings", "experiments.study.measurement", "experiments.study.topic"}
    assert ours | {"jaxnotes.layers.activations", "jaxnotes.models.mlp"} <= found
    assert any(name.startswith("jaxnotes.jacobians.") for name in found)


@pytest.mark.parametrize("topic", topics.TOPICS)
def test_figures_rules_the_list_of_topics_and_the_command_line_are_left_out(topic):
    found = fingerprint.closure(f"experiments.{topic}.measurement")
    left_out = {f"experiments.study.{name}" for name in ("figures", "rules", "topics", "script", "results", "run", "tests")}
    assert not found & (left_out | {f"experiments.{topic}.figures"})


def test_another_setting_seed_or_topic_is_another_key():
    saturation = topics.load("saturation")
    settings = saturation.settings.preset("quick")
    key = fingerprint.of_run(saturation, settings, 0)
    assert key == fingerprint.of_run(saturation, settings, 0)
    assert key != fingerprint.of_run(saturation, dataclasses.replace(settings, width=65), 0)
    assert key != fingerprint.of_run(saturation, settings, 1)
    assert key != fingerprint.of_run(topics.load("causes"), settings, 0)


def test_another_version_or_device_is_another_key(monkeypatch):
    saturation = topics.load("saturation")
    settings = saturation.settings.preset("quick")
    keys = [fingerprint.of_run(saturation, settings, 0)]
    monkeypatch.setattr(fingerprint, "device", lambda: "another device")
    keys.append(fingerprint.of_run(saturation, settings, 0))
    monkeypatch.setattr(fingerprint, "versions", lambda: {"jax": "0"})
    keys.append(fingerprint.of_run(saturation, settings, 0))
    assert len(set(keys)) == 3


def test_an_optional_package_counts_for_the_topic_that_reads_it_only():
    plain, reading = topics.load("saturation"), topics.load("embedding")
    assert plain.optional_versions() == {} and "gensim" in reading.optional_versions()
    absent = dataclasses.replace(reading, optional=("no-such-package",))
    assert absent.optional_versions() == {"no-such-package": "not installed"}
    settings = reading.settings.preset("quick")
    assert fingerprint.of_run(reading, settings, 0) != fingerprint.of_run(absent, settings, 0)


@pytest.mark.parametrize(
    "change, same",
    [
        (lambda text: text + "\n# a comment\n", True),
        (lambda text: text.replace("import os\n", "import os\n\n\n"), True),
        (lambda text: text.replace("Sets XLA's flags", "Puts XLA's flags"), True),  # a docstring
        (lambda text: text.replace("optimization_level=1", "optimization_level=2"), False),
    ],
    ids=("comment", "format", "docstring", "code"),
)
def test_comments_format_and_prose_change_nothing_and_code_does(monkeypatch, tmp_path, change, same):
    before = fingerprint.of_code("experiments.study.compilation")  # imports nothing of the project
    copy = tmp_path / "experiments" / "study"
    copy.mkdir(parents=True)
    shutil.copy(fingerprint.ROOT / "experiments/study/compilation.py", copy)
    text = (copy / "compilation.py").read_text()
    assert change(text) != text
    (copy / "compilation.py").write_text(change(text))
    monkeypatch.setattr(fingerprint, "ROOT", tmp_path)
    assert (fingerprint.of_code("experiments.study.compilation") == before) == same


def test_docstrings_of_classes_and_functions_are_prose_too_and_other_strings_are_not(monkeypatch, tmp_path):
    (tmp_path / "experiments").mkdir()
    source = tmp_path / "experiments" / "toy.py"
    monkeypatch.setattr(fingerprint, "ROOT", tmp_path)

    def code(of_module="a", of_class="a", of_method="a", value="a"):
        source.write_text(
            f'"""{of_module}"""\n\n\nclass Toy:\n    """{of_class}"""\n\n    def say(self):\n        """{of_method}"""\n'
            f'        return "{value}"\n'
        )
        return fingerprint.of_code("experiments.toy")

    assert code() == code(of_module="b") == code(of_class="b") == code(of_method="b") != code(value="b")
