"""A search whose trainings somebody else runs: individuals are asked for, their scores told."""

from __future__ import annotations

import math

import numpy as np

from evolr.errors import StudyError
from evolr.search.individual import Individual
from evolr.study.open_study import OpenStudy
from evolr.study.records import TOLD
from evolr.study.state import SearchState
from evolr.training.task import Outcome


def ask(study: OpenStudy) -> list[Individual]:
    """See Study.ask."""
    study.require_open()
    while (current := study.state.current) is not None:
        if wanted := current.wanted():
            return wanted
        study.finish_generation(current)
    return []


def tell(study: OpenStudy, individual: Individual, score: float) -> None:
    """See Study.tell."""
    study.require_open()
    try:
        value = float(score)
    except (TypeError, ValueError) as error:
        raise StudyError(f"a score is a number, got {score!r}") from error
    place = individual.place
    if not math.isfinite(value):
        value = math.nan
    known = _told_before(study.state, individual)
    if known is not None:
        if known == value or (math.isnan(known) and math.isnan(value)):
            return
        raise StudyError(f"individual {place} has the score {known} already, was told {score}")
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
