"""Files of an output folder: written whole or not at all."""

import os
import tempfile
from pathlib import Path


def write_bytes(path: Path, content: bytes) -> None:
    """Writes to a temporary name beside `path`, then renames: a reader or a killed run never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
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
    """Creates `out_dir` and tries to write in it, before anything is computed.

    Raises:
      OSError: it cannot be created or written; the message names it and the reason.
    """
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out_dir):
            pass
    except OSError as error:
        raise OSError(f"--out_dir={out_dir} cannot be written ({error.strerror}); choose another folder") from error
