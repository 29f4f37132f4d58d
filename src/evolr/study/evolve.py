"""One call for a whole search in a study's directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from evolr.config import Config
from evolr.study.database import DATABASE, Database
from evolr.study.records import Records
from evolr.study.results import GenerationReport, Limits, SearchResult
from evolr.study.run_directory import RunDirectory
from evolr.study.study import Study, local_executor


def evolve(
    config: Config,
    directory: Path | str,
    limits: Limits | None = None,
    *,
    device_count: int | None = None,
    should_stop: Callable[[], str | None] = lambda: None,
    on_trained: Callable[[int], None] | None = None,
    on_generation: Callable[[GenerationReport], None] | None = None,
) -> SearchResult:
    """Evolves a schedule in a study's directory, new or begun; see Study and Study.run for the arguments and errors."""
    executor = local_executor(config, device_count)
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


def stored_config(directory: Path) -> Config:
    """The configuration of an existing study. Raises StudyError where there is none."""
    database = Database.open(directory / DATABASE, write=False)
    try:
        return Records(database).config()
    finally:
        database.close()
