"""Reproduction: what is unchanged is skipped, a killed run loses only the topic that ran, a failing topic stops no other."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from experiments import reproduce
from experiments.study import results, topics
from experiments.study.measurement import Evidence, exact
from experiments.study.settings import SettingsError

ROOT = Path(__file__).resolve().parents[2]


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


@pytest.fixture
def measured(out_dir):
    return results.load(out_dir, "saturation")


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


def test_what_took_longest_last_time_goes_first_and_what_is_unknown_before_it(measured):
    earlier = lambda seconds, scale="quick": measured._replace(
        run=dataclasses.replace(measured.run, seconds=seconds, scale=scale)
    )
    steps = [
        reproduce.Step(name, "quick", None, before, kept=False)
        for name, before in (("a", earlier(2.0)), ("b", None), ("c", earlier(9.0)), ("d", earlier(1.0, "paper")))
    ]
    assert [step.topic for step in reproduce._ordered(steps)] == ["b", "d", "c", "a"]


def test_sigkill_loses_only_the_topic_that_was_running(out_dir, tmp_path):
    """The kill comes after causes began to measure, which its line of progress says, and long before it can be done."""
    before = (out_dir / "results/saturation.json").read_bytes()
    process = subprocess.Popen(command(out_dir, "--topics=causes"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert "causes: measuring" in process.stdout.readline()
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


def test_a_topic_that_measures_other_claims_than_its_own_is_refused(tmp_path):
    from experiments.study import run as runner

    saturation = topics.load("saturation")
    other = dataclasses.replace(saturation, parts=(lambda *_: {"saturation.range": Evidence((exact("a", 1),))},))
    with pytest.raises(ValueError, match="claims.toml has"):
        runner.measure_topic(other, saturation.settings(), seed=0, scale="quick", command="c", out_dir=tmp_path)
    assert not (tmp_path / "results").exists()


def test_a_kept_topic_that_cannot_be_drawn_stops_no_other(measured, tmp_path, monkeypatch, capsys):
    def no_pencil(out_dir, measured):
        raise RuntimeError("no pencil")

    monkeypatch.setattr(reproduce.run, "draw", no_pencil)
    failed, kept = [], reproduce.Step("causes", "quick", None, measured, kept=True)
    reproduce._attempt("causes", lambda: reproduce._keep(kept, tmp_path), failed, Console())
    reproduce._attempt("saturation", lambda: "measured in 1 s", failed, Console())
    shown = capsys.readouterr()
    assert failed == ["causes"] and "no pencil" in shown.err and "saturation: measured in 1 s" in shown.out


def test_a_twelfth_question_is_one_folder_and_one_word(tmp_path):
    """In a copy of the project: nothing else has to know it."""
    for package in ("experiments", "jaxnotes"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    toy = tmp_path / "experiments" / "toy"
    toy.mkdir()
    for name, text in TOY.items():
        (toy / name).write_text(text)
    words = tmp_path / "experiments" / "study" / "topics.py"
    words.write_text(words.read_text().replace('    "embedding",\n', '    "embedding",\n    "toy",\n'))
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    asked = {"capture_output": True, "text": True, "timeout": 300, "cwd": tmp_path, "env": environment}
    shown = subprocess.run(command(tmp_path / "out", "--topics=toy"), **asked)
    assert shown.returncode == 0 and "toy: measured" in shown.stdout, shown.stderr
    entry = json.loads((tmp_path / "out/results/toy.json").read_text())["claims"]["toy.coin"]
    assert (
        entry["verdict"] == "holds-if"
        and entry["condition"] == "With 8 throws."
        and (tmp_path / "out/figures/toy-coin.svg").is_file()
    )
    assert json.loads((tmp_path / "out/numbers.json").read_text())["toy.coin/heads"]["unit"] == "of the throws"
    shown = subprocess.run([sys.executable, "-m", "experiments.toy", "--throws=9", f"--out_dir={tmp_path / 'out'}"], **asked)
    assert shown.returncode == 0 and "toy.coin" in shown.stdout, shown.stderr


TOY = {
    "__init__.py": '"""Does a coin fall on both sides?"""\n',
    "__main__.py": 'from experiments.study import script\n\nif __name__ == "__main__":\n    script.run_topic("toy")\n',
    "settings.py": """
import dataclasses

from experiments.study.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class Toy(Settings):
    throws: int = setting(16, "Throws of the coin.", quick=8, minimum=2)
""",
    "measurement.py": """
import jax

from experiments.study.measurement import Evidence, interval
from experiments.study.topic import Topic
from experiments.toy.settings import Toy


def coin(settings: Toy, key):
    heads = jax.random.bernoulli(key, 0.5, (settings.throws,))
    return {"toy.coin": Evidence((interval("heads", heads, unit="of the throws"),))}


TOPIC = Topic("toy", Toy, (coin,))
""",
    "figures.py": """
from experiments.study.figures.style import new_figure


def coin(evidence):
    figure, axes = new_figure()
    axes.bar(["heads"], [evidence["heads"].value])
    return figure


FIGURES = {"toy.coin": coin}
""",
    "claims.toml": """
["toy.coin"]
en = "A coin falls on both sides."
zh = "硬币两面都会出现。"
caption.en = "Throws that show heads. There are some."
caption.zh = "掷出正面的次数。有一些。"
holds = ["heads above 2"]
holds-if = ["heads above -1"]
condition.en = "With {setting:throws} throws."
condition.zh = "掷 {setting:throws} 次。"
fails = ["heads below -1"]
""",
}
