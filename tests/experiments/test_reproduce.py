"""Reproduction: what is unchanged is skipped, a killed run loses only the topic that ran, a failing topic stops no other."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from rich.console import Console

from experiments import reproduce
from experiments.study import results, topics
from experiments.study.measurement import Evidence, exact
from experiments.study.settings import SettingsError


def command(out_dir, *arguments):
    return [sys.executable, "-m", "experiments.reproduce", "--scale=quick", "--nosite", f"--out_dir={out_dir}", *arguments]


def run(out_dir, *arguments):
    return subprocess.run(command(out_dir, *arguments), capture_output=True, text=True, timeout=300)


@pytest.fixture(scope="module")
def out_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("out")
    shown = run(folder, "--topics=saturation")
    assert shown.returncode == 0, shown.stderr
    assert "saturation: measured" in shown.stdout and "saturation.blocks" in shown.stdout
    return folder


def stamp(out_dir):
    return json.loads((out_dir / "results/saturation.json").read_text())["seconds"]


def test_an_unchanged_topic_is_skipped_and_its_lost_figure_drawn_again(out_dir):
    seconds, figure = stamp(out_dir), out_dir / "figures/saturation-blocks.svg"
    drawn = figure.read_bytes()
    figure.unlink()
    shown = run(out_dir, "--topics=saturation")
    assert "saturation: unchanged" in shown.stdout and stamp(out_dir) == seconds
    assert figure.read_bytes() == drawn  # the same results give the same bytes


def test_force_and_another_seed_measure_again(out_dir):
    assert "saturation: measured" in run(out_dir, "--topics=saturation", "--force").stdout
    assert "saturation: measured" in run(out_dir, "--topics=saturation", "--seed=3").stdout
    assert json.loads((out_dir / "results/saturation.json").read_text())["seed"] == 3


@pytest.mark.parametrize("scale", ["paper", "quick"])
def test_the_shortest_topic_of_a_scale_is_measured_first_and_the_others_from_the_longest(scale):
    steps = reproduce._ordered([reproduce.Step(topic, scale, None, None) for topic in topics.TOPICS])
    expected = [sum(getattr(part, scale) for part in topics.load(step.topic).PARTS) for step in steps]
    assert expected[0] == min(expected) and expected[1:] == sorted(expected[1:], reverse=True)


def test_sigkill_loses_only_the_topic_that_was_running(out_dir):
    before = (out_dir / "results/saturation.json").read_bytes()
    process = subprocess.Popen(command(out_dir, "--topics=causes"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    time.sleep(6)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert (out_dir / "results/saturation.json").read_bytes() == before
    assert results.load(out_dir, "saturation") is not None and results.load(out_dir, "causes") is None


def test_topics_are_words_by_comma_or_space():
    assert reproduce._chosen_topics(["residual saturation"]) == ["residual", "saturation"]
    assert reproduce._chosen_topics(["saturation", "causes"]) == ["causes", "saturation"]
    assert reproduce._chosen_topics([]) == list(topics.TOPICS)
    with pytest.raises(SettingsError, match="--topics=sorrow is not one of"):
        reproduce._chosen_topics(["sorrow"])


def test_a_topic_that_measures_other_claims_than_its_own_is_refused(tmp_path, monkeypatch):
    from experiments.saturation import measurement as saturation
    from experiments.study import run as runner

    monkeypatch.setattr(saturation, "measure", lambda *_: {"saturation.range": Evidence((exact("a", 1),))})
    with pytest.raises(ValueError, match="claims.toml has"):
        runner.measure_topic(
            "saturation", saturation.TOPIC.settings(), seed=0, scale="quick", command="c", out_dir=tmp_path
        )  # fmt: skip
    assert not (tmp_path / "results").exists()


def test_a_kept_topic_that_cannot_be_drawn_stops_no_other(out_dir, monkeypatch, capsys):
    def no_pencil(out_dir, measured):
        raise RuntimeError("no pencil")

    monkeypatch.setattr(reproduce.run, "keep", no_pencil)
    failed, step = [], reproduce.Step("causes", "quick", None, kept=object())
    reproduce._attempt("causes", lambda: reproduce._keep(step, out_dir), failed, Console())
    reproduce._attempt("saturation", lambda: "measured in 1 s", failed, Console())
    shown = capsys.readouterr()
    assert failed == ["causes"] and "no pencil" in shown.err and "saturation: measured in 1 s" in shown.out
