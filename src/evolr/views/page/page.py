"""The page: sections of plain parts, written as one HTML file that needs nothing beside it.

Its templates escape every text (templates.py). A policy in the page's head forbids it to load anything, and every script but its own.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

from markupsafe import Markup

import evolr
from evolr.errors import count
from evolr.views.page.parts import Section
from evolr.views.page.records import Run
from evolr.views.page.sections.champion import champion
from evolr.views.page.sections.code import code
from evolr.views.page.sections.front import front
from evolr.views.page.sections.genealogy import genealogy
from evolr.views.page.sections.history import history
from evolr.views.page.sections.learning import learning
from evolr.views.page.sections.reproduction import reproduction
from evolr.views.page.sections.search import epochs_text, problem_text, search
from evolr.views.page.sections.signals import signals
from evolr.views.page.sections.verdict import verdict
from evolr.views.templates import rendered, text_of

SECTIONS: Final[tuple[Callable[[Run], Section | None], ...]] = (
    search,
    champion,
    verdict,
    learning,
    front,
    signals,
    genealogy,
    history,
    reproduction,
    code,
)
"""The sections, in the order of the page."""


def page(run: Run) -> str:
    """The HTML of a run's report."""
    sections = [section for make in SECTIONS if (section := make(run)) is not None]
    style, script = text_of("page/style.css"), text_of("page/script.js")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return rendered(
        "page/template.html",
        name=Path(os.path.abspath(run.path)).name or str(run.path),
        lead=_lead(run),
        sections=sections,
        style=Markup(style),  # noqa: S704 evolr's own file
        script=Markup(script),  # noqa: S704 evolr's own file
        script_digest=digest,
        version=evolr.__version__,
    )


def _lead(run: Run) -> str:
    """What this is, in a sentence."""
    summary = run.summary
    state = {"done": "A finished", "running": "A running"}.get(summary.state, "An unfinished")
    return (
        f"{state} search for a learning-rate schedule: {problem_text(run)}; {count(summary.trainings, 'training')} of "
        f"{epochs_text(run)}; {_standing(run)}."
    )


def _standing(run: Run) -> str:
    """What was proven so far."""
    contest = run.contest
    if run.champion is None:
        return "no champion so far"
    if contest is None:
        return "its champion is not proven"
    beaten = sum(
        entry.result.pairs is not None and entry.result.pairs.relation == "better than" for entry in contest.others
    )
    kind = "in a rehearsal, which proves nothing, it" if contest.settings.is_quick else "its champion"
    if not run.is_of_champion:
        kind = "a schedule of it"
    return f"{kind} beats {beaten} of {count(len(contest.others), 'contender')}"
