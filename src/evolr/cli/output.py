"""What a command says: results on stdout, everything else on stderr. The one place of the command line that writes to either.

Whatever stands in what is said, of a file or a name, is said as text; and what cannot be said, by an encoding or to nobody, ends
nothing: results are in their files before they are printed.
"""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from io import TextIOWrapper
from typing import TYPE_CHECKING, Any

from evolr.errors import printable
from evolr.legible import ENCODABLE, is_width, message

if TYPE_CHECKING:
    from evolr.views.terminal_table import TerminalTable


def prepare() -> None:
    """Makes the standard streams such that any text can be written, and that no file of a study takes the place of a closed one.

    A width or height of the terminal that the environment gives and no terminal has is as if it were not given.
    To a stdout that is closed nothing can be written, which is an OSError as on a full disk; what is said to a closed stderr is lost.
    """
    for name in ("COLUMNS", "LINES"):
        if not is_width(os.environ.get(name, "1")):
            del os.environ[name]
    for number, mode in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, mode)  # it takes the lowest free number, which is this one
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:  # of a program that was started without
            setattr(sys, name, os.fdopen(number, "w", encoding="utf-8", closefd=False))
        stream = getattr(sys, name)
        if isinstance(stream, TextIOWrapper) and stream.errors in ("strict", "surrogateescape", "backslashreplace"):
            stream.reconfigure(errors=ENCODABLE)


def say(*lines: str) -> None:
    """Prints lines of a result. Raises OSError where that fails, but not where nobody reads any more: that is no failure."""
    _write("".join(f"{printable(line)}\n" for line in lines))


def say_table(table: TerminalTable) -> None:
    """Prints a table, as wide as the terminal."""
    from evolr.views.terminal_table import rendered

    _write(rendered(table))


def print_json(document: Mapping[str, Any]) -> None:
    """Prints a document as JSON in ASCII, which every encoding has, and in which half of a character has a name too."""
    import json

    import msgspec

    _write(json.dumps(_of_numbers(msgspec.to_builtins(document)), indent=2, allow_nan=False) + "\n")


def print_source(text: str) -> None:
    """Prints a file's text as it is, in UTF-8, which Python reads its source in."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8")
    _write(text)


def tell(text: str) -> None:
    """Says something on stderr, of a line or more; where that fails, nothing."""
    with suppress(OSError, ValueError):
        sys.stderr.write(message(text) + "\n")
        sys.stderr.flush()


def be_silent() -> None:
    """Lets stdout write to nobody from now on, what it holds back too."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _write(text: str) -> None:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output has seen enough
        be_silent()


def _of_numbers(value: Any) -> Any:
    """A value with null for each number that JSON lacks."""
    if isinstance(value, dict):
        return {name: _of_numbers(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_of_numbers(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
