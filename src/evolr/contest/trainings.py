"""The trainings of a contest, each done once: the others are looked up.

Those of tuned families depend on the problem alone and are kept in the user's cache directory, for every contest on that
problem; those of the study's own contenders are kept in its run directory.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, cast

import msgspec
import platformdirs

import evolr
from evolr.config import Config, problem_name
from evolr.errors import ConfigError, RunDirectoryError, StudyError
from evolr.execution.local import Local
from evolr.expression import LANGUAGE_VERSION
from evolr.problems import External, JaxProblem, Pool
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


def require_trainer(config: Config, problem: JaxProblem | None) -> None:
    """Raises ConfigError where a configuration names another trainer than a JaxProblem; ProblemError where it needs one."""
    if problem is None:
        if isinstance(config.problem, External):
            config.problem.task("monitor")  # says who trains it
        return
    if not isinstance(cast("Any", problem), JaxProblem):
        raise ConfigError(f"problem must be the evolr.JaxProblem that trained the study, or None, got {problem!r}")
    named = (
        config.problem.trainer
        if isinstance(config.problem, External)
        else f"the problem {problem_name(config.problem)!r}"
    )
    if named != problem.identity:
        raise ConfigError(
            f"the study was trained by {named or 'whoever told it its scores'}, got {problem.identity}; give the same "
            "problem, with the same data"
        )


class Trainings:
    """Trains what is wanted on a problem, for a number of epochs, and remembers it.

    own: the run directory; shared: the directory of what depends on the problem alone.
    problem: the JaxProblem that trains, where the configuration's problem is `external`; both directories are then to be
    the run directory, because what its functions compute cannot be told from its data.
    `trained` and `remembered` count the trainings that were run and those that were known.
    """

    def __init__(
        self,
        config: Config,
        epochs: int,
        own: Path,
        shared: Path,
        *,
        problem: JaxProblem | None = None,
        device_count: int | None = None,
        on_done: Callable[[int, int], None] | None = None,
    ) -> None:
        self._epochs = epochs
        self._on_done = on_done or (lambda _trained, _remembered: None)
        self._local = Local(problem or config.problem, config.training.optimizer, device_count=device_count)
        self._context: dict[str, Any] = {
            "problem": msgspec.to_builtins(config.problem) if problem is None else [problem.name, problem.digest],
            "optimizer": msgspec.to_builtins(config.training.optimizer),
            "language": LANGUAGE_VERSION,
            "evolr": evolr.__version__,
            "versions": {name: version(name) for name in ("jax", "optax", "numpy", "mnist1d")},
        }
        self._shared = Ledger(shared / LEDGER)
        self._own = Ledger(own / LEDGER)
        self.trained = 0
        self.remembered = 0

    def outcomes(self, wanted: Sequence[Wanted], pool: Pool, *, keep_steps: bool = False) -> list[Outcome]:
        """The outcome of each training, in order, judged on a pool. Raises StudyError where the problem raises."""
        ledgers = [self._shared if w.is_shared else self._own for w in wanted]
        keys = [training_key(self._context, w.trial, self._epochs, pool, keep_steps=keep_steps) for w in wanted]
        known: dict[bytes, Outcome] = {}
        for ledger in (self._shared, self._own):
            known |= ledger.find([key for key, mine in zip(keys, ledgers, strict=True) if mine is ledger])
        missing = [n for n, key in enumerate(keys) if key not in known]
        missing = list({keys[n]: n for n in reversed(missing)}.values())[::-1]  # each training once
        self.remembered += len(wanted) - len(missing)
        self._on_done(0, len(wanted) - len(missing))

        def landed(outcomes: Mapping[int, Outcome]) -> None:
            for ledger in (self._shared, self._own):
                mine = [(keys[missing[k]], o) for k, o in outcomes.items() if ledgers[missing[k]] is ledger]
                if mine:
                    ledger.add(mine)
            self.trained += len(outcomes)
            self._on_done(len(outcomes), 0)

        if missing:
            trials = [wanted[n].trial for n in missing]
            done = self._local.run(trials, self._epochs, pool, keep_steps=keep_steps, on_outcomes=landed)
            known |= {keys[n]: outcome for n, outcome in zip(missing, done, strict=True)}
            if failures := [outcome.failure for outcome in done if outcome.failure]:
                raise StudyError(
                    f"{len(failures)} of {len(done)} trainings failed, the first by: {failures[0]}. The others are kept; "
                    "the same command goes on"
                )
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
        self._shared.close()
        self._own.close()
