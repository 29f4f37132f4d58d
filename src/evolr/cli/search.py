"""The commands that search: evolve, run, and the list of runs."""

from __future__ import annotations

import math
import os
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evolr.cli.app import RUNS, Devices, Json, Quiet, Settings, app, presets, read_settings
from evolr.cli.judge import compare_run, print_comparison
from evolr.cli.output import print_json, say, say_table
from evolr.errors import ConfigError, EvolrError, RunDirectoryError
from evolr.interruption import Interruption

if TYPE_CHECKING:
    from evolr.config import Config
    from evolr.study.run_directory import RunDirectory


def search(
    context: typer.Context,
    preset: Annotated[
        str | None,
        typer.Option(
            help="The preset to start from: memetic (the default), suite, mixed, original, quadratic.",
            autocompletion=presets,
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file of settings, on top of the preset.")] = None,
    run: Annotated[
        Path | None, typer.Option(help="The run directory: a new one, or one to go on with; runs/PRESET-N by default.")
    ] = None,
    initial: Annotated[
        list[str] | None,
        typer.Option(help="A schedule to begin with, as `evolr show` names it, or a former run; may be repeated."),
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The study's seed.")] = None,
    problem: Annotated[str | None, typer.Option(help="The problem, by name.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="The optimiser, by name.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of each training of the search.")] = None,
    trainings: Annotated[
        int | None,
        typer.Option(
            help="Trainings that the whole search spends, its race included; how it searches follows from them."
        ),
    ] = None,
    population: Annotated[int | None, typer.Option(help="Individuals in a population.")] = None,
    generations: Annotated[int | None, typer.Option(help="Populations evaluated, the first included.")] = None,
    tournament: Annotated[
        int | None, typer.Option(help="Individuals in a tournament selection; of the generational method alone.")
    ] = None,
    functions: Annotated[str | None, typer.Option(help="Functions, separated by commas.")] = None,
    terminals: Annotated[str | None, typer.Option(help="Signals and `constant`, separated by commas.")] = None,
    transform: Annotated[str | None, typer.Option(help="linear or log.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Trainings of each individual.")] = None,
    setting: Settings = None,
    max_time: Annotated[str | None, typer.Option(help="Stop after this long: 90s, 15m, 2h.")] = None,
    max_trainings: Annotated[int | None, typer.Option(help="Stop after this many trainings in all.", min=1)] = None,
    target: Annotated[float | None, typer.Option(help="Stop when the champion's score reaches this.")] = None,
    devices: Devices = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    from evolr.run_files import COMPARISON_FILES, DATABASE
    from evolr.study.evolve import evolve
    from evolr.study.results import Limits
    from evolr.views import tables
    from evolr.views.shown import describe

    given: dict[str, Any] = {
        "seed": seed,
        "problem.name": problem,
        "training.optimizer.name": optimizer,
        "training.epochs": epochs,
        "search.population": population,
        "search.generations": generations,
        "search.tournament": tournament,
        "search.functions": _names(functions),
        "search.terminals": _names(terminals),
        "search.transform": transform,
        "search.seeds": seeds,
        **read_settings(setting),
    }
    given = {name: value for name, value in given.items() if value is not None}
    limits = Limits(None if max_time is None else _seconds(max_time), max_trainings, target)
    directory, resolved = _study_of(run, preset, config, given, trainings)
    path = directory.path
    has_comparison = context.info_name == "run"
    with Interruption(path / DATABASE) as interruption, _unused_removed(directory):
        if has_comparison:
            directory.require_replaceable(COMPARISON_FILES)
        result = evolve(
            resolved,
            path,
            limits,
            initial=initial,
            device_count=devices,
            should_stop=interruption.reason,
            progress=not quiet,
        )
        if result.schedule is not None:
            directory.write("front.png", describe(str(path), None, None, None).picture())
        if result.stopped_by is not None:
            interruption.leave()
    document: dict[str, Any] = {
        "run": str(path),
        "expression": str(result.schedule.expression) if result.schedule else None,
        "score": _number(result.champion.score) if result.champion else None,
        "raced": result.is_raced,
        "metric": resolved.problem.metric.name,
        "stopped_by": result.stopped_by,
        "trainings": result.trainings,
        "whole_trainings": result.whole_trainings,
        "seconds": result.seconds,
        "training_seconds": result.training_seconds,
    }
    if not json:
        if result.hall_of_fame:
            say_table(tables.hall_of_fame_table(result.hall_of_fame, resolved.problem.metric))
        say(*tables.search_summary(result, result.config, path))
    if has_comparison and result.schedule is not None:
        compared = compare_run(path, quiet, device_count=devices)
        document["comparison"] = compared.document()
        if not json:
            print_comparison(compared, path)
    if json:
        print_json(document)


app.command("evolve", help="Evolve a schedule in a run directory, or go on with one that was begun.")(search)
app.command("run", help="Evolve a schedule, then compare it with the published baselines.")(search)


@app.command()
def runs(
    folder: Annotated[Path, typer.Argument(help="The folder to look in.")] = RUNS,
    json: Json = False,
) -> None:
    """List the studies in a folder: where they stand and what they found, while they run too."""
    from evolr.study.summary import summaries
    from evolr.views import tables

    if folder != RUNS and not os.path.isdir(folder):
        raise RunDirectoryError(f"there is no folder {folder}: name one with run directories in it")
    found = list(summaries(folder))
    if json:
        print_json({"runs": [tables.summary_document(path, summary) for path, summary in found]})
    elif found:
        say_table(tables.runs_table(found))
    else:
        say(f"no studies in {folder}")
    if not json and (deeper := tables.deeper_text(folder)):
        say(deeper)


def _study_of(
    run: Path | None, preset: str | None, file: Path | None, given: dict[str, Any], trainings: int | None
) -> tuple[RunDirectory, Config]:
    """The directory of a search and its configuration: what it was asked for, where it was begun before."""
    from evolr.config import changed, resolve
    from evolr.presets import DEFAULT
    from evolr.run_files import DATABASE
    from evolr.study.evolve import asked_config
    from evolr.study.run_directory import RunDirectory

    if run is not None and preset is None and file is None and os.path.isfile(run / DATABASE):
        return RunDirectory(run), changed(asked_config(run), given, trainings=trainings)
    resolved = resolve(preset or DEFAULT, file, given, trainings=trainings)
    return RunDirectory.reserve(RUNS, preset or DEFAULT) if run is None else RunDirectory(run), resolved


@contextmanager
def _unused_removed(directory: RunDirectory) -> Generator[None]:
    """Where a search is refused before it begins, the directories that were made for it go again."""
    try:
        yield
    except EvolrError:
        directory.remove_unused()
        raise


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _seconds(text: str) -> float:
    """A time such as 90, 90s, 15m or 2h, in seconds."""
    units = {"s": 1, "m": 60, "h": 3600}
    number, unit = (text[:-1], text[-1]) if text[-1:] in units else (text, "s")
    try:
        seconds = float(number) * units[unit]
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ConfigError(f"--max-time expects a time such as 90s, 15m or 2h, got {text!r}")
    return seconds


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]
