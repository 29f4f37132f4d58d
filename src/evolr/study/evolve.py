"""A search from its configuration to its champion."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evolr.config import Config
from evolr.execution.local import Local
from evolr.schedule import Schedule
from evolr.search.archive import KnownEvaluations, champion, hall_of_fame
from evolr.search.evaluation import evaluate
from evolr.search.evolution import initial_population, next_population
from evolr.search.individual import Evaluation
from evolr.study.run_directory import RunDirectory


@dataclass(frozen=True, slots=True)
class GenerationReport:
    """What there is to tell after a generation. Fitness is greater for the better; seconds since the start."""

    generation: int
    generations: int
    best: float
    median: float
    champion: Evaluation
    trainings: int
    training_seconds: float
    seconds: float


@dataclass(frozen=True, slots=True)
class SearchResult:
    """What a search found.

    history: every evaluation, in order. hall_of_fame: the best of each size; see search.archive.
    seconds: wall time; training_seconds: the part of it spent in training, compiling and loading data.
    """

    schedule: Schedule
    champion: Evaluation
    hall_of_fame: list[Evaluation]
    history: list[Evaluation]
    trainings: int
    seconds: float
    training_seconds: float


def evolve(
    config: Config,
    directory: Path,
    *,
    device_count: int | None = None,
    on_trained: Callable[[int], None] | None = None,
    on_generation: Callable[[GenerationReport], None] | None = None,
) -> SearchResult:
    """Evolves a schedule and saves it, with its history, in a new run directory.

    device_count: devices to train on; all where None. on_trained is called with the number of networks just
    trained, on_generation after each generation. What is saved after a generation stays, whatever comes.

    Raises RunDirectoryError where the directory is taken or cannot be written.
    """
    start = time.perf_counter()
    RunDirectory.require_free(directory)
    local = Local(config.problem, config.training.optimizer, "fitness", device_count=device_count)
    local.prepare()
    run_directory = RunDirectory.create(directory, config)  # now that nothing stands in the way
    known = KnownEvaluations()
    history: list[Evaluation] = []
    population = initial_population(config.search, config.seed)
    evaluated: list[Evaluation] = []
    for generation in range(config.search.generations):
        if generation:
            population = next_population(config.search, config.seed, evaluated)
        evaluated = evaluate(
            config,
            population,
            known,
            lambda trials: local.run(trials, config.training.epochs, on_finish=on_trained),
        )
        history += evaluated
        run_directory.save_search(config, champion(history), history)
        if on_generation:
            fitness = [e.fitness for e in evaluated]
            on_generation(
                GenerationReport(
                    generation=generation,
                    generations=config.search.generations,
                    best=max(fitness),
                    median=float(np.median(fitness)),
                    champion=champion(history),
                    trainings=local.trainings,
                    training_seconds=local.seconds,
                    seconds=time.perf_counter() - start,
                )
            )
    best = champion(history)
    return SearchResult(
        schedule=config.search.schedule(best.individual.expression),
        champion=best,
        hall_of_fame=hall_of_fame(history),
        history=history,
        trainings=local.trainings,
        seconds=time.perf_counter() - start,
        training_seconds=local.seconds,
    )
