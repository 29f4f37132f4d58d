"""Shows what benchmarks/outside.py found: as tables of 80 columns, and as the part of docs/gallery.md between its marks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Document = Mapping[str, Any]
"""A part of benchmarks/results/outside.json."""

MARKS = re.compile(r"(<!-- outside: .*? -->\n).*?(<!-- end of outside -->)", re.DOTALL)
WHICH = {"usual": "untuned, 1 training", "tuned": "tuned with 10 trainings"}
STANDS = {"better than": "better", "worse than": "worse", "not distinguishable from": "level", "untested against": "–"}


def terminal(document: Document) -> str:
    """Two tables for each optimiser, of 80 columns."""
    lines: list[str] = []
    for optimizer, rows in document["contenders"].items():
        for which, words in WHICH.items():
            lines += ["", f"{document['title']}; {optimizer}; {words}"]
            lines.append(f"{'':20}{'loss':>9}{'failed':>8}  {rows[0]['name']} {_sign(document)} it (95 %)")
            for row in rows:
                own = row[which]
                shown = f"{row['name']:20}{_loss(document, own):>9}{own['failed']:>8}  {_compared(document, own)}"
                lines.append(shown.rstrip())
    return "\n".join(lines)


def with_tables(page: str, documents: Mapping[str, Document]) -> str:
    """A page of Markdown with the tables of all parts between its marks. Raises ValueError for a page without them."""
    if MARKS.search(page) is None:
        raise ValueError("the page has no part <!-- outside: … --> … <!-- end of outside -->")
    tables = "\n\n".join(_markdown(document) for document in documents.values())
    return MARKS.sub(lambda found: f"{found[1]}\n{tables}\n\n{found[2]}", page, count=1)


def _markdown(document: Document) -> str:
    tables: list[str] = []
    for optimizer, rows in document["contenders"].items():
        best = f"`{rows[0]['name']}`"
        lines = [
            f"{document['title'].capitalize()}; {optimizer}:",
            "",
            f"| | untuned | {best} {_sign(document)} it | after 10 trainings | {best} {_sign(document)} it |",
            "|---|---|---|---|---|",
        ]
        for row in rows:
            cells = [part for which in WHICH for part in (_loss(document, row[which]), _told(document, row[which]))]
            lines.append(f"| {' | '.join([row['name'], *cells])} |")
        tables.append("\n".join(lines))
    return "\n\n".join(tables)


def _told(document: Document, own: Document) -> str:
    """The difference from the gallery's best, and whether it is one."""
    pairs = own.get("best_against_it")
    stands = "" if pairs is None or pairs["p_value"] is None else f"; {STANDS[pairs['relation']]}"
    return f"{_compared(document, own)}{stands}"


def _compared(document: Document, own: Document) -> str:
    if (pairs := own.get("best_against_it")) is None:
        return ""
    values = [pairs["champion_minus_contender"], *pairs["interval"]]
    shown = [f"{10**value:.2f}" if document["is_log"] else f"{value:+.3f}" for value in values]
    p = pairs["p_value"]
    return f"{shown[0]} ({shown[1]} … {shown[2]})" + ("" if p is None else f", p {p:.2g}")


def _loss(document: Document, own: Document) -> str:
    return f"{10 ** own['mean']:.2e}" if document["is_log"] else f"{own['mean']:.3f}"


def _sign(document: Document) -> str:
    return "÷" if document["is_log"] else "−"
