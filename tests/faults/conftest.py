"""What tests of faults share."""

import contextlib
import os
import signal

import pytest

from tests.faults import processes

# What a terminal gives a command. In the background of a script both are ignored, and what is started inherits that.
USUAL = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: signal.SIG_DFL}


@pytest.fixture(autouse=True)
def as_in_a_terminal():
    """Lets signals act on what a test starts, and ends all of it, also where the test fails."""
    before = {number: signal.signal(number, handler) for number, handler in USUAL.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)
    for process in processes.STARTED:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    processes.STARTED.clear()
