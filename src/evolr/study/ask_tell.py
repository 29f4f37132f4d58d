"""A search whose trainings somebody else runs: individuals are asked for, their scores told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from evolr.errors import StudyError, as_float, shown
from evolr.expression import Expression
from evolr.schedule import Schedule
from evolr.search.individual import Individual, Place
from evolr.study.open_study import OpenStudy
from evolr.study.records import TOLD
from evolr.study.state import SearchState
from evolr.training.task import Outcome, score_of


@dataclass(frozen=True, slots=True)
class Asked:
    """A training that a study asks for: under this schedule, for so many epochs. Its score is told with it.

    individual: the formula in its population, with its parents and the operator that made it; `expression` and `place` are its.
    epochs: fewer than training.epochs where search.horizon says so; such a training is a whole one of so many epochs, in which
        `progress` goes from 0 to 1.
    """

    individual: Individual
    schedule: Schedule
    epochs: int

    @property
    def place(self) -> Place:
        return self.individual.place

    @property
    def expression(self) -> Expression:
        return self.individual.expression


def ask(study: OpenStudy) -> list[Asked]:
    """See Study.ask."""
    with study.exclusive():
        while (current := study.state.current) is not None:
            if wanted := current.wanted():
                schedule = study.config.search.schedule
                return [Asked(individual, schedule(individual.expression), current.epochs) for individual in wanted]
            study.finish_generation(current)
        return []


def tell(study: OpenStudy, asked: Asked, score: float) -> None:
    """See Study.tell."""
    with study.exclusive():
        if not isinstance(cast("Any", asked), Asked):
            raise StudyError(f"a score is told of what `ask` gave, got {shown(asked)}")
        _tell(study, asked.individual, _number(score))


def _number(score: float) -> float:
    """A score as it is recorded, see `score_of`. Raises StudyError for what is no number."""
    try:
        value = as_float(score)
    except (TypeError, ValueError, OverflowError) as error:
        raise StudyError(f"a score is a number, got {shown(score)}") from error
    return score_of(value)


def _tell(study: OpenStudy, individual: Individual, value: float) -> None:
    place = individual.place
    known = _told_before(study.state, individual)
    if known is not None:
        if known == value or (math.isnan(known) and math.isnan(value)):
            return
        raise StudyError(f"individual {place} has the score {known} already, was told {value}")
    current = study.state.current
    if current is None or not current.has_to_train(individual):
        raise StudyError(f"individual {place} ({individual.expression}) was not asked")
    nothing = np.empty(0, np.float32)
    study.add_outcomes(current, [(place, 0, Outcome(value, None, nothing, nothing, nothing, nothing))], TOLD)
    if not current.missing():
        study.finish_generation(current)


def _told_before(state: SearchState, individual: Individual) -> float | None:
    """The score that an individual has been told, in this generation or an earlier one; None where it has none."""
    if state.current is not None and state.current.has_to_train(individual):
        return state.current.told(individual)
    evaluated = (e for e in state.history if e.individual == individual and e.source == "trained")
    return next((e.score for e in evaluated), None)
