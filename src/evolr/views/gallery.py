"""The gallery in the terminal and on its page of the documentation."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from evolr.discovered import Figures, GalleryEntry
from evolr.errors import ConfigError
from evolr.simplification import simplified
from evolr.views.shown import sparkline
from evolr.views.terminal_table import GAP, TerminalTable

NOT_JUDGED: Final = "not judged yet"
_LINE: Final = 78  # characters of a sentence's line
_INDENT: Final = 14  # of what stands beside a line's name


def gallery_table(entries: Iterable[GalleryEntry]) -> TerminalTable:
    """One row an entry: its optimiser, its learning rate, what it was found on and by how much it has won."""
    table = TerminalTable("")
    table.add_column("name", is_left=True)
    table.add_column("optimiser", "name")
    table.add_column("learning rate", "formula")
    table.add_column("found on", "name")
    table.add_column("won by", is_left=True)
    for entry in entries:
        table.add_row(
            entry.name, entry.optimizer_text, simplified(entry.schedule()).text, entry.found_on.place, _won_by(entry)
        )
    return table


def entry_lines(entry: GalleryEntry) -> list[str]:
    """What is known of an entry, in lines of 80 columns but for its command: `evolr show` says its schedule."""
    said = [
        ("name", f"{entry.name}: {entry.title}"),
        ("found", _found(entry)),
        ("what it does", entry.words),
        ("wins", entry.wins),
        ("loses", entry.loses),
        ("contest", NOT_JUDGED if entry.contest is None else entry.contest.text),
    ]
    lines = [
        line
        for name, text in said
        for line in textwrap.wrap(
            text, _LINE, initial_indent=f"{name:<{_INDENT}}", subsequent_indent=" " * _INDENT, break_on_hyphens=False
        )
    ]
    return [*lines, f"{_repeats(entry) + ' by':<{_INDENT}}{entry.command}"]


def entry_document(entry: GalleryEntry) -> dict[str, Any]:
    """An entry for JSON: its document, with its formula and its learning rate in short."""
    document: dict[str, Any] = msgspec.json.decode(entry.to_json())
    return document | {"formula": entry.formula, "learning_rate": simplified(entry.schedule()).text}


# --- the page -------------------------------------------------------------------------------------------------------------


def with_entries(page: str, entries: Sequence[GalleryEntry]) -> str:
    """A page of Markdown with its written parts, between marks, as the entries are now.

    Raises ConfigError where the page lacks a mark.
    """
    for name, part in _PARTS.items():
        mark = re.compile(rf"(<!-- {name}: .*? -->\n).*?(<!-- end of {name} -->)", re.DOTALL)
        if mark.search(page) is None:
            raise ConfigError(f"the page has no part <!-- {name}: … --> … <!-- end of {name} -->")
        text = part(entries)
        page = mark.sub(lambda found, text=text: f"{found[1]}\n{text}\n\n{found[2]}", page, count=1)
    return page


def _answer(entries: Sequence[GalleryEntry]) -> str:
    """For each optimiser, and each problem that something was found on with it, what to use: of the entries that have won,
    those before the others that met every family, and then the one that won by most; or one that is better than every schedule
    and level with another optimiser; a tuned standard schedule where there is neither.
    """
    rows = ["| you have | on tasks like | use | because | fitted by |", "|---|---|---|---|---|"]
    for optimizer, place in dict.fromkeys((entry.optimizer_text, entry.found_on.place) for entry in entries):
        own = [entry for entry in entries if (entry.optimizer_text, entry.found_on.place) == (optimizer, place)]
        won = [(e, e.contest) for e in own if e.contest is not None and e.contest.has_won_against_schedules]
        if won:
            best, contest = max(won, key=lambda each: (each[1].beaten is not None, abs(each[1].difference or 0.0)))
            others = (contest.beaten or 0) + (contest.level or 0) + (contest.worse or 0)
            if contest.family is None:
                rival = f"{contest.rival}, {f'the best of {others} contenders' if others else 'tuned'}"
                because = f"{contest.difference_text} {_unit(contest)} against {rival}"
            else:
                rival = f"{contest.family.name}, the best standard schedule"
                because = f"{contest.family_text} {_unit(contest)} against {rival}; "
                because += f"{contest.difference_text} against {contest.rival}, the best of {others} contenders"
            because += f", on {contest.seeds} {_seeds(best)}"
            rows.append(f"| {optimizer} | {place} | `{best.name}` | {because} | {_tuning(best.name, 10)} |")
        else:
            known = "; ".join(f"`{entry.name}`: {_standing(entry)}" for entry in own)
            because = f"nothing here is shown to be better ({known})"
            rows.append(
                f"| {optimizer} | {place} | a standard schedule, tuned | {because} | {_tuning('WSD (linear)', 100)} |"
            )
    return "\n".join(rows)


def _sections(entries: Sequence[GalleryEntry]) -> str:
    return "\n\n".join(_section(entry) for entry in entries)


def _section(entry: GalleryEntry) -> str:
    """An entry on the page."""
    short = simplified(entry.schedule())
    lines = [f"### {entry.name}", "", f"{entry.title[0].upper()}{entry.title[1:]}.", "", "```", short.text]
    if entry.curve is not None:
        rates = np.array(entry.curve.median)
        lines += [
            "",
            f"{sparkline(rates)}  {rates[0]:.3g} … {rates.max():.3g} … {rates[-1]:.3g}",
            f"the medians of {len(rates)} epochs over {entry.curve.trainings} trainings, log scale",
        ]
    contest = f"{NOT_JUDGED} on unseen tasks" if entry.contest is None else entry.contest.text
    lines += [
        "```",
        "",
        *(f"The short form {sentence}.\n" for sentence in short.remarks),
        f"**Found.** {_sentence(_found(entry))}",
        "",
        f"**What it does.** {entry.words}",
        "",
        f"**Wins.** {entry.wins}",
        "",
        f"**Loses.** {entry.loses}",
        "",
        f"**Contest.** {_sentence(contest)} {_repeats(entry).capitalize()} by",
        "",
        "```",
        entry.command,
        "```",
    ]
    return "\n".join(lines)


_PARTS: Final[dict[str, Callable[[Sequence[GalleryEntry]], str]]] = {"answer": _answer, "entries": _sections}
"""The written parts of the page, by their marks."""


def _tuning(name: str, trainings: int) -> str:
    return f'`evolr.tune(train, "{name}", trainings={trainings}, epochs=10)`'


def _standing(entry: GalleryEntry) -> str:
    """How its contest ended, of one that has not won."""
    if entry.contest is None:
        return NOT_JUDGED
    on = f", on {entry.contest.place}" if entry.contest.place else ""
    return f"{entry.contest.difference_text} {_unit(entry.contest)} against {entry.contest.rival}{on}"


def _unit(contest: Figures) -> str:
    """What a difference is of."""
    return contest.unit_of_differences or f"in {contest.metric}"


def _seeds(entry: GalleryEntry) -> str:
    """What the seeds of its contest are."""
    return "unseen tasks" if entry.found_on.draws_tasks else "fresh seeds"


def _found(entry: GalleryEntry) -> str:
    """What it was found on and by whom."""
    found = entry.found_on
    who = "by a search" if entry.origin == "evolved" else "by hand"
    parts = [f"{who}, on {found.place}, {found.epochs} epochs, {entry.optimizer_text}"]
    parts.append("" if found.seed is None else f"study seed {found.seed}")
    parts += ["" if found.trainings is None else f"{found.trainings:,} trainings", found.standing]
    return "; ".join(part for part in parts if part)


def _repeats(entry: GalleryEntry) -> str:
    return "to be held" if entry.contest is None else "repeated"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


def _won_by(entry: GalleryEntry) -> str:
    contest = entry.contest
    if contest is None:
        return "–"
    if contest.has_won_against_schedules and contest.family is not None and not contest.has_won:
        stands, said = f"{'beaten by' if contest.has_lost else 'level with'} {contest.rival}", contest.family_text
    else:
        stands = "" if contest.has_won else "beaten" if contest.has_lost else "level"
        said = contest.difference_text
    number, _, interval = said.partition(" ")
    number += f" {contest.unit_of_differences or contest.metric}" if number else ""
    place = f"on {contest.place}" if contest.place else ""
    return GAP.join(part for part in (stands, number, interval, place) if part)
