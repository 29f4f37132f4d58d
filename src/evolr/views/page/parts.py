"""What a section of the report is made of: plain values, which the template writes. Every text in them is text, not HTML."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from evolr.views.terminal_table import GAP


@dataclass(frozen=True, slots=True)
class Sentences:
    """A paragraph. is_note: set smaller, since it says how to read what stands above it; is_lead: set larger, for what matters most."""

    kind: ClassVar[str] = "sentences"
    sentences: tuple[str, ...]
    is_note: bool = False
    is_lead: bool = False

    @property
    def text(self) -> str:
        return " ".join(map(ended, self.sentences))


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and values; one without a value is left out."""

    kind: ClassVar[str] = "facts"
    rows: tuple[tuple[str, str], ...]

    @property
    def known(self) -> list[tuple[str, str]]:
        return [(name, value) for name, value in self.rows if value]


@dataclass(frozen=True, slots=True)
class Formula:
    """A learning rate. mathml: its element, empty where it is too long to be set; text: as evolr reads it."""

    kind: ClassVar[str] = "formula"
    mathml: str
    text: str


@dataclass(frozen=True, slots=True)
class Picture:
    """A drawing, of Pictures. svg: its element, made by drawing.py; caption: how to read it, empty if its title says all."""

    svg: str
    caption: str


@dataclass(frozen=True, slots=True)
class Pictures:
    """Drawings that stand side by side where there is room."""

    kind: ClassVar[str] = "pictures"
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table. value: what it is sorted by, None for its text or for nothing. is_code: whether it is a formula. link: where it leads to,
    on a page that is served; it is evolr's own, and begins with a slash.
    """

    text: str
    value: float | None = None
    is_code: bool = False
    link: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table. is_number: set to the right, and sorted by its cells' values. is_whole: whether its cells stay in one
    line. hint: what it is, in words.
    """

    header: str
    is_number: bool = True
    is_whole: bool = False
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    cells: tuple[Cell, ...]
    is_bold: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table, which a reader may sort by each column. caption: what it holds."""

    kind: ClassVar[str] = "table"
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    is_sortable: bool = True

    @property
    def hints(self) -> list[tuple[str, str]]:
        return [(column.header, column.hint) for column in self.columns if column.hint]


@dataclass(frozen=True, slots=True)
class Code:
    """Lines to copy. title: what they are. is_folded: whether they are shown by a click alone."""

    kind: ClassVar[str] = "code"
    title: str
    text: str
    is_folded: bool = False


@dataclass(frozen=True, slots=True)
class Progress:
    """How much is done, of how much, in any unit. label: of what."""

    kind: ClassVar[str] = "progress"
    done: float
    total: float
    label: str


Part = Sentences | Facts | Formula | Pictures | Table | Code | Progress


@dataclass(frozen=True, slots=True)
class Section:
    """A section. name: its place on the page, as an address; title: its heading."""

    name: str
    title: str
    parts: tuple[Part, ...]


def ended(sentence: str) -> str:
    """A text as a sentence: with a capital first, and a full stop."""
    whole = sentence[:1].upper() + sentence[1:]
    return whole if whole.endswith((".", "?", "!", ":", "»")) else f"{whole}."


def bracketed(cell: str) -> str:
    """A cell of a table for the terminal, with its interval, if it has one, in brackets."""
    middle, gap, interval = cell.partition(GAP)
    return f"{middle} ({interval.strip()})" if gap and "…" in interval else cell


def sortable(cells: Sequence[str], numbers: Sequence[float | None]) -> tuple[Cell, ...]:
    """The cells of a row for the terminal, each with the number that it is sorted by; None, and what is no number, for none."""
    values = (None if number is None or math.isnan(number) else float(number) for number in numbers)
    return tuple(map(Cell, map(bracketed, cells), values))
