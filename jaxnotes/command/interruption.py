"""How a command ends on Ctrl-C, SIGTERM or SIGHUP: it cleans up, says one line, and is gone within seconds.

Python raises an exception between two of its instructions, of which a compiled program that computes has none. So a thread
waits beside it, and ends the process where cleaning up takes too long.
"""

import contextlib
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from typing import NoReturn

GRACE = 3.0  # seconds for cleaning up
SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
# What a terminal sends to all processes of a command at once.
OF_THE_GROUP = tuple(number for number in SIGNALS if number != signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A signal asked this process to end.

    Attributes:
      number: of the signal.
    """

    def __init__(self, number: int):
        super().__init__(line(number))
        self.number = number


def line(number: int = signal.SIGINT) -> str:
    """Returns what a command says that a signal ends."""
    how = "interrupted" if number == signal.SIGINT else f"ended by {signal.Signals(number).name}"
    return f"{how}; what was complete is kept"


def status(stop: KeyboardInterrupt) -> int:
    """Returns the exit status that shells know as that of a signal."""
    return 128 + getattr(stop, "number", signal.SIGINT)


def leave_at_once() -> None:
    """From here on a signal ends the process with its line: while modules are imported there is nothing to clean."""
    _handle(SIGNALS, lambda number, frame: _leave(number, line(number)))


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """A signal raises `Interrupted` here, once; the process ends when `GRACE` has passed, whatever it does."""
    _end_later(SIGNALS, GRACE, say=True)
    _handle(SIGNALS, _raise)
    try:
        yield
    finally:
        leave_at_once()


def of_worker(grace: float) -> None:
    """SIGTERM raises `Interrupted` from here on; what a terminal sends is left to the process that started this one.

    Args:
      grace: seconds after which SIGTERM ends the process, whatever it does; nothing is said.
    """
    _end_later((signal.SIGTERM,), grace, say=False)
    _handle((signal.SIGTERM,), _raise)
    _handle(OF_THE_GROUP, lambda number, frame: None)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, OF_THE_GROUP)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Signals of the terminal wait here; a process that is started meanwhile gets none until `of_worker`."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, OF_THE_GROUP)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _handle(numbers: Sequence[int], handler) -> None:
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, handler)


def _raise(number: int, frame) -> NoReturn:
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)  # a second one must not cut off the cleaning
    raise Interrupted(number)


def _end_later(numbers: Sequence[int], grace: float, say: bool) -> None:
    threading.Thread(target=_wait_and_end, args=(_numbers_of_signals(), numbers, grace, say), daemon=True).start()


def _numbers_of_signals() -> Iterator[int]:
    """Returns the numbers of signals as they come, even while the main thread computes."""
    read, write = socket.socketpair()
    write.setblocking(False)
    signal.set_wakeup_fd(write.fileno(), warn_on_full_buffer=False)

    def numbers() -> Iterator[int]:
        with read, write:
            while True:
                yield read.recv(1)[0]

    return numbers()


def _wait_and_end(coming: Iterator[int], numbers: Sequence[int], grace: float, say: bool) -> None:
    number = next(number for number in coming if number in numbers)
    time.sleep(grace)
    _leave(number, line(number) if say else "")


def _leave(number: int, said: str) -> NoReturn:
    with contextlib.suppress(OSError):  # the terminal may be gone
        os.write(2, f"{said}\n".encode() if said else b"")
    os._exit(128 + number)
