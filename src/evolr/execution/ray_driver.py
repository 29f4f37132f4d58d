"""What runs in the process that is connected to Ray: it has actors train, replaces those that are lost, and sends what has landed.

It ends when the program that started it does, or closes the connection; and it may be ended by Ray, which ends a program
that cannot reach its cluster for a minute.
"""

from __future__ import annotations

import logging
import math
import os
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final

import ray
from ray.exceptions import RayError, RayTaskError

import evolr
from evolr.errors import ConfigError, EvolrError, ExecutorError, ProblemError
from evolr.execution.ray_actor import Refusal, TrialActor, WorkerEnvironment
from evolr.execution.ray_batch import Batch
from evolr.problems import Pool
from evolr.training.task import Outcome, Trial

_CONNECT_SECONDS: Final = 10.0  # for the head of a cluster to answer at all
_POLL_SECONDS: Final = 0.1  # between two polls of the program's requests; what lands is sent at once
_REPORT_SECONDS: Final = 10.0  # without any worker, after which that is reported
_START_SECONDS: Final = 600.0  # without any worker, after which there will be none
_NODES_SECONDS: Final = 2.0  # between two queries of the machines, while no worker is there
_EXIT_SECONDS: Final = 10.0  # to disconnect from the cluster
_BUSY_SECONDS: Final = 0.1  # that a call should take at least, trials of a function being put together
_FAILED_STARTS: Final = 3  # in a row, after which no more workers are started
_TRIES: Final = 3  # to have a worker get ready
_MAX_REASON: Final = 300  # characters of what Ray says of a lost actor


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """What of `evolr.Ray` is needed here. parts: into which a worker's share of a population is cut; None of a function."""

    address: str | None
    workers: int | None
    cpus_per_worker: float
    gpus_per_worker: float
    runtime_env: Mapping[str, Any] | None
    log_to_driver: bool
    parts: int | None


class CancelledError(Exception):
    """The program has cancelled its request."""


@dataclass(eq=False, slots=True)
class Worker:
    """An actor, and what it is doing. node: its machine; None while it starts. trials: the numbers of those under way."""

    actor: Any
    node: str | None = None
    trials: list[int] = field(default_factory=list[int])


class Driver:
    """The workers of a cluster, and one run of theirs after another."""

    def __init__(
        self, settings: ClusterSettings, recipe: bytes, requests: SimpleQueue[Any], connection: Connection
    ) -> None:
        self._settings, self._requests, self._connection = settings, requests, connection
        try:
            _require_listening(settings.address)
            ray.init(
                address=settings.address,
                runtime_env=None if settings.runtime_env is None else dict(settings.runtime_env),
                log_to_driver=settings.log_to_driver,
                include_dashboard=False if settings.address in (None, "local") else None,
                logging_level=logging.ERROR,
            )
        except Exception as error:  # Ray raises ConnectionError, RuntimeError, ValueError and its own
            where = (
                "start Ray on this machine"
                if settings.address is None
                else f"reach the Ray cluster {settings.address!r}"
            )
            raise ExecutorError(f"cannot {where}: {type(error).__name__}: {error}") from error
        has_folder = "working_dir" in (settings.runtime_env or {})
        self._recipe = ray.put(recipe)
        self._environment = WorkerEnvironment(
            evolr.__version__, [os.path.abspath(path) for path in sys.path], None if has_folder else os.getcwd()
        )
        self._actor_class = ray.remote(TrialActor).options(
            num_cpus=settings.cpus_per_worker,
            num_gpus=settings.gpus_per_worker,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
        )
        self._workers: list[Worker] = []
        self._under_way: dict[Any, Worker] = {}  # by the reference of the call
        self._failed_starts = 0
        self._nodes: list[Mapping[str, Any]] = []  # the machines that are up
        self._queried_at = -math.inf
        self._without_worker_since: float | None = None  # None while there is one
        self._is_reported = False
        self._seconds, self._trained = 0.0, 0  # of all calls, to say how long a trial takes

    def prepare(self, pool: Pool) -> None:
        """Starts a worker and has it get ready."""
        reason = ""
        for _ in range(_TRIES):
            while not self._idle():
                self._start_workers(1)
                for worker, result in self._ready():
                    self._finish_start(worker, result)
            worker = self._idle()[0]
            try:
                refusal: Any = ray.get(worker.actor.prepare.remote(pool))
            except RayError as error:
                self._kill(worker)
                reason = _loss_reason(error)
                continue
            if refusal is not None:
                raise refusal.error()
            return
        raise ProblemError(f"{_TRIES} workers were lost while they got ready to train, the latest by: {reason}")

    def run(self, trials: Sequence[Trial], epochs: int, pool: Pool, keep_steps: bool) -> None:
        """Sends the outcomes as they land. Raises EvolrError if no more can be had, CancelledError if the program cancels."""
        batch = Batch(trials, epochs, self._settings.parts, self._most_workers())
        try:
            while batch.missing:
                self._start_workers(batch.most_workers)
                for worker in self._idle():
                    worker.trials = batch.taken(self._trials_per_call(batch))
                    if not worker.trials:
                        break
                    given = [trials[number] for number in worker.trials]
                    self._under_way[worker.actor.run.remote(given, epochs, pool, keep_steps)] = worker
                landed: dict[int, Outcome] = {}
                try:
                    for worker, result in self._ready():
                        landed |= self._outcomes_of(worker, result, batch)
                finally:
                    batch.missing -= len(landed)
                    if landed:
                        self._connection.send(("landed", landed))
        finally:
            for worker in [worker for worker in self._workers if worker.trials]:
                self._kill(worker)

    # --- the parts --------------------------------------------------------------------------------------------------

    def _outcomes_of(self, worker: Worker, result: Any, batch: Batch) -> dict[int, Outcome]:
        """The outcomes in what a worker returned, or in the loss of it."""
        if worker.node is None:
            self._finish_start(worker, result)
            return {}
        if isinstance(result, Refusal):
            raise result.error()
        numbers, worker.trials = worker.trials, []
        if isinstance(result, Exception):
            self._kill(worker)
            return batch.lost(numbers, _loss_reason(result), is_machine=not self._is_up(worker.node))
        outcomes, seconds = result
        self._seconds, self._trained = self._seconds + seconds, self._trained + len(outcomes)
        return dict(zip(numbers, outcomes, strict=True))

    def _trials_per_call(self, batch: Batch) -> int:
        """How many trials a call is given: of a function one, but for those so short that the call would count."""
        if self._settings.parts is not None:
            return batch.size
        mean = self._seconds / self._trained if self._trained else math.inf
        share = len(batch.waiting) // (4 * len(self._workers))
        return max(1, min(int(_BUSY_SECONDS / max(mean, 1e-6)), share))

    def _idle(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.node is not None and not worker.trials]

    def _start_workers(self, wanted: int) -> None:
        """Starts workers up to the number wanted, or up to what the cluster has room for."""
        if len(self._workers) >= wanted:
            return
        wanted = min(wanted, self._most_workers())
        while len(self._workers) < wanted:
            worker = Worker(self._actor_class.remote())
            self._workers.append(worker)
            self._under_way[worker.actor.begin.remote(self._recipe, self._environment)] = worker

    def _finish_start(self, worker: Worker, result: Any) -> None:
        """Notes that a worker has started. Raises EvolrError if none ever will."""
        if isinstance(result, Refusal):
            raise result.error()
        if isinstance(result, RayTaskError):
            raise ProblemError(
                f"a worker on the Ray cluster could not load what it is to train: {_reason(result)}. Its machines need the "
                "same packages and files: evolr.Ray(runtime_env={…}) brings them"
            )
        if isinstance(result, Exception):
            self._kill(worker)
            self._failed_starts += 1
            if self._failed_starts == _FAILED_STARTS:
                raise ExecutorError(
                    f"{_FAILED_STARTS} workers in a row were lost while they started, the latest by: {_reason(result)}. evolr "
                    "has to be installed on each machine of the cluster"
                )
            return
        worker.node = result
        self._failed_starts = 0

    def _ready(self) -> Iterator[tuple[Worker, Any]]:
        """Waits a moment for the workers: each that has returned something, with that, or with the error by which it is lost.

        Raises CancelledError if the program cancels, ExecutorError if there is no worker and will not be any.
        """
        with suppress(Empty):
            if self._requests.get_nowait() is None:
                self._requests.put(None)  # for `main`
            raise CancelledError
        references = list(self._under_way)
        if references:
            done, rest = ray.wait(references, num_returns=1, timeout=_POLL_SECONDS)
            if rest:
                done += ray.wait(rest, num_returns=len(rest), timeout=0)[0]
        else:
            done = []
            time.sleep(_POLL_SECONDS)
        if done or any(worker.node is not None for worker in self._workers):
            self._without_worker_since = None
        else:
            self._report_waiting()
        for reference in done:
            if (worker := self._under_way.pop(reference, None)) is not None:  # it was not killed meanwhile
                try:
                    result: Any = ray.get(reference)
                except RayError as error:
                    result = error
                yield worker, result

    def _report_waiting(self) -> None:
        """While there is no worker: reports it to the program after a while, and raises an error if there will be none."""
        now = time.monotonic()
        if self._without_worker_since is None:
            self._without_worker_since, self._is_reported = now, False
        self._require_capacity()
        if now - self._without_worker_since > _START_SECONDS:
            raise ExecutorError(f"no worker has started in {_START_SECONDS:g} s: {self._resources_text()}")
        if now - self._without_worker_since > _REPORT_SECONDS and not self._is_reported:
            self._is_reported = True
            self._connection.send(("waiting", f"no worker has started yet: {self._resources_text()}"))

    def _kill(self, worker: Worker) -> None:
        """Kills an actor, whatever it is doing, and removes it."""
        self._workers.remove(worker)
        self._under_way = {reference: each for reference, each in self._under_way.items() if each is not worker}
        with suppress(RayError, ValueError):  # it has ended
            ray.kill(worker.actor)

    # --- the cluster ------------------------------------------------------------------------------------------------

    def _most_workers(self) -> int:
        """How many workers are wanted, at most: as many as the cluster has room for, without regard to other users."""
        return self._settings.workers or self._capacity()

    def _capacity(self) -> int:
        now = time.monotonic()
        if now - self._queried_at > _NODES_SECONDS:
            self._queried_at = now
            self._nodes = [node for node in ray.nodes() if node["Alive"]]
        return sum(self._capacity_of(node["Resources"]) for node in self._nodes)

    def _capacity_of(self, resources: Mapping[str, float]) -> int:
        """How many workers a machine has room for."""
        wanted = {"CPU": self._settings.cpus_per_worker, "GPU": self._settings.gpus_per_worker}
        counts = [int(resources.get(name, 0.0) / each + 1e-9) for name, each in wanted.items() if each]
        return min(counts) if counts else 1

    def _require_capacity(self) -> None:
        """Raises an error if no machine has room for a worker."""
        if self._capacity():
            return
        if not self._nodes:
            raise ExecutorError(
                "no machine of the Ray cluster is left. What has landed is kept; the study goes on with the same call, by another "
                "cluster or without Ray"
            )
        raise ConfigError(f"no machine of the Ray cluster has room for a worker: {self._resources_text()}")

    def _resources_text(self) -> str:
        there, free = ray.cluster_resources(), ray.available_resources()
        settings = self._settings
        return (
            f"one takes {settings.cpus_per_worker:g} CPUs and {settings.gpus_per_worker:g} GPUs; the cluster has "
            f"{there.get('CPU', 0):g} CPUs, {free.get('CPU', 0):g} of them free, and {there.get('GPU', 0):g} GPUs, "
            f"{free.get('GPU', 0):g} of them free"
        )

    def _is_up(self, node: str) -> bool:
        return any(each["Alive"] for each in ray.nodes() if each["NodeID"] == node)


def main(descriptor: int) -> None:
    """Does what it is asked through a connection, until that closes."""
    os.set_inheritable(descriptor, False)
    connection = Connection(descriptor)
    requests: SimpleQueue[Any] = SimpleQueue()
    Thread(target=_receive_requests, args=(connection, requests), daemon=True).start()
    driver: Driver | None = None
    while (request := requests.get()) is not None:
        name, *arguments = request
        if name == "cancel":  # of what was done meanwhile
            continue
        answer: tuple[str, Any] = ("done", None)
        try:
            if name == "begin":
                driver = Driver(ClusterSettings(**arguments[0]), arguments[1], requests, connection)
            elif name == "prepare":
                assert driver is not None
                driver.prepare(*arguments)
            else:
                assert driver is not None
                driver.run(*arguments)
        except CancelledError:
            pass
        except EvolrError as error:
            answer = ("error", Refusal.of(error))
        except (RayError, ConnectionError) as error:
            gone = ExecutorError(
                f"the Ray cluster is gone: {_reason(error)}. What has landed is kept; the study goes on with the same call, by this "
                "cluster, another, or without Ray"
            )
            answer = ("error", Refusal.of(gone))
        with suppress(OSError):  # the program has ended
            connection.send(answer)
    ray.shutdown()


def _receive_requests(connection: Connection, requests: SimpleQueue[Any]) -> None:
    """Puts requests into the queue; ends the process when the connection closes, whatever it is doing."""
    with suppress(EOFError, OSError):
        while True:
            requests.put(connection.recv())
    requests.put(None)
    time.sleep(_EXIT_SECONDS)
    os._exit(1)


def _require_listening(address: str | None) -> None:
    """Raises OSError if no process listens at host:port, which Ray would try to reach for minutes."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdigit() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()


def _loss_reason(error: Exception) -> str:
    """Why an actor is lost. Raises ProblemError if it is not, but has raised what none of evolr's errors is."""
    if isinstance(error, RayTaskError):
        raise ProblemError(f"a worker on the Ray cluster raised {_reason(error)}") from error
    return _reason(error)


def _reason(error: Exception) -> str:
    """What an error says, in a line; of one that an actor raised, what it raised."""
    told = getattr(error, "cause", None) or error
    text = " ".join(str(told).split())
    return f"{type(told).__name__}: {text[:_MAX_REASON]}"
