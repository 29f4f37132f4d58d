"""A worker as its parent has it: a process, a pipe to it, and the trial under way."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import struct
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from threading import Lock
from typing import Any, Final

import msgspec

from evolr.execution import worker
from evolr.execution.processes import end_descendants
from evolr.execution.training_function import is_file
from evolr.execution.worker import Job, Message

_JOIN_SECONDS: Final = 5.0  # for a killed process to be reaped
_EXIT_SECONDS: Final = 2.0  # for an idle one to end by itself, its exit functions included
_READ_SECONDS: Final = 10  # for the rest of a message whose begin has come
_WAIT_SECONDS: Final = 0.002  # between two checks of whether it has ended

_start_lock = Lock()


_MESSAGES: Final = msgspec.msgpack.Decoder(Message)
_MOST_BYTES: Final = 100_000_000  # of a message; where its length stands, any text says more


@dataclass(frozen=True, slots=True)
class WorkerEnd:
    """The end of a worker: why, and its exit code, None if it still runs and cannot be used."""

    reason: str
    code: int | None = None


class WorkerProcess:
    """A process that trains with a user's function, one trial at a time.

    trial: the number of the one under way, None where it is idle or starting. trials: that it was given so far.
    is_ready: whether it has imported the function. since: when it began what it is doing (time.perf_counter).
    """

    def __init__(self, function: bytes, environment: Mapping[str, str]) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        _limit_reading(self.connection)
        self._process = context.Process(target=worker.main, args=(theirs,), name="evolr-worker", daemon=False)
        self.trial: int | None = None
        self.trials = 0
        self.is_ready = False
        self.since = time.perf_counter()
        with _environment({**environment, worker.STARTING: str(os.getpid())}), _sigint_blocked():
            self._process.start()
        theirs.close()
        try:
            with suppress(OSError):  # it ended at once: `receive` says so
                self.connection.send_bytes(function)
        except BaseException:  # Ctrl-C: of a large one it waits until the process has taken it
            self.kill()
            raise

    @property
    def is_idle(self) -> bool:
        return self.is_ready and self.trial is None

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether its process has ended; what it sent before can still be received."""
        return self._process.exitcode is not None

    def start_trial(self, trial: int, job: Job) -> None:
        """Begins a trial."""
        self.trial, self.since = trial, time.perf_counter()
        self.trials += 1
        with suppress(OSError):  # it has ended meanwhile: `receive` says so
            self.connection.send(job)

    def receive(self) -> Message | WorkerEnd | None:
        """The next message that it sent, or its end; None if there is neither yet."""
        try:
            # By the exit code too: a child of its that still runs may hold its end of the pipe open.
            has_ended = self.has_ended
            if self.connection.poll():
                return self._message()
            if not has_ended:
                return None
        except (EOFError, OSError):
            self._wait(_JOIN_SECONDS)
        return WorkerEnd(reason_of_end(self._process.exitcode), self._process.exitcode)

    def _message(self) -> Message | WorkerEnd:
        """The message that has come; its end where that is none. Raises EOFError or OSError where it ended, in the middle of one too."""
        try:
            return _MESSAGES.decode(self.connection.recv_bytes(_MOST_BYTES))
        except (BlockingIOError, msgspec.DecodeError):  # its rest does not come, or it is none
            pass
        except OSError:
            if self.connection.readable:  # False after a length that is none
                raise
        return WorkerEnd(
            "wrote into the pipe to evolr, as to a file of its own; a function must write only to what it opened"
        )

    def kill(self) -> None:
        """Ends it at once, and the processes that it started."""
        self._end_group()
        self._process.kill()
        self._wait(_JOIN_SECONDS)
        self._close()

    def request_exit(self) -> None:
        """Closes its pipe, upon which an idle worker exits by itself."""
        self.connection.close()

    def join_or_kill(self) -> None:
        """Waits a little for the exit that was requested, then kills it and the processes that it started."""
        self._wait(_EXIT_SECONDS)
        self.kill()

    def _wait(self, seconds: float) -> None:
        """Waits for its process to end. Process.join would wait for ever if the function had closed what that listens at."""
        end = time.monotonic() + seconds
        while not self.has_ended and time.monotonic() < end:
            time.sleep(_WAIT_SECONDS)

    def _end_group(self) -> None:
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError, PermissionError):  # it has no group of its own yet, or the group is empty
                os.killpg(self.pid, signal.SIGKILL)
        else:
            end_descendants(self.pid)

    def _close(self) -> None:
        self.connection.close()
        if self._process.exitcode is not None:
            self._process.close()


def _limit_reading(connection: Connection) -> None:
    """Ends a reading that has waited too long for the rest of a message, by BlockingIOError; where pipes are sockets."""
    if os.name == "posix":
        with socket.socket(fileno=os.dup(connection.fileno())) as pipe:  # an option of what both numbers stand for
            pipe.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", _READ_SECONDS, 0))


def reason_of_end(code: int | None) -> str:
    """Why a process ended, by its exit code; None if it runs with a closed connection."""
    if code is None:
        return "closed its connection to evolr"
    if code == worker.CLOSED:
        return (
            "closed standard output, standard error or the pipe to evolr, as os.closerange does; a function must close only what "
            "it opened"
        )
    if code == worker.SPOILT:
        return (
            "could take no trial any more: what the function did to Python there, as to its recursion limit, its memory or a module, "
            "has to be undone when it ends"
        )
    if code >= 0:
        return f"ended its process with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = str(-code)
    return f"was killed by signal {name}" + (" (so does the system where memory runs out)" if name == "SIGKILL" else "")


@contextmanager
def _environment(variables: Mapping[str, str]) -> Generator[None]:
    """Adds these variables to the environment, which a process started meanwhile inherits."""
    with _start_lock, _without_missing_main_file():
        before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


@contextmanager
def _without_missing_main_file() -> Generator[None]:
    """Takes away the `__file__` of a program that is read from standard input, since a process started meanwhile would open it."""
    main: Any = sys.modules["__main__"]
    file = getattr(main, "__file__", None)
    if file is None or is_file(file):
        yield
        return
    del main.__file__
    try:
        yield
    finally:
        main.__file__ = file


@contextmanager
def _sigint_blocked() -> Generator[None]:
    """Blocks SIGINT here and in a process started meanwhile, which unblocks it in a process group of its own."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # its first start would unblock SIGINT
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
