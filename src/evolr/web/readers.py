"""What is read for a page, over and over: a study, or a folder of them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol

from evolr.errors import EvolrError
from evolr.run_files import DATABASE
from evolr.study.following import Following
from evolr.study.lock import is_held
from evolr.study.summary import Summary
from evolr.views.live.pages import StudyParts, index_parts
from evolr.web.folder import Folder


class Reader(Protocol):
    """Reads the parts of a page, in one thread. pause: seconds between two readings, if nothing is new."""

    pause: float

    def read(self) -> dict[str, str] | None:
        """All parts as HTML, by name; None if they are as they were. Raises EvolrError where they cannot be read."""
        ...

    @property
    def is_whole(self) -> bool:
        """Whether the last reading read all there was; otherwise the next one has more."""
        ...

    def close(self) -> None: ...


class StudyReader:
    """Reads a study for its page."""

    pause: float = 0.04

    def __init__(self, name: str, path: Path) -> None:
        self._following = Following(path)
        self._parts = StudyParts(name)

    def read(self) -> dict[str, str] | None:
        snapshot = self._following.read()
        return None if snapshot is None else self._parts.of(snapshot)

    @property
    def is_whole(self) -> bool:
        return self._following.is_whole

    def close(self) -> None:
        self._following.close()


_Stamp = tuple[tuple[int, int, int] | None, ...]


class FolderReader:
    """Reads the studies of a folder for the list of them, those that have changed since. None stays open in between."""

    pause: float = 1.0

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._known: dict[Path, tuple[_Stamp, bool, Following, Summary | EvolrError]] = {}
        self._listed: list[str] | None = None

    def read(self) -> dict[str, str] | None:
        studies = self._folder.studies()
        known = {path: self._read(path) for path in studies.values()}
        is_new = any(self._known.get(path) is not found for path, found in known.items())
        if not is_new and self._listed == list(studies):
            return None
        self._known, self._listed = known, list(studies)
        return index_parts((name, known[path][-1]) for name, path in studies.items())

    @property
    def is_whole(self) -> bool:
        return True

    def _read(self, path: Path) -> tuple[_Stamp, bool, Following, Summary | EvolrError]:
        stamp, is_running, before = _stamp(path), is_held(path), self._known.get(path)
        if before is not None and before[:2] == (stamp, is_running):
            return before
        following = Following(path) if before is None else before[2]
        try:
            return stamp, is_running, following, _summary(following)
        except EvolrError as error:
            return stamp, is_running, following, error
        finally:
            following.close()

    def close(self) -> None:
        self._known = {}


def _summary(following: Following) -> Summary:
    """The summary of a study whose database is not open, its trials counted to the last."""
    while True:
        snapshot = following.read()
        if snapshot is not None and snapshot.totals.is_whole:
            return snapshot.summary


def _stamp(path: Path) -> _Stamp:
    """What is another after every write of a study."""
    found: list[tuple[int, int, int] | None] = []
    for name in (DATABASE, f"{DATABASE}-wal"):
        try:
            status = os.stat(path / name)
        except OSError:
            found.append(None)
        else:
            found.append((status.st_ino, status.st_mtime_ns, status.st_size))
    return tuple(found)
