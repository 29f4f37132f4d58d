"""The pages of `evolr serve` as HTML, whole ones and the parts of them that change."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

import numpy as np
from numpy.typing import NDArray

import evolr
from evolr.config import Config
from evolr.errors import EvolrError, printable, shortened
from evolr.expression import ordinary_text
from evolr.legible import html
from evolr.problems import Metric
from evolr.schedule import Schedule
from evolr.study.curves import CURVES
from evolr.study.following import Snapshot
from evolr.study.summary import RecordedTrainings, Summary, failure_text
from evolr.study.trials import ORDERS, STATUSES, ListedTrial, Page, Selection
from evolr.views.curve import Curve, champion_curve
from evolr.views.line_chart import line_chart
from evolr.views.live import sections
from evolr.views.page.parts import Cell, Column, Facts, Part, Picture, Pictures, Row, Section, Sentences, Table
from evolr.views.page.sections.champion import formula
from evolr.views.page.sections.genealogy import operator_text
from evolr.views.tables import moment
from evolr.views.templates import rendered

_PARTS: Final = ("now", "history", "champion", "front", "latest", "failures")
"""The sections of a study's page, in order."""

STATIC: Final = {
    "style.css": ("page/style.css", "text/css"),
    "live.css": ("live/live.css", "text/css"),
    "live.js": ("live/live.js", "text/javascript"),
    "icon.svg": ("live/icon.svg", "image/svg+xml"),
}
"""The files that pages load: name, place in `views`, type."""

_MOST_BEFORE: Final = 4  # champions before the present one that are drawn


def quoted(name: str) -> str:
    """A name as a part of an address."""
    return quote(name, safe="")


def address_of(name: str) -> str:
    """Where a study's page is."""
    return f"/study/{quoted(name)}"


class StudyParts:
    """The parts of a study's live page. It remembers which champions it has seen, and writes a section again only if it is another."""

    def __init__(self, name: str) -> None:
        self._address = address_of(name)
        self._champion: Schedule | None = None
        self._recorded: RecordedTrainings | None = None
        self._drawings = 0
        self._drawn: Curve | None = None
        self._note = ""
        self._before: list[Curve] = []
        self._of: dict[str, object] = {}
        self._parts: dict[str, str] = {}

    def of(self, snapshot: Snapshot) -> dict[str, str]:
        """The HTML of each part, by name."""
        summary, totals = snapshot.summary, snapshot.totals
        self._note_champion(snapshot)
        standing = (summary.front, summary.standing, summary.state)
        self._write("now", None, lambda: sections.now(snapshot))
        self._write("history", snapshot.finished, lambda: sections.history(snapshot))
        self._write(
            "champion",
            (standing, self._drawings, summary.trainings > 0),
            lambda: sections.champion(snapshot, self._drawn, self._note, self._before),
        )
        self._write("front", summary.front, lambda: sections.front(summary))
        self._write("latest", snapshot.latest, lambda: sections.latest(snapshot, self._address))
        self._write("failures", (snapshot.failures, totals.failed), lambda: sections.failures(snapshot, self._address))
        self._parts |= {"said": html(sections.said(summary)), "fault": ""}
        return dict(self._parts)

    def _write(self, name: str, of: object, make: Any) -> None:
        if of is None or self._of.get(name) != of:
            self._of[name] = of
            self._parts[name] = _inner(make())

    def _note_champion(self, snapshot: Snapshot) -> None:
        champion, recorded = snapshot.summary.champion, snapshot.recorded
        if champion == self._champion and recorded is self._recorded:
            return
        if champion != self._champion and self._drawn is not None:
            self._before = [*self._before, self._drawn][-_MOST_BEFORE:]
        self._champion, self._recorded, self._drawn, self._note = champion, recorded, None, ""
        self._drawings += 1
        if champion is not None:
            self._drawn, self._note = champion_curve(champion, snapshot.summary.config, recorded)


def fault_parts(why: str) -> dict[str, str]:
    """The parts that say that a study cannot be read."""
    return {"fault": html(why), "said": ""}


def index_parts(found: Iterable[tuple[str, Summary | EvolrError]]) -> dict[str, str]:
    """The part of the page of a folder: its studies, by name."""
    columns = tuple(
        Column(name, is_number=name in ("best", "trainings"), is_whole=name == "latest result")
        for name in ("study", "problem", "state", "generations", "best", "trainings", "latest result", "champion")
    )
    rows = tuple(_index_row(name, summary) for name, summary in found)
    part = Table("Studies, by name", columns, rows, is_sortable=False) if rows else Sentences(("no studies here yet",))
    return {"studies": _inner(Section("studies", "Studies", (part,))), "fault": "", "said": ""}


def _index_row(name: str, summary: Summary | EvolrError) -> Row:
    link = Cell(name, link=address_of(name))
    if isinstance(summary, EvolrError):
        return Row((link, Cell(""), Cell("unreadable"), *[Cell("")] * 4, Cell(str(summary))))
    config = summary.config
    best = "" if summary.best is None else config.problem.metric.text(summary.best)
    return Row(
        (
            link,
            Cell(config.problem.identity or config.problem.name),
            Cell(summary.state_word),
            Cell(summary.bred_text + (", then the race" if summary.is_race_next else "")),
            Cell(best),
            Cell(f"{summary.trainings:,}"),
            Cell(moment(summary.active_at)),
            Cell(shortened(ordinary_text(summary.champion.expression), 120) if summary.champion else "", is_code=True),
        )
    )


def index_page(folder: str, parts: Mapping[str, str], version: str) -> str:
    """The page of a folder."""
    lead = "The studies of this folder, while they run too. Nothing on these pages changes anything."
    return _page(folder, _those(["studies"], parts), parts, lead=lead, stream="/live", version=version)


def study_page(name: str, parts: Mapping[str, str], version: str) -> str:
    """The live page of a study, or what is wrong with it."""
    address = address_of(name)
    links = [("All studies", "/"), ("All trainings", f"{address}/trainings"), ("The report", f"{address}/report")]
    return _page(name, _those(_PARTS, parts), parts, links=links, stream=f"{address}/live", version=version)


def _those(names: Iterable[str], parts: Mapping[str, str]) -> dict[str, str]:
    """The parts of these names that there are: a study, or a folder, that cannot be read has none."""
    return {name: parts[name] for name in names if name in parts}


def trials_page(name: str, selection: Selection, page: Page) -> str:
    """A page of a study's trainings, with the form that selects them."""
    address = address_of(name)
    metric = page.config.problem.metric
    caption = f"{selection.order} first" + ("; only finished ones" if selection.order in ("best", "worst") else "")
    part: Part = Sentences(("no training matches",))
    if page.trials:
        part = sections.trials_table(page.trials, metric, address, caption)
    section = Section("trainings", "Trainings", (part,))
    return _trials(name, selection, {"trainings": _inner(section)}, page)


def refused_trials_page(name: str, query: Mapping[str, str], error: EvolrError) -> str:
    """The same for a form that was filled in wrongly: what is wrong with it."""
    parts = {"fault": "<pre>" + "\n".join(map(html, str(error).splitlines())) + "</pre>"}
    return _trials(name, query, {}, None, parts)


def _trials(
    name: str,
    selection: Selection | Mapping[str, str],
    shown: Mapping[str, str],
    page: Page | None,
    parts: Mapping[str, str] | None = None,
) -> str:
    address = address_of(name)
    here = f"{address}/trainings"
    query = dict(selection) if isinstance(selection, Mapping) else query_of(selection)
    steps: list[tuple[str, str]] = []
    if page is not None and page.has_before:
        steps.append(("First", f"{here}?{urlencode(query)}"))
    if page is not None and page.trials:
        first, last = page.trials[0].number, page.trials[-1].number
        steps += [("Before these", f"{here}?{urlencode({**query, 'before': first})}")] if page.has_before else []
        steps += [("After these", f"{here}?{urlencode({**query, 'after': last})}")] if page.has_after else []
    table = f"{address}/trainings.csv?{urlencode(query)}"
    links = [("All studies", "/"), (name, address), ("As a table of numbers (CSV)", table)]
    form = {"action": here, "statuses": STATUSES, "orders": ORDERS, "query": query}
    return _page(f"Trainings of {name}", shown, parts or {}, links=links, form=form, steps=steps)


def query_of(selection: Selection) -> dict[str, str]:
    """A selection as the fields of a form; those that select nothing are left out."""
    values = {
        "status": selection.status,
        "generation": selection.generation,
        "formula": selection.formula,
        "order": None if selection.order == ORDERS[0] else selection.order,
    }
    return {name: str(value) for name, value in values.items() if value not in (None, "")}


def trial_page(name: str, trial: ListedTrial, curves: NDArray[np.float32] | None, config: Config) -> str:
    """The page of one training."""
    metric = config.problem.metric
    facts = Facts(
        (
            (metric.name, sections.outcome(trial, metric)),
            ("diverged in epoch", "" if trial.diverged_at is None else str(trial.diverged_at)),
            ("failed with", failure_text(trial.message)),
            ("generation", f"{trial.generation}, slot {trial.slot}"),
            ("made by", operator_text(trial.operator)),
            ("seed", str(trial.seed)),
            ("epochs", str(trial.epochs)),
            ("judged by", f"the pool {trial.pool}" if trial.pool != "told" else "whoever told the score"),
        )
    )
    parts: list[Part] = [formula(config.search.schedule(trial.expression)), facts]
    pictures = [] if curves is None else _curves(curves, trial.epochs, metric)
    parts.append(Pictures(tuple(pictures)) if pictures else Sentences(("no curves are recorded of it",)))
    section = Section("training", "What it was, and how it went", tuple(parts))
    address = address_of(name)
    links = [("All studies", "/"), (name, address), ("All trainings", f"{address}/trainings")]
    title = f"Training {trial.number} of {name}"
    return _page(title, {"training": _inner(section)}, {}, links=links)


def _curves(curves: NDArray[np.float32], epochs: int, metric: Metric) -> list[Picture]:
    """The learning rate, the losses and the score of a training; of what was told nothing is drawn."""
    named = dict(zip(CURVES, curves.astype(np.float64), strict=True))
    drawn = (
        (
            "Learning rate, log scale: the mean of each part",
            [sections.over_epochs(named["learning_rate"], epochs)],
            True,
        ),
        (
            "Loss of training (line) and validation (dashed)",
            [
                sections.over_epochs(named["val_loss"], epochs, "second"),
                sections.over_epochs(named["train_loss"], epochs),
            ],
            False,
        ),
        (
            "Validation " + metric.name + (f", {metric.unit}" if metric.unit != metric.name else ""),
            [sections.over_epochs(metric.scale * named["val_score"], epochs)],
            False,
        ),
    )
    return [
        Picture(line_chart(lines, label=caption, x_name="epoch", x_range=(0.0, float(epochs)), is_log=is_log), caption)
        for caption, lines, is_log in drawn
        if any(np.isfinite(line.y).any() for line in lines)
    ]


CSV_HEADER: Final = "training,generation,slot,operator,pool,seed,epochs,status,score,diverged_at,message,formula\r\n"


def csv_rows(trials: Sequence[ListedTrial]) -> str:
    """Rows of a table of trainings, for other programs."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    for trial in trials:
        number, generation, slot, operator, expression, pool, seed, epochs, *rest = trial
        message = _cell(trial.message or "")
        told = (number, generation, slot, _cell(operator), _cell(pool), seed, epochs, *rest[:-1], message)
        writer.writerow(["" if value is None else value for value in (*told, ordinary_text(expression))])
    return text.getvalue()


def _cell(text: str) -> str:
    """A text of somebody's as a table's cell: one line, and nothing that a spreadsheet would work out."""
    shown = printable(text)
    return f"'{shown}" if shown.lstrip().startswith(("=", "+", "-", "@")) else shown


def fault_page(title: str, message: str) -> str:
    """A page that says what is wrong, and nothing else."""
    return _page(title, {}, {"fault": html(message)}, links=[("All studies", "/")])


def _page(
    title: str,
    shown: Mapping[str, str],
    parts: Mapping[str, str],
    *,
    lead: str = "",
    links: Sequence[tuple[str, str]] = (),
    stream: str = "",
    version: str = "",
    form: Mapping[str, Any] | None = None,
    steps: Sequence[tuple[str, str]] = (),
) -> str:
    return rendered(
        "live/page.html",
        title=title,
        lead=lead,
        shown=shown,
        said=parts.get("said", ""),
        fault=parts.get("fault", ""),
        links=links,
        stream=stream,
        version=version,
        form=form,
        steps=steps,
        evolr_version=evolr.__version__,
    )


def _inner(section: Section) -> str:
    """The HTML inside a section's element."""
    return rendered("live/section.html", section=section).strip()


def name_of(path: Path) -> str:
    """A study's name, as a text that a page may have: of a name that is no Unicode, what is not is written in numbers."""
    return str(path.name).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
