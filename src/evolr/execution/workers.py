"""Trials by a user's own training function, each in a worker's process that may crash, hang or eat memory.

A process and a pipe a worker, of the standard library: a pool of processes neither ends a single trial nor answers at
once.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from multiprocessing import util
from multiprocessing.connection import wait
from typing import Any, Final, NamedTuple

import numpy as np

from evolr.errors import ConfigError, ProblemError, is_finite, shown
from evolr.execution.executor import MEANWHILE_SECONDS, Executor, refuse_optimizers
from evolr.execution.processes import HeldMemory
from evolr.execution.recording import Calls, Recording
from evolr.execution.training_function import TrainingFunction, name_of, sendable, takes_pool
from evolr.execution.trial_schedule import TrialSchedule
from evolr.execution.worker import SPOILT, UNGUARDED, Message
from evolr.execution.worker_process import WorkerEnd, WorkerProcess
from evolr.problems import Pool
from evolr.ranges import Whole
from evolr.training.task import Outcome, Trial, score_of

_MEMORY_SECONDS: Final = 0.02  # between two such checks, if they are of the workers' memory too
_CHECK_SECONDS: Final = 0.2  # between two checks of whether they run and are in time; a message is received at once
_START_SECONDS: Final = 600.0  # for a worker to import the user's module
_FAILED_STARTS: Final = 3  # workers in a row that end while they start, after which no more are started

_WORKERS: Final = Whole(1, 60 if os.name == "nt" else 4_096)  # Windows waits for 63 things at once at most
_THREADS: Final = Whole(1, 4_096)

_THREAD_VARIABLES: Final = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "NPROC",  # by which XLA sizes its pool of threads on a CPU
)


class Workers(Executor):
    """Trains by a function of the user's, on several workers at once.

    train: called as train(schedule, seed, epochs) in a worker, and with pool=… if it has a parameter of that name; returns the
    score. count: of workers; the cores that this
    process may use, by `threads`, where None. time_limit: seconds a trial. memory_limit: GB (10⁹ bytes) that a worker
    and the processes that it started hold (processes.py). threads: of each worker, whatever the number of workers, for OpenMP, BLAS, XLA and TensorFlow; it is in
    the worker's environment before the user's module is imported. signals: that the function must pass to its schedule.

    A trial that raises, crashes, exceeds a limit or returns no number has failed: its outcome says why, and the worker is
    replaced if it has ended. A trial that exceeds the memory limit in a worker that has trained before is tried once
    more in a new one, so that it is not blamed for what others left behind.

    `seconds` and `trainings` as of Executor. Raises ConfigError for a function that cannot be sent to a worker or not be
    called so, and for limits out of range.
    """

    def __init__(
        self,
        train: TrainingFunction,
        *,
        count: int | None = None,
        time_limit: float | None = None,
        memory_limit: float | None = None,
        threads: int = 1,
        signals: frozenset[str] = frozenset(),
    ) -> None:
        _positive("time_limit", time_limit, "seconds")
        _positive("memory_limit", memory_limit, "GB")
        count = None if count is None else _WORKERS.of("workers", count)
        threads = _THREADS.of("threads", threads)
        self._name = name_of(train)
        self._function = sendable(train)
        self._takes_pool = takes_pool(train)
        self._count = count or max(1, _cores() // threads)
        self._time_limit = time_limit
        self._memory_limit = memory_limit
        self._held = None if memory_limit is None else HeldMemory()
        self._signals = signals
        self._environment = _threads(threads)
        self._workers: list[WorkerProcess] = []
        self._is_importable = False  # whether any worker could import the function
        self._failed_starts = 0  # workers in a row that ended while they started
        self._check_seconds = _CHECK_SECONDS if memory_limit is None else _MEMORY_SECONDS
        self._next_check = 0.0  # time.perf_counter
        self.seconds = 0.0
        self.trainings = 0
        # multiprocessing waits for living workers when the interpreter ends, after this.
        self._at_exit = util.Finalize(self, _kill_all, args=(self._workers,), exitpriority=100)

    @property
    def identity(self) -> str:
        return self._name

    @property
    def title(self) -> str:
        return self._name

    @property
    def knows_pools(self) -> bool:
        return self._takes_pool

    @property
    def signals(self) -> frozenset[str]:
        return self._signals | {"total_epochs"} | ({"progress"} if "epoch" in self._signals else frozenset())

    @property
    def keeps_failures(self) -> bool:
        return True

    @property
    def context(self) -> Mapping[str, Any]:
        return {"function": self._name}

    def prepare(self, pool: Pool) -> None:
        """Starts the first worker. Raises ProblemError if it cannot import the function."""
        with self._timed():
            while not self._is_importable:
                self._start_worker(1)
                _, fault = self._receive()
                if fault:
                    raise fault

    def run(
        self,
        trials: Sequence[Trial],
        epochs: int,
        pool: Pool,
        *,
        keep_steps: bool = False,
        on_outcomes: Callable[[Mapping[int, Outcome]], None] | None = None,
    ) -> list[Outcome]:
        """As of Executor; it asks meanwhile. The function is told the pool if it takes one; otherwise it alone knows what it judges on.

        keep_steps: keeps the learning rates and signals of its schedule's calls, at PLACES places of the training.

        Raises ProblemError if a worker cannot import the function any more; what has landed is handed over first.
        """
        refuse_optimizers(trials)
        outcomes: dict[int, Outcome] = {}
        begun: dict[int, float] = {}  # time.perf_counter
        waiting, again = deque(range(len(trials))), deque[int]()  # again: in a new worker
        told = time.perf_counter()
        with self._timed():
            try:
                while len(outcomes) < len(trials):
                    is_complete = self._start_worker(len(trials) - len(outcomes))
                    for number, worker in self._assignments(waiting, again):
                        trial = trials[number]
                        calls = Calls(keep_steps=keep_steps)
                        schedule = TrialSchedule(trial.schedule, epochs, self._signals, calls)
                        beside = {"pool": pool} if self._takes_pool else {}
                        worker.start_trial(number, (schedule, trial.seed, epochs, beside))
                        begun[number] = time.perf_counter()
                    landed: dict[int, Outcome] = {}
                    ended, fault = self._receive(may_wait=is_complete)
                    for number, found in ended.items():
                        if found is None:
                            again.append(number)
                        else:
                            landed[number] = replace(found.outcome(), seconds=time.perf_counter() - begun[number])
                    outcomes |= landed
                    self.trainings += len(landed)
                    if on_outcomes and (landed or time.perf_counter() - told >= MEANWHILE_SECONDS):
                        on_outcomes(landed)
                        told = time.perf_counter()
                    if fault:
                        raise fault
            finally:
                self._kill([worker for worker in self._workers if worker.trial is not None])
        return [outcomes[number] for number in range(len(trials))]

    def close(self) -> None:
        """Ends all workers: idle ones by their own exit, the others at once. A later run starts new ones."""
        idle = [worker for worker in self._workers if worker.is_idle]
        self._kill([worker for worker in self._workers if not worker.is_idle])
        for worker in idle:
            worker.request_exit()
        for worker in idle:
            worker.join_or_kill()
        self._workers.clear()
        self._is_importable = False
        self._failed_starts = 0

    # --- the parts --------------------------------------------------------------------------------------------------

    def _start_worker(self, wanted: int) -> bool:
        """Starts a worker if there are fewer than wanted; whether there are as many now.

        One at a time, so that those that are there train while others start: a start takes milliseconds, on a busy machine
        a fifth of a second. The first alone, so that what is wrong with all is told once.
        """
        wanted = min(wanted, self._count if self._is_importable else 1)
        if len(self._workers) < wanted:
            self._workers.append(WorkerProcess(self._function, self._environment))
        return len(self._workers) >= wanted

    def _assignments(self, waiting: deque[int], again: deque[int]) -> list[tuple[int, WorkerProcess]]:
        """Which idle worker gets which trial; a trial that is to be tried again gets a worker that has trained nothing.

        If every worker has trained and nothing else waits, idle ones are ended, so that new ones take their place.
        """
        allotted: list[tuple[int, WorkerProcess]] = []
        used: list[WorkerProcess] = []
        for worker in [worker for worker in self._workers if worker.is_idle]:
            if again and not worker.trials:
                allotted.append((again.popleft(), worker))
            elif waiting:
                allotted.append((waiting.popleft(), worker))
            elif worker.trials:
                used.append(worker)
        starting = sum(not worker.is_ready for worker in self._workers)
        for worker in used[: max(0, len(again) - starting)]:
            self._workers.remove(worker)
            worker.request_exit()
            worker.join_or_kill()
        return allotted

    def _receive(self, *, may_wait: bool = True) -> tuple[dict[int, _TrialEnd | None], ProblemError | None]:
        """Receives what workers have sent; if nothing has come and it may, waits a moment for it.

        What is known of the trials that ended, None for one to be tried again; and the error if no worker can be had any more.

        Workers without a message are checked now and then only: checking many takes as long as receiving several messages.
        """
        busy = [worker for worker in self._workers if not worker.is_idle]
        readable = set(wait([worker.connection for worker in busy], self._wait_seconds(busy) if may_wait else 0.0))
        is_check = time.perf_counter() >= self._next_check
        if is_check:
            self._next_check = time.perf_counter() + self._check_seconds
        ended: dict[int, _TrialEnd | None] = {}
        fault: ProblemError | None = None
        for worker in busy:
            has_message = worker.connection in readable or (is_check and worker.has_ended)
            message = worker.receive() if has_message else None
            if not worker.is_ready:
                fault = self._finish_start(worker, message) or fault
                continue
            if worker.trial is None:
                continue
            is_lost = message is None or isinstance(message, WorkerEnd)
            if message is None:
                found = self._exceeded_limit(worker, is_check=is_check)
            elif isinstance(message, WorkerEnd):
                found = _TrialEnd(message.reason, may_be_anothers=message.code == SPOILT)
            else:
                found = _TrialEnd(*message[1:])
            if found is None:
                continue
            ended[worker.trial] = None if found.may_be_anothers and worker.trials > 1 else found
            worker.trial = None
            if is_lost:
                self._kill([worker])
        return ended, fault

    def _wait_seconds(self, busy: Sequence[WorkerProcess]) -> float:
        """How long to wait for a message: until the next check, or until a trial is out of time."""
        due = self._next_check
        if self._time_limit is not None and busy:
            due = min(due, min(worker.since for worker in busy) + self._time_limit)
        return max(0.001, due - time.perf_counter())

    def _exceeded_limit(self, worker: WorkerProcess, *, is_check: bool) -> _TrialEnd | None:
        """The end of a trial under way that exceeds a limit; memory is measured in a check alone."""
        if self._time_limit is not None and time.perf_counter() - worker.since > self._time_limit:
            return _TrialEnd(f"took longer than {self._time_limit} s")
        limit, held = self._memory_limit, self._held
        if is_check and limit is not None and held is not None and held.of(worker.pid) > limit * 1e9:
            return _TrialEnd(f"used more than {limit} GB", may_be_anothers=True)
        return None

    def _finish_start(self, worker: WorkerProcess, message: Message | WorkerEnd | None) -> ProblemError | None:
        """Notes that a worker has started; the error if none ever will.

        One that ends while it starts, though others could import the function, is replaced: memory may have been short.
        """
        if message is None:
            if time.perf_counter() - worker.since < _START_SECONDS:
                return None
            reason = f"it took longer than {_START_SECONDS:g} s"
        elif not isinstance(message, WorkerEnd) and message[0] == "ready":
            worker.is_ready = self._is_importable = True
            self._failed_starts = 0
            return None
        elif isinstance(message, WorkerEnd) and message.code == UNGUARDED:
            self._kill([worker])
            return ProblemError(
                "the script calls evolr wherever it is imported, and every worker imports it: put the call of evolve, prove, "
                'tune, … under `if __name__ == "__main__":`'
            )
        else:
            is_refusal = not isinstance(message, WorkerEnd)
            reason = str(message[1]) if is_refusal else f"the worker {message.reason}; what it printed is above"
            self._failed_starts += not is_refusal
            if self._is_importable and not is_refusal and self._failed_starts < _FAILED_STARTS:
                self._kill([worker])
                return None
        self._kill([worker])
        return ProblemError(
            f"a worker could not import the training function {self._name}: {reason}. A new Python process has to be able "
            "to import it, from this folder and with this sys.path"
        )

    def _kill(self, workers: Sequence[WorkerProcess]) -> None:
        for worker in workers:
            self._workers.remove(worker)
            worker.kill()


class _TrialEnd(NamedTuple):
    """How a trial ended. result: its score, or why it failed. recording: of what its schedule was told, if that is kept.
    may_be_anothers: whether what the worker's earlier trials left there may have ended it.
    """

    result: str | float | None
    recording: Recording | None = None
    may_be_anothers: bool = False

    def outcome(self) -> Outcome:
        if not isinstance(self.result, float):
            return Outcome.failed(str(self.result), 0)
        return _recorded(score_of(self.result), self.recording or Recording([], [], [], []))


def _recorded(score: float, recording: Recording) -> Outcome:
    """The outcome of a training that told its schedule something."""
    with np.errstate(over="ignore"):  # what is beyond float32 is infinite there
        train_loss, val_loss, val_score, learning_rate = (
            np.array(series, np.float32)
            for series in (recording.train_loss, recording.val_loss, recording.val_score, recording.learning_rate)
        )
        outcome = Outcome(score, None, train_loss, val_loss, val_score, learning_rate)
        if recording.rates is None:
            return outcome
        told = {name: np.array(series, np.float32) for name, series in recording.signals.items()}
        return replace(outcome, learning_rates=np.array(recording.rates, np.float32), signals=told)


def _kill_all(workers: list[WorkerProcess]) -> None:
    while workers:
        workers.pop().kill()


def _cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _threads(count: int) -> dict[str, str]:
    """The environment in which the libraries of a worker use so many threads. The order of sets is fixed with it."""
    variables: dict[str, str] = dict.fromkeys(_THREAD_VARIABLES, str(count))
    if count == 1:
        flags = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        variables["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flags}".strip()
    return {**variables, "PYTHONHASHSEED": os.environ.get("PYTHONHASHSEED", "0")}


def _positive(name: str, value: Any, unit: str) -> None:
    if value is not None and not (is_finite(value) and value > 0):
        raise ConfigError(f"{name} must be a positive number of {unit}, or None for no limit, got {shown(value)}")
