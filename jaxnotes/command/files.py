"""Files of an output folder: written whole or not at all."""

import errno
import os
import tempfile
from pathlib import Path

PARTIAL = ".partial"  # ends the name of a file that is being written; what a killed run leaves of it is never read
ROOM = 2**20  # bytes that must be free where something is to be computed


def write_bytes(path: Path, content: bytes) -> None:
    """Writes to a temporary name beside `path`, then renames: a reader or a killed run never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=PARTIAL)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_text(path: Path, content: str) -> None:
    """Writes text in UTF-8, whole or not at all."""
    write_bytes(path, content.encode())


def check_writable(out_dir: Path) -> None:
    """Creates `out_dir` and tries to write a megabyte in it, before anything is computed.

    Raises:
      OSError: it cannot be created or written, or is full; the message names it and the reason.
    """
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out_dir) as file:
            file.write(bytes(ROOM))
    except OSError as error:
        raise OSError(f"--out_dir={out_dir} cannot be written ({error.strerror}); choose another folder") from error


def cache_folder() -> Path:
    """Returns the user's folder for what can be made again, which is created where it is missing.

    XDG_CACHE_HOME, where set, names another than ~/.cache.

    Raises:
      OSError: it cannot be created or written; the message names it and the reason.
    """
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path(os.path.expanduser("~"), ".cache"))
    try:
        if not folder.is_absolute():
            raise OSError(errno.ENOENT, "no home folder is known")
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OSError(
            f"the cache folder {folder} cannot be written ({error.strerror}); set XDG_CACHE_HOME to another"
        ) from error
    return folder
