"""The gallery as a mapping: documents of the package, each read when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from evolr.discovered.entry import GalleryEntry
from evolr.errors import ScheduleError, UnknownEntryError, printable, unknown_name
from evolr.reading import path_of, read

_ENDING = ".json"


class Gallery(Mapping[str, GalleryEntry]):
    """The discovered schedules by name, in alphabetical order; read-only.

    >>> import evolr
    >>> "momentum-suite" in evolr.gallery
    True
    >>> evolr.gallery["momentum-suite"].optimizer_text
    'SGD with momentum 0.9'
    >>> sorted(evolr.gallery["momentum-suite"].schedule().signals)
    ['grad_norm_rss', 'progress']

    place: the folder of the documents, of which each is read once, when it is asked for; the package's own where None.
    Raises UnknownEntryError, a KeyError, for a name that it has not, and ScheduleError for a document that is damaged.
    """

    def __init__(self, place: Traversable | None = None) -> None:
        self._place = None if place is None else path_of("gallery", place) if isinstance(place, str | Path) else place
        self._names: list[str] | None = None
        self._read: dict[str, GalleryEntry] = {}

    def __getitem__(self, name: str) -> GalleryEntry:
        if name not in self._listed():
            raise UnknownEntryError(unknown_name("gallery entry", name, self._listed()))
        if name not in self._read:
            self._read[name] = self._entry(name)
        return self._read[name]

    def __contains__(self, name: object) -> bool:
        return name in self._listed()  # a damaged document is one that is there

    def __iter__(self) -> Iterator[str]:
        return iter(self._listed())

    def __len__(self) -> int:
        return len(self._listed())

    def __repr__(self) -> str:
        return printable(f"<evolr.gallery: {', '.join(self)}>")

    def _repr_html_(self) -> str | None:
        """What a notebook shows."""
        from evolr.views.html import gallery_html

        return gallery_html(self.values())

    def _folder(self) -> Any:
        return files("evolr.discovered") / "entries" if self._place is None else self._place

    def _listed(self) -> list[str]:
        if self._names is None:
            folder = self._folder()
            try:
                found = [each.name for each in folder.iterdir() if each.name.endswith(_ENDING)]
            except OSError as error:
                raise ScheduleError(f"cannot read the gallery {folder}: {error.strerror}") from error
            self._names = sorted(name.removesuffix(_ENDING) for name in found)
        return self._names

    def _entry(self, name: str) -> GalleryEntry:
        document = self._folder() / f"{name}{_ENDING}"
        try:
            entry = GalleryEntry.from_json(read(document) if isinstance(document, Path) else document.read_bytes())
        except ScheduleError as error:
            mend = ". Install evolr again" if self._place is None else ""
            raise ScheduleError(f"the gallery's document {document} is damaged: {error}{mend}") from error
        except OSError as error:
            raise ScheduleError(f"cannot read the gallery's document {document}: {error.strerror}") from error
        if entry.name != name:
            raise ScheduleError(
                f"the gallery's document {document} is that of {entry.name!r}; its name must be its file's"
            )
        return entry
