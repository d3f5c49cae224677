"""Starts commands in a group of their own, and says what is left of them."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STARTED: list[subprocess.Popen] = []  # by the test that runs


def start(module: str, arguments: Sequence[object], **options) -> subprocess.Popen:
    command = [sys.executable, "-m", module, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    STARTED.append(subprocess.Popen(command, start_new_session=True, **{"cwd": ROOT, **pipes, **options}))
    return STARTED[-1]


def group(leader: int) -> list[int]:
    """Returns the processes of a group that are not dead."""
    listed = subprocess.run(["ps", "-A", "-o", "pid=,pgid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return [int(pid) for pid, pgid, state in rows if int(pgid) == leader and not state.startswith("Z")]


def until(true: Callable[[], object], seconds: float = 120) -> float:
    """Waits; returns the seconds that it took."""
    start = time.monotonic()
    while not true():
        assert time.monotonic() < start + seconds, f"not within {seconds} s"
        time.sleep(0.01)
    return time.monotonic() - start


def send(process: subprocess.Popen, number: int, whole_group: bool) -> None:
    (os.killpg if whole_group else os.kill)(process.pid, number)
