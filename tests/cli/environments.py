"""A command of the command line in this process, with streams, a disk, rights and a terminal of another kind.

As a program: runs commands in one directory each, in every environment, and prints how each ended. What a process has for good, the
signals' handlers say, is put back after each, so that one process answers for all of them.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
import traceback
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Thread
from typing import Any

from tests.trees import tree

NOBODY = 65534
"""Whom root becomes in a read-only directory: to root, none is."""


@dataclass(frozen=True)
class Environment:
    """Where a command runs; as usual, if nothing is said. stdout: "pipe", "closed", or the path of a device.

    file_size: of a file at most, in bytes. has_home: whether the user's directory is one.
    """

    encoding: str = "utf-8"
    stdout: str = "pipe"
    columns: int = 1_000
    file_size: int | None = None
    is_read_only: bool = False
    has_home: bool = True


ENVIRONMENTS = {
    "ASCII stdout": Environment(encoding="ascii"),
    "closed stdout": Environment(stdout="closed"),
    "stdout on a full disk": Environment(stdout="/dev/full"),
    "full disk": Environment(file_size=0),
    "read-only directory": Environment(is_read_only=True),
    "20 columns": Environment(columns=20),
    "no HOME": Environment(has_home=False),
}


@dataclass(frozen=True)
class Ended:
    """How a command ended; code is 1 where Python would have printed a traceback, which err has then."""

    code: int
    out: str
    err: str


def command(arguments: list[str], environment: Environment = Environment()) -> Ended:
    """Runs a command line here, in the working directory."""
    from evolr import cli

    said: dict[int, str] = {}
    with ExitStack() as stack:
        stack.enter_context(_as_before())
        stack.enter_context(_streams(environment, said))
        stack.enter_context(_limits(environment))
        sys.argv = ["evolr", *arguments]
        code: Any = 0
        try:
            cli.main()
        except SystemExit as error:
            code = error.code
        except BaseException:
            code = 1
            with os.fdopen(os.dup(2), "w", encoding="utf-8", errors="backslashreplace") as err:
                traceback.print_exc(file=err)
    return Ended(0 if code is None else code, said[1], said[2])


@contextmanager
def _as_before() -> Generator[None]:
    """What a command may change for good is as it was afterwards."""
    variables, arguments = dict(os.environ), sys.argv
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(variables)
        sys.argv = arguments
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def _streams(environment: Environment, said: dict[int, str]) -> Generator[None]:
    """Standard output and error of an environment; what was written to them is in `said` afterwards, by descriptor."""
    before = sys.stdout, sys.stderr
    for stream in before:
        stream.flush()
    kept, nowhere = {number: os.dup(number) for number in (1, 2)}, os.open(os.devnull, os.O_WRONLY)
    readers = [_read_into(said, number) for number in (1, 2)]
    if environment.stdout == "closed":
        os.close(1)
    elif environment.stdout != "pipe":
        device = os.open(environment.stdout, os.O_WRONLY)
        os.dup2(device, 1)
        os.close(device)
    if environment.stdout == "closed":
        sys.stdout = None  # type: ignore[assignment]  (as Python has it then)
    else:
        sys.stdout = os.fdopen(1, "w", encoding=environment.encoding, closefd=False)
    sys.stderr = os.fdopen(2, "w", encoding=environment.encoding, errors="backslashreplace", closefd=False)
    try:
        yield
    finally:
        for number, stream in ((1, sys.stdout), (2, sys.stderr)):
            try:
                if stream is not None:
                    stream.flush()
            except (
                OSError,
                ValueError,
            ):  # it would try again when it is collected, and find another's descriptor there
                os.dup2(nowhere, number)
                stream.flush()
        os.close(nowhere)
        sys.stdout, sys.stderr = before
        for number, descriptor in kept.items():
            os.dup2(descriptor, number)  # which closes the pipe's end, so that its reader ends
            os.close(descriptor)
        for reader in readers:
            reader.join()


def _read_into(said: dict[int, str], number: int) -> Thread:
    """Puts a pipe in a descriptor's place, and begins to read it."""
    reading, writing = os.pipe()
    os.dup2(writing, number)
    os.close(writing)

    def read() -> None:
        with os.fdopen(reading, "rb") as pipe:
            said[number] = pipe.read().decode(errors="backslashreplace")

    thread = Thread(target=read)
    thread.start()
    return thread


@contextmanager
def _limits(environment: Environment) -> Generator[None]:
    """The terminal, the disk and the rights of an environment."""
    os.environ["COLUMNS"] = str(environment.columns)
    if not environment.has_home:
        os.environ["HOME"] = "/dev/null"  # where no directory can be made, for root neither
        os.environ.pop("XDG_CACHE_HOME", None)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    modes = {path: path.stat().st_mode for path in (Path(), *Path().rglob("*")) if environment.is_read_only}
    is_root = environment.is_read_only and os.geteuid() == 0
    try:
        for path, mode in modes.items():
            path.chmod(mode & ~0o222 | 0o444)
        if environment.file_size is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (environment.file_size, hard))
        if is_root:
            os.setresuid(NOBODY, NOBODY, 0)
        yield
    finally:
        if is_root:
            os.setresuid(0, 0, 0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        signal.signal(signal.SIGXFSZ, before)
        for path, mode in modes.items():
            if path.exists():
                path.chmod(mode)


def in_all_environments(commands: list[list[str]], study: Path) -> Generator[dict[str, Any]]:
    """How each command ended in each environment, in a directory of its own that holds the study as `mine`.

    changed: what is another than before, or gone, of what the directory held; new: what it holds besides, but for what SQLite keeps
    beside a database for its readers; left: what was begun and
    not finished.
    """
    from evolr.writing import is_leftover

    for arguments in commands:
        for name, environment in ENVIRONMENTS.items():
            place = Path("place")
            shutil.copytree(study, place / "mine")
            os.chdir(place)
            before = tree()
            ended = command(arguments, environment)
            after = tree()
            os.chdir("..")
            shutil.rmtree(place)
            changed = sorted(path for path, was in before.items() if after.get(path) != was)
            left = sorted(path for path in after if is_leftover(Path(path).name))
            new = sorted(path for path in after.keys() - before.keys() if not path.endswith(("-shm", "-wal")))
            found = {"changed": changed, "new": new, "left": left}
            yield {"arguments": arguments, "environment": name, **asdict(ended), **found}


def main() -> None:
    _, study, *commands = sys.argv
    for line in in_all_environments([json.loads(each) for each in commands], Path(study)):
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    import tests.conftest  # noqa: F401  (its cache of compiled programs)

    main()
