"""What must hold of the files that evolr reads beside schedules, and of those that it exports; what does not is told as a finding."""

from __future__ import annotations

import ast
import os
import time
from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

from rich.console import Console

from evolr.config import load, resolve, to_toml
from evolr.contest.reading import read_comparison, read_contest, read_explanation
from evolr.errors import EvolrError
from evolr.exports.targets import source
from evolr.expression import original_text
from evolr.schedule import Schedule
from evolr.views.contest import contest_table, page
from evolr.views.html import comparison_html, contest_html, explanation_html
from evolr.views.tables import comparison_table, explanation_table
from tests.fuzzing.checks import Checked, Finding, kind, timed
from tests.fuzzing.markup import let_through, let_through_html, let_through_markdown

LONGEST_MESSAGE = 2_000  # characters: it may name all settings of a search
_QUOTED = 2_000  # characters
_VIEWS: dict[str, tuple[Callable[[Path], Any], Callable[[Any], Any], Callable[[Any], str | None]]] = {
    "contest": (read_contest, contest_table, contest_html),
    "comparison": (read_comparison, comparison_table, comparison_html),
    "explanation": (read_explanation, explanation_table, explanation_html),
}
"""Of each record: what reads it from a directory, what shows it in a terminal, and what in a notebook."""


def check_record(record: str, document: bytes, folder: Path) -> Checked:
    """A record is read, and then shown as text alone; or it is refused in words."""
    read, table, html = _VIEWS[record]

    def show(result: Any, checked: Checked) -> None:
        out = StringIO()
        Console(file=out, width=1_000, highlight=False).print(table(result))
        ways = [("a terminal", let_through(out.getvalue())), ("HTML", let_through_html(html(result) or ""))]
        if record == "contest":
            ways.append(("Markdown", let_through_markdown(page(result))))
        checked.findings += [
            Finding(f"markup let through to {way}", repr(document[:_QUOTED]), found) for way, found in ways if found
        ]

    def check() -> Checked:
        (folder / f"{record}.json").write_bytes(document)
        return _read_or_refused(lambda: read(folder), show, document, folder)

    return timed(check, document)


def check_configuration(document: bytes, folder: Path) -> Checked:
    """A configuration is read the same when it is written again; or it is refused in words, as a person's and as a study's."""
    path = folder / "config.toml"

    def written_again(config: Any, checked: Checked) -> None:
        path.write_bytes(to_toml(config))
        if load(path) != config or to_toml(load(path)) != path.read_bytes():
            checked.findings.append(Finding("a configuration is another one", repr(document[:_QUOTED]), ""))

    def check() -> Checked:
        path.write_bytes(document)
        given = _read_or_refused(lambda: resolve(file=path), lambda config, checked: None, document, folder)
        stored = _read_or_refused(lambda: load(path), written_again, document, folder)
        stored.findings += given.findings
        return stored

    return timed(check, document)


def _read_or_refused(
    read: Callable[[], Any], use: Callable[[Any, Checked], None], document: bytes, folder: Path
) -> Checked:
    checked, quoted = Checked(), repr(document[:_QUOTED])
    try:
        result = read()
        checked.outcome = "read"
        use(result, checked)
    except EvolrError as error:
        if checked.outcome == "read":
            checked.findings.append(Finding("a document that is read raises", quoted, repr(error)))
        checked.outcome = checked.outcome or kind(str(error).replace(f"{folder}{os.sep}", ""))
        if len(str(error)) > LONGEST_MESSAGE:
            checked.findings.append(
                Finding("a long message", quoted, f"{len(str(error))} characters: {str(error)[:300]}")
            )
    except Exception as error:
        where = "a document that is read raises" if checked.outcome == "read" else "an exception outside evolr's tree"
        checked.outcome = checked.outcome or "an exception"
        checked.findings.append(Finding(where, quoted, repr(error)[:_QUOTED]))
    return checked


def check_export(schedule: Schedule, target: str, provenance: Mapping[str, Any]) -> Checked:
    """An exported file is that without a provenance, but for what its docstring says. It is never executed."""
    quoted = f"{target}: {original_text(schedule.expression)!r}, {provenance!r}"[:_QUOTED]
    begin = time.perf_counter()
    try:
        text = source(schedule, target, provenance)
        checked = Checked("read", seconds=time.perf_counter() - begin)
        if _code(text) != _code(source(schedule, target)):
            checked.findings.append(Finding("an export with other code", quoted, text[:_QUOTED]))
        if orders := let_through(text):
            checked.findings.append(Finding("an export with more than text", quoted, orders))
    except Exception as error:
        checked = Checked("an exception", seconds=time.perf_counter() - begin)
        checked.findings.append(Finding("an export that is no Python", quoted, repr(error)))
    return checked


def _code(text: str) -> bytes:
    """What follows the docstring of a file, as Python reads its bytes: the same bytes are the same syntax tree."""
    content = text.encode()
    head = ast.parse(content).body[0]
    assert isinstance(head, ast.Expr)
    assert isinstance(head.value, ast.Constant)
    assert isinstance(head.value.value, str)
    lines = content.split(b"\n")[(head.end_lineno or 0) - 1 :]
    return b"\n".join([lines[0][head.end_col_offset :], *lines[1:]])
