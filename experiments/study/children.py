"""Python modules that run as programs in processes of their own and end with the process that started them.

What is started is `python -m experiments.study.children DESCRIPTOR MODULE ARGUMENTS…`. The descriptor is one end of a pipe; the
other end stays open while the process is wanted, and the system closes it when the process that holds it ends, however it does.
"""

import contextlib
import os
import runpy
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence

GRACE = 2.5  # seconds that a process has to end in when it is no longer wanted


@contextlib.contextmanager
def running(module: str, arguments: Sequence[str], **options) -> Iterator[subprocess.Popen]:
    """A module that runs as a program. On the way out it is ended, unless it has ended by itself.

    Args:
      module: its name.
      arguments: its command line.
      options: of `subprocess.Popen`.
    """
    read, write = os.pipe()
    try:
        command = [sys.executable, "-m", "experiments.study.children", str(read), module, *arguments]
        process = subprocess.Popen(command, pass_fds=[read], **options)
    except BaseException:
        os.close(write)
        raise
    finally:
        os.close(read)
    try:
        yield process
    finally:
        os.close(write)
        _end(process)


def _end(process: subprocess.Popen) -> None:
    try:
        process.wait(GRACE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def main() -> None:
    """Runs the module that the command line names, until the pipe's other end is closed."""
    descriptor, module = int(sys.argv[1]), sys.argv[2]
    threading.Thread(target=_end_with_pipe, args=(descriptor,), daemon=True).start()
    sys.argv = sys.argv[2:]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def _end_with_pipe(descriptor: int) -> None:
    os.read(descriptor, 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
