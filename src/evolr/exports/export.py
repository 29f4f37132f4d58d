"""One call that hands a schedule over: as the text of a file, or as the file."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evolr.discovered import GalleryEntry
from evolr.errors import ConfigError
from evolr.exports.targets import source
from evolr.named import named
from evolr.schedule import Schedule
from evolr.writing import write


def export(
    what: Schedule | GalleryEntry | Path | str,
    to: str,
    path: Path | str | None = None,
    *,
    provenance: Mapping[str, Any] | None = None,
    force: bool = False,
) -> str:
    """A schedule as code for a framework: one Python file that needs no evolr. Answers its text.

        evolr.export("runs/mine", "torch", "my_schedule.py")
        text = evolr.export(schedule, "optax")

    what: a Schedule, or what `evolr.load` takes. to: python, torch, optax, keras, lightning or huggingface.
    path: where to save it; nowhere where None. force: writes over a file that is there.
    provenance: what the file's docstring says of where the schedule comes from; what is known of a run or a file where None.

    Raises ScheduleError for an unknown target, and where the schedule reads a signal that the target cannot supply;
    ConfigError for a path that cannot be written, or is there; errors as of `load`.
    """
    place = None if path is None else Path(path)
    if place is not None:
        require_free(place, force=force)
    if isinstance(what, Schedule):
        schedule, known = what, {}
    else:
        found = named(what)
        schedule, known = found.schedule, found.provenance
    text = source(schedule, to, known if provenance is None else provenance)
    if place is not None:
        save(text, place)
    return text


def require_free(path: Path, *, force: bool = False) -> None:
    """Raises ConfigError where no file may be written: a directory, one that is there, a pipe or a device, a place in none."""
    if "\0" in str(path):
        raise ConfigError(f"no file can be called {str(path)!r}")
    if os.path.isdir(path) or not path.name:
        raise ConfigError(f"{path} is a directory; name a file")
    if os.path.exists(path) and not os.path.isfile(path):
        raise ConfigError(f"{path} is a pipe or a device, which a file would take the place of; name a file")
    if os.path.exists(path) and not force:
        raise ConfigError(
            f"{path} exists already; name another file, or write over it: force=True, --force on the command line"
        )
    if not os.path.isdir(path.parent):
        raise ConfigError(f"there is no directory {path.parent} to write {path.name} in")


def save(text: str, path: Path) -> None:
    """Saves an exported file; through a link, which stays. Raises ConfigError where that fails."""
    try:
        write(Path(os.path.realpath(path)), text.encode())
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror}") from error
