"""A study that is open to be written: opened by one writer, brought on generation by generation, closed."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import RLock

import msgspec

from evolr.config import AnySearch, Config
from evolr.errors import StudyError
from evolr.run_files import DATABASE, LOCK_FILE, SEARCH_FILES
from evolr.search.individual import Place
from evolr.study.agreement import agreed
from evolr.study.beginning import warn_of_left_out
from evolr.study.database import Database
from evolr.study.derived_files import DerivedFiles
from evolr.study.generation import CurrentGeneration
from evolr.study.lock import WriterLock
from evolr.study.records import Records, holder
from evolr.study.replay import replay
from evolr.study.run_directory import RunDirectory
from evolr.study.state import SearchState
from evolr.study.summary import pace_in, summary_in
from evolr.training.task import Outcome

Shortening = Callable[[SearchState], AnySearch | None]
"""Asked when a generation is about to begin, as the state's current one: the settings with which the search races in its place;
None if it goes on as it is."""


def require_agreement(directory: Path, config: Config | None) -> None:
    """Raises what opening a study to write it would, as far as looking at it tells: before its lock, its schema or a file changes."""
    RunDirectory.require_usable(directory)
    if not os.path.isfile(directory / DATABASE):
        return
    with Database.read(directory) as database:
        agreed(Records(database), config, directory)
    RunDirectory(directory).require_replaceable((LOCK_FILE, *SEARCH_FILES))


class OpenStudy:
    """The settings of a study, where its search stands, its records and its files; and the right to write them.

    Begun with a configuration, or opened where it exists; see Study for the errors. Threads of the process that opened it may use
    it; what one of them calls, the others wait for.
    """

    def __init__(self, directory: Path, config: Config | None) -> None:
        self.directory = directory
        require_agreement(directory, config)
        self._run_directory = RunDirectory.prepare(directory, may_begin=config is not None)
        try:
            self._lock = WriterLock(directory, holder(directory))
        except StudyError:
            self._run_directory.remove_unused()
            raise
        self._database: Database | None = None
        self._process, self._calls, self._is_running = os.getpid(), RLock(), False
        try:
            path = directory / DATABASE
            if config is None or path.is_file():
                self._database = Database.open(path, write=True)
            else:
                warn_of_left_out(config.search)
                self._database = Database.create(path, lambda database: Records(database).create(config))
            with self._database.opening():  # a study that is refused for what is found in it stays as it is
                self._open(Records(self._database), config)
        except BaseException:
            if not os.path.lexists(directory / DATABASE):  # on a full disk, say: all is as it was
                with suppress(OSError):
                    (directory / LOCK_FILE).unlink(missing_ok=True)
            self._release()
            self._run_directory.remove_unused()
            raise

    def _open(self, records: Records, config: Config | None) -> None:
        self.records = records
        self.config = agreed(records, config, self.directory)
        self.state = replay(self.config, records)
        # A run needs these, or tells of them at its end: what is damaged is refused now.
        summary_in(self.directory, records)
        pace_in(records)
        if self.config != records.config():
            records.replace_config(self.config)
        records.begin_session()
        if self.state.current is None and not self.state.is_finished:
            self._begin_generation()
        self.files = DerivedFiles(self._run_directory, self.state)

    def require_open(self) -> None:
        """Raises StudyError where the study is closed, and as `_exclusive_call`."""
        with self.exclusive():
            pass

    @contextmanager
    def exclusive(self) -> Generator[None]:
        """One call at a time: those of other threads wait. Raises StudyError where the study is closed, and as `_exclusive_call`."""
        with self._exclusive_call():
            if self._database is None:
                raise StudyError(f"the study in {self.directory} is closed; open it again to go on")
            yield

    @contextmanager
    def _exclusive_call(self) -> Generator[None]:
        """Raises StudyError while the study runs, and in another process, which has it by a fork."""
        if os.getpid() != self._process:
            raise StudyError(
                f"the study in {self.directory} is process {self._process}'s, which was forked into this one: run, ask, tell and "
                "close it there, and bring scores there that are found here"
            )
        with self._calls:
            if self._is_running:
                raise StudyError(
                    f"the study in {self.directory} is running: what it calls, such as on_trial, cannot run, ask, tell or close "
                    "it, and no other thread can; should_stop ends the run"
                )
            yield

    @contextmanager
    def running(self) -> Generator[None]:
        """While the search runs, nobody else writes the study, what the run calls included. Raises as `exclusive`."""
        with self.exclusive():
            self._is_running = True
        try:
            yield
        finally:
            self._is_running = False

    def add_outcomes(
        self, current: CurrentGeneration, outcomes: Sequence[tuple[Place, int, Outcome]], pool: str
    ) -> None:
        """Stores outcomes of the current generation's trials, each by its individual's place and its seed."""
        self.records.add_outcomes(outcomes, pool, current.epochs)
        current.add((place, pool, seed, outcome.score) for place, seed, outcome in outcomes)

    def finish_generation(self, current: CurrentGeneration, shortening: Shortening = lambda _: None) -> None:
        """Evaluates the current generation, whose trials are all there, and begins the next one, or the race in its place."""
        with self._closed_by_failure():
            evaluations = current.evaluate()
            self.state.finish(evaluations)
            self.records.finish_generation(evaluations, self.state.hall_of_fame)
            self.files.write_best()
            if not self.state.is_finished:
                self._begin_generation(shortening)

    def race_if_due(self, shortening: Shortening) -> None:
        """Asks once more whether the current generation is to be the race, as long as nothing of it was trained."""
        current = self.state.current
        if current is not None and current.is_untouched and (search := shortening(self.state)) is not None:
            with self._closed_by_failure():
                self.records.drop_population(current.number)
                self._shorten(search)
                self._begin_generation()

    def end_race(self) -> int:
        """Ends a race that is under way after the heats of which everything is there: how many; 0 if there is none."""
        current = self.state.current
        if current is None or not (heats := current.heats_done):
            return 0
        with self._closed_by_failure():
            self._shorten(msgspec.structs.replace(self.config.search, race_heats=heats))
        return heats

    def close(self) -> None:
        """Writes the files and gives back the right to write. Closing twice is closing once. Raises StudyError while it runs."""
        with self._exclusive_call():
            try:
                if self._database is not None:
                    self.files.write()
                    self.records.end_session()
            finally:
                self._release()

    def _begin_generation(self, shortening: Shortening = lambda _: None) -> None:
        self.state.begin(self.state.next_population(), {})
        if (search := shortening(self.state)) is not None:
            self._shorten(search)
            self.state.begin(self.state.next_population(), {})
        if self.state.current is not None:
            self.records.add_population(self.config, self.state.current.population)

    def _shorten(self, search: AnySearch) -> None:
        """Goes on with settings that end the search early, as a study that had been begun with them would stand now."""
        self.config = msgspec.structs.replace(self.config, search=search)
        self.records.shorten(self.config)
        self.state = replay(self.config, self.records)
        self.files = DerivedFiles(self._run_directory, self.state)

    @contextmanager
    def _closed_by_failure(self) -> Generator[None]:
        """Closes the study if a write fails, or Ctrl-C comes: what it holds in memory is then not what is stored."""
        try:
            yield
        except BaseException:
            self._release()
            raise

    def _release(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
        self._lock.release()
