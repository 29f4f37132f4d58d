"""Text of others where it is shown: what a file, a name or an exception says is text, never markup, code or an order to a terminal.

A text of one line is `printable` (errors.py). What has rules of its own has its own way here: a message, Markdown, HTML, a shell, and a
stream that cannot say every character.
"""

from __future__ import annotations

import codecs
import html as _html
import os
import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from evolr.errors import printable

ENCODABLE: Final = "evolr.encodable"
"""The name of the error handler by which a text is encoded that an encoding cannot say: see `encodable`."""

_PLAIN: Final = {
    **dict(zip("–—−×·÷«»‹›“”‘’◂▸▁▂▃▄▅▆▇█\N{REPLACEMENT CHARACTER}", "---x*/\"\"''\"\"''<>_.-=+*#@?", strict=True)),
    **dict(zip("…→≤≥≠±∞τλπ", ["...", "->", "<=", ">=", "!=", "+-", "inf", "tau", "lambda", "pi"], strict=True)),
}
"""What stands for the characters that evolr itself writes, in an encoding that lacks them."""

_MARKDOWN: Final = re.compile(r"[\\`*\[\]$~]|<(?=[A-Za-z/!?])|&(?=#?\w+;)|^[>#]|(?<!\w)_|_(?!\w)")
"""What means something within a line, where it does: `p < 0.05` is a text, `<b` begins an element."""


def message(text: str) -> str:
    """A message of one line or more: lines after the first are set in, so that none can be taken for a line of evolr's own."""
    first, *others = text.split("\n")
    return "\n".join(
        [printable(first), *(line if line.startswith("  ") else f"  {line}" for line in map(printable, others))]
    )


def html(text: str) -> str:
    """A text of one line as HTML, in an element or in the quotes of an attribute."""
    return _html.escape(printable(text))


def markdown(text: str) -> str:
    """A text of one line as Markdown that says just that, within a line; in a table by `markdown_table`, which sees to the bars."""
    return _MARKDOWN.sub(r"\\\g<0>", printable(text))


def markdown_code(text: str) -> str:
    """A text of one line as code within a line of Markdown; as text if a table could not have it as code."""
    shown = printable(text)
    if "\\|" in shown:
        return markdown(shown)
    fence = "`" * (max(map(len, re.findall("`+", shown)), default=0) + 1)
    space = " " if "`" in shown else ""
    return f"{fence}{space}{shown}{space}{fence}"


def markdown_table(headers: Sequence[str], rows: Iterable[Iterable[str]]) -> list[str]:
    """The lines of a table. headers: as they are to be read; rows: of cells that are Markdown."""

    def line(cells: Iterable[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    return [line(map(markdown, headers)), "|" + "---|" * len(headers), *map(line, rows)]


def shell_word(name: Path | str) -> str:
    """A path as a shell reads it: if a character of it cannot be shown, in the quotes of bash and zsh that name bytes."""
    text = os.fspath(name)
    text = f"./{text}" if text.startswith("-") else text
    if text.isprintable():
        return shlex.quote(text)
    named = (chr(b) if 32 <= b < 127 and b not in b"\\'" else f"\\{b:03o}" for b in os.fsencode(text))
    return f"$'{''.join(named)}'"


def is_width(text: str) -> bool:
    """Whether an environment variable says a width that a terminal can have."""
    return text.isascii() and text.isdecimal() and len(text) < 6 and int(text) > 0


def encodable(text: str, encoding: str) -> str:
    """A text without the characters that an encoding lacks: with plain ones for those that evolr writes, and escapes for others."""
    return text.encode(encoding, ENCODABLE).decode(encoding)


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lost = error.object[error.start : error.end]
    return "".join(_PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in lost), error.end


codecs.register_error(ENCODABLE, _replaced)
