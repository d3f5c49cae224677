"""XLA's flags: what the user asked for stands."""

import os
from importlib import metadata

import pytest

from experiments.study import compilation


@pytest.fixture
def flags(monkeypatch):
    def set_flags(asked: str, **options) -> list[str]:
        monkeypatch.setenv("XLA_FLAGS", asked)
        compilation.set_flags(**options)
        return os.environ["XLA_FLAGS"].split()

    return set_flags


def test_what_the_user_asked_for_stands(flags):
    found = flags("--xla_backend_optimization_level=3 --xla_dump_to=/x", processes=2)
    assert found[:2] == ["--xla_backend_optimization_level=3", "--xla_dump_to=/x"]
    assert found[2:] == ["--xla_cpu_multi_thread_eigen=false", "--xla_cpu_parallel_codegen_split_count=1"]


@pytest.mark.parametrize(
    "asked, cores, processes, expected",
    [({}, 2, 2, "1"), ({}, 2, 1, "2"), ({}, 16, 4, "4"), ({}, 2, 5, "1"), ({"NPROC": "3"}, 2, 2, "3")],
)
def test_processes_share_the_cores_unless_the_user_says_otherwise(monkeypatch, flags, asked, cores, processes, expected):
    monkeypatch.delenv("NPROC", raising=False)
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    flags("", processes=processes)
    assert os.environ["NPROC"] == expected


@pytest.mark.parametrize("jaxlib, older", [("0.10.2", True), ("0.12.0.1", False), ("1.0", False)])
def test_no_jaxlib_gets_a_flag_that_it_lacks(monkeypatch, flags, jaxlib, older):
    monkeypatch.setattr(metadata, "version", {"jaxlib": jaxlib}.get)
    assert ("--xla_cpu_use_fusion_emitters=false" in flags("", short_runs=True)) == older
    assert "--xla_cpu_use_fusion_emitters=false" not in flags("")


def test_a_second_call_adds_nothing(flags):
    once = flags("")
    assert flags(" ".join(once)) == once == ["--xla_backend_optimization_level=1"]
