"""The commands that judge a schedule: compare, prove, explain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evolr.cli.app import (
    Devices,
    Force,
    Json,
    Quiet,
    Settings,
    Train,
    WorkerCount,
    app,
    presets,
    read_settings,
    require_output,
    training_function,
)
from evolr.cli.formula import FormulaCommand, MaxLr, MinLr, PlateauText, Transform, formula_options, warn_of
from evolr.cli.output import print_json, say, say_table
from evolr.errors import ConfigError, shortened
from evolr.interruption import end_saying
from evolr.ranges import TRAININGS

if TYPE_CHECKING:
    from evolr.contest.comparison import ComparisonResult


@app.command(cls=FormulaCommand)
def compare(
    run: Annotated[Path | None, typer.Argument(help="The run directory whose champion to compare.")] = None,
    expression: Annotated[
        str | None, typer.Option(help="A formula or a name to compare, as of `show`, in place of a run's champion.")
    ] = None,
    transform: Transform = None,
    min_lr: MinLr = None,
    max_lr: MaxLr = None,
    plateau: PlateauText = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="With --expression: the preset that names the problem; memetic by default.", autocompletion=presets
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="With --expression: a TOML file, on top of the preset.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of each training.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Trainings of each schedule.")] = None,
    base_lr: Annotated[float | None, typer.Option(help="The learning rate that the baselines start at.")] = None,
    seed: Annotated[int | None, typer.Option(help="The seed that the trainings' seeds are drawn from.")] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="A new directory for the files.")
    ] = None,
    force: Force = False,
    setting: Settings = None,
    devices: Devices = None,
    train: Train = None,
    workers: WorkerCount = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Compare a schedule with constant, step decay and cosine: same initial weights, same batches."""
    from evolr.config import require_signals, resolve
    from evolr.contest import comparison
    from evolr.named import named
    from evolr.presets import DEFAULT
    from evolr.study.run_directory import RunDirectory

    if (run is None) == (expression is None):
        raise ConfigError("name either a run directory or --expression, not both or neither")
    require_output(output, force=force)
    of_formula = formula_options(transform, min_lr, max_lr, plateau)
    changes: dict[str, Any] = {"epochs": epochs, "seeds": seeds, "base_lr": base_lr}
    if run is not None:
        if setting or (of_formula, output, config, preset) != (None, None, None, None):
            raise ConfigError(
                "--preset, --config, --set, --transform, --min-lr, --max-lr, --plateau and --output belong to --expression; a run has its own"
            )
        result = compare_run(
            run, quiet, training_function(train), device_count=devices, workers=workers, seed=seed, **changes
        )
    else:
        if train is not None:
            raise ConfigError("--train belongs to a run: evolr compare RUN --train module:function")
        found = named(expression or "", of_formula)
        schedule = found.schedule
        given = {"seed": seed, **read_settings(setting)}
        given |= {f"comparison.{name}": value for name, value in changes.items()}
        resolved = resolve(
            preset or DEFAULT, config, {name: value for name, value in given.items() if value is not None}
        )
        require_signals(resolved.problem, sorted(schedule.signals))
        if output is not None:
            comparison.require_place(output, force=force)
        warn_of(found, resolved.comparison.epochs, resolved.problem.steps_per_epoch)
        result = comparison.compare_schedule(schedule, resolved, device_count=devices, progress=not quiet)
        if output is not None:
            comparison.require_place(output, force=force)  # training took a while
            comparison.save(RunDirectory.create(output), result)
    if json:
        print_json(result.document())
    else:
        print_comparison(result, run or output)


@app.command(cls=FormulaCommand)
def prove(
    run: Annotated[Path | None, typer.Argument(help="The run directory whose champion to prove.")] = None,
    expression: Annotated[
        str | None, typer.Option(help="A formula or a name to prove, as of `show`, in place of a run's champion.")
    ] = None,
    transform: Transform = None,
    min_lr: MinLr = None,
    max_lr: MaxLr = None,
    plateau: PlateauText = None,
    preset: Annotated[
        str | None,
        typer.Option(
            help="With --expression: the preset that names the problem; memetic by default.", autocompletion=presets
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="With --expression: the directory.")
    ] = None,
    force: Force = False,
    budget: Annotated[
        str, typer.Option(help="Trainings that each contender is tuned with; `equal`: as many as the study had.")
    ] = "equal",
    seeds: Annotated[int | None, typer.Option(help="Trainings of each contender in the final; 32.", min=1)] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of each training; the comparison's.", min=1)] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A rehearsal of some minutes, which proves nothing.")] = False,
    rivals: Annotated[
        bool,
        typer.Option(
            help="Optimisers that find their own step size, as Prodigy does, take part; left out, it is faster."
        ),
    ] = True,
    setting: Settings = None,
    devices: Devices = None,
    train: Train = None,
    workers: WorkerCount = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Prove a champion against every standard schedule, tuned at equal budget; go on where that was interrupted."""
    from evolr.config import resolve
    from evolr.contest import prove as contests
    from evolr.contest.verdict import verdict
    from evolr.named import named
    from evolr.presets import DEFAULT
    from evolr.views import contest

    if (run is None) == (expression is None):
        raise ConfigError("name either a run directory or --expression, not both or neither")
    require_output(output, force=force)
    of_formula = formula_options(transform, min_lr, max_lr, plateau)
    options: dict[str, Any] = {"seeds": seeds, "epochs": epochs, "is_quick": quick, "rivals": rivals}
    options |= {"device_count": devices, "workers": workers, "progress": not quiet}
    runs = _budget(budget)
    if run is not None and (setting or (of_formula, output, preset) != (None, None, None)):
        raise ConfigError(
            "--preset, --set, --transform, --min-lr, --max-lr, --plateau and --output belong to --expression; a run has its own"
        )
    end_saying("what was trained is kept; the same command goes on")
    if run is not None:
        path, result = run, contests.prove(training_function(train), run, budget=runs, **options)
    else:
        if train is not None:
            raise ConfigError("--train belongs to a run: evolr prove RUN --train module:function")
        if output is None or runs is None:
            raise ConfigError("--expression needs a directory, --output DIR, and a budget, --budget N")
        found = named(expression or "", of_formula)
        config = resolve(preset or DEFAULT, None, read_settings(setting))
        warn_of(found, epochs or config.comparison.epochs, config.problem.steps_per_epoch)
        path = output
        result = contests.prove_schedule(found.schedule, config, output, budget=runs, force=force, **options)
    if json:
        print_json(result.document(verdict(result)))
        return
    say_table(contest.contest_table(result))
    say(*contest.summary(result, path))


@app.command()
def explain(
    run: Annotated[Path, typer.Argument(help="The run directory whose champion to explain.")],
    seeds: Annotated[int, typer.Option(help="Trainings of the champion, and with each signal frozen.", min=1)] = 16,
    devices: Devices = None,
    train: Train = None,
    workers: WorkerCount = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Explain a champion: what its learning rate does, and which of its signals matter."""
    from evolr.contest import explanation
    from evolr.views import tables

    end_saying("what was trained is kept; the same command goes on")
    result = explanation.explain(
        training_function(train), run, seeds=seeds, device_count=devices, workers=workers, progress=not quiet
    )
    if json:
        print_json(result.document())
        return
    say(f"champion: learning rate {result.simplified}")
    say_table(tables.explanation_table(result))
    say(f"picture: {run / 'explanation.png'}")


def compare_run(path: Path, quiet: bool, trained_by: object = None, **options: Any) -> ComparisonResult:
    """Compares the champion of a run directory, with progress on the terminal."""
    from evolr.contest.comparison import compare

    return compare(trained_by, path, progress=not quiet, **options)


def print_comparison(result: ComparisonResult, path: Path | None) -> None:
    from evolr.views import tables

    say("")
    say_table(tables.comparison_table(result))
    say(tables.verdict(result), *(f"note: {note}" for note in result.problem.notes))
    if path is not None:
        say(f"picture: {path / 'comparison.png'}")


def _budget(text: str) -> int | None:
    """A number of trainings, or None for `equal`."""
    if text == "equal":
        return None
    try:
        budget = int(text)
    except ValueError as error:  # no number, or one of thousands of digits
        raise ConfigError(f"--budget expects `equal` or a number of trainings, got {shortened(text)!r}") from error
    return TRAININGS.of("--budget", budget)
