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
class Surroundings:
    """Of the program that searches, for what it has to find here as it does there.

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

    def begin(self, recipe: bytes, surroundings: Surroundings) -> Refusal | str:
        """Makes the executor; the id of the machine it is on, or why it cannot be made."""
        import ray

        if surroundings.version != evolr.__version__:
            return Refusal(
                "ConfigError",
                f"this is evolr {surroundings.version}, and on the machines of the Ray cluster there is evolr "
                f"{evolr.__version__}: install the same everywhere",
            )
        _leave_ray_out_of_children()
        sys.path += [path for path in surroundings.path if path not in sys.path]
        if surroundings.folder is not None and os.path.isdir(surroundings.folder):
            os.chdir(surroundings.folder)
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


def _leave_ray_out_of_children() -> None:
    """A process that multiprocessing starts imports the script that its parent runs: here, that of Ray's workers."""
    main: Any = sys.modules["__main__"]
    if hasattr(main, "__file__"):
        del main.__file__
