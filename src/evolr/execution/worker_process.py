"""A worker as its parent sees it: a process, a pipe to it, and what it is doing."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from threading import Lock
from typing import Any, Final

from evolr.execution import worker
from evolr.execution.processes import end_descendants
from evolr.execution.training_function import is_file
from evolr.execution.worker import Job, Message

_JOIN_SECONDS: Final = 5.0  # for a killed process to be gone
_LEAVE_SECONDS: Final = 2.0  # for an idle one to end by itself, its exit functions included
_WAIT_SECONDS: Final = 0.002  # between two looks at whether it has ended

_start_lock = Lock()


class WorkerProcess:
    """A process that trains with a user's function, one trial at a time.

    trial: the number of the one under way, None where it is idle or starting. trials: that it was given so far.
    is_ready: whether it has imported the function. since: when it began what it is doing (time.perf_counter).
    """

    def __init__(self, function: bytes, environment: Mapping[str, str]) -> None:
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=worker.main, args=(theirs,), name="evolr-worker", daemon=False)
        self.trial: int | None = None
        self.trials = 0
        self.is_ready = False
        self.since = time.perf_counter()
        with _environment({**environment, worker.STARTING: "1"}), _interrupts_held():
            self._process.start()
        theirs.close()
        try:
            with suppress(OSError):  # it died at once: its message says so
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
        """Whether its process is no more; what it said before may still be heard."""
        return self._process.exitcode is not None

    def give(self, trial: int, job: Job) -> None:
        """Begins a trial."""
        self.trial, self.since = trial, time.perf_counter()
        self.trials += 1
        with suppress(OSError):  # it died meanwhile: its message says so
            self.connection.send(job)

    def message(self) -> Message | None:
        """What it has to say, None where nothing yet: its own word, or ("ended", exit code) where it is no more."""
        try:
            # By the exit code too: a process that it left behind may hold its end of the pipe open.
            is_over = self.has_ended
            if self.connection.poll():
                return self.connection.recv()
            if not is_over:
                return None
        except (EOFError, OSError):
            self._wait(_JOIN_SECONDS)
        return "ended", self._process.exitcode

    def kill(self) -> None:
        """Ends it at once, and the processes that it started."""
        self._end_group()
        self._process.kill()
        self._wait(_JOIN_SECONDS)
        self._close()

    def dismiss(self) -> None:
        """Asks it to end; it does so when it is idle."""
        self.connection.close()

    def bury(self) -> None:
        """Waits a little for one that was dismissed, and ends what is left of it."""
        self._wait(_LEAVE_SECONDS)
        self.kill()

    def _wait(self, seconds: float) -> None:
        """Waits for its process to end. Process.join would wait for ever if the function had closed what that listens at."""
        end = time.monotonic() + seconds
        while not self.has_ended and time.monotonic() < end:
            time.sleep(_WAIT_SECONDS)

    def _end_group(self) -> None:
        if hasattr(os, "killpg"):
            with suppress(ProcessLookupError, PermissionError):  # it had no group of its own yet, or nobody is left
                os.killpg(self.pid, signal.SIGKILL)
        else:
            end_descendants(self.pid)

    def _close(self) -> None:
        self.connection.close()
        if self._process.exitcode is not None:
            self._process.close()


def reason_of_end(code: int | None) -> str:
    """What a process died of, by its exit code; None where it lives but speaks no more."""
    if code is None:
        return "closed its connection to evolr"
    if code == worker.CLOSED:
        return (
            "closed standard output, standard error or the pipe to evolr, as os.closerange does; a function must close only what "
            "it opened"
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
    with _start_lock, _no_file_that_is_none():
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
def _no_file_that_is_none() -> Generator[None]:
    """Takes away the `__file__` of a program that is read from standard input: a process started meanwhile would look for it."""
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
def _interrupts_held() -> Generator[None]:
    """Holds Ctrl-C back, here and in a process started meanwhile, which lets it go when it has left the terminal."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    resource_tracker.ensure_running()  # at its first start it would let signals go
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
