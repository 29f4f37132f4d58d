"""The trainings of a contest: what it wants of a remembered executor.

Those of tuned families depend on the problem alone and are kept in the user's cache directory, for every contest on that
problem; those of the study's own contenders are kept in its run directory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import platformdirs

from evolr.errors import RunDirectoryError, StudyError, printable
from evolr.execution.executor import Executor
from evolr.problems import Pool
from evolr.run_files import LEDGER
from evolr.study.ledger import Ledger, notes
from evolr.study.remembered import Remembered
from evolr.study.summary import success
from evolr.training.task import Outcome, Trial

_SUBJECT: Final = "subject"
"""The note of whose contest a ledger is."""


@dataclass(frozen=True, slots=True)
class Request:
    """A training that is wanted. is_shared: whether it depends on the problem alone."""

    trial: Trial
    is_shared: bool


def shared_directory() -> Path:
    """Where what depends on problems alone is kept: in the user's cache directory."""
    return platformdirs.user_cache_path("evolr") / "contests"


def require_subject(directory: Path, subject: bytes) -> None:
    """Raises RunDirectoryError where a directory's ledger is another subject's, as far as looking at it tells; see Trainings.require_subject."""
    noted = notes(directory / LEDGER, _SUBJECT)
    if noted and subject not in noted:
        raise _other_subject(directory)


def _other_subject(directory: Path) -> RunDirectoryError:
    return RunDirectoryError(f"{directory} holds the contest of another schedule; name another directory")


class Trainings:
    """Trains what is requested by an executor, for a number of epochs, and remembers it.

    own: the run directory. What depends on the problem alone is remembered for all studies where the configuration says
    all that decides it; what a model's or a user's functions compute is remembered in the run directory.
    shared: where that for all studies is; in the user's cache directory where None.
    on_done: called with the trainings just run and those just looked up.
    """

    def __init__(
        self,
        executor: Executor,
        epochs: int,
        own: Path,
        *,
        shared: Path | None = None,
        on_done: Callable[[int, int], None] | None = None,
    ) -> None:
        self._epochs = epochs
        self._on_done = on_done or (lambda _trained, _remembered: None)
        known = success(own) if executor.keeps_failures else None  # what is asked of failures alone
        # That of all studies is opened first: where it cannot be, nothing was made in the run directory.
        place = None if executor.identity else (shared or shared_directory())
        try:
            others = None if place is None else Ledger(place / LEDGER)
        except RunDirectoryError as error:
            advice = "" if shared else "; the user's cache directory is where XDG_CACHE_HOME says"
            raise RunDirectoryError(f"{error}{advice}") from error
        try:
            self._own = Ledger(own / LEDGER)
        except BaseException:
            if others is not None:
                others.close()
            raise
        self._shared = others or self._own
        self._executor = Remembered(executor, self._own, shared=self._shared, success=known)

    @property
    def trained(self) -> int:
        """Trainings that were run."""
        return self._executor.trained

    @property
    def remembered(self) -> int:
        """Trainings that were known."""
        return self._executor.remembered

    def outcomes(self, requests: Sequence[Request], pool: Pool, *, keep_steps: bool = False) -> list[Outcome]:
        """The outcome of each training, in order, judged on a pool. Raises StudyError where the problem raises."""
        start = trained, remembered = self.trained, self.remembered

        def landed(outcomes: Mapping[int, Outcome]) -> None:
            nonlocal trained, remembered
            if not outcomes:
                return
            self._on_done(self.trained - trained, self.remembered - remembered)
            trained, remembered = self.trained, self.remembered

        found = self._executor.run(
            [each.trial for each in requests],
            self._epochs,
            pool,
            keep_steps=keep_steps,
            on_outcomes=landed,
            is_shared=[each.is_shared for each in requests],
        )
        if failed := self._executor.unkept:
            trained_now = self.trained - start[0]
            kept = "The others are" if len(failed) < trained_now else "What was trained before is"
            raise StudyError(
                f"{len(failed)} of {trained_now} trainings failed, the first by: {printable(failed[0].failure or '')}. {kept} kept; the same "
                "command goes on"
            )
        return found

    def judged_on_test_pool(self, settings: Any) -> int:
        """Notes that these settings are judged on the test pool; how many different ones have been, these included.

        settings: what tells one contest from another, as JSON takes it.
        """
        return self._own.note("look", msgspec.json.encode(settings))

    def require_subject(self, subject: bytes) -> None:
        """Makes the run directory's ledger that of one subject. Raises RunDirectoryError where it is another's."""
        if not self._own.note_first(_SUBJECT, subject):
            raise _other_subject(self._own.path.parent)

    def close(self) -> None:
        """Closes the ledgers; the executor is whoever's made it."""
        self._shared.close()
        self._own.close()
