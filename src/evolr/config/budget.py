"""How a given number of trainings is best spent."""

from __future__ import annotations

from typing import Any, Final

from evolr.errors import ConfigError, shown, whole_number

LEAST: Final = 10
"""Trainings below which there is nothing to search with."""

MOST: Final = 1_000
"""Trainings beyond which the population of the memetic search is the better way, and the Gaussian process slow."""

_A_GENERATION: Final = 4  # points; those who train two at once wait for none, and few are chosen on old knowledge
_RACE: Final = 5  # the race has one training in so many


def plan(trainings: int) -> dict[str, Any]:
    """The settings, by dotted name, of a search that spends so many trainings, its race included.

    Raises ConfigError for fewer than ten, and for more than a thousand.
    """
    if whole_number("trainings", trainings) < LEAST:
        raise ConfigError(f"a search needs at least {LEAST} trainings, got {shown(trainings)}")
    if trainings > MOST:
        raise ConfigError(
            f"trainings plans searches of {LEAST} to {MOST:,} trainings, got {shown(trainings)}; for more, give a preset its budget: "
            "--max-trainings N, limits=evolr.Limits(trainings=N)"
        )
    finalists = 2 if trainings < 30 else 3
    race_seeds = max(1, trainings // (_RACE * finalists))
    rest = trainings - finalists * race_seeds
    first = 4 + rest % _A_GENERATION
    return {
        "search.method": "bayesian",
        "search.population": _A_GENERATION,
        "search.first": first,
        "search.generations": 1 + (rest - first) // _A_GENERATION,
        "search.seeds": 1,
        "search.finalists": finalists,
        "search.race_seeds": race_seeds,
    }
