"""An output folder has one run at a time."""

import contextlib
import fcntl
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from jaxnotes.command import files
from jaxnotes.command.errors import InputError

FOLDERS = (".", "results", "figures")  # where runs write files


@contextlib.contextmanager
def owned(out_dir: Path) -> Iterator[None]:
    """Creates the folder and keeps other runs out of it; what a killed run left half-written is removed.

    The lock is the folder's own, which the system lets go when this process ends, however it does.

    Raises:
      OSError: it cannot be created or written.
      InputError: another run is writing into it.
    """
    files.check_writable(out_dir)
    handle = os.open(out_dir, os.O_RDONLY)
    try:
        _lock(handle, out_dir)
        _remove_left(out_dir)
        yield
    finally:
        os.close(handle)


def _lock(handle: int, out_dir: Path) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise InputError(
            f"--out_dir={out_dir}: another run is writing into it; wait for its end or choose another one"
        ) from None
    except OSError as error:  # some network file systems have no locks
        print(f"--out_dir={out_dir} cannot be locked ({error.strerror}): start no second run into it", file=sys.stderr)


def _remove_left(out_dir: Path) -> None:
    for folder in FOLDERS:
        for path in (out_dir / folder).glob(f".*{files.PARTIAL}"):
            if not path.name.startswith(".diagnosis."):  # of the diagnosis, which may be writing: it locks nothing
                path.unlink(missing_ok=True)
    for pattern in (".site", ".site-before", ".sources-*", ".tutorials-*"):  # of the site's build
        for path in out_dir.glob(pattern):
            shutil.rmtree(path, ignore_errors=True)
