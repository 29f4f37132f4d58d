"""The commands that judge a schedule: compare, prove, explain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evolr.cli.app import Devices, Json, Quiet, Settings, app, print_json, read_settings
from evolr.cli.formula import FormulaCommand, MaxLr, MinLr, PlateauText, Transform, formula_options, warn_of
from evolr.errors import ConfigError
from evolr.interruption import end_saying

if TYPE_CHECKING:
    from evolr.config import Comparison, Config
    from evolr.contest.comparison import ComparisonResult


Train = Annotated[
    str | None, typer.Option(help="The function that trained the study, as module:function; it is imported.")
]
WorkerCount = Annotated[int | None, typer.Option(help="With --train: processes that train at once.", min=1)]


def trained_by(name: str | None) -> Any:
    """The training function of --train; None where there is none."""
    from evolr.execution.training_function import function_named

    return None if name is None else function_named(name)


@app.command(cls=FormulaCommand)
def compare(
    run: Annotated[Path | None, typer.Argument(help="The run directory whose champion to compare.")] = None,
    expression: Annotated[str | None, typer.Option(help="A formula to compare, in place of a run's champion.")] = None,
    transform: Transform = None,
    min_lr: MinLr = None,
    max_lr: MaxLr = None,
    plateau: PlateauText = None,
    preset: Annotated[
        str | None, typer.Option(help="With --expression: the preset that names the problem; memetic by default.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="With --expression: a TOML file, on top of the preset.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of each training.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Trainings of each schedule.")] = None,
    base_lr: Annotated[float | None, typer.Option(help="The learning rate that the baselines start at.")] = None,
    seed: Annotated[int | None, typer.Option(help="The seed that the trainings' seeds are drawn from.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A new directory for the files.")] = None,
    setting: Settings = None,
    devices: Devices = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Compare a schedule with constant, step decay and cosine: same initial weights, same batches."""
    import msgspec

    from evolr.config import require_signals, resolve
    from evolr.formula import NO_OPTIONS, read_schedule
    from evolr.presets import DEFAULT
    from evolr.study.evolve import stored_config
    from evolr.study.run_directory import RunDirectory

    if (run is None) == (expression is None):
        raise ConfigError("name either a run directory or --expression, not both or neither")
    of_formula = formula_options(transform, min_lr, max_lr, plateau)
    changes: dict[str, Any] = {"epochs": epochs, "seeds": seeds, "base_lr": base_lr}
    changes = {name: value for name, value in changes.items() if value is not None}
    if run is not None:
        if setting or (of_formula, output, config, preset) != (None, None, None, None):
            raise ConfigError(
                "--preset, --config, --set, --transform, --min-lr, --max-lr, --plateau and --output belong to --expression; a run has its own"
            )
        own = stored_config(RunDirectory.open(run).path)
        settings = msgspec.structs.replace(own.comparison, **changes)
        if seed is not None:
            own = msgspec.structs.replace(own, seed=seed)
        result = compare_run(run, own, settings, devices, quiet)
    else:
        schedule = read_schedule(expression or "", of_formula or NO_OPTIONS)
        given = {"seed": seed, **read_settings(setting)}
        given |= {f"comparison.{name}": value for name, value in changes.items()}
        resolved = resolve(
            preset or DEFAULT, config, {name: value for name, value in given.items() if value is not None}
        )
        require_signals(resolved.problem, sorted(schedule.signals))
        if output is not None and output.exists():
            raise ConfigError(f"{output} exists already; name another directory for the files")
        warn_of(schedule, resolved.comparison.epochs, resolved.problem.steps_per_epoch)
        result = _compare(schedule, resolved, resolved.comparison, devices, quiet)
        if output is not None:
            _save_comparison(RunDirectory.create(output), result)
    if json:
        print_json(result.document())
    else:
        print_comparison(result, run or output)


@app.command(cls=FormulaCommand)
def prove(
    run: Annotated[Path | None, typer.Argument(help="The run directory whose champion to prove.")] = None,
    expression: Annotated[str | None, typer.Option(help="A formula to prove, in place of a run's champion.")] = None,
    transform: Transform = None,
    min_lr: MinLr = None,
    max_lr: MaxLr = None,
    plateau: PlateauText = None,
    preset: Annotated[
        str | None, typer.Option(help="With --expression: the preset that names the problem; memetic by default.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="With --expression: the directory.")] = None,
    budget: Annotated[
        str, typer.Option(help="Training runs that each contender is tuned with; `equal`: as many as the study had.")
    ] = "equal",
    seeds: Annotated[int | None, typer.Option(help="Trainings of each contender in the final; 32.", min=1)] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of each training; the comparison's.", min=1)] = None,
    quick: Annotated[bool, typer.Option("--quick", help="A rehearsal of some minutes, which proves nothing.")] = False,
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
    from evolr.formula import NO_OPTIONS, read_schedule
    from evolr.presets import DEFAULT
    from evolr.report import contest, progress

    if (run is None) == (expression is None):
        raise ConfigError("name either a run directory or --expression, not both or neither")
    of_formula = formula_options(transform, min_lr, max_lr, plateau)
    options: dict[str, Any] = {"seeds": seeds, "epochs": epochs, "is_quick": quick}
    options |= {"device_count": devices, "workers": workers}
    runs = _budget(budget)
    end_saying("what was trained is kept; the same command goes on")
    with progress.proving(progress.display(quiet)) as (on_total, on_done):
        options |= {"on_total": on_total, "on_done": on_done}
        if run is not None:
            if setting or of_formula is not None or output is not None or preset is not None:
                raise ConfigError(
                    "--preset, --set, --transform, --min-lr, --max-lr, --plateau and --output belong to --expression; a run has its own"
                )
            path, result = run, contests.prove(trained_by(train), run, budget=runs, **options)
        else:
            if train is not None:
                raise ConfigError("--train belongs to a run: evolr prove RUN --train module:function")
            if output is None or runs is None:
                raise ConfigError("--expression needs a directory, --output DIR, and a budget, --budget N")
            schedule = read_schedule(expression or "", of_formula or NO_OPTIONS)
            config = resolve(preset or DEFAULT, None, read_settings(setting))
            warn_of(schedule, epochs or config.comparison.epochs, config.problem.steps_per_epoch)
            path, result = output, contests.prove_schedule(schedule, config, output, budget=runs, **options)
    if json:
        print_json(result.document(verdict(result)))
        return
    out = progress.output()
    out.print(contest.contest_table(result))
    out.print(contest.summary(result, path), soft_wrap=True, highlight=False, markup=False)


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
    from evolr.report import progress, tables

    end_saying("what was trained is kept; the same command goes on")
    with progress.proving(progress.display(quiet), "explaining") as (on_total, on_done):
        result = explanation.explain(
            trained_by(train),
            run,
            seeds=seeds,
            device_count=devices,
            workers=workers,
            on_total=on_total,
            on_done=on_done,
        )
    if json:
        print_json(result.document())
        return
    out = progress.output()
    out.print(f"champion: learning rate {result.simplified}", soft_wrap=True, highlight=False, markup=False)
    out.print(tables.explanation_table(result))
    out.print(f"picture: {run / 'explanation.png'}", soft_wrap=True, highlight=False)


def compare_run(path: Path, config: Config, settings: Comparison, devices: int | None, quiet: bool) -> ComparisonResult:
    """Compares the champion that a run directory holds, read from its file, and writes the result there."""
    from evolr.study.run_directory import RunDirectory

    directory = RunDirectory.open(path)
    result = _compare(directory.champion(), config, settings, devices, quiet)
    _save_comparison(directory, result)
    return result


def _compare(schedule: Any, config: Config, settings: Comparison, devices: int | None, quiet: bool) -> ComparisonResult:
    from evolr.contest import comparison
    from evolr.report import progress
    from evolr.study.trained_by import executor_for

    executor = executor_for(config, options={"device_count": devices})
    executor.prepare("monitor")  # what cannot be trained here is refused before trainings are announced
    with progress.comparing(progress.display(quiet), comparison.trainings(settings)) as on_trained:
        return comparison.compare(schedule, config, settings=settings, executor=executor, on_trained=on_trained)


def _save_comparison(directory: Any, result: ComparisonResult) -> None:
    import msgspec

    from evolr.report.pictures import comparison_picture

    document = msgspec.json.format(msgspec.json.encode(result.document()), indent=1)
    rows = result.rows()
    directory.write("comparison.json", document + b"\n")
    directory.write_csv("comparison.csv", list(rows[0]), rows)
    directory.write("comparison.png", comparison_picture(result))


def print_comparison(result: ComparisonResult, path: Path | None) -> None:
    from evolr.report import progress, tables

    out = progress.output()
    out.print()
    out.print(tables.comparison_table(result))
    out.print(tables.verdict(result), highlight=False)
    for note in result.problem.notes:
        out.print(f"note: {note}", highlight=False)
    if path is not None:
        out.print(f"picture: {path / 'comparison.png'}", soft_wrap=True, highlight=False)


def _budget(text: str) -> int | None:
    """A number of training runs, or None for `equal`."""
    if text == "equal":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"--budget expects `equal` or a number of training runs of at least 1, got {text!r}")
    return int(text)
