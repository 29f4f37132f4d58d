"""The settings that a study goes on with: its stored ones, and what a new call may change of them.

A study that a budget has shortened is stored as the shorter one, and as it was asked for: the same call finds it again.
"""

from __future__ import annotations

from pathlib import Path

from evolr.config import LEAST, Config, changed, differences, plan
from evolr.errors import StudyError
from evolr.expression import EXTENDED_SET, LANGUAGE_VERSION
from evolr.study.records import Records


def agreed(records: Records, given: Config | None, directory: Path) -> Config:
    """The stored configuration, grown where the given one asks for more generations. Stores nothing.

    Raises StudyError where it asks for anything else.
    """
    stored = records.config()
    if given is not None and records.language < LANGUAGE_VERSION and given.search.functions == EXTENDED_SET:
        # All functions of this language were asked for: those of the study's own are all that it knows.
        given = changed(given, {"search.functions": list(stored.search.functions)})
    asked = records.asked()
    if given is None or given in (stored, asked):
        return stored
    changes = differences(stored, given)
    if asked is not None and (found := differences(asked, given)).keys() == {"search.generations"}:
        changes = found
    grown = changes.pop("search.generations", None)
    if changes:
        shown = "; ".join(f"{name} is {old}, was asked to be {new}" for name, (old, new) in changes.items())
        advice = "Begin another study for these"
        if stored.search.method == given.search.method == "bayesian" and changes.keys() & plan(LEAST):
            advice += f"; its trainings follow from the number that it was begun with, and --initial {directory} begins with its best"
        raise StudyError(f"{directory} was begun with other settings: {shown}. {advice}")
    if grown and given.search.generations < stored.search.generations:
        raise StudyError(f"{directory} is to have {grown[0]} generations; they may grow, not shrink to {grown[1]}")
    if grown and asked is not None:
        raise StudyError(
            f"{directory} breeds no more: it raced after {stored.search.generations} of {asked.search.generations} generations, "
            "to end within its budget. Begin another study for a longer search"
        )
    if grown and len(records.generations()) > stored.search.generations < stored.search.generations_in_all:
        raise StudyError(
            f"{directory} breeds no more: its best structures are tuned, or race, already, and its generations cannot grow any more"
        )
    return given
