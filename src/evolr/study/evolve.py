"""One call for a whole search in a study's directory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, cast, overload

from evolr.config import Config, config_of
from evolr.errors import ConfigError, shown, unknown_name
from evolr.execution.executor import Executor, ExecutorMaker
from evolr.execution.processes import require_memory
from evolr.execution.training_function import TrainingFunction
from evolr.problems import OwnProblem, given_problem
from evolr.reading import path_of
from evolr.study import own_training
from evolr.study.beginning import begun_with
from evolr.study.database import Database
from evolr.study.open_study import require_agreement
from evolr.study.records import Records
from evolr.study.results import GenerationReport, Limits, SearchResult, TrialReport
from evolr.study.study import Study
from evolr.study.trained_by import executor_for
from evolr.study.watching import ShouldStop, ShowProgress, Watcher, bar, require_functions

_COMMON: Final = ("limits", "initial", "should_stop", "on_trial", "on_generation", "progress")
"""The options of evolve with anything."""


@overload
def evolve(
    what: Config,
    directory: Path | str,
    limits: Limits | None = None,
    *,
    device_count: int | None = None,
    executor: ExecutorMaker | None = None,
    initial: object = None,
    should_stop: ShouldStop = lambda: None,
    on_trial: Callable[[TrialReport], object] | None = None,
    on_generation: Callable[[GenerationReport], object] | None = None,
    progress: ShowProgress | Watcher = None,
) -> SearchResult: ...


@overload
def evolve(
    what: TrainingFunction,
    directory: Path | str,
    limits: Limits | None = None,
    *,
    epochs: int,
    metric: str = "score",
    higher_is_better: bool = True,
    signals: own_training.SignalNames = ("progress", "loss", "val_loss"),
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    trainings: int | None = None,
    workers: int | None = None,
    time_limit: float | None = None,
    memory_limit: float | None = None,
    threads: int = 1,
    executor: ExecutorMaker | None = None,
    initial: object = None,
    should_stop: ShouldStop = lambda: None,
    on_trial: Callable[[TrialReport], object] | None = None,
    on_generation: Callable[[GenerationReport], object] | None = None,
    progress: ShowProgress | Watcher = None,
) -> SearchResult: ...


@overload
def evolve(
    what: OwnProblem,
    directory: Path | str,
    limits: Limits | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    trainings: int | None = None,
    device_count: int | None = None,
    executor: ExecutorMaker | None = None,
    initial: object = None,
    should_stop: ShouldStop = lambda: None,
    on_trial: Callable[[TrialReport], object] | None = None,
    on_generation: Callable[[GenerationReport], object] | None = None,
    progress: ShowProgress | Watcher = None,
) -> SearchResult: ...


def evolve(
    what: Config | OwnProblem | TrainingFunction,
    directory: Path | str,
    limits: Limits | None = None,
    *,
    initial: object = None,
    should_stop: ShouldStop = lambda: None,
    on_trial: Callable[[TrialReport], object] | None = None,
    on_generation: Callable[[GenerationReport], object] | None = None,
    progress: ShowProgress | Watcher = None,
    **options: Any,
) -> SearchResult:
    """Evolves a schedule in a study's directory, new or begun.

        evolr.evolve(evolr.resolve("memetic"), "runs/mine")
        evolr.evolve(train, "runs/mine", epochs=20, metric="accuracy", trainings=40)

    what: the configuration of a study whose problem evolr trains itself; a JaxProblem, your own JAX model, or a Suite of several;
        or a training function of your own, train(schedule, seed, epochs) → score; docs/your-own-training.md says how to write one.
    limits, should_stop, on_trial, on_generation, progress: see Study.run.

    With a configuration: device_count, devices to train on; all where None.

    With a JaxProblem: settings, by dotted name, on top of the preset `memetic`, with a Suite of `suite`; seed, the study's;
    device_count.

    With a function:
    epochs: what it is called with. metric: the name of its score. higher_is_better: which way the score is good.
    signals: what the function passes to its schedule, and formulas may read; see docs/language.md. A name that is none
        of evolr's is a signal of your own, which formulas write as @name; its values lie from 0 to 1, or between what you
        say: signals={"progress": None, "temperature": (0.0, 100.0)}.
    seed: the study's. settings: any others by dotted name, on top of the preset `function`.
    trainings: that the whole search spends, its race included; how it searches follows from them (docs/search.md). Those of the
        preset where None.
    workers: processes that train at once; as many as there are cores (for `threads` each) where None.
    time_limit: seconds, memory_limit: GB, of a trial; None for no limit. threads: of each worker.

    With each: executor, where trials run, this machine where None: `evolr.Ray(address)`, or an Executor of your own.
    initial: schedules that the search begins with, one or a list: a Schedule, a formula, a name of a family or of the gallery, a
        former run, whose best ones they are.

    Raises ConfigError for what cannot be trained so, before anything is written; ProblemError where a worker cannot
    import the function; and what Study and Study.run raise.
    """
    begun = time.perf_counter()
    path = path_of("directory", directory)
    if limits is not None and not isinstance(cast("Any", limits), Limits):
        raise ConfigError(f"limits must be evolr.Limits(seconds=…, trainings=…, target=…) or None, got {shown(limits)}")
    require_functions(should_stop=should_stop, on_trial=on_trial, on_generation=on_generation)
    config, executor = study_of(what, options)
    config = begun_with(config, initial)
    with closing(executor), bar(progress, config.problem.metric) as watcher:
        require_agreement(path, config)
        require_memory(config.search.most_at_once, config.training.epochs)
        executor.prepare("fitness")  # before anything is written, so that what is refused leaves nothing
        with Study(path, config) as study:
            return study.run(
                limits,
                executor=executor,
                should_stop=should_stop,
                on_trial=on_trial,
                on_generation=on_generation,
                progress=watcher,
                begun=begun,
            )


def study_of(what: object, options: Mapping[str, Any]) -> tuple[Config, Executor]:
    """The configuration of what is to be evolved, and what trains it."""
    if isinstance(what, Config):
        if given := sorted(options.keys() & {"settings", *own_training.OPTIONS} - {"executor"}):
            raise ConfigError(
                f"a configuration holds its settings, its seed, its epochs and its trainings: give them to evolr.resolve, not "
                f"{', '.join(given)} to evolve"
            )
        _refuse_unknown("a configuration", options, ("device_count", "executor"))
        return what, executor_for(what, options=options)
    if (problem := given_problem(what)) is not None:
        known = ("settings", "seed", "trainings", "device_count", "executor")
        _refuse_unknown(f"a {type(problem).__name__}", options, known)
        return _study_of_model(problem, **options)
    if callable(what):
        _refuse_unknown("a function", options, own_training.OPTIONS)
        if "epochs" not in options:
            raise ConfigError("a training function needs the epochs that it is called with: epochs=10, say")
        return own_training.study_of(what, **options)
    raise ConfigError(
        "evolve takes a configuration (evolr.resolve), a JaxProblem, a Suite, or a function train(schedule, seed, epochs), "
        f"got {shown(what)}"
    )


def _refuse_unknown(what: str, options: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raises ConfigError for an option that evolve does not have with this."""
    for name in options:
        if name == "epochs" and name not in known:
            raise ConfigError(f'epochs is no option with {what}, but a setting: settings={{"training.epochs": …}}')
        if name not in known:
            raise ConfigError(unknown_name(f"option of evolve with {what},", name, [*known, *_COMMON]))
    settings = options.get("settings")
    if settings is not None and not isinstance(settings, Mapping):
        raise ConfigError(f"settings must map dotted names to values, got {shown(settings)}")


def _study_of_model(
    problem: OwnProblem,
    *,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    trainings: int | None = None,
    **options: Any,
) -> tuple[Config, Executor]:
    config = config_of(problem, settings, seed, trainings)
    if config.search.finalists:
        for maker in problem.kinds("selection").values():  # so that the race at the end has its pool
            maker.task("selection")
    return config, executor_for(config, problem, options)


def stored_config(directory: Path) -> Config:
    """The configuration of an existing study. Raises StudyError where there is none."""
    with Database.read(directory) as database:
        return Records(database).config()


def asked_config(directory: Path) -> Config:
    """The configuration that an existing study was asked for: another than its own if a budget has shortened it. Raises as above."""
    with Database.read(directory) as database:
        records = Records(database)
        return records.asked() or records.config()
