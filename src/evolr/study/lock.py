"""The one writer of a study.

The lock is the operating system's, on a file beside the database, so it ends with the process that holds it, however
that ends: the lock of a writer that was killed is free.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from evolr.errors import StudyError, StudyLockedError
from evolr.run_files import LOCK_FILE

_WAIT_SECONDS: Final = 0.5  # longer than `is_held` takes


class WriterLock:
    """The right to write a study's directory, held from construction to `release`.

    Raises StudyLockedError where another holds it; `holder` says who, for the message.
    """

    def __init__(self, directory: Path, holder: str) -> None:
        self._lock = FileLock(
            directory / LOCK_FILE, timeout=_WAIT_SECONDS, thread_local=False
        )  # any thread may release it
        try:
            self._lock.acquire()
        except Timeout:
            raise StudyLockedError(f"{directory} is being written by {holder}; wait for it, or end it first") from None
        except OSError as error:
            raise StudyError(
                f"cannot lock {directory}: {error.strerror}; a search must be able to write there"
            ) from error

    def release(self) -> None:
        self._lock.release()


def is_held(directory: Path) -> bool:
    """Whether somebody is writing a study. Looks for an instant, by a shared lock that needs no right to write."""
    try:
        import fcntl
    except ImportError:  # Windows
        return _is_taken(directory / LOCK_FILE)
    try:
        descriptor = os.open(directory / LOCK_FILE, os.O_RDONLY | os.O_NONBLOCK)  # a pipe would wait for its writer
        with open(descriptor, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _is_taken(file: Path) -> bool:
    """The same by the lock itself, which whoever may not write cannot try: then False."""
    if not file.is_file():
        return False
    try:
        with FileLock(file, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False
