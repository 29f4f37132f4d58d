"""What runs on a cluster's machines: an actor that trains by an executor of its own."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import evolr
from evolr.errors import ConfigError, EvolrError, ExecutorError, ProblemError, ScheduleError
from evolr.execution.executor import Executor
from evolr.execution.packing import unpacked
from evolr.problems import Pool
from evolr.training.task import Outcome, Trial

_KINDS: Final = {kind.__name__: kind for kind in (ConfigError, ExecutorError, ProblemError, ScheduleError)}


@dataclass(frozen=True, slots=True)
class WorkerEnvironment:
    """What a worker takes over from the program that searches, so that the same is found here as there.

    version: of evolr. path: where Python looks for modules. folder: in which relative paths are; None where Ray has set one.
    """

    version: str
    path: Sequence[str]
    folder: str | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error of evolr's, as it travels: the name of its class, and its text."""

    kind: str
    text: str

    @classmethod
    def of(cls, error: EvolrError) -> Refusal:
        return cls(type(error).__name__, str(error))

    def error(self) -> EvolrError:
        """The error again, to be raised."""
        return _KINDS.get(self.kind, ProblemError)(self.text)


class TrialActor:
    """Trains parts of what is to be trained, one after another."""

    def __init__(self) -> None:
        self._executor: Executor | None = None

    def begin(self, recipe: bytes, environment: WorkerEnvironment) -> Refusal | str:
        """Makes the executor; the id of the machine it is on, or why it cannot be made."""
        import ray

        if environment.version != evolr.__version__:
            return Refusal(
                "ConfigError",
                f"this is evolr {environment.version}, and on the machines of the Ray cluster there is evolr "
                f"{evolr.__version__}: install the same everywhere",
            )
        _remove_main_file()
        sys.path += [path for path in environment.path if path not in sys.path]
        if environment.folder is not None and os.path.isdir(environment.folder):
            os.chdir(environment.folder)
        try:
            self._executor = unpacked(recipe)()
        except EvolrError as error:
            return Refusal.of(error)
        return ray.get_runtime_context().get_node_id()

    def prepare(self, pool: Pool) -> Refusal | None:
        assert self._executor is not None
        try:
            self._executor.prepare(pool)
        except EvolrError as error:
            return Refusal.of(error)
        return None

    def run(
        self, trials: Sequence[Trial], epochs: int, pool: Pool, keep_steps: bool
    ) -> Refusal | tuple[list[Outcome], float]:
        """The outcomes, in order, and the seconds that it took; or what the executor raised."""
        assert self._executor is not None
        start = time.perf_counter()
        try:
            outcomes = self._executor.run(trials, epochs, pool, keep_steps=keep_steps)
        except EvolrError as error:
            return Refusal.of(error)
        return outcomes, time.perf_counter() - start


def _remove_main_file() -> None:
    """Has a child process not import what multiprocessing takes for the program's script: here, that of Ray's workers."""
    main: Any = sys.modules["__main__"]
    if hasattr(main, "__file__"):
        del main.__file__
