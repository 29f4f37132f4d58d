"""A study as it is written: whoever reads it over and over reads only what is new."""

from __future__ import annotations

import math
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, cast

from evolr.errors import StudyError
from evolr.run_files import DATABASE
from evolr.study.counts import FinishedGeneration, Totals
from evolr.study.database import Database
from evolr.study.lock import is_held
from evolr.study.records import Records
from evolr.study.summary import Best, RecordedTrainings, Summary, pace_of, recorded_of, summarised_front, summary_of
from evolr.study.trials import ListedTrial, Selection, listed_trials

LATEST: Final = 10
"""The trials that a snapshot has, and the failed ones."""

_LOCK_SECONDS: Final = 1.0  # between two looks at who writes, which leaves no trace in the database
_WINDOW_SECONDS: Final = 30.0  # over which the speed is measured
_LEAST_SECONDS: Final = 3.0  # of a window that says something
_AT_ONCE: Final = 50_000  # trials that one reading counts at most, so that each is short
_GENERATIONS: Final = 5  # the latest, by which it is known how long a training takes


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A study as it was at one moment.

    finished: its finished generations. latest: its latest trials, the newest first; failures: its latest failed ones. recorded: of the
    champion's trainings, None where nothing is. speed: trials a second, measured over the last half minute (is_measured), or else over its
    latest generations. seconds_left: until its end, about, if it runs and no budget ends it before. None while nobody knows.
    totals: of its trials; of a study of very many they are counted in several readings, and not whole at first.
    """

    summary: Summary
    finished: tuple[FinishedGeneration, ...]
    latest: tuple[ListedTrial, ...]
    failures: tuple[ListedTrial, ...]
    recorded: RecordedTrainings | None
    speed: float | None
    is_measured: bool
    seconds_left: float | None
    totals: Totals


class _Landed(NamedTuple):
    """What had landed at a moment."""

    at: float
    totals: Totals


class Following:
    """Reads one study over and over, in one thread.

    Each reading is a short transaction of its own, so that it holds up nobody who writes: a long one would keep the log from being
    folded into the database. clock: seconds, from any moment on.
    """

    def __init__(self, directory: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.directory = directory
        self._clock = clock
        self._database: Database | None = None
        self._forget()

    def close(self) -> None:
        """Closes the database. What was read is kept: a later reading opens it again, and reads only what is new."""
        if self._database is not None:
            self._database.close()
            self._database, self._version = None, None

    @property
    def is_whole(self) -> bool:
        """Whether all that there was at the last reading is counted; otherwise the next one counts more."""
        return bool(self._landed) and self._landed[-1].totals.is_whole

    def read(self) -> Snapshot | None:
        """The study as it is now; None if it is as it was the last time.

        Raises StudyError where there is no study, or it cannot be read; a later call tries again.
        """
        try:
            return self._read()
        except BaseException:
            self._forget()
            raise

    def _forget(self) -> None:
        """Begins anew: at first, after an error, and with another file in the place of the old one."""
        self.close()
        self._version: int | None = None
        self._file: tuple[int, int] | None = None
        self._is_running, self._looked_at = False, -math.inf
        self._landed: deque[_Landed] = deque()
        self._finished: list[FinishedGeneration] = []
        self._front: list[Best] = []
        self._champion: Best | None = None
        self._recorded: RecordedTrainings | None = None
        self._failures: tuple[ListedTrial, ...] = ()
        self._pace: float | None = None

    def _read(self) -> Snapshot | None:
        path = self.directory / DATABASE
        try:
            found = os.stat(path)
        except OSError as error:
            raise StudyError(f"{self.directory} is not a study: it has no {DATABASE} ({error.strerror})") from error
        if (found.st_dev, found.st_ino) != self._file:
            self._forget()
        if self._database is None:
            self._database = Database.open(path, write=False)
            self._records = Records(self._database)
            self._file = (found.st_dev, found.st_ino)
        database, now = self._database, self._clock()
        version, was_running = database.pragma("data_version"), self._is_running
        if version != self._version or now - self._looked_at >= _LOCK_SECONDS:
            self._is_running, self._looked_at = is_held(self.directory), now
        if self.is_whole and version == self._version and self._is_running == was_running:
            return None
        with database.transaction("DEFERRED"):  # all of one moment
            snapshot = self._snapshot(now)
        self._version = version
        return snapshot

    def _snapshot(self, now: float) -> Snapshot:
        records = self._records
        self._count(now)
        generations = records.counts.generations()
        new = records.counts.finished(self._finished[-1].number if self._finished else -1)
        self._finished += new
        if new or not generations.finished:
            self._front = summarised_front(records)
        totals = self._landed[-1].totals
        summary = summary_of(self.directory, records, generations, totals, self._front, is_running=self._is_running)
        self._note_champion()
        speed, is_measured = self._speed(), True
        seconds = self._seconds_a_training(len(new))
        if speed is None and seconds is not None:
            speed, is_measured = 1 / seconds, False
        ahead = summary.expected - summary.whole_trainings
        is_running = summary.state == "running"
        return Snapshot(
            summary=summary,
            finished=tuple(self._finished),
            latest=tuple(listed_trials(self._opened, records, Selection(), LATEST)),
            failures=self._failures,
            recorded=self._recorded,
            speed=speed,
            is_measured=is_measured,
            seconds_left=ahead * seconds if is_running and seconds is not None else None,
            totals=totals,
        )

    def _count(self, now: float) -> None:
        """Counts what has landed since, and keeps when it was counted."""
        known = self._landed[-1].totals if self._landed else Totals()
        totals = self._records.counts.totals(known, _AT_ONCE)
        if totals.counted < known.counted or totals.failed < known.failed:
            self._failures = ()  # they were removed, to be tried again
            known = Totals()
        if failed := totals.failed - known.failed:
            new = listed_trials(
                self._opened, self._records, Selection(status="failed"), min(failed, LATEST), beyond=totals.counted + 1
            )
            self._failures = (*new, *self._failures)[:LATEST]
        if not known.is_whole:
            self._landed.clear()  # what it counts did not land just now
        self._landed.append(_Landed(now, totals))
        while len(self._landed) > 2 and now - self._landed[1].at > _WINDOW_SECONDS:
            self._landed.popleft()

    def _note_champion(self) -> None:
        champion = self._front[-1] if self._front else None
        if champion != self._champion:  # by its score and its generation too: then there are other trainings of it
            self._champion = champion
            self._recorded = recorded_of(self._records, self._front)

    def _speed(self) -> float | None:
        """Trials a second of the last half minute; None where nobody has looked for long enough, or nothing runs."""
        first, last = self._landed[0], self._landed[-1]
        if not self._is_running or last.at - first.at < _LEAST_SECONDS:
            return None
        return (last.totals.trainings - first.totals.trainings) / (last.at - first.at)

    def _seconds_a_training(self, new: int) -> float | None:
        """Seconds that a whole training takes with all that train at once, by the latest generations; before, by the last half minute."""
        if new:
            records, ends = self._records, self._finished[-_GENERATIONS - 1 :]
            epochs = [records.counts.epochs_of(generation.number) for generation in ends]
            self._pace = pace_of(
                [generation.finished_at for generation in ends], epochs, records.session_starts(), self._whole
            )
        first, last = self._landed[0], self._landed[-1]
        epochs = last.totals.epochs - first.totals.epochs
        if self._pace is None and epochs and last.at - first.at >= _LEAST_SECONDS:
            return (last.at - first.at) * self._whole / epochs
        return self._pace

    @property
    def _opened(self) -> Database:
        return cast("Database", self._database)

    @property
    def _whole(self) -> int:
        """The epochs of a whole training."""
        return self._records.config().training.epochs
