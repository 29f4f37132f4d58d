"""One call for a whole search in a study's directory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from evolr.config import Config, config_of
from evolr.errors import ConfigError
from evolr.execution.local import Local
from evolr.problems import JaxProblem
from evolr.study.database import DATABASE, Database
from evolr.study.records import Records
from evolr.study.results import GenerationReport, Limits, SearchResult
from evolr.study.run_directory import RunDirectory
from evolr.study.study import Study, local_executor


def evolve(
    problem: Config | JaxProblem,
    directory: Path | str,
    limits: Limits | None = None,
    *,
    settings: Mapping[str, Any] | None = None,
    seed: int = 0,
    device_count: int | None = None,
    should_stop: Callable[[], str | None] = lambda: None,
    on_trained: Callable[[int], None] | None = None,
    on_generation: Callable[[GenerationReport], None] | None = None,
) -> SearchResult:
    """Evolves a schedule in a study's directory, new or begun; see Study and Study.run for the other arguments and errors.

    problem: a configuration, or a problem of your own, whose search is that of preset `default`.
    settings, seed: of a problem of your own: single settings by dotted name, {"search.generations": 10}, and the study's
        seed. A configuration holds its own; ConfigError where they are given beside one.
    """
    config, executor = _search(problem, settings, seed, device_count)
    RunDirectory.require_usable(Path(directory))
    executor.prepare("fitness")  # before anything is written, so that what is refused leaves nothing
    with Study(directory, config) as study:
        return study.run(
            limits,
            executor=executor,
            should_stop=should_stop,
            on_trained=on_trained,
            on_generation=on_generation,
        )


def _search(
    problem: Config | JaxProblem, settings: Mapping[str, Any] | None, seed: int, device_count: int | None
) -> tuple[Config, Local]:
    """The configuration of a search, and what trains its trials."""
    if isinstance(problem, JaxProblem):
        config = config_of(problem, settings, seed)
        if config.search.finalists:
            problem.task("selection")  # so that the race at the end has its pool
        return config, Local(problem, config.training.optimizer, device_count=device_count)
    if settings or seed:
        raise ConfigError("a configuration holds its settings and its seed: give them to evolr.resolve")
    return problem, local_executor(problem, device_count)


def stored_config(directory: Path) -> Config:
    """The configuration of an existing study. Raises StudyError where there is none."""
    database = Database.open(directory / DATABASE, write=False)
    try:
        return Records(database).config()
    finally:
        database.close()
