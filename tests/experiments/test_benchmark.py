"""The speed table: ratios of calls made in turn, and the command that shows and writes them."""

import json
from types import SimpleNamespace

import pytest
from absl import flags

from experiments import benchmark


def test_a_ratio_is_of_calls_in_turn_once_compiled(monkeypatch):
    clock, calls = SimpleNamespace(now=0.0), []

    def takes(name, seconds):
        def call():
            calls.append(name)
            clock.now += seconds * len(calls)  # a machine that grows slower

        return call

    monkeypatch.setattr(benchmark.time, "perf_counter", lambda: clock.now)
    ratio = benchmark.interleaved_ratio(takes("ours", 3.0), takes("peer", 1.0), (), rounds=3)
    assert calls == ["ours", "peer"] * 4
    assert ratio == pytest.approx(3 * 5 / 6)  # the median of 3·3/4, 3·5/6 and 3·7/8
    assert benchmark.median_seconds(takes("ours", 1.0), (), rounds=3) == 11  # of 10, 11 and 12


def test_the_command_shows_and_writes_its_rows(tmp_path, monkeypatch, capsys):
    rows = [benchmark.Row("a row", 0.5, 1.0, "ratio"), benchmark.Row("another", 3.0, 2.0, "s", at_least=True)]
    monkeypatch.setattr(flags, "FLAGS", SimpleNamespace(out_dir=str(tmp_path), rounds=2))
    monkeypatch.setattr(benchmark.start, "use_compilation_cache", lambda: None)
    for name in ("gradient_rows", "jacobian_rows"):
        monkeypatch.setattr(benchmark, name, lambda rounds: [])
    monkeypatch.setattr(benchmark, "study_rows", lambda: [])
    monkeypatch.setattr(benchmark, "compile_row", lambda rounds: rows[0])
    monkeypatch.setattr(benchmark, "monitor_row", lambda rounds: rows[1])
    monkeypatch.setattr(benchmark, "process_rows", lambda out_dir: [])
    benchmark.main([])
    shown = capsys.readouterr().out
    assert "0.5 ratio" in shown and "at most 1" in shown and "3 s" in shown and "at least 2" in shown
    written = json.loads((tmp_path / "benchmark.json").read_text())
    assert written["rows"] == [row._asdict() for row in rows] and "jax" in written["versions"]
