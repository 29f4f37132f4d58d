"""The trainings of a contest, each done once: the others are looked up.

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

import evolr
from evolr.errors import RunDirectoryError, StudyError
from evolr.execution.executor import Executor
from evolr.expression import LANGUAGE_VERSION
from evolr.problems import Pool
from evolr.study.ledger import Ledger, training_key
from evolr.training.task import Outcome, Trial

LEDGER: Final = "contest.db"
"""The ledger's file in a run directory."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A training that is wanted. is_shared: whether it depends on the problem alone."""

    trial: Trial
    is_shared: bool


def shared_directory() -> Path:
    """Where what depends on problems alone is kept: in the user's cache directory."""
    return platformdirs.user_cache_path("evolr") / "contests"


class Trainings:
    """Trains what is wanted by an executor, for a number of epochs, and remembers it.

    own: the run directory. What depends on the problem alone is remembered for all studies where the configuration says
    all that decides it; what a model's or a user's functions compute is remembered in the run directory.
    shared: where that for all studies is; in the user's cache directory where None.
    `trained` and `remembered` count the trainings that were run and those that were known.
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
        self.executor = executor
        self._context = {**executor.context, "language": LANGUAGE_VERSION, "evolr": evolr.__version__}
        self._own = Ledger(own / LEDGER)
        self._shared = self._own if executor.identity else Ledger((shared or shared_directory()) / LEDGER)
        self.trained = 0
        self.remembered = 0

    def outcomes(self, wanted: Sequence[Wanted], pool: Pool, *, keep_steps: bool = False) -> list[Outcome]:
        """The outcome of each training, in order, judged on a pool. Raises StudyError where the problem raises."""
        ledgers = [self._shared if w.is_shared else self._own for w in wanted]
        keys = [training_key(self._context, w.trial, self._epochs, pool, keep_steps=keep_steps) for w in wanted]
        known: dict[bytes, Outcome] = {}
        for ledger in {self._shared, self._own}:
            known |= ledger.find([key for key, mine in zip(keys, ledgers, strict=True) if mine is ledger])
        missing = [n for n, key in enumerate(keys) if key not in known]
        missing = list({keys[n]: n for n in reversed(missing)}.values())[::-1]  # each training once
        self.remembered += len(wanted) - len(missing)
        self._on_done(0, len(wanted) - len(missing))

        def keep(outcomes: Mapping[int, Outcome]) -> None:
            for ledger in {self._shared, self._own}:
                mine = [(keys[missing[k]], o) for k, o in outcomes.items() if ledgers[missing[k]] is ledger]
                if mine:
                    ledger.add(mine)

        def landed(outcomes: Mapping[int, Outcome]) -> None:
            keep({k: outcome for k, outcome in outcomes.items() if outcome.failure is None})
            self.trained += len(outcomes)
            self._on_done(len(outcomes), 0)

        if missing:
            trials = [wanted[n].trial for n in missing]
            done = self.executor.run(trials, self._epochs, pool, keep_steps=keep_steps, on_outcomes=landed)
            known |= {keys[n]: outcome for n, outcome in zip(missing, done, strict=True)}
            failed = {k: outcome for k, outcome in enumerate(done) if outcome.failure}
            if failed and not (self.executor.keeps_failures and len(failed) < len(done)):
                raise StudyError(
                    f"{len(failed)} of {len(done)} trainings failed, the first by: {next(iter(failed.values())).failure}. "
                    "The others are kept; the same command goes on"
                )
            keep(failed)  # for good, once it is known that not all of them did
        return [known[key] for key in keys]

    def look(self, settings: Any) -> int:
        """Notes that these settings are judged on the test pool; how many different ones have been, these included."""
        return self._own.note("look", msgspec.json.encode(settings))

    def claim(self, subject: bytes) -> None:
        """Makes the run directory's ledger that of one subject. Raises RunDirectoryError where it is another's."""
        if self._own.note("subject", subject) > 1:
            raise RunDirectoryError(
                f"{self._own.path.parent} holds the contest of another schedule; name another directory"
            )

    def close(self) -> None:
        """Closes the ledgers; the executor is whoever's made it."""
        self._shared.close()
        self._own.close()
