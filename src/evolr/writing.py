"""The one writer of files: whole or not at all, and never over what is not meant.

A file is written beside its place, flushed to the disk and renamed, so that whoever reads it, after a kill or a power cut too,
finds the former one or the new one. What a killed process left beside is removed by the next write in that directory.
"""

from __future__ import annotations

import itertools
import os
import re
import socket
import stat
import time
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from evolr.errors import ConfigError
from evolr.reading import path_of
from evolr.run_files import belongs_to_a_run

_TEMPORARY: Final = re.compile(r"\.evolr-([0-9a-f]{8})-(\d+)-([0-9a-f]{8})-\d+\.tmp")
"""Of a machine, a process of it, and what tells that from an earlier one of the same number."""

_FORGOTTEN: Final = 3600.0  # seconds: no write takes as long, wherever its process runs

_own = os.urandom(4).hex()
_numbers = itertools.count()


def write(path: Path, content: bytes) -> None:
    """Writes a file, in place of a regular one that is there, whose permissions it keeps.

    Raises OSError where that fails, and where a link, a pipe, a device or a directory is there; nothing half-written stays.
    """
    mode = _replaceable(path)
    remove_leftovers(path.parent)
    temporary = path.with_name(f".evolr-{_here():08x}-{os.getpid()}-{_own}-{next(_numbers)}.tmp")
    try:
        with open(temporary, "xb") as file:
            if mode is not None:
                os.chmod(temporary, mode)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:  # Ctrl-C too
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def require_replaceable(path: Path) -> None:
    """Raises OSError where `write` would refuse a path whatever its content: by what is there, or by its directory."""
    _replaceable(path)
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise PermissionError(None, f"its directory {path.parent} cannot be written")


@dataclass(frozen=True, slots=True)
class Output:
    """A file that a person names, checked before anything is done for it. force: whether a file that is there may be replaced."""

    named: str
    force: bool

    @classmethod
    def checked(cls, named: Path | str, *, force: bool = False) -> Output:
        """The output of a name. Raises ConfigError where it could not be written now."""
        path_of("file", named)
        output = cls(os.fspath(named), force)
        output._target()
        return output

    def write(self, content: bytes) -> None:
        """Writes the file; through a link, which stays. Raises ConfigError where that fails, or the place was taken since."""
        target = self._target()
        try:
            write(target, content)
        except OSError as error:
            raise ConfigError(f"cannot write {self.named}: {error.strerror}") from error

    def _target(self) -> Path:
        """The file that is to be written, with links followed."""
        named = self.named
        require_nameable(named)
        if os.path.isdir(named):
            raise ConfigError(f"{named} is a directory; name a file")
        if named.endswith(tuple(filter(None, (os.sep, os.altsep)))):
            raise ConfigError(f"{named} ends as a directory does; name a file")
        target = Path(os.path.realpath(named))
        if belongs_to_a_run(target):
            raise ConfigError(f"{named} is one of the files that a run keeps in {target.parent}; name another file")
        try:
            _replaceable(target)
        except OSError as error:
            raise ConfigError(f"cannot write {named}: {error.strerror}") from error
        if _is_stream(target):
            raise ConfigError(f"{named} is what standard output or standard error is written to; name another file")
        if os.path.lexists(target) and not self.force:
            raise ConfigError(
                f"{named} exists already; name another file, or write over it: force=True, --force on the command line"
            )
        if not os.path.isdir(target.parent):
            raise ConfigError(f"there is no directory {Path(named).parent} to write {target.name} in")
        if not os.access(target.parent, os.W_OK | os.X_OK):
            raise ConfigError(f"cannot write {named}: no right to write in {target.parent}, or it is read-only")
        return target


def require_nameable(path: str) -> None:
    """Raises ConfigError for a path that no file can have; and for one that begins with ~, unless something is called so: nobody
    means a file or a directory of that name.
    """
    try:
        is_possible = b"\0" not in os.fsencode(path)
    except ValueError:  # half of a character
        is_possible = False
    if not is_possible:
        raise ConfigError(f"nothing can be called {path!r}")
    first = path.replace(os.altsep or os.sep, os.sep).partition(os.sep)[0]
    if first.startswith("~") and not os.path.lexists(first):
        raise ConfigError(f"{path} begins with ~, which stands for nothing here; write the path in full")


def is_leftover(name: str) -> bool:
    """Whether a file's name is that of what is being written, or was when its writer was killed."""
    return _TEMPORARY.fullmatch(name) is not None


def remove_leftovers(directory: Path) -> None:
    """Removes the temporary files of processes that have ended."""
    with suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            if (found := _TEMPORARY.fullmatch(entry.name)) and _is_abandoned(found, entry):
                with suppress(OSError):
                    os.unlink(entry.path)


def _is_abandoned(found: re.Match[str], entry: os.DirEntry[str]) -> bool:
    with suppress(OSError):
        if time.time() - entry.stat(follow_symlinks=False).st_mtime > _FORGOTTEN:
            return True
    if int(found[1], 16) != _here():
        return False
    process = int(found[2])
    if process == os.getpid():
        return found[3] != _own
    return os.name == "posix" and not _is_running(process)  # on Windows, os.kill ends a process whatever the signal


def _is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # another user's
        return True
    return True


def _here() -> int:
    """Tells machines, and containers of one machine, apart: a process's number means nothing in another one."""
    space = 0
    with suppress(OSError):
        space = os.stat("/proc/self/ns/pid").st_ino  # of Linux; elsewhere the name alone
    return zlib.crc32(f"{socket.gethostname()} {space}".encode(errors="replace"))


def _is_stream(path: Path) -> bool:
    """Whether a file is what is printed into: it would be replaced, and what is printed later lost with the former one."""
    for descriptor in (1, 2):
        with suppress(OSError):  # nothing is there, or the stream is closed
            if os.path.samestat(os.stat(path), os.fstat(descriptor)):
                return True
    return False


def _replaceable(path: Path) -> int | None:
    """The permissions of the regular file at a path; None where there is nothing. Raises OSError where anything else is."""
    try:
        mode = os.lstat(path).st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(mode):
        kinds = ((stat.S_ISDIR, "a directory"), (stat.S_ISLNK, "a link"), (stat.S_ISFIFO, "a pipe"))
        what = next((words for test, words in kinds if test(mode)), "a device")
        raise FileExistsError(None, f"it is {what}, which a file would take the place of")
    return mode & 0o777
