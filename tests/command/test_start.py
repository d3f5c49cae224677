"""How a command ends: one line and status 2 for errors of the user's, 130 for Ctrl-C, a traceback for errors of ours."""

import jax
import pytest

from jaxnotes.command import start
from jaxnotes.command.errors import InputError


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (InputError("--width=0 is\n  below 1"), 2, ": --width=0 is below 1"),
        (OSError("no space left"), 2, ": no space left"),
        (KeyboardInterrupt(), 130, "interrupted; what was complete is kept"),
        (jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 3 GB\nmore"), 2, "(RESOURCE_EXHAUSTED: 3 GB)"),
    ],
)
def test_errors_of_the_users_are_one_line(capsys, error, status, line):
    def main(argv):
        raise error

    with pytest.raises(SystemExit) as ended:
        start._guarded(main, [])
    shown = capsys.readouterr()
    assert ended.value.code == status and shown.out == ""
    assert shown.err.endswith(f"{line}\n") and shown.err.count("\n") == 1


def test_errors_of_ours_are_shown_whole():
    def main(argv):
        raise jax.errors.JaxRuntimeError("INTERNAL: a bug")

    with pytest.raises(jax.errors.JaxRuntimeError, match="a bug"):
        start._guarded(main, [])
