"""`python -m tests.faults.toy FOLDER TASK TASK…`: a run in small.

It has the processes, signals and files of `experiments.reproduce`, and starts without JAX. In place of tasks, `alone`
computes in this process, as a question's script does.
"""

import contextlib
import hashlib
import os
import signal
import sys
import time
from functools import partial
from pathlib import Path

from experiments.study import children, folder, workers
from jaxnotes.command import files, interruption

PARTS = 12  # files that `write` writes


def wait(out_dir: Path, number: int, on_part) -> None:
    (out_dir / f"started-{number}").touch()
    time.sleep(300)


def compute(out_dir: Path, number: int, on_part) -> None:
    """One call that lasts, between whose instructions Python raises nothing, as in a compiled program."""
    (out_dir / f"started-{number}").touch()
    hashlib.pbkdf2_hmac("sha256", b"", b"", 2**31 - 1)


def write(out_dir: Path, number: int, on_part) -> None:
    for path in written(out_dir, number):
        if not path.is_file():
            files.write_bytes(path, content(path))
        on_part()


def nest(out_dir: Path, number: int, on_part) -> None:
    """Another run, in a process of its own, as Sphinx is and the runs of `experiments.stability` are."""
    inner = out_dir / "inner"
    with children.running("tests.faults.toy", [str(inner), "wait"]) as process:
        while not (inner / "started-0").exists():
            time.sleep(0.01)
        (out_dir / f"started-{number}").touch()
        process.wait()


def die(out_dir: Path, number: int, on_part) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fail(out_dir: Path, number: int, on_part) -> None:
    raise OSError("no space left on device")


def written(out_dir: Path, number: int) -> list[Path]:
    return [out_dir / "results" / f"{number}-{part}" for part in range(PARTS)]


def content(path: Path) -> bytes:
    return hashlib.sha256(path.name.encode()).digest() * 20_000


def alone() -> None:
    compute(Path(sys.argv[1]), 0, None)


def main() -> None:
    out_dir = Path(sys.argv[1])
    tasks = [partial(globals()[name], out_dir, number) for number, name in enumerate(sys.argv[2:])]
    with folder.owned(out_dir), contextlib.closing(workers.run(tasks, 2)) as events:
        for place, kind, value in events:
            if kind != "part":
                print(place, kind, value, flush=True)


if __name__ == "__main__":
    try:
        interruption.raised()(alone if sys.argv[2:] == ["alone"] else main)()
    except KeyboardInterrupt as stop:
        print(stop, file=sys.stderr)
        sys.exit(interruption.status(stop))
