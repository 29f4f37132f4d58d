"""One call for a schedule with free constants, tuned: a standard family, or a discovered schedule with its scale."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from evolr import errors
from evolr.config import Config, changed, dotted
from evolr.contest.showing import OnDone, shown
from evolr.contest.trainings import Trainings
from evolr.contest.tunable_formula import TunableFormula
from evolr.contest.tuning import Candidate, FamilyTuner, best_of
from evolr.contest.tuning import tune as tuned
from evolr.discovered import GalleryEntry, gallery
from evolr.errors import ConfigError, count, shortened, unknown_name
from evolr.formula import family_named
from evolr.ranges import SEEDS, TRAININGS
from evolr.reading import path_of
from evolr.schedule import Schedule
from evolr.standard import FAMILIES, Family
from evolr.study.evolve import study_of
from evolr.study.summary import optimizer_of
from evolr.study.trained_by import require_told
from evolr.study.watching import ShowProgress
from evolr.training.optimizers import Optimizer

_FOR_A_SHAPE: Final = 30  # candidates, below which a schedule's scale alone is tuned


@dataclass(frozen=True, slots=True, repr=False)
class Tuned:
    """A family, an entry of the gallery or a schedule, tuned. score: of the best, the mean over its seeds, in the problem's metric, as the tuning saw it, which
    flatters it; where every training diverged NaN, of a suite the worst that there is. candidates: all, in order. trained: trainings that were run now. optimizer: of its trainings, for `export`; if
    a function trained, that of the entry of the gallery, None of others, since nobody knows it.
    """

    family: Family | GalleryEntry | TunableFormula
    schedule: Schedule
    constants: Mapping[str, float]
    score: float
    candidates: list[Candidate]
    trained: int
    optimizer: Optimizer | None = None

    def __repr__(self) -> str:
        values = ", ".join(f"{name} {value:.4g}" for name, value in self.constants.items())
        tried = count(len(self.candidates), "candidate")
        return f"<Tuned: {shortened(self.family.name, 200)}, {values}; score {self.score:.6g}, the best of {tried}>"

    def _repr_html_(self) -> str | None:
        """What a notebook shows."""
        from evolr.views.html import tuned_html

        return tuned_html(self)


def tune(
    what: object,
    family: str | Family | GalleryEntry | Schedule,
    directory: Path | str | None = None,
    *,
    trainings: int,
    seeds: int = 1,
    on_done: OnDone = None,
    progress: ShowProgress = None,
    **options: Any,
) -> Tuned:
    """Tunes the constants of a standard family, the scale of a discovered schedule, or a schedule of yours, by Optuna, from its defaults on.

        tuned = evolr.tune(train, "one-cycle", trainings=40, epochs=10)
        tuned = evolr.tune(train, "momentum-suite", trainings=10, epochs=10)
        tuned = evolr.tune(train, evolr.load("runs/mine"), trainings=10, epochs=10)  # the champion of another training
        tuned.schedule, tuned.constants, tuned.score

    what: a configuration, a JaxProblem or a training function, as for `evolve`, whose options these are: epochs, metric,
        higher_is_better, workers, … of a function, settings of a JaxProblem, device_count.
    family: by its name (`evolr.standard.FAMILIES`), or one of your own; or an entry of `evolr.gallery`, or its name, whose one
        constant, the scale of its learning rates, has few trainings to spend; or any Schedule: its scale, and from 30 candidates on the
        constants of its formula, each within a third and three times its value.
    directory: where trainings are remembered, so that the same call goes on where it was interrupted; nowhere where None.
    progress: a bar on stderr; as of Study.run.
    trainings: to be run at most. seeds: trainings of each candidate, the same for all of a round of four. seed: of all luck, 0 where not
        given: what is proposed, and the seeds of the trainings.

    Raises ConfigError for an unknown name, for numbers out of range, fewer trainings than seeds, and for what `evolve` refuses.
    """
    seeds, trainings = SEEDS.of("seeds", seeds), TRAININGS.of("trainings", trainings)
    if trainings < seeds:
        raise ConfigError(
            f"a candidate has {seeds:,} trainings, by seeds: trainings must be as many at least, got {trainings:,}"
        )
    chosen = _chosen(family, trainings // seeds)
    read = chosen.schedule().signals
    if callable(what):
        options.setdefault("signals", sorted(read) or ["progress"])
    settings = {**dotted(options.pop("settings", None) or {}), "search.seeds": seeds}
    if isinstance(what, Config):
        config, executor = study_of(changed(what, settings), options)
    else:
        config, executor = study_of(what, {**options, "settings": settings})
    with ExitStack() as stack:
        stack.enter_context(closing(executor))
        total, done = stack.enter_context(shown(progress, f"tuning {chosen.name}", None, on_done))
        require_told(chosen.name, read, executor)
        executor.prepare("fitness")
        place = (
            path_of("directory", directory)
            if directory is not None
            else Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="evolr-tune-")))
        )
        kept = stack.enter_context(
            closing(Trainings(executor, config.training.epochs, place, on_done=done, shared=place))
        )
        total(trainings)
        tuner = FamilyTuner(chosen, seed=config.seed)
        found = tuned([tuner], config, trainings, kept, config.seed)[chosen.name]
        best = best_of(found, 1, config.problem.metric)[0]
        return Tuned(chosen, best.schedule, best.constants, best.score, found, kept.trained, _optimizer(chosen, config))


def _optimizer(chosen: Family | GalleryEntry | TunableFormula, config: Config) -> Optimizer | None:
    known = optimizer_of(config)
    return chosen.optimizer if known is None and isinstance(chosen, GalleryEntry) else known


def _chosen(family: str | Family | GalleryEntry | Schedule, candidates: int) -> Family | GalleryEntry | TunableFormula:
    """What is tuned."""
    if isinstance(family, Schedule):
        return TunableFormula(family, shape=candidates >= _FOR_A_SHAPE)
    if isinstance(family, Family | GalleryEntry):
        return family
    if not isinstance(cast("Any", family), str):
        raise ConfigError(
            "after what trains, expected a family or an entry of the gallery, or the name of one, or a Schedule, which have constants to "
            f"tune; got {errors.shown(family)}"
        )
    if (found := family_named(family)) is not None:
        return found
    if family in gallery:
        return gallery[family]
    raise ConfigError(unknown_name("family or gallery entry", family, [*FAMILIES, *gallery]))
