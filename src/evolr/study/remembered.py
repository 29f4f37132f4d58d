"""An executor that trains nothing twice: around any other, with a ledger."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import evolr
from evolr.execution.executor import DelegatingExecutor, Executor
from evolr.execution.recording import places_of
from evolr.expression import LANGUAGE_VERSION
from evolr.problems import Pool
from evolr.study.ledger import Ledger, training_key
from evolr.training.task import Outcome, Trial

Success = tuple[Trial, int, Pool]
"""A trial that was trained without a failure, its epochs and its pool."""


class Remembered(DelegatingExecutor):
    """Looks trials up in a ledger, and has another executor train those that are not in it.

    executor: trains. ledger: remembers by all that decides an outcome: the executor's context, evolr's version, the trial, its
        epochs and pool. shared: remembers the trials that `run` is told are shared, in the ledger's place.
    success: a trial that this executor is known to have trained without a failure.
    trained, remembered: trials that the executor trained and those that were known; `trainings` is their sum. Of several
        trials of a run that are the same, one is trained.
    unkept: the outcomes of the latest run that failed and are not remembered, so that they are tried again: all failures,
        if the executor does not keep its own; otherwise those of a run in which everything failed, if it is not known that
        trainings succeed at all, or if one that is known to succeed, trained once more, fails too.
    """

    def __init__(
        self, executor: Executor, ledger: Ledger, *, shared: Ledger | None = None, success: Success | None = None
    ) -> None:
        self.inner = executor
        self._own, self._shared = ledger, shared or ledger
        self._decides = {**executor.context, "language": LANGUAGE_VERSION, "evolr": evolr.__version__}
        self.seconds = executor.seconds
        self.trainings = 0
        self.trained = 0
        self.unkept: list[Outcome] = []
        self._success = success  # the latest that is known

    @property
    def remembered(self) -> int:
        return self.trainings - self.trained

    def prepare(self, pool: Pool) -> object:
        prepared = self.inner.prepare(pool)
        self.seconds = self.inner.seconds
        return prepared

    def run(
        self,
        trials: Sequence[Trial],
        epochs: int,
        pool: Pool,
        *,
        keep_steps: bool = False,
        on_outcomes: Callable[[Mapping[int, Outcome]], None] | None = None,
        is_shared: Sequence[bool] = (),
    ) -> list[Outcome]:
        """As of Executor; what is known lands first, and it asks meanwhile if the executor does. What has landed is remembered
        before `on_outcomes` is called.

        is_shared: of each trial, whether it is remembered in the shared ledger; none is where it is empty.
        """
        keys = [training_key(self._decides, trial, epochs, pool, keep_steps=keep_steps) for trial in trials]
        ledgers = [self._shared if is_one else self._own for is_one in is_shared or [False] * len(trials)]
        numbers: dict[bytes, list[int]] = {}
        for number, key in enumerate(keys):
            numbers.setdefault(key, []).append(number)
        known = self._known(trials, epochs, keys, ledgers)
        missing = [key for key in numbers if key not in known]

        def keep(outcomes: Mapping[bytes, Outcome]) -> None:
            for ledger in dict.fromkeys((self._own, self._shared)):
                if mine := [(key, outcome) for key, outcome in outcomes.items() if ledgers[numbers[key][0]] is ledger]:
                    ledger.add(mine)

        def report(outcomes: Mapping[bytes, Outcome]) -> None:
            named = {number: outcome for key, outcome in outcomes.items() for number in numbers[key]}
            self.trainings += len(named)
            if good := [number for number, outcome in named.items() if outcome.failure is None]:
                self._success = trials[good[0]], epochs, pool
            if on_outcomes:  # with nothing, if the executor asks meanwhile
                on_outcomes(named)

        def landed(outcomes: Mapping[int, Outcome]) -> None:
            new = {missing[number]: outcome for number, outcome in outcomes.items()}
            known.update(new)
            keep({key: outcome for key, outcome in new.items() if outcome.failure is None})
            self.trained += len(new)
            report(new)

        self.unkept = []
        if known:
            report(known)
        if missing:
            first = [trials[numbers[key][0]] for key in missing]
            try:
                self.inner.run(first, epochs, pool, keep_steps=keep_steps, on_outcomes=landed)
            finally:
                self.seconds = self.inner.seconds
            failed = {key: known[key] for key in missing if known[key].failure is not None}
            if failed and self._are_outcomes(len(failed), len(missing)):
                keep(failed)
            else:
                self.unkept = list(failed.values())
        return [known[key] for key in keys]

    def _known(
        self, trials: Sequence[Trial], epochs: int, keys: Sequence[bytes], ledgers: Sequence[Ledger]
    ) -> dict[bytes, Outcome]:
        """What is remembered of some trainings, each in its ledger. Raises StudyError for what cannot be that."""
        known: dict[bytes, Outcome] = {}
        for ledger in dict.fromkeys((self._own, self._shared)):
            own = {key: trial for key, trial, its in zip(keys, trials, ledgers, strict=True) if its is ledger}
            found = ledger.find(list(own))
            for key, outcome in found.items():
                if fault := _misfit(outcome, own[key], epochs):
                    raise ledger.damaged(key, fault)
            known |= found
        return known

    def _are_outcomes(self, failures: int, trained: int) -> bool:
        """Whether so many failures of so many trainings are outcomes, and not a fault to be mended; see `unkept`."""
        return self.keeps_failures and (failures < trained or self._still_succeeds())

    def _still_succeeds(self) -> bool:
        """Whether a training that is known to succeed does so now; it is trained once more. False where none is known."""
        if self._success is None:
            return False
        trial, epochs, pool = self._success
        return self.inner.run([trial], epochs, pool)[0].failure is None

    def close(self) -> None:
        """Closes the executor and the ledgers; a later run opens them again."""
        self.inner.close()
        self._own.close()
        self._shared.close()


def _misfit(outcome: Outcome, trial: Trial, epochs: int) -> str:
    """Why an outcome cannot be that of a trial, in words; empty if it can."""
    places = len(outcome.train_loss)
    if outcome.failure is None and places not in (epochs, places_of(epochs)):
        return f"its curves have {places} places, which is no training of {epochs} epochs"
    if outcome.signals is not None and (missing := trial.schedule.signals - outcome.signals.keys()):
        return f"it does not say {', '.join(sorted(missing))}, which its schedule reads"
    return ""
