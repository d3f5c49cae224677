"""Signals at a run in small: one line, an end within seconds, no process and no half-written file left."""

import os
import random
import signal
import subprocess
import time

import pytest

from tests.faults import processes, toy

NAMES = {signal.SIGINT: "interrupted", signal.SIGTERM: "ended by SIGTERM", signal.SIGHUP: "ended by SIGHUP"}


def started(folder, *tasks):
    """Returns the process and the seconds after which all tasks had begun."""
    process = processes.start("tests.faults.toy", [folder, *tasks])
    begun = lambda: all((folder / f"started-{number}").exists() for number in range(len(tasks)))
    return process, processes.until(lambda: begun() or process.poll() is not None)


@pytest.mark.parametrize("number", list(NAMES))
@pytest.mark.parametrize("whole_group", [True, False], ids=["group", "parent"])
@pytest.mark.parametrize("task", ["wait", "compute"])
def test_a_signal_ends_a_run_with_one_line(tmp_path, number, whole_group, task):
    """Ctrl-C, SIGTERM or SIGHUP, to the group or the parent alone, while Python or a compiled program runs: one line, exit
    status 128 plus its number, ended within 5 seconds, no process and no file left."""
    process, seconds = started(tmp_path, "wait", task)
    before = time.monotonic()
    processes.send(process, number, whole_group)
    _, said = process.communicate(timeout=60)
    took = time.monotonic() - before
    assert (said, process.returncode) == (f"{NAMES[number]}; what was complete is kept\n", 128 + number)
    assert took < 5 + 2 * seconds  # `seconds`: on an idle machine a fraction
    processes.until(lambda: not processes.group(process.pid), 5 + 2 * seconds)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["started-0", "started-1"]


def test_a_signal_ends_a_script_that_computes(tmp_path):
    """Ctrl-C at a question's script, a process alone in which a compiled program runs: one line, ended within 5 seconds."""
    process, seconds = started(tmp_path, "alone")
    before = time.monotonic()
    processes.send(process, signal.SIGINT, whole_group=True)
    _, said = process.communicate(timeout=60)
    assert (said, process.returncode) == ("interrupted; what was complete is kept\n", 130)
    assert time.monotonic() - before < 5 + 2 * seconds


@pytest.mark.parametrize("later", [0.0, 0.03, 0.06, 0.1, 0.2])
def test_a_signal_while_workers_start_says_one_line_too(tmp_path, later):
    """Ctrl-C while the workers start: as later."""
    process = processes.start("tests.faults.toy", [tmp_path, "wait", "wait"])
    processes.until(lambda: len(processes.group(process.pid)) >= 3)
    time.sleep(later)
    processes.send(process, signal.SIGINT, whole_group=True)
    _, said = process.communicate(timeout=60)
    assert (said, process.returncode) == ("interrupted; what was complete is kept\n", 130)
    processes.until(lambda: not processes.group(process.pid))


@pytest.mark.parametrize("task", ["nest", "compute"])
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_all_that_a_run_started_ends_with_it(tmp_path, task, number):
    """SIGKILL or SIGTERM to the parent alone, while a worker computes or runs a program with workers of its own: all end within
    5 seconds."""
    process, seconds = started(tmp_path, task)
    assert len(processes.group(process.pid)) >= 3
    processes.send(process, number, whole_group=False)
    processes.until(lambda: not processes.group(process.pid), 5 + 2 * seconds)
    process.communicate()


def test_a_second_signal_does_not_cut_off_the_cleaning(tmp_path):
    """Ctrl-C twice: as once."""
    process, _ = started(tmp_path, "wait", "compute")
    for _ in range(2):
        processes.send(process, signal.SIGINT, True)
        time.sleep(0.05)
    _, said = process.communicate(timeout=60)
    assert (said.count("\n"), process.returncode) == (1, 130)
    processes.until(lambda: not processes.group(process.pid))


def test_what_nohup_ignores_stays_ignored(tmp_path):
    """SIGHUP under nohup: the run goes on."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process, _ = started(tmp_path, "wait")
    finally:
        signal.signal(signal.SIGHUP, before)
    processes.send(process, signal.SIGHUP, False)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    processes.send(process, signal.SIGTERM, False)
    assert process.wait(60) == 143
    process.communicate()


def test_sigkill_at_random_moments_loses_nothing_complete(tmp_path):
    """SIGKILL at 20 random moments: what is there is whole, the workers end too, the next run goes on and leaves nothing."""
    tasks, draw = ["write"] * 6, random.Random(5)
    files = [path for number in range(len(tasks)) for path in toy.written(tmp_path, number)]
    begun = time.monotonic()
    processes.start("tests.faults.toy", [tmp_path / "whole", *tasks]).communicate(timeout=120)
    length, groups = time.monotonic() - begun, []
    for _ in range(20):
        process = processes.start("tests.faults.toy", [tmp_path, *tasks])
        time.sleep(length * draw.random())
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        groups.append(process.pid)
        assert all(path.read_bytes() == toy.content(path) for path in files if path.is_file())
        for path in draw.sample(files, 3):
            path.unlink(missing_ok=True)  # so that each run has something to do
    processes.until(lambda: not any(map(processes.group, groups)))
    _, said = processes.start("tests.faults.toy", [tmp_path, *tasks]).communicate(timeout=120)
    assert said == "" and {path.name for path in (tmp_path / "results").iterdir()} == {path.name for path in files}
    assert all(path.read_bytes() == toy.content(path) for path in files)


def test_a_worker_that_dies_loses_its_own_task_alone(tmp_path):
    """A worker killed as if out of memory, another with a full disk: each is named in one line, the others go on."""
    process = processes.start("tests.faults.toy", [tmp_path, "die", "write", "fail", "write", "die"])
    shown, said = process.communicate(timeout=120)
    assert process.returncode == 0 and said == ""
    lines = dict(line.split(" ", 1) for line in shown.splitlines())
    assert lines["1"] == lines["3"] == "done None" and lines["2"] == "failed no space left on device"
    assert lines["0"] == lines["4"] and lines["0"].startswith("failed its process was killed (SIGKILL), as the system does")
    assert all(path.read_bytes() == toy.content(path) for number in (1, 3) for path in toy.written(tmp_path, number))


def test_a_second_run_into_one_folder_says_so(tmp_path):
    """Two runs into one folder: the second says so and touches nothing; after the first, another one may."""
    process, _ = started(tmp_path, "wait")
    second = processes.start("tests.faults.toy", [tmp_path, "write"])
    assert "another run is writing into it; wait for its end or choose another one" in second.communicate(timeout=60)[1]
    assert second.returncode == 1 and not (tmp_path / "results").exists()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert processes.start("tests.faults.toy", [tmp_path, "write"]).communicate(timeout=60) == ("0 done None\n", "")
