"""The stability command: which sets run, where and under which instructions, and that it goes on where it stopped."""

import contextlib
import dataclasses
from typing import NamedTuple

import pytest
from absl import flags

from experiments import stability
from experiments.study import agreement, reference, results


class Ended(NamedTuple):
    """A process."""

    status: int

    def wait(self) -> int:
        return self.status


@pytest.fixture
def study(tmp_path, monkeypatch, saturation_run, limits):
    """A study of one topic whose runs save made-up results; returns the calls that it got."""
    calls = []

    @contextlib.contextmanager
    def running(module, arguments, env):
        assert module == "experiments.reproduce"
        arguments = dict(word.lstrip("-").partition("=")[::2] for word in arguments)
        calls.append((arguments["seed"], env["XLA_FLAGS"]))
        made = dataclasses.replace(saturation_run, seed=int(arguments["seed"]), scale="paper")
        found = results.judged(made, {"saturation.limits": limits()})
        results.save(stability.Path(arguments["out_dir"]), found)
        yield Ended(0)

    monkeypatch.setattr(stability.children, "running", running)
    monkeypatch.setattr(stability.topics, "TOPICS", ("saturation",))
    monkeypatch.setattr(agreement, "PATH", tmp_path / "stability.json")
    monkeypatch.setattr(reference, "PATH", tmp_path / "reference.json")
    monkeypatch.setenv("XLA_FLAGS", "")
    return calls


class Values(dict):
    __getattr__ = dict.__getitem__


def stable(tmp_path, monkeypatch, **changes):
    monkeypatch.setattr(flags, "FLAGS", Values({"out_dir": str(tmp_path / "out"), "seeds": 2, "topics": []} | changes))
    stability.main([])


def test_seed_sets_run_first_then_seed_0_with_fewer_instructions_and_nothing_twice(tmp_path, monkeypatch, study, capsys):
    stable(tmp_path, monkeypatch)
    isa = [("0", f"--xla_cpu_max_isa={name}") for name in ("SSE4_2", "AVX2")]
    assert study == [("0", ""), ("1", ""), *isa]
    assert "1 of " in capsys.readouterr().out
    assert list(agreement.read()) == ["seed 0", "seed 1", "seed 0, SSE4_2", "seed 0, AVX2"]
    assert {topic: entry["seed"] for topic, entry in reference.read()["topics"].items()} == {"saturation": 0}
    stable(tmp_path, monkeypatch, seeds=3)
    assert study[4:] == [("2", "")]
    assert reference.read()["topics"]["saturation"]["seed"] == 0


def test_the_reference_is_the_run_of_make_figures(tmp_path):
    assert stability.REFERENCE.folder(tmp_path) == tmp_path
    assert stability.Set(2).folder(tmp_path) == tmp_path / "stability" / "seed-2"
    assert stability.Set(0, "AVX2").folder(tmp_path) == tmp_path / "stability" / "seed-0-AVX2"


def test_a_run_that_fails_ends_the_command_and_stores_nothing(tmp_path, monkeypatch, study):
    monkeypatch.setattr(stability.children, "running", lambda module, arguments, env: contextlib.nullcontext(Ended(3)))
    with pytest.raises(SystemExit) as ended:
        stable(tmp_path, monkeypatch)
    assert ended.value.code == 3 and agreement.read() == {}
