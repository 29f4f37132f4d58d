"""One call that makes the report of a run: for a file, and for a notebook."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path

from evolr.errors import printable
from evolr.reading import path_of
from evolr.views.page.page import page
from evolr.views.page.records import read_run
from evolr.writing import Output


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """The report of a run. html: the whole page; run: the directory that it is of; path: where it was saved, None where it was not.

    As the last line of a notebook's cell it shows itself.
    """

    html: str
    run: Path
    path: Path | None = None

    def __repr__(self) -> str:
        where = "" if self.path is None else f", saved as {self.path}"
        return printable(f"<Report of {self.run}: {len(self.html.encode()) / 1000:.0f} kB{where}>")

    def _repr_html_(self) -> str:
        """What a notebook shows: the page in a frame of its own, so that its style stays its own."""
        return (
            f'<iframe title="evolr report" srcdoc="{escape(self.html)}" sandbox="allow-scripts allow-popups" '
            'style="width: 100%; height: 80vh; min-height: 30em; border: 1px solid #8888"></iframe>'
        )


def report(run: Path | str, path: Path | str | None = None, *, force: bool = False) -> Report:
    """The report of a run, as one HTML page that needs nothing beside it: what was searched, the champion, the verdict, and how to
    repeat it, as far as the run has got.

        evolr.report("runs/mine")                    # a notebook shows it
        evolr.report("runs/mine", "report.html")

    run: a run directory; its search may be running. path: where to save it; nowhere where None. force: writes over a file that is there.

    Raises StudyError where there is no study, or it cannot be read, and ConfigError where the file cannot be written, or is there, and for what is no path.
    A record beside the study that cannot be read, a damaged contest, say, is left out, and the page says so.
    """
    directory = path_of("run directory", run)
    output = None if path is None else Output.checked(path, force=force)
    html = page(read_run(directory))
    if output is not None:
        output.write(html.encode())
    return Report(html, directory, None if path is None else Path(path))
