"""What was searched: the problem, the budget, the time."""

from __future__ import annotations

from datetime import datetime

from evolr.errors import count
from evolr.legible import shell_word
from evolr.views.page.parts import Facts, Part, Section, Sentences
from evolr.views.page.records import Run
from evolr.views.tables import duration, trainings_and_failures


def search(run: Run) -> Section:
    """What was searched."""
    summary, config = run.summary, run.summary.config
    problem, search = config.problem, config.search
    rows = (
        ("problem", problem_text(run)),
        ("metric", f"{run.metric.name}, {'higher' if run.metric.higher_is_better else 'lower'} is better"),
        ("tasks", "each seed draws another one" if problem.draws_tasks else ""),
        ("optimiser", "" if summary.optimizer is None else summary.optimizer.text),
        ("a training", _training(run)),
        ("search", f"{search.method}, {count(search.seeds, 'training')} a formula, seed {config.seed}"),
        ("formulas of", ", ".join([*search.terminals, *search.functions])),
        ("bounds", f"learning rates from {search.min_lr:g} to {search.max_lr:g}"),
        ("generations", summary.generations_text),
        ("trainings", trainings_and_failures(summary)),
        ("time", _time(run)),
        ("state", _state(run)),
        ("last failure", summary.last_failure_text),
    )
    parts: list[Part] = [Facts(rows)]
    if problem.notes:
        parts.append(Sentences(tuple(problem.notes), is_note=True))
    if run.faults:
        parts.append(Sentences(tuple(f"left out: {fault}" for fault in run.faults), is_note=True))
    return Section("search", "What was searched", tuple(parts))


def problem_text(run: Run) -> str:
    """What was searched for: a problem's name, who trains, or that scores are told."""
    problem = run.summary.config.problem
    told = "scores told from outside, by Study.tell"
    return problem.identity or (told if problem.name == "external" else problem.name)


def _training(run: Run) -> str:
    """How long a training is; of a user's function nobody may have said how many steps an epoch has."""
    config = run.summary.config
    epochs, steps = epochs_text(run), config.problem.steps_per_epoch
    return epochs if config.problem.name == "external" and steps == 1 else f"{epochs} of {count(steps, 'step')}"


def epochs_text(run: Run) -> str:
    """How many epochs the trainings so far had: those of a search by short ones differ."""
    summary = run.summary
    generations = range(max(1, summary.generations_done + (summary.state != "done")))
    lengths = sorted({summary.config.epochs_at(generation) for generation in generations})
    return f"{lengths[0]} or {count(lengths[1], 'epoch')}" if len(lengths) > 1 else count(lengths[0], "epoch")


def _time(run: Run) -> str:
    """When it was begun, and for how long somebody worked on it."""
    sessions = run.course.sessions
    if not sessions:
        return ""
    begun = _day(sessions[0].started_at)
    times = "" if len(sessions) == 1 else f" in {count(len(sessions), 'session')}"
    return f"{duration(run.course.seconds)}{times}, begun {begun}"


def _state(run: Run) -> str:
    summary = run.summary
    if summary.state == "done":
        return "finished"
    if summary.state == "running":
        return f"running when this report was made, latest result {_day(datetime.fromisoformat(summary.active_at))}"
    problem = summary.config.problem
    if problem.name != "external":
        how = f": evolr evolve --run {shell_word(run.path)}"
    else:
        how = ", by the script that began it" if problem.identity else ", by whoever asks and tells it"
    return f"stopped before its end; it can go on{how}"


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
