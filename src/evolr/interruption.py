"""Ctrl-C and SIGTERM.

No exception is raised in a handler: JAX calls back into Python, from the garbage collector for one, and an exception
raised just then is printed and dropped. A handler sets a flag, or ends the process.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:  # it is the first that the program imports, before Ctrl-C means anything
    from pathlib import Path


def _say(text: str) -> None:
    """Writes to stderr, from a handler too; what is wrong with that ends nothing."""
    with suppress(OSError):
        os.write(2, text.encode(errors="replace"))


def end_now(*_: object) -> NoReturn:
    """Ctrl-C outside a search ends the process here and now.

    Every file is written beside its place and renamed, so there is nothing to tidy up.
    """
    _say("\ninterrupted\n")
    os._exit(130)


def end_saying(message: str) -> None:
    """From now on Ctrl-C and SIGTERM end the process with a message, for work that loses nothing by it."""

    def end(number: int, _: object) -> NoReturn:
        _say(f"\ninterrupted; {message}\n")
        os._exit(128 + number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)


class Interruption:
    """Ctrl-C and SIGTERM during a search: the first time it stops after the batch in flight, the second time at once.

    Nothing is lost either way: what was finished is in the study.
    """

    def __init__(self, database: Path) -> None:
        self._database = database  # of the study; there as soon as there is something to go on with
        self._signal: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        self._before = {number: signal.signal(number, self._take) for number in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            if handler is not None:  # otherwise it was none of Python's, which Python cannot put back
                signal.signal(number, handler)

    def reason(self) -> str | None:
        return None if self._signal is None else "interrupted"

    def leave(self) -> None:
        """Ends the process where the search was interrupted."""
        if self._signal is not None:
            _say(f"interrupted; {self._go_on()}\n")
            sys.exit(128 + self._signal)

    def _take(self, number: int, _: object) -> None:
        if self._signal is not None or not self._database.is_file():
            _say(f"\ninterrupted; {self._go_on()}\n")
            os._exit(128 + number)
        self._signal = number
        _say("\nstopping after the trainings under way; once more to stop now\n")

    def _go_on(self) -> str:
        from evolr.errors import printable
        from evolr.legible import shell_word

        if not self._database.is_file():
            return "nothing was begun yet"
        directory = self._database.parent
        return f"what was finished is in {printable(str(directory))}; go on with: evolr evolve --run {shell_word(directory)}"
