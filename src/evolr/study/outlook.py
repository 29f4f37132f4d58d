"""What a search has before it, by its settings and what it has trained."""

from __future__ import annotations

import math
from dataclasses import replace

from evolr.search.evaluation import race_trainings, trainings_ahead
from evolr.study.budget import Remaining, kept_finalists
from evolr.study.pace import Pace
from evolr.study.results import Limits, Outlook
from evolr.study.state import SearchState


def outlook(
    state: SearchState,
    limits: Limits,
    *,
    due: int,
    racing: int,
    trained: float,
    seconds: float,
    pace: Pace,
    is_first: bool,
) -> Outlook:
    """What there is to say while a generation is under way.

    due, racing: see Outlook. trained: of the study, in whole trainings; seconds: of the run.
    is_first: whether this is the study's first run, so that its limit of time ends the search and not only the run.
    """
    search, current = state.config.search, state.current
    part = 1.0 if current is None else current.part
    ahead = _ahead(state, due * part)
    remaining = Remaining.within(limits, trained=trained, seconds=seconds, pace=pace)
    # Whether a limit of time ends this call, and does not bring the race forward.
    is_cut = not is_first and ahead > replace(remaining, trainings=math.inf).left
    if current is not None and racing:
        finalists = len(current.population)
    else:
        finalists = search.finalists if is_cut or ahead <= remaining.left else kept_finalists(search, remaining.whole)
    race = race_trainings(search, finalists) if finalists and (racing or not is_cut) else 0
    expected = ahead if math.isinf(remaining.left) else max(due * part, min(ahead, remaining.left))
    if limits.trainings is not None:  # which ends a generation in its middle
        expected = min(expected, max(0, limits.trainings - trained))
    left = expected * pace.seconds if pace.seconds is not None and pace.is_settled else None
    if left is not None and limits.seconds is not None:
        left = max(0.0, min(left, limits.seconds - seconds))
    return Outlook(
        generation=state.generation,
        generations=search.generations_in_all,
        racing=racing,
        due=due,
        epochs=state.config.training.epochs if current is None else current.epochs,
        part=part,
        finalists=finalists,
        race_trainings=race,
        trainings=math.ceil(trained),
        expected=math.ceil(trained + expected),
        seconds_left=left,
        is_at_most=limits.seconds is not None and not pace.seconds,
    )


def _ahead(state: SearchState, due: float) -> float:
    """The trainings that are still to come, about, in whole ones; due: those of the current generation, or heat."""
    search, current = state.config.search, state.current
    if current is None:
        return 0
    if current.is_race:
        return race_trainings(search, len(current.population)) - current.race_trained
    first = sum(evaluation.individual.place.generation == 0 for evaluation in state.history) or len(current.population)
    return due + trainings_ahead(state.config, state.generation + 1, first)
