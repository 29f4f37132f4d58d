"""How far a study is, counted from its database: generations, trials, epochs."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from evolr.study import stored_values as stored
from evolr.study.database import Database


class Totals(NamedTuple):
    """How many trials of a study have been counted, and the epochs of all of them.

    last_failure: what was said of the latest that failed. counted, newest: the number, in the database, of the latest that is counted, and of the
    latest; 0 without one.
    """

    trainings: int = 0
    epochs: int = 0
    diverged: int = 0
    failed: int = 0
    last_failure: str | None = None
    counted: int = 0
    newest: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether all are counted."""
        return self.counted == self.newest


class GenerationCounts(NamedTuple):
    """How many generations have been made and are finished; how many individuals the first and the latest have, and how many
    trials the latest.
    """

    made: int
    finished: int
    first: int
    latest: int
    latest_trials: int


class FinishedGeneration(NamedTuple):
    """A finished generation. best, median: fitness, greater for the better; −∞ where its trainings diverged."""

    number: int
    finished_at: datetime
    best: float
    median: float


class Counts:
    """What is counted of one study.

    All rows of a table are counted by sum(1), not by count(*), which SQLite does in one instruction, whatever it meets, so that it
    cannot be ended; see SqliteFile.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def generations(self) -> GenerationCounts:
        """How far the study is."""
        made = self._database.value("generation", "SELECT coalesce(sum(1), 0) FROM generation", made=stored.count)
        query = "SELECT count(*) FROM generation WHERE finished_at IS NOT NULL"
        finished = self._database.value("generation", query, finished=stored.count)
        individuals = "SELECT count(*) FROM individual WHERE generation = ?"
        first, latest = (
            self._database.value("individual", individuals, (number,), individuals=stored.count)
            for number in (0, made - 1)
        )
        trials = self._database.value(
            "trial",
            "SELECT count(*) FROM trial WHERE individual IN (SELECT id FROM individual WHERE generation = ?)",
            (made - 1,),
            trials=stored.count,
        )
        return GenerationCounts(made, finished, first, latest, trials)

    def finished(self, after: int = -1) -> list[FinishedGeneration]:
        """The finished generations after one."""
        rows = self._database.rows(
            "generation",
            "SELECT number, finished_at, best, median FROM generation "
            "WHERE finished_at IS NOT NULL AND number > ? ORDER BY number",
            (after,),
            number=stored.count,
            finished_at=stored.moment,
            best=stored.real,
            median=stored.real,
        )
        return [FinishedGeneration(*row) for row in rows]

    def totals(self, known: Totals | None = None, most: int | None = None) -> Totals:
        """How many trials there are. known: an earlier answer, so that only those after it are counted; most: about so many of them.

        Trials are removed while all of a study have failed, and never after: then all are counted again.
        """
        if known is None or known.trainings == known.failed:
            known = Totals()
        newest = self._database.value("trial", "SELECT coalesce(max(id), 0) FROM trial", id=stored.count)
        new = (known.counted, newest if most is None else min(newest, known.counted + most))
        found = self._database.row(
            "trial",
            "SELECT coalesce(sum(1), 0), coalesce(sum(epochs), 0), coalesce(sum(status = 'diverged'), 0), "
            "coalesce(sum(status = 'failed'), 0) FROM trial WHERE id > ? AND id <= ?",
            new,
            trainings=stored.count,
            epochs=stored.count,
            diverged=stored.count,
            failed=stored.count,
        )
        trainings, epochs, diverged, failed = found or (0, 0, 0, 0)
        message = known.last_failure
        if failed:
            query = (
                "SELECT id, message FROM trial WHERE status = 'failed' AND id > ? AND id <= ? ORDER BY id DESC LIMIT 1"
            )
            latest = self._database.row("trial", query, new, id=stored.whole, message=stored.text)
            message = None if latest is None else latest[1]
        return Totals(
            known.trainings + trainings,
            known.epochs + epochs,
            known.diverged + diverged,
            known.failed + failed,
            message,
            new[1],
            newest,
        )

    def trainings(self) -> int:
        """The number of trials stored."""
        return self._database.value("trial", "SELECT coalesce(sum(1), 0) FROM trial", trials=stored.count)

    def epochs_of(self, generation: int) -> int:
        """The epochs of a generation's trials."""
        return self._database.value(
            "trial",
            "SELECT coalesce(sum(epochs), 0) FROM trial "
            "WHERE individual IN (SELECT id FROM individual WHERE generation = ?)",
            (generation,),
            epochs=stored.count,
        )

    def epochs_of_finished(self) -> list[int]:
        """The epochs of each finished generation's trials, in order."""
        rows = self._database.rows(
            "generation",
            "SELECT number, coalesce(sum(trial.epochs), 0) FROM generation "
            "LEFT JOIN individual ON individual.generation = generation.number "
            "LEFT JOIN trial ON trial.individual = individual.id "
            "WHERE finished_at IS NOT NULL GROUP BY generation.number ORDER BY generation.number",
            number=stored.count,
            epochs=stored.count,
        )
        return [epochs for _, epochs in rows]

    def epochs(self) -> int:
        """The epochs of all trials stored."""
        return self._database.value("trial", "SELECT coalesce(sum(epochs), 0) FROM trial", epochs=stored.count)
