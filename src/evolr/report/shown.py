"""What `evolr show` says of a run, a schedule's file or a formula."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from evolr.advice import advice, made_up_trace
from evolr.config import problem_name
from evolr.errors import ConfigError, ExpressionError, RunDirectoryError, StudyError, shortened
from evolr.expression import ordinary_text, original_text
from evolr.expression.simplify import latex, simplified
from evolr.formula import NO_OPTIONS, FormulaOptions, family_named, read_schedule
from evolr.problems import External
from evolr.report.curve import MOST_FOLLOWED, MOST_STEPS, rates, steps_of
from evolr.report.tables import front_table, standing_text
from evolr.schedule import Schedule
from evolr.search.archive import knee
from evolr.standard import Family
from evolr.study.summary import Summary, recorded_losses, summarise

_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_COLUMNS: Final = 60
_EPOCHS, _STEPS_PER_EPOCH = 30, 40
_MESSAGE: Final = 200  # characters of a failure

_ASSUMED_LOSS: Final = (2.3, 0.5)
"""Where a schedule that reads the training is drawn without one: losses that fall exponentially from one to the other."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A schedule described. curve: (steps,). note: what the curve assumes, empty where it assumes nothing. advice: what is
    likely not meant, of a formula. summary: of the run, None without one.
    """

    title: str
    schedule: Schedule
    curve: NDArray[np.float64]
    steps_per_epoch: int
    provenance: dict[str, Any]
    note: str = ""
    advice: tuple[str, ...] = ()
    summary: Summary | None = None

    @property
    def front(self) -> Table | None:
        """The run's best formulas by size."""
        return None if self.summary is None else front_table(self.summary.front, self.summary.config.problem.metric)

    def picture(self) -> bytes:
        """The PNG of the curve; of a run, with the front of sizes and scores beside it."""
        from evolr.report.pictures import run_picture, schedule_picture

        if self.summary is None:
            return schedule_picture({self.title: self.curve}, self.steps_per_epoch, self.title)
        front = [(size, score) for size, score, _ in self.summary.front]
        metric = self.summary.config.problem.metric
        return run_picture(self.curve, self.steps_per_epoch, self.title, front, metric)

    def document(self) -> dict[str, Any]:
        expression = self.schedule.expression
        return {
            "expression": ordinary_text(expression),
            "original": original_text(expression),
            "simplified": simplified(expression),
            "latex": latex(expression),
            "size": expression.size,
            "depth": expression.depth,
            "signals": sorted(expression.signals),
            "transform": self.schedule.transform,
            "reference_lr": self.schedule.reference_lr,
            "min_lr": self.schedule.min_lr,
            "max_lr": self.schedule.max_lr,
            "provenance": self.provenance,
            "curve_assumes": self.note,
            "warnings": list(self.advice),
            "curve": [float(rate) for rate in self.curve],
            **({} if self.summary is None else self._run_document(self.summary)),
        }

    def _run_document(self, summary: Summary) -> dict[str, Any]:
        """Whether the champion won the race of the finalists; the front, and the place of its knee in it."""
        sizes = [size for size, _, _ in summary.front]
        fitness = [summary.config.problem.metric.fitness(score) for _, score, _ in summary.front]
        front = {
            "formulas": [
                {"size": size, "score": None if np.isnan(score) else score, "expression": ordinary_text(formula)}
                for size, score, formula in summary.front
            ],
            "knee": knee(sizes, fitness),
        }
        return {"raced": summary.is_raced, "front": front}

    def text(self) -> str:
        schedule, expression = self.schedule, self.schedule.expression
        output = "value" if schedule.transform == "linear" else f"{schedule.reference_lr:g} · exp(value)"
        lines = [
            ("formula", ordinary_text(expression)),
            ("original form", original_text(expression)),
            ("simplified", simplified(expression)),
            ("LaTeX", latex(expression)),
            ("size, depth", f"{expression.size}, {expression.depth}"),
            ("signals", ", ".join(sorted(expression.signals)) or "none: a constant"),
            ("learning rate", f"{output}, clipped to {schedule.min_lr:g} … {schedule.max_lr:g}"),
            *((name, str(value)) for name, value in self.provenance.items()),
            ("curve", _sparkline(self.curve)),
            (
                "",
                f"from {self.curve[0]:.3g} to {self.curve[-1]:.3g}; least {self.curve.min():.3g}, greatest "
                f"{self.curve.max():.3g}; log scale",
            ),
            *([("", self.note)] if self.note else []),
            *(("warning", sentence) for sentence in self.advice),
        ]
        width = max(len(name) for name, _ in lines)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in lines)


def describe(what: str, options: FormulaOptions | None, epochs: int | None, steps_per_epoch: int | None) -> Shown:
    """The description of what a path or a text names.

    A directory is a run, a file is a schedule document, anything else is a formula or a family's name, with options that
    a saved schedule may not have. Epochs or steps_per_epoch that are None are the run's own, or else 30 and 40.
    Raises EvolrError where it is none of these.
    """
    is_formula = False
    of_run: Summary | None = None
    provenance: dict[str, Any] = {}
    if os.path.isdir(what):  # unlike Path.is_dir, False for a formula too long to be a path
        summary = summarise(Path(what))
        config = summary.config
        done = f"{summary.generations_done} of {config.search.generations_in_all}"
        if summary.champion is None:
            raise StudyError(f"{what} is {summary.state}, {done} generations are done: it {summary.why_no_champion}")
        schedule, of_run = summary.champion, summary
        is_done = summary.generations_done >= config.search.generations_in_all
        standing = standing_text(config, is_raced=summary.is_raced, is_done=is_done)
        provenance = {
            "problem": problem_name(config.problem),
            **(
                {"trained by": config.problem.trainer}
                if isinstance(config.problem, External) and config.problem.trainer
                else {}
            ),
            "seed": config.seed,
            config.problem.metric.name: summary.best,
            **({"standing": standing} if standing else {}),
            "state": summary.state,
            "generations": done,
            "trainings": summary.trainings,
            "last activity": summary.active_at,
        }
        if summary.failed:
            last = " ".join((summary.last_failure or "").split())
            provenance["failed trainings"] = (
                f"{summary.failed} of {summary.trainings}; the last: {shortened(last, _MESSAGE)}"
            )
        epochs = epochs or config.comparison.epochs
        steps_per_epoch = steps_per_epoch or config.problem.steps_per_epoch
    elif os.path.isfile(what) or what.endswith(".json"):
        try:
            document = Path(what).read_bytes()
        except OSError as error:
            raise RunDirectoryError(f"cannot read {what}: {error.strerror}") from error
        schedule, provenance = Schedule.from_json(document), Schedule.provenance(document)
    else:
        schedule, is_formula = _schedule(what, options or NO_OPTIONS), True
        if family := family_named(what):
            provenance = {"family": family.name, "source": family.source, "constants": ", ".join(_constants(family))}
    if options is not None and not is_formula:
        raise ConfigError("--transform, --min-lr and --max-lr belong to a formula; a saved schedule has its own")
    curve, note = _curve(schedule, epochs or _EPOCHS, steps_per_epoch or _STEPS_PER_EPOCH, of_run)
    title = f"learning rate of {shortened(ordinary_text(schedule.expression), 70)}"
    likely = (
        advice(schedule, made_up_trace(epochs or _EPOCHS, steps_per_epoch or _STEPS_PER_EPOCH)) if is_formula else []
    )
    return Shown(title, schedule, curve, steps_per_epoch or _STEPS_PER_EPOCH, provenance, note, tuple(likely), of_run)


def _curve(
    schedule: Schedule, epochs: int, steps_per_epoch: int, of_run: Summary | None
) -> tuple[NDArray[np.float64], str]:
    """The curve to show, and what it assumes: the run's own recorded losses where it has them."""
    is_open_loop, steps = schedule.expression.is_open_loop, epochs * steps_per_epoch
    if steps > (most := MOST_STEPS if is_open_loop else MOST_FOLLOWED):
        raise ConfigError(f"this curve may have {most:,} steps at most, got {steps:,}")
    if is_open_loop:
        return rates(schedule, steps, steps_per_epoch, None, ()), ""
    recorded = None if of_run is None else recorded_losses(of_run.directory)
    if recorded is not None:
        by_epoch = [np.interp(np.linspace(0, 1, epochs), np.linspace(0, 1, len(c)), c) for c in recorded[:2]]
        losses, ends = steps_of(by_epoch[0], steps_per_epoch).tolist(), [by_epoch[0][0], *by_epoch[1]]
        count = recorded.trainings
        note = (
            f"over the losses of its {count} recorded trainings (medians)" if count > 1 else "over its recorded losses"
        )
    else:
        losses = np.geomspace(*_ASSUMED_LOSS, steps).tolist()
        ends = [*losses[::steps_per_epoch], losses[-1]]
        note = f"assuming losses that fall from {_ASSUMED_LOSS[0]} to {_ASSUMED_LOSS[1]}"
    return rates(schedule, None, steps_per_epoch, losses, ends), note


def _schedule(text: str, options: FormulaOptions) -> Schedule:
    """The schedule of a formula, or, for a text that looks like a path, an error that says so."""
    try:
        return read_schedule(text, options)
    except ExpressionError as error:
        if "/" in text and " " not in text and "(" not in text:
            raise RunDirectoryError(
                f"{shortened(text, 200)} is no run directory or file, and no formula either"
            ) from error
        raise


def _constants(family: Family) -> list[str]:
    """The free constants of a family with their default values."""
    return [f"{constant.name} {constant.default:g}" for constant in family.constants]


def _sparkline(curve: NDArray[np.float64]) -> str:
    """The curve in one line of blocks, on a log scale."""
    places = np.linspace(0, len(curve) - 1, min(_COLUMNS, len(curve))).astype(int)
    heights = np.log10(np.maximum(curve[places], 1e-12))
    low, high = heights.min(), heights.max()
    levels = np.zeros(len(places)) if high - low < 1e-9 else (heights - low) / (high - low)
    return "".join(_BLOCKS[round(level * (len(_BLOCKS) - 1))] for level in levels)
