"""Trials on a Ray cluster: where they run, and the executor.

Ray ends a program whose cluster is gone, and importing it changes logging and warnings; so it is not imported here, but in a
process of its own (ray_driver.py), which is sent what to train and sends what has landed.
"""

from __future__ import annotations

import functools
import logging
import os
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final

from evolr.errors import ConfigError, EvolrError, ExecutorError, MissingExtraError, is_finite, shown
from evolr.execution.executor import DelegatingExecutor, Executor, refuse_optimizers
from evolr.execution.local import Local
from evolr.execution.packing import packed
from evolr.execution.ray_process import RayProcess
from evolr.execution.shipped import Shipped
from evolr.execution.training_function import TrainingFunction
from evolr.execution.workers import Workers
from evolr.problems import Pool, Problem
from evolr.ranges import Whole
from evolr.training.optimizers import Optimizer
from evolr.training.task import Outcome, Trial

_log = logging.getLogger(__name__)

_WORKERS: Final = Whole(1, 100_000)
_MOST_RESERVED: Final = 100_000  # CPUs or GPUs for a worker
_PARTS: Final = (
    4  # of a population that each worker trains without GPU: enough to even out, few enough to fill a program
)


@dataclass(frozen=True)
class Ray:
    """A Ray cluster as the place where trials run.

        evolr.evolve(train, "runs/mine", epochs=10, executor=evolr.Ray("auto", gpus_per_worker=1))

    address: of the cluster, as `ray.init` takes it: "auto", "host:6379". Where None, the cluster to which
        this program is connected, or one that is found, or else one on this machine, which ends with the executor.
    workers: trainings, or parts of a population, at once; as many as the cluster has room for where None.
    cpus_per_worker, gpus_per_worker: what Ray reserves for each; fractions are fine. Without GPUs, a worker sees none.
    runtime_env: of Ray, which brings your files and packages to its machines: {"working_dir": "."}; that of the cluster to
        which this program is connected where None.
    log_to_driver: whether what trainings print is shown here.

    A worker is an actor. It trains a function in a process of its own, as `Workers` does, so that a training that raises,
    crashes, exceeds `time_limit`, `memory_limit` or returns no number has failed; it trains a problem in itself, a part of the
    population at a time. An actor that is lost is replaced, and what it had under way is trained again: a trial that has
    lost three actors on machines that are up has failed; one that has lost 16 with their machines ends the run.

    Raises ConfigError for numbers out of range, MissingExtraError where Ray is not installed.
    """

    address: str | None = None
    workers: int | None = None
    cpus_per_worker: float = 1
    gpus_per_worker: float = 0
    runtime_env: Mapping[str, Any] | None = None
    log_to_driver: bool = False

    def __post_init__(self) -> None:
        if self.workers is not None:
            _WORKERS.of("workers", self.workers)
        for name in ("cpus_per_worker", "gpus_per_worker"):
            value = getattr(self, name)
            if not (is_finite(value) and 0 <= value <= _MOST_RESERVED):
                raise ConfigError(f"{name} must be a number from 0 to {_MOST_RESERVED:,}, got {shown(value)}")
        if not (self.cpus_per_worker or self.gpus_per_worker or self.workers):
            raise ConfigError("workers that need neither CPUs nor GPUs have to be counted: evolr.Ray(workers=8, …)")
        if os.name == "nt":
            raise ConfigError("evolr.Ray runs on Linux and macOS; Ray on Windows is not supported")
        if not (find_spec("ray") and find_spec("cloudpickle")):
            raise MissingExtraError("evolr.Ray", "ray")

    def for_problem(self, problem: Problem, optimizer: Optimizer) -> Executor:
        """Each worker trains a part of the population on its own devices."""
        count = None if self.gpus_per_worker else max(1, int(self.cpus_per_worker))
        recipe = functools.partial(Local, problem, optimizer, device_count=count)
        return RayExecutor(self, recipe, parts=1 if self.gpus_per_worker else _PARTS)

    def for_function(
        self,
        train: TrainingFunction,
        signals: frozenset[str],
        *,
        time_limit: float | None = None,
        memory_limit: float | None = None,
        threads: int = 1,
    ) -> Executor:
        """Each worker trains one trial after another; the options are those of `Workers`."""
        recipe = functools.partial(
            Workers,
            Shipped(train),
            count=1,
            time_limit=time_limit,
            memory_limit=memory_limit,
            threads=threads,
            signals=signals,
        )
        return RayExecutor(self, recipe, parts=None)


class RayExecutor(DelegatingExecutor):
    """Trains on a Ray cluster, by actors that each have an executor of their own.

    recipe: makes that executor, on the cluster's machines and once here, where it says of itself what this one says. parts:
    into which a worker's share of a population is cut; None for trials that are trained one by one.

    Raises ConfigError where the recipe cannot be sent, or makes no executor. `prepare` and `run` raise ExecutorError where
    there is no cluster, or none any more; what has landed is handed over first.
    """

    def __init__(self, place: Ray, recipe: Callable[[], Executor], *, parts: int | None) -> None:
        self._place, self._parts = place, parts
        self.inner = recipe()
        self._recipe = packed(recipe, "what is to be trained")
        self._process: RayProcess | None = None
        self.seconds = 0.0
        self.trainings = 0

    def prepare(self, pool: Pool) -> None:
        """Connects to the cluster and has one worker get ready. Raises what that one's executor raises."""
        with self._timed(), closing(self._request("prepare", pool)) as answers:
            for _ in answers:
                pass

    def run(
        self,
        trials: Sequence[Trial],
        epochs: int,
        pool: Pool,
        *,
        keep_steps: bool = False,
        on_outcomes: Callable[[Mapping[int, Outcome]], None] | None = None,
    ) -> list[Outcome]:
        """As of Executor; it asks meanwhile where a function trains."""
        if not self.takes_optimizers:
            refuse_optimizers(trials)
        if not trials:
            return []
        outcomes: dict[int, Outcome] = {}
        with self._timed(), closing(self._request("run", list(trials), epochs, pool, keep_steps)) as answers:
            for landed in answers:
                outcomes |= landed
                self.trainings += len(landed)
                if on_outcomes and (landed or self._parts is None):
                    on_outcomes(landed)
        return [outcomes[number] for number in range(len(trials))]

    def close(self) -> None:
        """Ends the workers, and the cluster, if this executor started it."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def _request(self, request: str, *arguments: Any) -> Generator[Mapping[int, Outcome]]:
        """What lands of a request to the process that is connected to Ray, which is started first if there is none; nothing meanwhile."""
        if self._process is None:
            self._process = RayProcess(shows_output=self._place.log_to_driver)
            try:
                yield from self._answers("begin", _cluster_settings(self._place, self._parts), self._recipe)
            except EvolrError:
                self.close()
                raise
        yield from self._answers(request, *arguments)

    def _answers(self, request: str, *arguments: Any) -> Generator[Mapping[int, Outcome]]:
        """What lands of a request, nothing meanwhile. It is cancelled if the caller stops before its end."""
        assert self._process is not None
        is_over = False
        try:
            for kind, content in self._process.ask(request, *arguments):
                is_over = kind in ("done", "error")
                if kind == "landed":
                    yield content
                elif kind == "meanwhile":
                    yield {}
                elif kind == "waiting":
                    _log.warning("Ray: %s", content)
                elif kind == "error":
                    raise content.error()
        except ExecutorError:
            is_over = True
            self.close()  # so that a later run connects anew
            raise
        finally:
            if not is_over and not self._process.cancel():
                self.close()


def _cluster_settings(place: Ray, parts: int | None) -> Mapping[str, Any]:
    """What the process that is connected to Ray has to know; the cluster to which this program is connected, if no other is named."""
    known: dict[str, Any] = {**vars(place), "parts": parts}
    connected: Any = sys.modules.get("ray")
    if place.address is None and connected is not None and connected.is_initialized():
        context = connected.get_runtime_context()
        known["address"] = context.gcs_address
        if place.runtime_env is None:
            known["runtime_env"] = dict(context.runtime_env) or None
    return known
