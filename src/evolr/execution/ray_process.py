"""The process that is connected to Ray, from the side of the program that trains: it may end at any time without ending that program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import suppress
from multiprocessing.connection import Pipe
from typing import Any, Final

from evolr.errors import ExecutorError
from evolr.execution.executor import MEANWHILE_SECONDS

_CODE: Final = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[1]); "
    "from evolr.execution.ray_driver import main; main(int(sys.argv[2]))"
)
_BEGIN_SECONDS: Final = 300.0  # to connect to a cluster, or to start one; files are sent to it meanwhile
_EXIT_SECONDS: Final = 20.0  # to end a cluster that it started
_MAX_OUTPUT: Final = 4_000  # bytes of its latest output

Message = tuple[str, Any]
"""What it sends: ("landed", outcomes by number), ("waiting", text), ("error", (kind, text)); ("done", …) ends a request. While
nothing comes, ("meanwhile", None) stands for that, a few times a second.
"""


class RayProcess:
    """A process that is connected to a cluster and does what it is asked, one request after another."""

    def __init__(self, *, shows_output: bool) -> None:
        self._connection, theirs = Pipe()
        self._output, path = tempfile.mkstemp()  # what it and Ray print, of which the end is quoted if it ends
        os.unlink(path)
        environment = {"RAY_USAGE_STATS_ENABLED": "0", **os.environ}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _CODE, json.dumps(sys.path), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=None if shows_output else self._output,
                stderr=self._output,
                env=environment,
                start_new_session=True,  # the terminal's Ctrl-C does not reach it
            )

    def ask(self, request: str, *arguments: Any) -> Generator[Message]:
        """The messages of a request, until it is done. Raises ExecutorError if the process ends."""
        self._send(request, *arguments)
        if request == "begin" and not self._connection.poll(_BEGIN_SECONDS):
            self._process.kill()
            raise ExecutorError(f"the Ray cluster has not taken up this program in {_BEGIN_SECONDS:g} s")
        while True:
            try:
                is_there = self._connection.poll(MEANWHILE_SECONDS)
                message: Message = self._connection.recv() if is_there else ("meanwhile", None)
            except (EOFError, OSError) as error:
                raise self._gone() from error
            yield message
            if message[0] in ("done", "error"):
                return

    def cancel(self) -> bool:
        """Ends a request that is not done: what is under way is dropped. Whether the process can be used afterwards."""
        try:
            self._connection.send(("cancel",))
            while self._connection.poll(_EXIT_SECONDS):
                if self._connection.recv()[0] in ("done", "error"):
                    return True
        except (EOFError, OSError):
            return False
        self._process.kill()
        return False

    def close(self) -> None:
        """Ends it, and the cluster, if it started that."""
        self._connection.close()
        try:
            self._process.wait(_EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        os.close(self._output)

    def _send(self, request: str, *arguments: Any) -> None:
        try:
            self._connection.send((request, *arguments))
        except OSError as error:
            raise self._gone() from error

    def _gone(self) -> ExecutorError:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_EXIT_SECONDS)
        size = os.lseek(self._output, 0, os.SEEK_END)
        os.lseek(self._output, max(0, size - _MAX_OUTPUT), os.SEEK_SET)
        lines = os.read(self._output, _MAX_OUTPUT).decode("utf-8", "replace").strip().splitlines()
        said = f"; its last line: {lines[-1].strip()}" if lines else ""
        return ExecutorError(
            f"the Ray cluster is gone: the process that was connected to it ended with exit code {self._process.returncode}{said}. "
            "What has landed is kept; the study goes on with the same call, by this cluster, another, or without Ray"
        )
