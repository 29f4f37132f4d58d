"""The champion: its formula, what it does in a sentence, and its curve."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from evolr.errors import count
from evolr.schedule import Schedule
from evolr.simplification import simplified
from evolr.views.page.drawing import SERIES, drawing, log_axis, titled
from evolr.views.page.parts import Facts, Formula, Part, Picture, Pictures, Section, Sentences
from evolr.views.page.rates import Rates, champion_rates
from evolr.views.page.records import Run
from evolr.views.page.sentence import answers, answers_text, course_text


def champion(run: Run) -> Section:
    """The champion; without one, why there is none."""
    schedule, summary = run.champion, run.summary
    if schedule is None or run.shown is None or summary.best is None:
        return Section("champion", "The champion", (Sentences((f"this study {summary.why_no_champion}",)),))
    short = simplified(schedule)
    parts: list[Part] = [formula(schedule)]
    rates = champion_rates(run)
    if rates is not None:
        parts.append(Sentences((described(run, schedule, rates),), is_lead=True))
        parts.append(Pictures((_picture(rates),)))
        if answers(schedule, _spans(run)):
            how = "How it answers to a signal was tried at made-up points, moving that signal alone, from half to twice"
            parts.append(Sentences((f"In the sentence above, shares are of the training. {how}",), is_note=True))
    expression = schedule.expression
    parts.append(
        Facts(
            (
                (run.metric.name, f"{run.metric.text(summary.best)}, {_judged(run)}"),
                ("standing", summary.standing),
                ("bounds", schedule.bounds_text),
                ("plateau", schedule.plateau.text if schedule.plateau else ""),
                ("reads", ", ".join(sorted(expression.signals)) or "nothing: it is a constant"),
                ("size", f"{count(expression.size, 'node')}, {count(expression.depth, 'level')}"),
            )
        )
    )
    if short.remarks:
        parts.append(Sentences(tuple(f"the short form {sentence}" for sentence in short.remarks), is_note=True))
    if run.shown.advice:
        parts.append(Sentences(tuple(f"warning: {sentence}" for sentence in run.shown.advice)))
    return Section("champion", "The champion", tuple(parts))


def formula(schedule: Schedule) -> Formula:
    """The learning rate in short: set, and as the text that `evolr.load` reads."""
    short = simplified(schedule)
    return Formula(short.mathml, short.text)


def described(run: Run, schedule: Schedule, rates: Rates) -> str:
    """What the champion does, in one sentence."""
    does = course_text(rates.epochs / max(rates.total, 1e-300), np.asarray(rates.middle))
    answered = answers_text(answers(schedule, _spans(run)))
    sentence = f"it {does}" + (f"; it {answered}" if answered else "")
    return sentence if schedule.expression.is_open_loop else f"{rates.whose}, {sentence}"


def _spans(run: Run) -> list[tuple[str, float, float]]:
    """The signals of the user's own, and between which values they lie."""
    return [(name, float(low), float(high)) for name, low, high in run.summary.config.search.own_signals]


def _judged(run: Run) -> str:
    if run.summary.is_raced:
        return "in the race, on fresh seeds"
    return "in its few trainings of the search, which may have been lucky"


def _picture(rates: Rates) -> Picture:
    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        if rates.low is not None and rates.high is not None:
            axes.fill_between(rates.epochs, rates.low, rates.high, color=SERIES[0], alpha=0.25, linewidth=0)
        axes.plot(rates.epochs, rates.middle, color=SERIES[0], linewidth=2)
        titled(axes, "Learning rate, log scale")
        log_axis(axes)

    first, last = rates.middle[0], rates.middle[-1]
    label = f"Learning rate over the training: from {first:.3g} to {last:.3g}, greatest {rates.middle.max():.3g}"
    return Picture(drawing("champion", label, 2.5, draw), f"Learning rate over the training: {rates.note}")
