"""What a path or a text names: a run's champion, a schedule's file, an entry of the gallery, a formula or a family."""

from __future__ import annotations

import difflib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

from evolr.advice import advice, made_up_trace
from evolr.discovered import GalleryEntry, gallery
from evolr.errors import ConfigError, ExpressionError, RunDirectoryError, ScheduleError, StudyError, shortened, shown
from evolr.formula import NO_OPTIONS, FormulaOptions, family_named, read_schedule
from evolr.reading import read
from evolr.schedule import Schedule, Transform
from evolr.signals.plateau import Plateau
from evolr.standard import Family
from evolr.study.summary import Summary, summarise
from evolr.training.optimizers import Optimizer

EPOCHS: Final = 30
STEPS_PER_EPOCH: Final = 40
"""The horizon of what names none."""

_MESSAGE: Final = 200  # characters of a failure


@dataclass(frozen=True, slots=True)
class Named:
    """A schedule and what is known of it. provenance: where it comes from, in words and numbers. is_formula: whether a person
    gave it as a formula or a family's name. summary: of the run whose champion it is, None without one. entry: of the gallery,
    whose schedule it is, None without one.
    """

    schedule: Schedule
    provenance: dict[str, Any]
    is_formula: bool = False
    summary: Summary | None = None
    entry: GalleryEntry | None = None

    @property
    def optimizer(self) -> Optimizer | None:
        """That it was found with; None where nobody knows it."""
        known = self.entry or self.summary
        return None if known is None else known.optimizer

    @property
    def horizon(self) -> tuple[int, int]:
        """The epochs and the steps of an epoch that it is shown over where nobody says others."""
        if self.summary is None:
            return EPOCHS if self.entry is None else self.entry.found_on.epochs, STEPS_PER_EPOCH
        config = self.summary.config
        return config.comparison.epochs, config.problem.steps_per_epoch

    def advice(self, epochs: int, steps_per_epoch: int) -> tuple[str, ...]:
        """What is likely not meant, of a formula."""
        return (
            tuple(advice(self.schedule, made_up_trace(epochs, steps_per_epoch, self.schedule.signals)))
            if self.is_formula
            else ()
        )


def load(
    what: Path | str | GalleryEntry,
    *,
    transform: Transform | None = None,
    min_lr: float | None = None,
    max_lr: float | None = None,
    plateau: Plateau | None = None,
) -> Schedule:
    """The schedule of a run, of a saved file, of an entry of the gallery, of a formula or of a family's name.

        evolr.load("runs/mine")                 # its champion
        evolr.load("proven.json")
        evolr.load("momentum-suite")            # of the gallery
        evolr.load("0.1*(1 - progress)", min_lr=1e-5)
        evolr.load("one-cycle")

    what: a run directory, a schedule's JSON file, an entry of `evolr.gallery` or its name, a formula, or a name of
    `evolr.families()`. The others belong to a formula or a family, see Schedule; a saved schedule has its own.

    Raises EvolrError for what is none of these, and for a run without a champion.
    """
    given: dict[str, Any] = {"transform": transform, "min_lr": min_lr, "max_lr": max_lr, "plateau": plateau}
    given = {name: value for name, value in given.items() if value is not None}
    return named(what, FormulaOptions(**given) if given else None).schedule


def named(what: Path | str | GalleryEntry, options: FormulaOptions | None = None) -> Named:
    """What a path or a text names; nothing is drawn.

    A directory is a run, a file is a schedule document, a name of the gallery is its entry, anything else is a formula or a
    family's name, with options that a saved schedule may not have. Raises EvolrError where it is none of these.
    """
    if isinstance(what, GalleryEntry):
        found = _of_entry(what)
    elif not isinstance(cast("Any", what), str | Path) or "\0" in str(what):
        raise ConfigError(f"expected a path, a formula, or a name of the gallery or of a family, got {shown(what)}")
    else:
        found = _found(os.fspath(what), options or NO_OPTIONS)
    if options is not None and not found.is_formula:
        raise ConfigError("transform, min_lr, max_lr and plateau belong to a formula; a saved schedule has its own")
    return found


def _found(what: str, options: FormulaOptions) -> Named:
    if os.path.isdir(what):  # unlike Path.is_dir, False for a formula too long to be a path
        return _of_run(what)
    if os.path.isfile(what) or what.endswith(".json"):
        try:
            document = read(what)
        except OSError as error:
            raise RunDirectoryError(f"cannot read {what}: {error.strerror}") from error
        try:
            return Named(Schedule.from_json(document), Schedule.provenance(document))
        except ScheduleError as error:
            raise ScheduleError(f"{what}: {error}") from error
    if what in gallery:
        return _of_entry(gallery[what])
    schedule, provenance = _schedule(what, options), dict[str, Any]()
    if family := family_named(what):
        provenance = {"family": family.name, "source": family.source, "constants": ", ".join(_constants(family))}
    return Named(schedule, provenance, is_formula=True)


def _of_entry(entry: GalleryEntry) -> Named:
    return Named(entry.schedule(), entry.provenance, entry=entry)


def _of_run(what: str) -> Named:
    summary = summarise(Path(what))
    config = summary.config
    if summary.champion is None:
        raise StudyError(
            f"{what} is {summary.state}, {summary.bred_text} generations are done: it {summary.why_no_champion}"
        )
    has_short = summary.whole_trainings < summary.trainings
    expected = "expected, as whole trainings" if has_short else "expected trainings"
    provenance: dict[str, Any] = {
        "problem": config.problem.name,
        **({"trained by": config.problem.identity} if config.problem.identity else {}),
        **({} if summary.optimizer is None else {"optimiser": summary.optimizer.text}),
        "seed": config.seed,
        config.problem.metric.name: summary.best,
        **({"standing": summary.standing} if summary.standing else {}),
        "state": summary.state,
        "generations": summary.generations_text,
        "trainings": summary.trainings,
        **({"as whole trainings": summary.whole_trainings} if has_short else {}),
        **({expected: summary.expected} if summary.expected > summary.whole_trainings else {}),
        "last activity": summary.active_at,
    }
    if (
        summary.failed
    ):  # what was said of them is no provenance: it is a text of somebody else's, which no export carries on
        provenance["failed trainings"] = f"{summary.failed:,} of {summary.trainings:,}"
    return Named(summary.champion, provenance, summary=summary)


def _schedule(text: str, options: FormulaOptions) -> Schedule:
    """The schedule of a formula, or, for a text that looks like a path or a name of the gallery, an error that says so."""
    try:
        return read_schedule(text, options)
    except ExpressionError as error:
        if "/" in text and " " not in text and "(" not in text:
            raise RunDirectoryError(
                f"{shortened(text, 200)} is no run directory or file, and no formula either"
            ) from error
        if near := difflib.get_close_matches(text[:80], gallery, n=1):
            raise ExpressionError(
                f"{error.problem}; did you mean {near[0]!r} of the gallery?", error.text, error.column
            ) from error
        raise


def _constants(family: Family) -> list[str]:
    """The free constants of a family with their default values."""
    return [f"{constant.name} {constant.default:g}" for constant in family.constants]
