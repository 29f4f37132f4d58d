"""What `evolr show` says of a run, a schedule's file or a formula."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from evolr.errors import printable, shortened
from evolr.expression import ordinary_text, original_text
from evolr.formula import FormulaOptions
from evolr.named import named
from evolr.schedule import Schedule
from evolr.search.archive import knee
from evolr.signals import observed
from evolr.simplification import simplified
from evolr.study.summary import RecordedTrainings, Summary, recorded_trainings
from evolr.views.curve import (
    RECORDED,
    Curve,
    assumed,
    curve,
    falling_losses,
    made_up_names,
    recorded_curve,
    recorded_losses,
    recorded_note,
)
from evolr.views.tables import front_table
from evolr.views.terminal_table import TerminalTable

_BLOCKS: Final = "▁▂▃▄▅▆▇█"
_COLUMNS: Final = 60
_SENTENCE: Final = 64  # characters of a line: with what stands before it, 80 columns
_MOST_NAMED: Final = 24  # characters of a name, beyond which its value does not stand below the others
_OWN: Final = frozenset(
    {
        *("", "formula", "original form", "transform", "learning rate", "plateau", "latex", "size, depth", "signals"),
        *("last failure", "curve", "warning"),
    }
)
"""What the lines of a schedule are called, by which nobody's provenance is called too."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A schedule described. note: what the curve assumes, empty where it assumes nothing. advice: what is
    likely not meant, of a formula. summary: of the run, None without one.
    """

    title: str
    schedule: Schedule
    curve: Curve
    provenance: dict[str, Any]
    note: str = ""
    advice: tuple[str, ...] = ()
    summary: Summary | None = None

    @property
    def front(self) -> TerminalTable | None:
        """The run's best formulas by size."""
        return None if self.summary is None else front_table(self.summary.front, self.summary.config.problem.metric)

    def picture(self) -> bytes:
        """The PNG of the curve; of a run, with the front of sizes and scores beside it."""
        from evolr.views.pictures import run_picture, schedule_picture

        if self.summary is None:
            return schedule_picture(self.title, self.curve)
        front = [(size, score) for size, score, _ in self.summary.front]
        metric = self.summary.config.problem.metric
        return run_picture(self.curve, self.title, front, metric)

    def document(self) -> dict[str, Any]:
        expression, short = self.schedule.expression, simplified(self.schedule)
        return {
            "expression": ordinary_text(expression),
            "original": original_text(expression),
            "simplified": short.text,
            "differs": list(short.differs),
            "latex": short.latex,
            "size": expression.size,
            "depth": expression.depth,
            "signals": sorted(expression.signals),
            "transform": self.schedule.transform,
            "reference_lr": self.schedule.reference_lr,
            "min_lr": self.schedule.min_lr,
            "max_lr": self.schedule.max_lr,
            "plateau": msgspec.to_builtins(self.schedule.plateau),
            "provenance": self.provenance,
            "curve_assumes": self.note,
            "warnings": list(self.advice),
            "curve": self.curve.rates.tolist(),
            "curve_steps": None if self.curve.is_whole else self.curve.steps.tolist(),
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
        failure = {"last_failure": summary.last_failure_text} if summary.failed else {}
        return {"raced": summary.is_raced, **failure, "front": front}

    def lines(self) -> list[str]:
        """What there is to say, in lines of a name and a value."""
        schedule, expression, rates = self.schedule, self.schedule.expression, self.curve.rates
        short, bounds = simplified(schedule), schedule.bounds_text
        lines = [
            ("formula", ordinary_text(expression)),
            ("original form", original_text(expression)),
            *([("transform", f"{schedule.reference_lr:g} · exp(formula)")] if schedule.transform == "log" else []),
            ("learning rate", short.text),
            *([("", bounds)] if bounds else []),
            *(("", line) for sentence in short.remarks for line in textwrap.wrap(sentence, _SENTENCE)),
            *([("plateau", schedule.plateau.text)] if schedule.plateau else []),
            ("LaTeX", short.latex),
            ("size, depth", f"{expression.size}, {expression.depth}"),
            ("signals", ", ".join(sorted(expression.signals)) or "none: a constant"),
            *((_quoted_if_own(name), str(value)) for name, value in self.provenance.items()),
            *([("last failure", self.summary.last_failure_text)] if self.summary and self.summary.failed else []),
            ("curve", sparkline(rates)),
            (
                "",
                f"from {rates[0]:.3g} to {rates[-1]:.3g}; least {rates.min():.3g}, greatest {rates.max():.3g}; log scale",
            ),
            *([("", self.curve.note)] if self.curve.note else []),
            *([("", self.note)] if self.note else []),
            *(("warning", sentence) for sentence in self.advice),
        ]
        width = min(max(len(name) for name, _ in lines), _MOST_NAMED)
        return [f"{name:<{width}}  {value}" for name, value in lines]


def describe(what: str, options: FormulaOptions | None, epochs: int | None, steps_per_epoch: int | None) -> Shown:
    """The description of what a path or a text names; see `named`.

    Epochs or steps_per_epoch that are None are the run's own, or else 30 and 40. Raises EvolrError where it names nothing, and
    for a horizon too long to count.
    """
    found = named(what, options)
    horizon = (epochs or found.horizon[0], steps_per_epoch or found.horizon[1])
    summary = found.summary
    title = f"learning rate: {shortened(simplified(found.schedule).text, 70)}"
    if found.entry is not None and found.entry.curve is not None and epochs is None:
        known = found.entry.curve
        drawn = recorded_curve(np.array(known.median), len(known.median), horizon[1])
        note = (
            f"as in {known.trainings} trainings on {found.entry.found_on.place}: the median of the means of each epoch"
        )
        return Shown(title, found.schedule, drawn, found.provenance, note)
    recorded = (
        None if summary is None or found.schedule.expression.is_open_loop else recorded_trainings(summary.directory)
    )
    if recorded is not None and summary is not None and epochs is None and _is_best_drawn(recorded, found.schedule):
        drawn, note = (
            recorded_curve(recorded.learning_rate, recorded.epochs, horizon[1]),
            recorded_note(recorded.trainings),
        )
    else:
        drawn, note = _curve(found.schedule, recorded, *horizon)
    return Shown(title, found.schedule, drawn, found.provenance, note, found.advice(*horizon), found.summary)


def _is_best_drawn(recorded: RecordedTrainings, schedule: Schedule) -> bool:
    """Whether the learning rates of trainings are to be drawn as they were: their losses do not say all that it reads."""
    told = [getattr(recorded, RECORDED[name]) for name in observed(schedule.signals) & RECORDED.keys()]
    is_told = not made_up_names(schedule) and all(np.isfinite(series).any() for series in told)
    return bool(np.isfinite(recorded.learning_rate).all()) and not is_told


def _curve(
    schedule: Schedule, recorded: RecordedTrainings | None, epochs: int, steps_per_epoch: int
) -> tuple[Curve, str]:
    """The curve to show, and what it assumes: the losses that were recorded where they are."""
    steps = epochs * steps_per_epoch
    if schedule.expression.is_open_loop:
        return curve(schedule, steps, steps_per_epoch), ""
    losses = falling_losses(steps, steps_per_epoch)
    if recorded is not None and np.isfinite(recorded.train_loss).all():
        count = recorded.trainings
        note = (
            f"over the losses of its {count} recorded trainings (medians)" if count > 1 else "over its recorded losses"
        )
        losses = recorded_losses(recorded.train_loss, recorded.val_loss, epochs, steps_per_epoch, note)
    return curve(schedule, steps, steps_per_epoch, losses), assumed(schedule, losses)


def _quoted_if_own(name: str) -> str:
    return repr(name) if printable(name).strip().casefold() in _OWN else name


def sparkline(curve: NDArray[np.float64]) -> str:
    """A curve in one line of blocks, at most 60, on a log scale."""
    places = np.linspace(0, len(curve) - 1, min(_COLUMNS, len(curve))).astype(int)
    heights = np.log10(np.maximum(curve[places], 1e-12))
    low, high = heights.min(), heights.max()
    levels = np.zeros(len(places)) if high - low < 1e-9 else (heights - low) / (high - low)
    return "".join(_BLOCKS[round(level * (len(_BLOCKS) - 1))] for level in levels)
