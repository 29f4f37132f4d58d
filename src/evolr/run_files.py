"""The names of a run directory's files: what a study or a contest writes there, and nobody else.

Whoever writes a run directory takes its names from here; the writer of files that a person names refuses these.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

DATABASE: Final = "study.db"
"""Everything that a study remembers."""

UNFINISHED: Final = ".new"
"""After the name of a database that is being made."""

LEDGER: Final = "contest.db"
"""The trainings of contests and explanations."""

LOCK_FILE: Final = "writer.lock"

SEARCH_FILES: Final = ("config.toml", "champion.json", "champion.txt", "history.csv", "front.csv", "front.png")

COMPARISON_FILES: Final = ("comparison.csv", "comparison.png", "comparison.json")
"""The document is written last: where it is, the others are."""

EXPLANATION_FILES: Final = ("explanation.png", "explanation.json")

REPORT: Final = "report.html"
"""The report, which is made anew whenever it is asked for; a person may name it too."""


def contest_name(*, is_quick: bool) -> str:
    """What a contest's files are called: a rehearsal's are not taken for a contest's, nor written over them."""
    return "rehearsal" if is_quick else "contest"


def contest_files(name: str) -> tuple[str, ...]:
    """The files of a contest, or of its rehearsal, by its name; the document last."""
    return (f"{name}.csv", f"{name}.md", f"{name}.png", f"{name}-profile.png", "proven.json", f"{name}.json")


_DATABASES: Final = (DATABASE, LEDGER)
_DERIVED: Final = frozenset(
    (*SEARCH_FILES, *COMPARISON_FILES, *EXPLANATION_FILES, *contest_files("contest"), *contest_files("rehearsal"))
)


def belongs_to_a_run(path: Path) -> bool:
    """Whether a path is that of a file that a study or a contest writes: a database wherever it lies, and the lock; the other
    files where one of the databases lies beside them.
    """
    name = path.name.casefold()  # there are file systems on which Study.db is study.db
    if name == LOCK_FILE or any(name == own or name.startswith((f"{own}-", own + UNFINISHED)) for own in _DATABASES):
        return True
    return name in _DERIVED and any(os.path.isfile(path.with_name(own)) for own in _DATABASES)
