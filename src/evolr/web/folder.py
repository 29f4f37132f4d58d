"""The studies of a folder, by the names that they have on pages."""

from __future__ import annotations

import os
from pathlib import Path

from evolr.run_files import DATABASE
from evolr.study.summary import studies_in
from evolr.views.live.pages import name_of


class Folder:
    """A folder of studies, or one study. Names come from the folder itself, so none leads out of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.title = name_of(Path(os.path.abspath(path))) or str(path)

    def studies(self) -> dict[str, Path]:
        """The studies that are there now, in the order of their names. Raises RunDirectoryError where nobody can look."""
        if os.path.isfile(self.path / DATABASE):
            return {self.title: self.path}
        found: dict[str, Path] = {}
        for path in studies_in(self.path):
            name = name_of(path)
            while name in found:  # what is no Unicode is written in signs that another name may have
                name += "\N{PRIME}"
            found[name] = path
        return found
