"""The one reader of files that a person names, or that a run keeps: of regular files, whose reading comes to an end."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, Final

from evolr.errors import ConfigError, shown

GREATEST: Final = 2**28
"""Bytes of a file that is read, at most. A contest's document, the longest of evolr's, has some 10⁷."""


def read(path: Path | str) -> bytes:
    """The content of a regular file. Raises OSError where that fails, and for a pipe, a device, and a file beyond `GREATEST`."""
    # Without waiting: a pipe would wait for its writer.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise OSError(None, "it is no file: a directory, a device, or a pipe, whose reading may not end")
        if found.st_size > GREATEST:
            raise OSError(None, f"it has {found.st_size:,} bytes, more than {GREATEST:,}")
        with open(descriptor, "rb", closefd=False) as file:
            return file.read(GREATEST)
    finally:
        os.close(descriptor)


def path_of(what: str, given: Any) -> Path:
    """A path that a person names. what: that it is of, a directory, say. Raises ConfigError for what is no path, and an empty text."""
    try:
        named = os.fspath(given)
    except TypeError:
        named = None
    if not isinstance(named, str) or not named:
        raise ConfigError(f"a {what} is named by a text that is not empty or a Path, got {shown(given)}")
    return Path(named)


def require_single_keys(document: bytes | str) -> None:
    """Raises ValueError for a document of JSON that says a name twice in one place: a reader would see the one, evolr take the other."""
    json.loads(document, object_pairs_hook=_once, parse_int=str, parse_float=str)


def _once(pairs: list[tuple[str, Any]]) -> None:
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"it says {twice!r} twice: let it say so once")
