"""The comparison of a schedule with the published baselines, as the first experiment made it.

The baselines are constant, step decay and cosine at one base learning rate, untuned; what such a comparison
shows is no proof against tuned ones. All schedules train from the same initial weights with the same batch
order, seed by seed, so their differences are paired.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from evolr.config import Comparison, Config, require_config
from evolr.contest.contender import Contender, contender
from evolr.contest.record import encoded
from evolr.contest.showing import OnTotal, shown_comparison
from evolr.contest.statistics import CONFIDENCE, corrected
from evolr.errors import StudyError, printable
from evolr.execution.processes import require_memory
from evolr.problems import Metric, Problem
from evolr.randomness import seed_from
from evolr.ranges import EPOCHS, SEEDS, STUDY_SEEDS
from evolr.run_files import COMPARISON_FILES
from evolr.schedule import Schedule, require_schedule
from evolr.standard import PUBLISHED_BASELINES
from evolr.study.evolve import stored_config
from evolr.study.run_directory import RunDirectory, csv_text
from evolr.study.trained_by import executor_for, of_run, require_told
from evolr.study.watching import ShowProgress
from evolr.training.task import Trial

CHAMPION = "evolved"
"""The name of the schedule under comparison."""


@dataclass(frozen=True, slots=True, repr=False)
class ComparisonResult:
    """A comparison: the champion first, then the baselines. title: of what trained, see Executor."""

    config: Config
    settings: Comparison
    seeds: list[int]
    contenders: list[Contender]
    title: str = ""

    @property
    def problem(self) -> Problem:
        return self.config.problem

    @property
    def metric(self) -> Metric:
        return self.problem.metric

    def __repr__(self) -> str:
        means = ", ".join(f"{each.name} {self.metric.text(each.mean)}" for each in self.contenders)
        return printable(f"<ComparisonResult: {self.metric.name}: {means}; {len(self.seeds)} seeds>")

    def _repr_html_(self) -> str | None:
        """What a notebook shows."""
        from evolr.views.html import comparison_html

        return comparison_html(self)

    def document(self) -> dict[str, Any]:
        """Everything, to the single run, as JSON takes it."""
        return {
            "problem": self.problem.name,
            "optimizer": self.config.training.optimizer.name,
            "trained_by": self.title,
            "metric": self.metric.name,
            "higher_is_better": self.metric.higher_is_better,
            "pool": "monitor",
            "study": msgspec.to_builtins(self.config),
            "settings": msgspec.to_builtins(self.settings),
            "epochs": self.settings.epochs,
            "base_lr": self.settings.base_lr,
            "seeds": self.seeds,
            "confidence": CONFIDENCE,
            "contenders": [c.document() for c in self.contenders],
        }

    def rows(self) -> list[dict[str, Any]]:
        """One row a training: schedule, seed, score, and the epoch of its divergence."""
        return [
            {"schedule": c.name, "seed": seed, "score": outcome.score, "diverged_at": outcome.diverged_at}
            for c in self.contenders
            for seed, outcome in zip(self.seeds, c.outcomes, strict=True)
        ]


def compare(
    what: object,
    directory: Path | str | None = None,
    *,
    seeds: int | None = None,
    epochs: int | None = None,
    base_lr: float | None = None,
    seed: int | None = None,
    on_total: OnTotal = None,
    on_trained: Callable[[int], object] | None = None,
    progress: ShowProgress = None,
    **options: Any,
) -> ComparisonResult:
    """Compares the champion of a study with the published baselines: constant, step decay, cosine; untuned.

        evolr.compare("runs/memetic-1")
        evolr.compare(train, "runs/mine", seeds=8)

    what, directory, options: as of `prove`.
    seeds, epochs, base_lr: trainings of each schedule, epochs of each, and the learning rate that the baselines start at;
    the study's where None. seed: what the seeds of the trainings are drawn from; the study's where None.
    on_total, on_trained: called with the trainings there will be, once, and with the number of those just done.
    progress: a bar on stderr; as of Study.run.

    Writes comparison.json, .csv and .png beside the study. Raises RunDirectoryError where the study has saved no champion;
    other errors as of `compare_schedule`.
    """
    trained_by, path = of_run(what, directory)
    run = RunDirectory.open(path)
    run.require_replaceable(COMPARISON_FILES)
    config = stored_config(run.path)
    changes = {"seeds": seeds, "epochs": epochs, "base_lr": base_lr}
    settings = changed_settings(config.comparison, changes)
    config = config if seed is None else msgspec.structs.replace(config, seed=STUDY_SEEDS.of("seed", seed))
    result = compare_schedule(
        run.champion(),
        config,
        trained_by,
        settings=settings,
        on_total=on_total,
        on_trained=on_trained,
        progress=progress,
        **options,
    )
    save(run, result)
    return result


def compare_schedule(
    champion: Schedule,
    config: Config,
    trained_by: object = None,
    *,
    settings: Comparison | None = None,
    on_total: OnTotal = None,
    on_trained: Callable[[int], object] | None = None,
    progress: ShowProgress = None,
    **options: Any,
) -> ComparisonResult:
    """Trains a schedule and the published baselines on fresh seeds; scored on the monitor pool. Writes nothing.

    A baseline that reads what a function does not tell, the epoch of step decay, is left out.

        evolr.compare_schedule(evolr.load("0.1*(1 - progress)"), evolr.resolve("memetic"))

    config: says the problem, the optimiser and the seed from which those of the trainings are drawn, apart from a search's.
    trained_by: the JaxProblem or the function of a study, where its configuration names one. settings: the configuration's
    comparison where None. on_total, on_trained, progress: as of `compare`. options: as of `prove`.
    A training that fails counts as one that diverged, the worst. Raises StudyError where all of them fail; other errors as
    of `prove`.
    """
    require_schedule(champion)
    require_config(config)
    settings = settings or config.comparison
    baselines = {name: family(settings.base_lr) for name, family in PUBLISHED_BASELINES.items()}
    require_memory((1 + len(baselines)) * settings.seeds, settings.epochs)
    seeds = [seed_from(config.seed, k, "comparison") for k in range(settings.seeds)]
    with (
        closing(executor_for(config, trained_by, options)) as executor,
        shown_comparison(progress, on_total, on_trained) as (total, trained),
    ):
        require_told("the schedule", champion.signals, executor)
        told = {name: schedule for name, schedule in baselines.items() if schedule.signals <= executor.signals}
        schedules = {CHAMPION: champion, **told}
        trials = [Trial(schedule, s) for schedule in schedules.values() for s in seeds]
        executor.prepare("monitor")
        total(len(trials))
        outcomes = executor.run(
            trials,
            settings.epochs,
            "monitor",
            on_outcomes=lambda landed: trained(len(landed)) if landed else None,
        )
    if all(outcome.failure for outcome in outcomes):
        raise StudyError(f"all {len(outcomes)} trainings failed, the first by: {printable(outcomes[0].failure or '')}")
    metric = config.problem.metric
    contenders: list[Contender] = []
    for number, (name, schedule) in enumerate(schedules.items()):
        own = outcomes[number * len(seeds) : (number + 1) * len(seeds)]
        contenders.append(contender(name, schedule, own, contenders[0] if contenders else None, metric))
    pairs = corrected([c.pairs for c in contenders if c.pairs is not None])
    contenders[1:] = [replace(c, pairs=own) for c, own in zip(contenders[1:], pairs, strict=True)]
    return ComparisonResult(config, settings, seeds, contenders, executor.title)


def require_place(path: Path, *, force: bool) -> None:
    """Raises RunDirectoryError where a comparison cannot be saved in a directory that a person names; see RunDirectory."""
    # The document is written last: without it, the others are of an attempt that was killed.
    RunDirectory.require_free(path, COMPARISON_FILES, force=force, unfinished=COMPARISON_FILES[:-1])


def save(directory: RunDirectory, result: ComparisonResult) -> None:
    """Writes the comparison's files when all are made: everything to the single run, and the picture."""
    from evolr.views.pictures import comparison_picture

    rows = result.rows()
    contents = (
        csv_text(list(rows[0]), rows),
        comparison_picture(result),
        encoded("comparison", result.document()),
    )
    directory.write_all(dict(zip(COMPARISON_FILES, contents, strict=True)))


def changed_settings(settings: Comparison, changes: Mapping[str, Any]) -> Comparison:
    """The settings of a comparison with these in place of its own; those that are None are left."""
    given = {name: value for name, value in changes.items() if value is not None}
    given |= {
        name: range_.of(name, given[name]) for name, range_ in (("seeds", SEEDS), ("epochs", EPOCHS)) if name in given
    }
    return msgspec.structs.replace(settings, **given)
