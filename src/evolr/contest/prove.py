"""One call for the contest of a study's champion, or of any schedule."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from evolr.config import Config, require_signals
from evolr.contest.contest import hold
from evolr.contest.results import ContestResult, Evolved, Settings, quick
from evolr.contest.trainings import LEDGER, require_trainer, shared_directory
from evolr.contest.tuning import Candidate
from evolr.errors import RunDirectoryError, StudyError
from evolr.problems import JaxProblem
from evolr.schedule import Schedule
from evolr.study.database import DATABASE
from evolr.study.run_directory import RunDirectory
from evolr.study.summary import best_schedules, summarise


def prove(
    directory: Path | str,
    *,
    budget: int | None = None,
    seeds: int | None = None,
    epochs: int | None = None,
    is_quick: bool = False,
    problem: JaxProblem | None = None,
    device_count: int | None = None,
    on_total: Callable[[int], None] | None = None,
    on_done: Callable[[int, int], None] | None = None,
) -> ContestResult:
    """Holds the contest of the study in a directory; see contest.py for what it is.

    budget: training runs that each contender is tuned with; as many as the study's search had where None.
    seeds: trainings of each contender in the final; 32 where None, 16 in a rehearsal.
    epochs: of each training; those of the study's comparison where None.
    is_quick: a rehearsal of some minutes on smaller numbers that leaves the test pool unseen.
    problem: the JaxProblem that trained the study, which does not hold it; where its functions have changed since, delete
        the contest.db of the run directory.
    on_total, on_done: called with the training runs there will be at most, once, and with those just done and those
    just looked up.

    What was interrupted goes on where it was: call again. Raises StudyError where the study has no champion or is being
    written, ConfigError for numbers below 1 and another problem than the study's,
    ProblemError for a problem that trains elsewhere.
    """
    path = RunDirectory.open(Path(directory)).path
    summary = summarise(path)
    if summary.state == "running":
        raise StudyError(f"{path} is still being searched; wait for its end, or stop it, before its champion is proven")
    if summary.champion is None:
        raise StudyError(f"{path} {summary.why_no_champion}")
    config = summary.config
    settings = _settings(
        config, summary.trainings if budget is None else budget, seeds, epochs, problem, is_quick=is_quick
    )
    candidates = [Candidate(schedule, score) for schedule, score in best_schedules(path, settings.finalists[0])]
    evolved = Evolved(candidates, "the study's search", summary.trainings, config.training.epochs)
    return hold(
        evolved,
        config,
        settings,
        path,
        shared_directory() if problem is None else path,
        problem=problem,
        device_count=device_count,
        on_total=on_total,
        on_done=on_done,
    )


def prove_schedule(
    schedule: Schedule,
    config: Config,
    directory: Path | str,
    *,
    budget: int,
    seeds: int | None = None,
    epochs: int | None = None,
    is_quick: bool = False,
    problem: JaxProblem | None = None,
    device_count: int | None = None,
    on_total: Callable[[int], None] | None = None,
    on_done: Callable[[int, int], None] | None = None,
) -> ContestResult:
    """Holds the contest of any schedule, on the problem of a configuration; see `prove` for the arguments.

    directory: a new one, or that of the same schedule's contest, to go on with it. Raises RunDirectoryError where it is
    another's, or a study's.
    """
    path = Path(directory)
    require_signals(config.problem, sorted(schedule.expression.signals))
    settings = _settings(config, budget, seeds, epochs, problem, is_quick=is_quick)
    if path.exists() and (os.path.isfile(path / DATABASE) or not os.path.isfile(path / LEDGER)):
        raise RunDirectoryError(f"{path} exists already and holds no contest of a schedule; name another directory")
    evolved = Evolved([Candidate(schedule, float("nan"))], "given as a formula")
    return hold(
        evolved,
        config,
        settings,
        path,
        shared_directory() if problem is None else path,
        problem=problem,
        device_count=device_count,
        on_total=on_total,
        on_done=on_done,
    )


def _settings(
    config: Config, budget: int, seeds: int | None, epochs: int | None, problem: JaxProblem | None, *, is_quick: bool
) -> Settings:
    """The settings of a contest. Loads the problem's data, so that one that cannot be trained here is refused first."""
    require_trainer(config, problem)
    epochs = config.comparison.epochs if epochs is None else epochs
    settings = Settings(epochs=epochs, budget=budget)
    if is_quick:
        settings = quick(epochs, budget, config.search.seeds)
    if problem is None:
        config.problem.task("monitor")
    else:
        for pool in ("fitness", "selection", settings.pool):
            problem.task(pool)
    return settings if seeds is None else msgspec.structs.replace(settings, seeds=seeds)
