"""XLA's flags: what the user asked for stands, and no jaxlib gets a flag that it lacks."""

import os
import subprocess
import sys
from importlib import metadata

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.study import compilation


@pytest.fixture
def flags(monkeypatch):
    def set_flags(asked: str, jaxlib: str, **options) -> list[str]:
        monkeypatch.setenv("XLA_FLAGS", asked)
        monkeypatch.setattr(metadata, "version", lambda name: {"jaxlib": jaxlib}[name])
        compilation.set_flags(**options)
        return os.environ["XLA_FLAGS"].split()

    return set_flags


def test_what_the_user_asked_for_stands(flags):
    found = flags("--xla_backend_optimization_level=3 --xla_dump_to=/x", "0.10.2", processes=2)
    assert found[:2] == ["--xla_backend_optimization_level=3", "--xla_dump_to=/x"]
    one_thread = ["--xla_cpu_multi_thread_eigen=false", "--xla_cpu_parallel_codegen_split_count=1"]
    assert found[2:] == [*one_thread, "--xla_cpu_use_fusion_emitters=false"]


@pytest.mark.parametrize(
    "asked, cores, processes, expected",
    [({}, 2, 2, "1"), ({}, 2, 1, "2"), ({}, 16, 4, "4"), ({}, 2, 5, "1"), ({"NPROC": "3"}, 2, 2, "3")],
)
def test_processes_share_the_cores_unless_the_user_says_otherwise(monkeypatch, flags, asked, cores, processes, expected):
    monkeypatch.delenv("NPROC", raising=False)
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(os, "cpu_count", lambda: cores)
    flags("", "0.10.2", processes=processes)
    assert os.environ["NPROC"] == expected


def test_a_second_call_adds_nothing(flags):
    once = flags("", "0.10.2")
    assert flags(" ".join(once), "0.10.2") == once


@pytest.mark.parametrize("jaxlib", ["0.12.0.1", "0.13.0", "1.0"])
def test_a_later_jaxlib_gets_no_flag_that_it_lacks(flags, jaxlib):
    assert flags("", jaxlib) == ["--xla_backend_optimization_level=1"]


def test_short_runs_get_no_long_run_options(monkeypatch):
    """In the processes started after the flags were set, as `reproduce` starts its workers."""
    monkeypatch.setenv("XLA_FLAGS", "")
    compilation.set_flags(short_runs=True)
    shown = "from experiments import compilation; import jax.numpy as jnp; print(jnp.arange(4.0).sum(), compilation.LONG_RUN)"
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["6.0", "{}"]


def test_long_runs_differ_in_rounding_only(monkeypatch):
    """Their options are ones that this jaxlib knows, and the program computes the same."""
    monkeypatch.setenv("XLA_FLAGS", "")
    options = compilation._long_run()
    x = jnp.linspace(-3, 3, 1000, dtype=jnp.float32)
    value = lambda x: jnp.sum(jnp.tanh(x) * x.at[::7].add(1.0))  # noqa: E731
    usual, long = jax.jit(jax.grad(value)), jax.jit(jax.grad(value), compiler_options=options)
    np.testing.assert_allclose(usual(x), long(x), rtol=1e-5, atol=1e-5)
