"""What runs in the process that speaks to Ray: it has actors train, replaces those that are lost, and tells what has landed.

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
from evolr.execution.ray_actor import Refusal, Surroundings, TrialActor
from evolr.execution.ray_batch import Batch
from evolr.problems import Pool
from evolr.training.task import Outcome, Trial

_CONNECT_SECONDS: Final = 10.0  # for the head of a cluster to answer at all
_LOOK_SECONDS: Final = 0.1  # between two looks at what the program says; what lands is told at once
_TELL_SECONDS: Final = 10.0  # without any worker, after which that is told
_START_SECONDS: Final = 600.0  # without any worker, after which there will be none
_NODES_SECONDS: Final = 2.0  # between two looks at the machines, while no worker is there
_LEAVE_SECONDS: Final = 10.0  # to leave the cluster
_BUSY_SECONDS: Final = 0.1  # that a call should take at least, trials of a function being put together
_FAILED_STARTS: Final = 3  # in a row, after which no more workers are started
_TRIES: Final = 3  # to have a worker get ready
_MAX_REASON: Final = 300  # characters of what Ray says of a lost actor


@dataclass(frozen=True, slots=True)
class Place:
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

    def __init__(self, place: Place, recipe: bytes, requests: SimpleQueue[Any], connection: Connection) -> None:
        self._place, self._requests, self._connection = place, requests, connection
        try:
            _require_listener(place.address)
            ray.init(
                address=place.address,
                runtime_env=None if place.runtime_env is None else dict(place.runtime_env),
                log_to_driver=place.log_to_driver,
                include_dashboard=False if place.address in (None, "local") else None,
                logging_level=logging.ERROR,
            )
        except Exception as error:  # Ray raises ConnectionError, RuntimeError, ValueError and its own
            where = "start Ray on this machine" if place.address is None else f"reach the Ray cluster {place.address!r}"
            raise ExecutorError(f"cannot {where}: {type(error).__name__}: {error}") from error
        has_folder = "working_dir" in (place.runtime_env or {})
        self._recipe = ray.put(recipe)
        self._surroundings = Surroundings(
            evolr.__version__, [os.path.abspath(path) for path in sys.path], None if has_folder else os.getcwd()
        )
        self._actor_class = ray.remote(TrialActor).options(
            num_cpus=place.cpus_per_worker,
            num_gpus=place.gpus_per_worker,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
        )
        self._workers: list[Worker] = []
        self._under_way: dict[Any, Worker] = {}  # by the reference of the call
        self._failed_starts = 0
        self._nodes: list[Mapping[str, Any]] = []  # the machines that live
        self._looked = -math.inf
        self._alone_since: float | None = None  # since when there is no worker
        self._is_told = False
        self._seconds, self._trained = 0.0, 0  # of all calls, to say how long a trial takes

    def prepare(self, pool: Pool) -> None:
        """Starts a worker and has it get ready."""
        reason = ""
        for _ in range(_TRIES):
            while not self._idle():
                self._hire(1)
                for worker, result in self._ready():
                    self._welcome(worker, result)
            worker = self._idle()[0]
            try:
                refusal: Any = ray.get(worker.actor.prepare.remote(pool))
            except RayError as error:
                self._dismiss(worker)
                reason = _require_loss(error)
                continue
            if refusal is not None:
                raise refusal.error()
            return
        raise ProblemError(f"{_TRIES} workers were lost while they got ready to train, the latest by: {reason}")

    def run(self, trials: Sequence[Trial], epochs: int, pool: Pool, keep_steps: bool) -> None:
        """Tells the outcomes as they land. Raises EvolrError if no more can be had, CancelledError if none is wanted."""
        batch = Batch(trials, epochs, self._place.parts, self._count())
        try:
            while batch.missing:
                self._hire(batch.most_workers)
                for worker in self._idle():
                    worker.trials = batch.taken(self._together(batch))
                    if not worker.trials:
                        break
                    given = [trials[number] for number in worker.trials]
                    self._under_way[worker.actor.run.remote(given, epochs, pool, keep_steps)] = worker
                landed: dict[int, Outcome] = {}
                try:
                    for worker, result in self._ready():
                        landed |= self._arrived(worker, result, batch)
                finally:
                    batch.missing -= len(landed)
                    if landed:
                        self._connection.send(("landed", landed))
        finally:
            for worker in [worker for worker in self._workers if worker.trials]:
                self._dismiss(worker)

    # --- the parts --------------------------------------------------------------------------------------------------

    def _arrived(self, worker: Worker, result: Any, batch: Batch) -> dict[int, Outcome]:
        """What has landed with a worker's word, or with the loss of it."""
        if worker.node is None:
            self._welcome(worker, result)
            return {}
        if isinstance(result, Refusal):
            raise result.error()
        numbers, worker.trials = worker.trials, []
        if isinstance(result, Exception):
            self._dismiss(worker)
            return batch.lost(numbers, _require_loss(result), is_machine=not self._lives(worker.node))
        outcomes, seconds = result
        self._seconds, self._trained = self._seconds + seconds, self._trained + len(outcomes)
        return dict(zip(numbers, outcomes, strict=True))

    def _together(self, batch: Batch) -> int:
        """How many trials a call is given: of a function one, but for those so short that the call would count."""
        if self._place.parts is not None:
            return batch.size
        mean = self._seconds / self._trained if self._trained else math.inf
        share = len(batch.waiting) // (4 * len(self._workers))
        return max(1, min(int(_BUSY_SECONDS / max(mean, 1e-6)), share))

    def _idle(self) -> list[Worker]:
        return [worker for worker in self._workers if worker.node is not None and not worker.trials]

    def _hire(self, wanted: int) -> None:
        """Starts workers up to the number wanted, as far as the cluster has room."""
        if len(self._workers) >= wanted:
            return
        wanted = min(wanted, self._count())
        while len(self._workers) < wanted:
            worker = Worker(self._actor_class.remote())
            self._workers.append(worker)
            self._under_way[worker.actor.begin.remote(self._recipe, self._surroundings)] = worker

    def _welcome(self, worker: Worker, result: Any) -> None:
        """Takes up a worker that has started. Raises EvolrError where none ever will."""
        if isinstance(result, Refusal):
            raise result.error()
        if isinstance(result, RayTaskError):
            raise ProblemError(
                f"a worker on the Ray cluster could not load what it is to train: {_reason(result)}. Its machines need the "
                "same packages and files: evolr.Ray(runtime_env={…}) brings them"
            )
        if isinstance(result, Exception):
            self._dismiss(worker)
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
        """Waits a moment for the workers: those that have something to say, and that, or why they are lost.

        Raises CancelledError if the program says so, ExecutorError if there is no worker and will not be any.
        """
        with suppress(Empty):
            if self._requests.get_nowait() is None:
                self._requests.put(None)  # for who waits for it
            raise CancelledError
        references = list(self._under_way)
        if references:
            done, rest = ray.wait(references, num_returns=1, timeout=_LOOK_SECONDS)
            if rest:
                done += ray.wait(rest, num_returns=len(rest), timeout=0)[0]
        else:
            done = []
            time.sleep(_LOOK_SECONDS)
        if done or any(worker.node is not None for worker in self._workers):
            self._alone_since = None
        else:
            self._require_hope()
        for reference in done:
            if (worker := self._under_way.pop(reference, None)) is not None:  # it was not dismissed meanwhile
                try:
                    result: Any = ray.get(reference)
                except RayError as error:
                    result = error
                yield worker, result

    def _require_hope(self) -> None:
        """While there is no worker: tells the program in time, and raises an error if there will be none."""
        now = time.monotonic()
        if self._alone_since is None:
            self._alone_since, self._is_told = now, False
        self._require_room()
        if now - self._alone_since > _START_SECONDS:
            raise ExecutorError(f"no worker has started in {_START_SECONDS:g} s: {self._said_of_cluster()}")
        if now - self._alone_since > _TELL_SECONDS and not self._is_told:
            self._is_told = True
            self._connection.send(("waiting", f"no worker has started yet: {self._said_of_cluster()}"))

    def _dismiss(self, worker: Worker) -> None:
        """Ends an actor, whatever it does, and forgets it."""
        self._workers.remove(worker)
        self._under_way = {reference: each for reference, each in self._under_way.items() if each is not worker}
        with suppress(RayError, ValueError):  # it is no more
            ray.kill(worker.actor)

    # --- the cluster ------------------------------------------------------------------------------------------------

    def _count(self) -> int:
        """How many workers are wanted, at most: as many as there is room for, whoever else uses the machines."""
        return self._place.workers or self._room()

    def _room(self) -> int:
        now = time.monotonic()
        if now - self._looked > _NODES_SECONDS:
            self._looked = now
            self._nodes = [node for node in ray.nodes() if node["Alive"]]
        return sum(self._room_of(node["Resources"]) for node in self._nodes)

    def _room_of(self, resources: Mapping[str, float]) -> int:
        """How many workers a machine has room for."""
        wanted = {"CPU": self._place.cpus_per_worker, "GPU": self._place.gpus_per_worker}
        rooms = [int(resources.get(name, 0.0) / each + 1e-9) for name, each in wanted.items() if each]
        return min(rooms) if rooms else 1

    def _require_room(self) -> None:
        """Raises an error if no machine has room for a worker."""
        if self._room():
            return
        if not self._nodes:
            raise ExecutorError(
                "no machine of the Ray cluster is left. What has landed is kept; the study goes on with the same call, by another "
                "cluster or without Ray"
            )
        raise ConfigError(f"no machine of the Ray cluster has room for a worker: {self._said_of_cluster()}")

    def _said_of_cluster(self) -> str:
        there, free = ray.cluster_resources(), ray.available_resources()
        place = self._place
        return (
            f"one takes {place.cpus_per_worker:g} CPUs and {place.gpus_per_worker:g} GPUs; the cluster has "
            f"{there.get('CPU', 0):g} CPUs, {free.get('CPU', 0):g} of them free, and {there.get('GPU', 0):g} GPUs, "
            f"{free.get('GPU', 0):g} of them free"
        )

    def _lives(self, node: str) -> bool:
        return any(each["Alive"] for each in ray.nodes() if each["NodeID"] == node)


def main(descriptor: int) -> None:
    """Does what it is asked through a connection, until that closes."""
    os.set_inheritable(descriptor, False)
    connection = Connection(descriptor)
    requests: SimpleQueue[Any] = SimpleQueue()
    Thread(target=_listen, args=(connection, requests), daemon=True).start()
    driver: Driver | None = None
    while (request := requests.get()) is not None:
        name, *arguments = request
        if name == "cancel":  # of what was done meanwhile
            continue
        answer: tuple[str, Any] = ("done", None)
        try:
            if name == "begin":
                driver = Driver(Place(**arguments[0]), arguments[1], requests, connection)
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
        with suppress(OSError):  # nobody listens any more
            connection.send(answer)
    ray.shutdown()


def _listen(connection: Connection, requests: SimpleQueue[Any]) -> None:
    """Hands on what the program asks for; has the process end when the connection closes, whatever it is doing."""
    with suppress(EOFError, OSError):
        while True:
            requests.put(connection.recv())
    requests.put(None)
    time.sleep(_LEAVE_SECONDS)
    os._exit(1)


def _require_listener(address: str | None) -> None:
    """Raises OSError where nobody listens at host:port, which Ray would try to reach for minutes."""
    host, _, port = (address or "").rpartition(":")
    if host and port.isdigit() and "/" not in host:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()


def _require_loss(error: Exception) -> str:
    """Why an actor is lost. Raises ProblemError if it is not, but has raised what none of evolr's errors is."""
    if isinstance(error, RayTaskError):
        raise ProblemError(f"a worker on the Ray cluster raised {_reason(error)}") from error
    return _reason(error)


def _reason(error: Exception) -> str:
    """What an error says, in a line; of one that an actor raised, what it raised."""
    told = getattr(error, "cause", None) or error
    text = " ".join(str(told).split())
    return f"{type(told).__name__}: {text[:_MAX_REASON]}"
