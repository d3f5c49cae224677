"""Worker processes, each of which makes one call at a time.

One that dies loses its call alone; all end with the process that started them.
"""

import collections
import contextlib
import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import connection, resource_tracker
from typing import Any, NamedTuple

from jaxnotes.command import interruption

GRACE = 1.5  # seconds that a worker has for cleaning up; less than the process that started it

OnPart = Callable[[], None]
Task = Callable[[OnPart], Any]


class Event(NamedTuple):
    """What happened to a task.

    Attributes:
      task: its place in the sequence.
      kind: "part" where a part of it is done, "done", or "failed".
      value: what it returned, or why it failed: one line for an error of the user's or the system's, else a traceback.
    """

    task: int
    kind: str
    value: Any = None


class _Worker(NamedTuple):
    process: Any
    pipe: connection.Connection


def run(tasks: Sequence[Task], workers: int) -> Iterator[Event]:
    """Makes calls in processes, in this order, and yields what happens, as it happens.

    To be closed (`contextlib.closing`), so that an exception of the caller's ends the processes.

    Args:
      tasks: are pickled, and called with a function to be called after each part.
      workers: number of processes side by side.
    """
    waiting, idle = collections.deque(enumerate(tasks)), []
    busy: dict[connection.Connection, tuple[_Worker, int]] = {}
    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                task, call = waiting.popleft()
                worker = idle.pop() if idle else _started()
                busy[worker.pipe] = worker, task
                _send(worker.pipe, call)
            for pipe in connection.wait(list(busy)):
                worker, task = busy[pipe]
                event = _received(worker, task)
                if event.kind != "part":
                    del busy[pipe]
                    idle += [worker] if worker.process.is_alive() else []
                yield event
    finally:
        _end([*idle, *(worker for worker, _ in busy.values())])


def _started() -> _Worker:
    context = multiprocessing.get_context("spawn")  # a fork would share JAX's threads and locks
    resource_tracker.ensure_running()  # before, since as it starts it lets go what is held
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there,), daemon=True)
    with interruption.held():
        process.start()
    there.close()  # so that `here` ends with the process
    return _Worker(process, here)


def _send(pipe: connection.Connection, call: Task) -> None:
    with contextlib.suppress(BrokenPipeError):  # the worker has died, which reading from it will say
        pipe.send(call)


def _received(worker: _Worker, task: int) -> Event:
    try:
        return Event(task, *worker.pipe.recv())
    except (EOFError, ConnectionResetError):
        worker.process.join()
        worker.pipe.close()
        return Event(task, "failed", _how_it_ended(worker.process.exitcode))


def _how_it_ended(code: int) -> str:
    if code == -signal.SIGKILL:
        return "its process was killed (SIGKILL), as the system does where memory is short; run again, perhaps with --workers=1"
    return f"its process ended with {signal.Signals(-code).name if code < 0 else f'status {code}'}; run again"


def _end(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.process.terminate()
    latest = time.monotonic() + GRACE + 0.5
    for worker in workers:
        worker.process.join(max(latest - time.monotonic(), 0))
        worker.process.kill()
        worker.process.join()
        worker.pipe.close()


def _serve(pipe: connection.Connection) -> None:
    interruption.of_worker(GRACE)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        while True:
            _answer(pipe, *_made(pipe.recv(), lambda: _answer(pipe, "part")))
    except (EOFError, interruption.Interrupted):
        pass


def _made(call: Task, on_part: OnPart) -> tuple[str, Any]:
    try:
        return "done", call(on_part)
    except OSError as error:
        return "failed", str(error)
    except Exception as error:
        return "failed", "".join(traceback.format_exception(error)).rstrip()


def _answer(pipe: connection.Connection, kind: str, value: Any = None) -> None:
    pipe.send((kind, value))


def _end_with_parent() -> None:
    """Ends a worker whose parent was killed: it would go on, and write into a folder that another run may have taken over."""
    connection.wait([multiprocessing.parent_process().sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
