"""Where the search of a stored study stands: told again what came before, it comes to where it was."""

from __future__ import annotations

from evolr.config import Config
from evolr.study.records import Records
from evolr.study.state import SearchState


def replay(config: Config, records: Records) -> SearchState:
    """The state after all that is recorded: with the unfinished generation, where one was begun, as the current one.

    Raises StudyError where the settings could not have made what is recorded.
    """
    state = SearchState(config)
    for number in records.generations():
        population = records.population(number)
        state.recall(population)
        if evaluations := records.evaluations(population):
            state.finish(evaluations)
        else:
            state.begin(population, records.scores(number))
            break
    return state
