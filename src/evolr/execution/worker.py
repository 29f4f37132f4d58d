"""What runs in a worker's process: it imports the user's training function, then trains what it is sent.

It imports nothing heavy: what a worker weighs is what the user's own module imports.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from multiprocessing.connection import Connection
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, Final, Literal, NoReturn

import msgspec

from evolr.errors import as_float
from evolr.execution.recording import Recording
from evolr.execution.trial_schedule import TrialSchedule

STARTING: Final = "EVOLR_WORKER_STARTING"
"""The environment variable that a worker's process has until the user's module is imported: the number of its parent."""

_EXIT_SECONDS: Final = 2.0  # for an idle worker whose pipe was closed to exit by itself

UNGUARDED: Final = 97
"""The exit code of a worker in which importing the user's script came to a call that trains."""

CLOSED: Final = 98
"""The exit code of a worker whose function closed a file that is not its own: see OwnFiles."""

SPOILT: Final = 99
"""The exit code of a worker that cannot take its next trial, whatever an earlier one did to Python: a recursion limit, a module taken away."""

_MOST_CHARACTERS: Final = 10_000  # of each part of a reason; the parent keeps less

Job = tuple[TrialSchedule, int, int, Mapping[str, str]]
"""What the training function is called with: schedule, seed, epochs, and what it takes by name."""

Message = tuple[Literal["ready", "refused", "score", "failed"], str | float | None, Recording | None]
"""What a worker sends: ("ready", None, None), ("refused", reason, None), ("score", its score, the recording of the schedule's calls, if any
are kept) or ("failed", reason, None). It is sent as data, in MessagePack: what a training function writes is never unpickled.
"""


def exit_if_starting() -> None:
    """Ends a worker in which the import of the user's script has come to a call that trains."""
    if os.environ.get(STARTING) not in (None, str(os.getpid())):  # its parent has the variable too, while it starts one
        raise SystemExit(UNGUARDED)


def main(connection: Connection) -> None:
    """Receives the training function, then jobs until the connection closes; sends a message for each."""
    if hasattr(os, "setsid"):
        os.setsid()  # a group of its own: it is killed with its children, and the terminal's Ctrl-C does not reach it
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    try:
        train = connection.recv()
    except EOFError:
        return
    except Exception as error:
        _send(connection, ("refused", _described(error), None))
        return
    os.environ.pop(STARTING, None)
    files = OwnFiles(connection)
    try:
        _send(connection, ("ready", None, None))
    except OSError:  # the parent has ended
        _end_group()
    jobs: SimpleQueue[Job | None] = SimpleQueue()
    idle = Event()
    idle.set()
    Thread(target=_receive_jobs, args=(connection, files, jobs, idle), daemon=True).start()
    while (job := jobs.get()) is not None:
        message = _outcome(train, job)
        _flush()
        if not files.are_open():
            os._exit(CLOSED)
        idle.set()
        try:
            _send(connection, message)
        except OSError:  # the parent has ended
            _end_group()


def _send(connection: Connection, message: Message) -> None:
    connection.send_bytes(msgspec.msgpack.encode(message))


class OwnFiles:
    """The files that a worker's process has for all its trials: the pipe to evolr, and standard output and error, if it began with them.

    What is sent after another file took the pipe's number would be written into that file; what later trials print would fail.
    """

    def __init__(self, connection: Connection) -> None:
        self._pipe = connection.fileno() if os.name == "posix" else None  # elsewhere it is no file descriptor
        self._is = _file(self._pipe)
        self._streams = [descriptor for descriptor in (1, 2) if _file(descriptor)]

    def are_open(self) -> bool:
        """Whether the pipe is what it was, and the others can still be written, by whatever they lead to now."""
        is_closed = any(getattr(stream, "closed", False) for stream in (sys.stdout, sys.stderr))
        return not is_closed and _file(self._pipe) == self._is and all(map(_file, self._streams))


def _file(descriptor: int | None) -> tuple[int, int] | None:
    """Device and number of an open file; None if none is open."""
    if descriptor is not None:
        with suppress(OSError):
            found = os.fstat(descriptor)
            return found.st_dev, found.st_ino
    return None


def _receive_jobs(connection: Connection, files: OwnFiles, jobs: SimpleQueue[Job | None], idle: Event) -> None:
    """Puts the jobs into the queue; ends the process when the parent closes the pipe, in the middle of a job too, or the function does."""
    try:
        while True:
            job = connection.recv()
            idle.clear()
            jobs.put(job)
    except (EOFError, OSError):
        pass
    except BaseException:
        code = SPOILT
        with suppress(BaseException):  # whatever there is left of Python
            code = SPOILT if files.are_open() else CLOSED
        os._exit(code)
    if idle.is_set():
        jobs.put(None)
        time.sleep(_EXIT_SECONDS)  # if it still runs then, a thread or a process of the function's keeps it
    elif not files.are_open():
        os._exit(CLOSED)
    _end_group()


def _end_group() -> NoReturn:
    """Ends this process at once, and its process group where the system has those."""
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def _outcome(train: Any, job: Job) -> Message:
    own = os.getpid()
    try:
        score = train(*job[:3], **job[3])
    except BaseException as error:  # sys.exit() too: it ends the trial, not the worker
        if os.getpid() != own:
            _end_child(error)
        return "failed", _described(error), None
    if os.getpid() != own:
        _end_child(None)
    try:
        if getattr(score, "ndim", 0) != 0:
            raise TypeError("it is no single real number")
        calls = job[0].calls
        recording = None if calls is None else calls.recording(job[2])
        return "score", as_float(score.detach() if hasattr(score, "detach") else score), recording
    except BaseException as error:  # what a score's own __float__ raises, sys.exit() too
        return (
            "failed",
            _text(
                f"the function must return a real number, got one of type {_said(_name, score)}: {_said(str, error)}"
            ),
            None,
        )


def _end_child(error: BaseException | None) -> NoReturn:
    """Ends a process that the function forked and that returned from it: its result is not the worker's."""
    code = 0 if error is None else 1
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    elif error is not None:
        traceback.print_exception(error)
    _flush()
    os._exit(code & 0xFF)


def _flush() -> None:
    with suppress(Exception):  # whatever the function made of its standard streams
        sys.stdout.flush()
        sys.stderr.flush()


def _described(error: BaseException) -> str:
    name, text = _said(_name, error), _said(str, error)
    return _text(f"{name}: {text}" if text else name)


def _said(how: Callable[[object], str], value: object) -> str:
    """What an object of the function's says of itself."""
    try:
        return str.__str__(how(value))[:_MOST_CHARACTERS]
    except BaseException:
        return "(it cannot be said)"


def _name(value: object) -> str:
    return type(value).__name__


def _text(text: str) -> str:
    """A text that UTF-8 can write: half a character is written as its escape."""
    return text.encode(errors="backslashreplace").decode()
