"""One call for the contest of a study's champion, or of any schedule."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec

from evolr.config import Config, require_config
from evolr.contest.contest import contest_of
from evolr.contest.record import encoded
from evolr.contest.results import RACE_TASKS, ContestResult, Evolved, Settings, quick
from evolr.contest.showing import OnDone, OnTotal, seconds_of, shown
from evolr.contest.trainings import require_subject
from evolr.contest.tuning import Candidate
from evolr.contest.verdict import verdict
from evolr.errors import StudyError
from evolr.execution.executor import Executor
from evolr.execution.processes import require_memory
from evolr.ranges import EPOCHS, SEEDS, TRAININGS
from evolr.reading import path_of
from evolr.run_files import DATABASE, LEDGER, contest_files, contest_name
from evolr.schedule import Schedule, require_schedule
from evolr.study.run_directory import RunDirectory, csv_text
from evolr.study.summary import best_schedules, summarise
from evolr.study.trained_by import executor_for, of_run, require_told
from evolr.study.watching import ShowProgress

_CONTENDERS = 40  # of a contest, about: families, rivals, random search, the champion


def prove(
    what: object,
    directory: Path | str | None = None,
    *,
    budget: int | None = None,
    seeds: int | None = None,
    epochs: int | None = None,
    is_quick: bool = False,
    rivals: bool = True,
    on_total: OnTotal = None,
    on_done: OnDone = None,
    progress: ShowProgress = None,
    **options: Any,
) -> ContestResult:
    """Holds the contest of the study in a directory; see contest.py for what it is.

    what: the JaxProblem or the function that trained the study; the directory alone where its configuration says who does:

        evolr.prove("runs/memetic-1")
        evolr.prove(train, "runs/mine", budget=60, seeds=16)

    budget: trainings that each contender is tuned with; as many as the study's search had where None, shorter ones counted in parts.
    seeds: trainings of each contender in the final; 32 where None, 16 in a rehearsal.
    epochs: of each training; those of the study's comparison where None.
    is_quick: a rehearsal of some minutes on smaller numbers that leaves the test pool unseen.
    rivals: whether optimisers that find their own step size take part too: D-Adaptation, Prodigy, schedule-free and others, as
        their authors advise and tuned; a contest has about a quarter more trainings with them. A function has its own optimiser, and none.
    on_total, on_done: called with the trainings there will be at most, once, and with those just done and those
        just looked up.
    progress: a bar on stderr; as of Study.run.
    options: device_count of what evolr trains itself; workers, time_limit, memory_limit, threads of a function, as for
        `evolve`. executor: what trains instead.

    Writes contest.md, .json, .csv and .png beside the study, contest-profile.png if each seed is another task, and proven.json,
    the schedule that went forward.
    What was interrupted goes on where it was: call again. What a function or a model of yours computes is remembered under
    its name: where its lines have changed since, delete the contest.db of the run directory. A training that fails counts as
    the worst if a function of yours trains, and ends the contest otherwise.
    Raises StudyError where the study has no champion or is being written, and where every training of a batch fails;
    ConfigError for numbers out of range and for another trainer than the study's; ProblemError where nobody is given who trains.
    """
    trained_by, directory = of_run(what, directory)
    path = RunDirectory.open(directory).path
    summary = summarise(path)
    if summary.state == "running":
        raise StudyError(f"{path} is still being searched; wait for its end, or stop it, before its champion is proven")
    if summary.champion is None:
        raise StudyError(f"{path} {summary.why_no_champion}")
    RunDirectory(path).require_replaceable((LEDGER, *contest_files(contest_name(is_quick=is_quick))))
    config = summary.config
    seconds = seconds_of(path, config, epochs or config.comparison.epochs)
    with (
        closing(executor_for(config, trained_by, options)) as executor,
        shown(progress, "proving", on_total, on_done, seconds) as (total, done),
    ):
        budget = summary.whole_trainings if budget is None else budget
        settings = _settings(config, executor, budget, seeds, epochs, is_quick=is_quick, rivals=rivals)
        candidates = [Candidate(schedule, score) for schedule, score in best_schedules(path, settings.finalists[0])]
        evolved = Evolved(candidates, "the study's search", summary.whole_trainings, config.training.epochs)
        result = contest_of(evolved, config, settings, path, executor, on_total=total, on_done=done)
    save(RunDirectory(path), result)
    return result


def prove_schedule(
    schedule: Schedule,
    config: Config,
    directory: Path | str,
    *,
    budget: int,
    trained_by: object = None,
    seeds: int | None = None,
    epochs: int | None = None,
    is_quick: bool = False,
    rivals: bool = True,
    force: bool = False,
    on_total: OnTotal = None,
    on_done: OnDone = None,
    progress: ShowProgress = None,
    **options: Any,
) -> ContestResult:
    """Holds the contest of any schedule, on the problem of a configuration; see `prove` for the arguments.

        evolr.prove_schedule(evolr.load("0.1*(1 - progress)"), evolr.resolve("memetic"), "runs/line", budget=300)

    directory: a new or an empty one, or that of the same schedule's contest, to go on with it. force: writes in one that holds
    other files, over those of the same names. Raises RunDirectoryError where it is another schedule's, or a study's.
    """
    path = path_of("directory", directory)
    require_schedule(schedule)
    require_config(config)
    _require_place(path, schedule, contest_files(contest_name(is_quick=is_quick)), force=force)
    with (
        closing(executor_for(config, trained_by, options)) as executor,
        shown(progress, "proving", on_total, on_done) as (total, done),
    ):
        require_told("the schedule", schedule.signals, executor)
        settings = _settings(config, executor, budget, seeds, epochs, is_quick=is_quick, rivals=rivals)
        evolved = Evolved([Candidate(schedule, float("nan"))], "given as a formula")
        result = contest_of(evolved, config, settings, path, executor, on_total=total, on_done=done)
    save(RunDirectory(path), result)
    return result


def save(directory: RunDirectory, result: ContestResult) -> None:
    """Writes the contest's files when all are made: page, picture, everything to the single run, the champion as it was proven."""
    from evolr.views.contest import page
    from evolr.views.contest_picture import contest_picture
    from evolr.views.profile_picture import profile_picture

    rows, said = result.rows(), verdict(result)
    contents = (
        csv_text(list(rows[0]), rows),
        page(result).encode(),
        contest_picture(result),
        profile_picture(result) if result.config.problem.draws_tasks else None,
        result.champion.result.schedule.to_json({"contest": said}),
        encoded("contest", result.document(said)),
    )
    named = zip(contest_files(result.file_name), contents, strict=True)
    directory.write_all({name: content for name, content in named if content is not None})


def _require_place(path: Path, schedule: Schedule, files: Sequence[str], *, force: bool) -> None:
    """Raises RunDirectoryError where the contest of a schedule cannot be held in a directory; see `prove_schedule`."""
    if os.path.isfile(path / LEDGER) and not os.path.isfile(path / DATABASE):
        require_subject(path, schedule.to_json())
        RunDirectory(path).require_replaceable((LEDGER, *files))
    else:
        RunDirectory.require_free(path, files, force=force)


def _settings(
    config: Config,
    executor: Executor,
    budget: int,
    seeds: int | None,
    epochs: int | None,
    *,
    is_quick: bool,
    rivals: bool,
) -> Settings:
    """The settings of a contest. Gets the executor ready, so that what cannot be trained here is refused first."""
    epochs = config.comparison.epochs if epochs is None else EPOCHS.of("epochs", epochs)
    budget, seeds = TRAININGS.of("budget", budget), None if seeds is None else SEEDS.of("seeds", seeds)
    settings = Settings(epochs=epochs, budget=budget)
    if config.problem.draws_tasks:
        settings = msgspec.structs.replace(settings, race_seeds=RACE_TASKS)
    if is_quick:
        settings = quick(epochs, budget, config.search.seeds)
    settings = settings if seeds is None else msgspec.structs.replace(settings, seeds=seeds)
    settings = msgspec.structs.replace(settings, has_rivals=rivals and executor.takes_optimizers)
    require_memory(_CONTENDERS * settings.seeds, settings.epochs)
    for pool in ("fitness", "selection", settings.pool):
        executor.prepare(pool)
    return settings
