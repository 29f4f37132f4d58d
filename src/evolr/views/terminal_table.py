"""A table for the terminal, however narrow: no figure is cut, and no column is left out."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, Literal

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from evolr.errors import printable
from evolr.legible import encodable, is_width

Kind = Literal["name", "figure", "formula"]
"""What a column holds: names and formulas are folded where room is short, figures stay whole."""

_LEAST: Final = {"name": 10, "formula": 24}
"""The width that a column may be folded to."""

_PLAIN_WIDTH, _HEIGHT = 120, 25  # the height is of no table; without one, rich reads the environment itself

GAP: Final = "  "
"""Between the figures of a cell: where room is short, each is put on a line of its own."""


_ATOM: Final = re.compile(r"-?\d[\d.]*(?:e[+-]?\d+)?|@?\w+ ?|[*/<>=!]+ ?|.")
"""What of a formula stays on a line: a number, a name, an operator."""


class TerminalTable:
    """A table that is laid out for the width that it is printed in.

    In the first of these ways that fits: each row on a line; the figures of a cell one below the other, a mean and its
    interval, say; the ends of an interval one below the other too; each row as a list, one line a column.

    headers, rows: what it says, each text in one line and without what cannot be seen. left: of each column, whether it stands at its left; bold: of each row, whether it is.
    """

    def __init__(self, title: str) -> None:
        self.title = printable(title)
        self.headers: list[str] = []
        self.rows: list[tuple[str, ...]] = []
        self._kinds: list[Kind] = []
        self.left: list[bool] = []
        self.bold: list[bool] = []

    def add_column(self, header: str, kind: Kind = "figure", *, is_left: bool = False) -> None:
        """is_left: whether a column of figures stands at its left; names and formulas always do."""
        self.headers.append(printable(header))
        self._kinds.append(kind)
        self.left.append(is_left or kind != "figure")

    def add_row(self, *cells: str, is_bold: bool = False) -> None:
        """A row of as many cells as there are columns; those that are missing at its end are empty."""
        self.rows.append((*map(printable, cells), *[""] * (len(self.headers) - len(cells))))
        self.bold.append(is_bold)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for split in (str, _figures_apart, _ends_apart):
            least = Measurement.get(console, options.update(max_width=100_000), self._table(split, is_folded=True))
            if least.maximum <= options.max_width:
                yield self._table(split)
                return
        yield from self._list()

    def encodable(self, encoding: str) -> TerminalTable:
        """The table in what an encoding can say, before its columns are measured."""
        table = TerminalTable(encodable(self.title, encoding))
        for header, kind, is_left in zip(self.headers, self._kinds, self.left, strict=True):
            table.add_column(encodable(header, encoding), kind, is_left=is_left)
        for cells, is_bold in zip(self.rows, self.bold, strict=True):
            table.add_row(*(encodable(cell, encoding) for cell in cells), is_bold=is_bold)
        return table

    def _table(self, split: Callable[[str], str], *, is_folded: bool = False) -> Table:
        """The table with each cell split over lines; is_folded: with names and formulas as narrow as they may be."""
        title = Text(self.title, style="bold")  # never a str, which rich takes for markup
        table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for header, kind, is_left in zip(self.headers, self._kinds, self.left, strict=True):
            table.add_column(
                Text(header if split is str else header.replace(" ", "\n")),
                justify="left" if is_left else "right",
                overflow="fold",
                no_wrap=kind == "figure",
                max_width=_LEAST.get(kind) if is_folded else None,
            )
        for cells, is_bold in zip(self.rows, self.bold, strict=True):
            shown = [_cell(cell, kind, split) for cell, kind in zip(cells, self._kinds, strict=True)]
            table.add_row(*shown, style="bold" if is_bold else "")
        return table

    def _list(self) -> Iterable[RenderableType]:
        """Each row as a list: its first cell, then the others with their headers."""
        yield Text(self.title, style="bold", overflow="fold")
        for (first, *others), is_bold in zip(self.rows, self.bold, strict=True):
            yield Text(f"\n{self.headers[0]}: {first}", style="bold" if is_bold else "", overflow="fold")
            for header, kind, cell in zip(self.headers[1:], self._kinds[1:], others, strict=True):
                if cell:
                    yield _cell(f"  {header}: {cell}" if header else f"  {cell}", kind, str)
        yield Text()


def rendered(table: TerminalTable) -> str:
    """A table as it is printed on stdout: as wide as its terminal, or as COLUMNS says; wide where there is neither, so that a log has
    whole lines.
    """
    console = Console(width=_width(), height=_HEIGHT)
    with console.capture() as shown:
        console.print(table.encodable(console.encoding))
    return shown.get()


def _width() -> int:
    columns = os.environ.get("COLUMNS", "")
    if is_width(columns):
        return int(columns)
    if sys.stdout.isatty():
        with suppress(OSError):
            return os.get_terminal_size(sys.stdout.fileno()).columns or _PLAIN_WIDTH
    return _PLAIN_WIDTH


class _Formula:
    """A formula over as many lines as it needs, none of which ends within a number or a name."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        longest = max(map(cell_len, _ATOM.findall(self._text)), default=0)
        return Measurement(longest, max(longest, cell_len(self._text)))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        line = ""
        for atom in _ATOM.findall(self._text):
            if line and cell_len(line + atom.rstrip()) > options.max_width:
                yield Text(line.rstrip(), overflow="fold")
                line = atom.lstrip()
            else:
                line += atom
        yield Text(line.rstrip(), overflow="fold")


def _cell(cell: str, kind: Kind, split: Callable[[str], str]) -> RenderableType:
    return _Formula(cell) if kind == "formula" else Text(split(cell) if kind == "figure" else cell, overflow="fold")


def _figures_apart(cell: str) -> str:
    return cell.replace(GAP, "\n")


def _ends_apart(cell: str) -> str:
    return _figures_apart(cell).replace(" … ", " …\n")
