"""Every table at every width: figures whole, columns all there, long names folded, no line too long."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from evolr.config import resolve
from evolr.contest.explanation import Explanation
from evolr.contest.results import EVOLVED, FROZEN
from evolr.errors import StudyError
from evolr.expression import ordinary_text, parse
from evolr.problems import Metric
from evolr.study.summary import Summary
from evolr.views.contest import contest_table
from evolr.views.tables import comparison_table, explanation_table, front_table, runs_table
from evolr.views.terminal_table import GAP, TerminalTable, rendered
from tests.contest.test_verdict import ABOVE, BELOW, LEVEL, OWN, comparison, contenders, contest

WIDTHS = (40, 60, 80, 120)
LONG = "sin(epoch)*exp(-3.1234567890123*progress) + where(progress, 2.5e-08*loss, val_loss)*0.12345678901234567"
ONE_DIVERGED = np.where(np.arange(16) == 3, np.nan, LEVEL)


def a_contest():
    result = contest({EVOLVED: OWN, "warm-up + cosine with restarts": BELOW, "cosine": ONE_DIVERGED, FROZEN: ABOVE})
    return contest_table(replace(result, entries=[replace(e, fitness=0.71) for e in result.entries]))


def an_explanation():
    config = resolve("original")
    whole, *others = contenders({"as it is": OWN, "loss": ABOVE, "stale_epochs": ONE_DIVERGED}, config.problem.metric)
    frozen = {other.name: (0.0123456, other) for other in others}
    rates = np.full((16, 8), 0.1, np.float32)
    return explanation_table(Explanation(config, whole.schedule, "loss", 30, whole, rates, frozen))


def some_runs():
    def summary(name):
        front = [(7, 0.6543, parse(LONG))]
        return Summary(Path(name), "stopped", resolve("memetic"), 12, front, False, 999, "2025-11-25T14:03:59", 0, None)

    names = ("memetic-1", "a-run-with-a-name-that-is-longer-than-any-column-would-be", "runs of last week")
    found = [(Path(name), summary(name)) for name in names]
    return runs_table([*found, (Path("broken"), StudyError("broken/study.db is damaged: 37 pages are missing"))])


TABLES = {
    "compare": lambda: comparison_table(
        comparison({"evolved": OWN, "constant": BELOW, "step decay": ABOVE, "cosine": ONE_DIVERGED})
    ),
    "prove": a_contest,
    "explain": an_explanation,
    "show and evolve": lambda: front_table(
        [(1, 0.51, parse("epoch")), (3, 0.69, parse("2*epoch")), (30, 0.7012, parse(LONG))], Metric("accuracy", True)
    ),
    "show, a loss": lambda: front_table([(1, 123456.789, parse("epoch")), (3, 2.5e-08, parse(LONG))], Metric("loss", False)),
    "runs": some_runs,
}  # fmt: skip


def printed(table, width):
    console = Console(width=width)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def figures(table):
    """The figures of the cells: what a cell says that no line may break."""
    for row in table.rows:
        for cell, kind in zip(row, table._kinds, strict=True):
            if kind == "figure":
                yield from (part.strip() for piece in cell.split(GAP) for part in piece.split(" … ") if part.strip())
            elif kind == "formula":
                yield from re.findall(r"\d[\d.]*(?:e[+-]?\d+)?", cell)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", TABLES)
def test_every_figure_is_whole_at_every_width(name, width):
    table = TABLES[name]()
    text = printed(table, width)
    assert max(map(len, text.splitlines())) <= width
    wanted = list(figures(table))
    assert wanted
    for figure in set(wanted):
        found = re.findall(rf"(?<![\w.]){re.escape(figure)}(?![\w.])", text)
        assert len(found) >= wanted.count(figure), (figure, text)
    cells = [table.title, *(cell for row in table.rows for cell in row)]
    assert text.count("…") == sum(cell.count("…") for cell in cells)  # an interval's; none that stands for what is cut


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", TABLES)
def test_no_column_and_no_word_is_left_out(name, width):
    table = TABLES[name]()
    text = printed(table, width)
    squeezed = re.sub(r"\s", "", text)
    for place, header in enumerate(table.headers):
        if any(row[place] for row in table.rows):
            assert all(word in text for word in header.split())
    for row in table.rows:
        for cell, kind in zip(row, table._kinds, strict=True):
            if kind == "formula":  # its tokens are in order, whatever the other columns have between its lines
                assert all(re.sub(r"\s", "", token) in squeezed for token in re.findall(r"\w+", cell))
            elif kind == "name":  # longer words are folded: see below
                assert all(word in text for word in cell.split() if len(word) <= 10)


@pytest.mark.parametrize("name", TABLES)
def test_a_wide_terminal_has_each_row_on_a_line(name):
    table = TABLES[name]()
    lines = [line for line in printed(table, 400).splitlines() if line.strip()]
    assert len(lines) == len(table.rows) + 2 + bool(table.title)  # its title, its headers, a rule


def test_the_ways_of_laying_out_follow_each_other():
    table = TABLES["compare"]()
    heights = [len(printed(table, width).splitlines()) for width in (120, 80, 60, 40)]
    assert heights == sorted(heights)
    assert len(set(heights)) == 4
    assert "schedule: constant" in printed(table, 40)
    assert "schedule: constant" not in printed(table, 60)


def test_a_long_name_is_folded_and_whole():
    name = "a-run-with-a-name-that-is-longer-than-any-column-would-be"
    assert name in "".join(line.split("  ")[0].strip() for line in printed(TABLES["runs"](), 120).splitlines())
    assert name in "".join(printed(TABLES["runs"](), 40).splitlines())


def test_a_formula_is_folded_between_its_words():
    table = TerminalTable("")
    table.add_column("formula", "formula")
    table.add_row(LONG)
    lines = [line.strip() for line in printed(table, 30).splitlines()]
    assert "".join(lines).replace(" ", "").endswith(LONG.replace(" ", ""))
    assert "-3.1234567890123*progress) +" in lines
    assert ordinary_text(parse(LONG))


def test_a_table_without_rows_is_its_headers():
    assert "size" in printed(front_table([], Metric("accuracy", True)), 40)


@pytest.mark.parametrize("columns", ["40", "60", "80"])
def test_the_command_line_prints_tables_as_wide_as_columns_says(evolr, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    _, out, _ = evolr("compare", "--expression", "0.001", "--preset", "quadratic", "--epochs", "1", "--seeds", "7")
    table = out[: out.index("By final")]
    assert len(table.splitlines()) > 4
    assert max(map(len, table.splitlines())) <= int(columns)
    assert "(Holm)" in table


def test_without_a_terminal_and_without_columns_a_line_has_120(evolr, monkeypatch):
    table = TerminalTable("")
    table.add_column("name", "name")
    table.add_row("long " * 100)

    def width():
        return max(map(len, rendered(table).splitlines()))

    monkeypatch.delenv("COLUMNS")
    assert width() == 120
    for none in ("none", "0", "1000000000", "9" * 5000):
        monkeypatch.setenv("COLUMNS", none)
        assert width() == 120
    monkeypatch.setenv("COLUMNS", "77")
    assert width() == 77


@pytest.mark.parametrize("width", WIDTHS)
def test_brackets_of_the_users_are_no_markup(width):
    table = TerminalTable("mine:train(paths=[/data])")
    table.add_column("[bold] name", "name")
    table.add_column("[/red]")
    table.add_row("[/i]", "[u]1")
    text = re.sub(r"\s", "", printed(table, width))
    assert all(part in text for part in ("mine:train(paths=[/data])", "[bold]", "[/red]", "[/i]", "[u]1"))
