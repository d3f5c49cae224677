"""Faults of a whole run of `experiments.reproduce`, on two small questions."""

import json
import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.faults import processes, project

KILLS = int(os.environ.get("JAXNOTES_KILLS", "3"))


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    return project.make(tmp_path_factory.mktemp("project"))


@pytest.fixture(scope="module")
def whole(copy):
    """The folder of an uninterrupted run."""
    status, _, said = project.run(copy, copy / "whole")
    assert status == 0, said
    return copy / "whole"


def content(out_dir: Path) -> dict[str, bytes]:
    """Returns each file by name; of results all but how long they took, how they were asked for, and the digest of that."""
    files = {str(path.relative_to(out_dir)): path.read_bytes() for path in sorted(out_dir.rglob("*")) if path.is_file()}
    for name in [name for name in files if name.startswith("results/") and name.endswith(".json")]:
        document = json.loads(files[name])
        files[name] = json.dumps({k: v for k, v in document.items() if k not in ("seconds", "sha256")}).encode()
    return files


def test_a_killed_run_goes_on_to_the_same_bits(copy, whole, tmp_path):
    """SIGKILL of a run at random moments: no process is left, and the resumed run equals an uninterrupted one bit for bit."""
    out_dir, draw, seconds, groups = tmp_path / "out", random.Random(3), [], []
    for _ in range(KILLS):
        begun = time.monotonic()
        process = project.start(copy, out_dir)
        longest = sum(seconds) / len(seconds) if seconds else None
        if longest is None:  # at the moment when it says what it measures; later ones are drawn
            process.stdout.readline()
            seconds.append(2 * (time.monotonic() - begun))
        else:
            time.sleep(longest * draw.random())
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        groups.append(process.pid)
    processes.until(lambda: not any(map(processes.group, groups)))
    status, _, said = project.run(copy, out_dir)
    assert status == 0, said
    assert content(out_dir) == content(whole)


def test_a_worker_that_is_killed_is_named_and_the_other_topic_goes_on(copy, tmp_path):
    """A worker killed as if out of memory: its topic is named in one line, the others go on, a second run does the rest."""
    status, shown, said = project.run(copy, tmp_path, fault="killed")
    assert status == 1 and "press failed" in shown and "coin: measured" in shown and "Failed: press" in shown
    assert said.startswith("its process was killed (SIGKILL)") and said.count("\n") == 1
    status, shown, said = project.run(copy, tmp_path)
    assert status == 0 and "coin: unchanged" in shown and "press: measured" in shown, said


def test_an_interrupted_run_says_one_line(copy, tmp_path):
    """Ctrl-C while a whole run imports, SIGTERM while it measures: one line, no process and nothing half-written."""
    for moment, number in (("importing", signal.SIGINT), ("measuring", signal.SIGTERM)):
        begun = time.monotonic()
        process = project.start(copy, tmp_path / "out", fault="waiting")
        if moment == "measuring":
            process.stdout.readline()
        else:
            processes.until(lambda process=process: b"jax" in Path(f"/proc/{process.pid}/maps").read_bytes())
        begun, starting = time.monotonic(), time.monotonic() - begun
        processes.send(process, number, whole_group=True)
        _, said = process.communicate(timeout=60)
        assert (said.count("\n"), process.returncode) == (1, 128 + number), said
        assert time.monotonic() - begun < 5 + starting
        processes.until(lambda group=process.pid: not processes.group(group))
    assert not list((tmp_path / "out").rglob(".*.partial"))


def test_damage_and_an_unwritable_home_change_no_bit(copy, whole, tmp_path):
    """Results, arrays and compiled programs that are damaged, and a home that cannot be written: measured and compiled anew, to
    the same bits; a line says so."""
    out_dir, cache = tmp_path / "out", tmp_path / "jax"
    shutil.copytree(whole, out_dir)
    shutil.copytree(copy / "jax", cache)
    document, arrays = out_dir / "results/coin.json", out_dir / "results/press.npz"
    document.write_text(document.read_text().replace('"value": 0.', '"value": 1.'))
    arrays.write_bytes(arrays.read_bytes()[:-9])
    for number, path in enumerate(sorted(cache.glob("*-cache"))):
        whole_entry = path.read_bytes()
        path.write_bytes([b"", whole_entry[: len(whole_entry) // 2], whole_entry[:200] + b"?" + whole_entry[201:]][number % 3])
    status, shown, said = project.run(copy, out_dir, JAX_COMPILATION_CACHE_DIR=str(cache))
    assert status == 0, said
    assert shown.count("measuring again, since what is there is damaged or of other code") == 2
    assert content(out_dir) == content(whole)
    (tmp_path / "home").touch()
    home = {"HOME": str(tmp_path / "home"), "XDG_CACHE_HOME": "unset", "JAX_COMPILATION_CACHE_DIR": "unset"}
    status, shown, said = project.run(copy, out_dir, "--force", MPLCONFIGDIR=str(tmp_path / "matplotlib"), **home)
    assert status == 0 and said.count("compiled programs are not kept: the cache folder") == said.count("\n") == 1, said
    assert content(out_dir) == content(whole)


def test_a_folder_that_vanishes_is_made_again(copy, whole, tmp_path):
    """The output folder is removed during the run: it is made again for what is complete later; a second run does the rest."""
    status, shown, said = project.run(copy, tmp_path / "out", fault="vanishing")
    assert (tmp_path / "out/results/press.json").is_file(), said
    status, shown, said = project.run(copy, tmp_path / "out")
    assert status == 0 and "press: unchanged" in shown, said
    assert content(tmp_path / "out") == content(whole)


def mounted(folder: Path, options: str) -> tuple[str, ...]:
    """Returns what to put before a command so that it alone sees a small file system in memory at the folder."""
    as_root = () if os.geteuid() == 0 else ("--map-root-user",)
    script = f'mount -t tmpfs -o {options} none "$0" && exec "$@"'
    before = ("unshare", *as_root, "--mount", "sh", "-c", script, str(folder))
    if shutil.which("unshare") is None or subprocess.run([*before, "true"], capture_output=True).returncode:
        pytest.skip("this system lets no user mount a file system")
    return before


def test_a_disk_that_fills_loses_no_complete_topic(copy, tmp_path):
    """The disk fills during the run: the topic that cannot be saved is named with the reason, the other's results stand."""
    before = mounted(tmp_path, "size=4m")
    shown_there = 'mount -t tmpfs -o size=4m none "$0"; "$@"; cd "$0"; find . -type f -size +0'
    before = (*before[: before.index("-c") + 1], shown_there, str(tmp_path))
    _, shown, said = project.run(copy, tmp_path, fault="full", before=before)
    assert "coin: measured" in shown and "press failed" in shown
    assert said.splitlines()[0] == "[Errno 28] No space left on device" and "Traceback" not in said
    there = {line for line in shown.splitlines() if line.startswith("./")}
    assert {"./results/coin.json", "./results/coin.npz", "./figures/coin-fall.svg"} <= there
    assert not any("press" in path or ".partial" in path for path in there)


@pytest.mark.parametrize(("options", "reason"), [("size=64k", "No space left on device"), ("ro", "Read-only file system")])
def test_a_folder_that_cannot_be_written_is_named_before_anything_is_measured(copy, tmp_path, options, reason):
    """A full disk or a read-only folder at the start: one line and exit status 2, before anything is measured."""
    status, shown, said = project.run(copy, tmp_path, before=mounted(tmp_path, options))
    assert (status, shown) == (2, "")
    assert said == f"reproduce: --out_dir={tmp_path} cannot be written ({reason}); choose another folder\n"
