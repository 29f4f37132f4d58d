"""The command line: arguments → configuration → one call.

Results go to stdout, everything else to stderr. Exit codes: 0 done, 2 bad input, 130 interrupted. What a command
needs is imported when it runs, so that `evolr --help` is quick.
"""

from __future__ import annotations

import math
import os
import signal
import sys
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evolr import __version__
from evolr.errors import ConfigError, EvolrError
from evolr.interruption import Interruption, end_now, end_saying

if TYPE_CHECKING:
    from evolr.config import Comparison, Config
    from evolr.contest.comparison import ComparisonResult
    from evolr.contest.results import ContestResult

app = typer.Typer(
    name="evolr",
    help="Evolves learning-rate schedules by genetic programming.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

RUNS = Path("runs")
"""The folder of run directories that nobody named."""

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout, and nothing else there.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]
Devices = Annotated[int | None, typer.Option("--devices", help="Devices to train on; all of them by default.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any setting by its dotted name: --set search.elites=2."),
]


def main() -> None:
    """The program. Turns what evolr raises on purpose into a message and exit code 2."""
    signal.signal(signal.SIGINT, end_now)
    try:
        app()
        sys.stdout.flush()
    except EvolrError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        print(f"error: cannot write the output: {error.strerror}", file=sys.stderr)
        sys.exit(2)


@contextmanager
def _unused_removed(path: Path, *, reserved: bool) -> Generator[None]:
    """Where a search is refused before it begins, the directories that were made for it go again."""
    try:
        yield
    except EvolrError:
        if reserved:
            with suppress(OSError):  # not empty, so in use
                path.rmdir()
                path.parent.rmdir()
        raise


@app.callback(invoke_without_command=True)
def root(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(__version__)
        raise typer.Exit


def search(
    context: typer.Context,
    preset: Annotated[str | None, typer.Option(help="The preset to start from; original by default.")] = None,
    config: Annotated[Path | None, typer.Option(help="A TOML file of settings, on top of the preset.")] = None,
    run: Annotated[
        Path | None, typer.Option(help="The run directory: a new one, or one to go on with; runs/PRESET-N by default.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="The study's seed.")] = None,
    problem: Annotated[str | None, typer.Option(help="The problem, by name.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="The optimiser, by name.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Epochs of each training of the search.")] = None,
    population: Annotated[int | None, typer.Option(help="Individuals in a population.")] = None,
    generations: Annotated[int | None, typer.Option(help="Populations evaluated, the first included.")] = None,
    tournament: Annotated[int | None, typer.Option(help="Individuals in a tournament selection.")] = None,
    functions: Annotated[str | None, typer.Option(help="Functions, separated by commas.")] = None,
    terminals: Annotated[str | None, typer.Option(help="Signals and `constant`, separated by commas.")] = None,
    transform: Annotated[str | None, typer.Option(help="linear or log.")] = None,
    seeds: Annotated[int | None, typer.Option(help="Training runs of each individual.")] = None,
    setting: Settings = None,
    max_time: Annotated[str | None, typer.Option(help="Stop after this long: 90s, 15m, 2h.")] = None,
    max_trainings: Annotated[int | None, typer.Option(help="Stop after this many trainings in all.", min=1)] = None,
    target: Annotated[float | None, typer.Option(help="Stop when the champion's score reaches this.")] = None,
    devices: Devices = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    from evolr.report import progress, tables
    from evolr.study.evolve import evolve
    from evolr.study.results import Limits
    from evolr.study.run_directory import DATABASE

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
        **_settings(setting),
    }
    given = {name: value for name, value in given.items() if value is not None}
    limits = Limits(None if max_time is None else _seconds(max_time), max_trainings, target)
    path, resolved = _study_of(run, preset, config, given)
    with Interruption(path / DATABASE) as interruption, _unused_removed(path, reserved=run is None):
        with progress.searching(progress.display(quiet), resolved.problem.metric) as (on_trained, on_generation):
            result = evolve(
                resolved,
                path,
                limits,
                device_count=devices,
                should_stop=interruption.reason,
                on_trained=on_trained,
                on_generation=on_generation,
            )
        if result.stopped_by is not None:
            interruption.leave()
    document: dict[str, Any] = {
        "run": str(path),
        "expression": str(result.schedule.expression) if result.schedule else None,
        "score": _number(result.champion.score) if result.champion else None,
        "metric": resolved.problem.metric.name,
        "stopped_by": result.stopped_by,
        "trainings": result.trainings,
        "seconds": result.seconds,
        "training_seconds": result.training_seconds,
    }
    if not json:
        out = progress.output()
        if result.hall_of_fame:
            out.print(tables.hall_of_fame_table(result.hall_of_fame, resolved.problem.metric))
        out.print(tables.search_summary(result, resolved, path), soft_wrap=True, highlight=False)
    if context.info_name == "run" and result.schedule is not None:
        compared = _compare_run(path, resolved, resolved.comparison, devices, quiet)
        document["comparison"] = compared.document()
        if not json:
            _print_comparison(compared, path)
    if json:
        _print_json(document)


app.command("evolve", help="Evolve a schedule in a run directory, or go on with one that was begun.")(search)
app.command("run", help="Evolve a schedule, then compare it with the published baselines.")(search)


@app.command()
def compare(
    run: Annotated[Path | None, typer.Argument(help="The run directory whose champion to compare.")] = None,
    expression: Annotated[str | None, typer.Option(help="A formula to compare, in place of a run's champion.")] = None,
    transform: Annotated[str | None, typer.Option(help="The formula's output transform: linear or log.")] = None,
    preset: Annotated[str, typer.Option(help="With --expression: the preset that names the problem.")] = "original",
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
    from evolr.expression import parse
    from evolr.study.evolve import stored_config
    from evolr.study.run_directory import RunDirectory

    if (run is None) == (expression is None):
        raise ConfigError("name either a run directory or --expression, not both or neither")
    changes: dict[str, Any] = {"epochs": epochs, "seeds": seeds, "base_lr": base_lr}
    changes = {name: value for name, value in changes.items() if value is not None}
    if run is not None:
        if setting or transform is not None or output is not None or config is not None:
            raise ConfigError("--config, --set, --transform and --output belong to --expression; a run has its own")
        own = stored_config(RunDirectory.open(run).path)
        settings = msgspec.structs.replace(own.comparison, **changes)
        if seed is not None:
            own = msgspec.structs.replace(own, seed=seed)
        result = _compare_run(run, own, settings, devices, quiet)
    else:
        given = {"seed": seed, "search.transform": transform, **_settings(setting)}
        given |= {f"comparison.{name}": value for name, value in changes.items()}
        resolved = resolve(preset, config, {name: value for name, value in given.items() if value is not None})
        formula = parse(expression or "")
        require_signals(resolved.problem, sorted(formula.signals))
        if output is not None and output.exists():
            raise ConfigError(f"{output} exists already; name another directory for the files")
        result = _compare(resolved.search.schedule(formula), resolved, resolved.comparison, devices, quiet)
        if output is not None:
            _save_comparison(RunDirectory.create(output), result)
    if json:
        _print_json(result.document())
    else:
        _print_comparison(result, run or output)


@app.command()
def prove(
    run: Annotated[Path | None, typer.Argument(help="The run directory whose champion to prove.")] = None,
    expression: Annotated[str | None, typer.Option(help="A formula to prove, in place of a run's champion.")] = None,
    transform: Annotated[str | None, typer.Option(help="The formula's output transform: linear or log.")] = None,
    preset: Annotated[
        str | None, typer.Option(help="With --expression: the preset that names the problem; original by default.")
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
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Prove a champion against every standard schedule, tuned at equal budget; go on where that was interrupted."""
    from evolr.config import resolve
    from evolr.contest import prove as contests
    from evolr.contest.verdict import verdict
    from evolr.expression import parse
    from evolr.report import contest, progress
    from evolr.study.run_directory import RunDirectory

    if (run is None) == (expression is None):
        raise ConfigError("name either a run directory or --expression, not both or neither")
    options: dict[str, Any] = {"seeds": seeds, "epochs": epochs, "is_quick": quick, "device_count": devices}
    runs = _budget(budget)
    end_saying("what was trained is kept; the same command goes on")
    with progress.proving(progress.display(quiet)) as (on_total, on_done):
        options |= {"on_total": on_total, "on_done": on_done}
        if run is not None:
            if setting or transform is not None or output is not None or preset is not None:
                raise ConfigError("--preset, --set, --transform and --output belong to --expression; a run has its own")
            path, result = run, contests.prove(run, budget=runs, **options)
        else:
            if output is None or runs is None:
                raise ConfigError("--expression needs a directory, --output DIR, and a budget, --budget N")
            given = {"search.transform": transform, **_settings(setting)}
            config = resolve(
                preset or "original", None, {name: value for name, value in given.items() if value is not None}
            )
            schedule = config.search.schedule(parse(expression or ""))
            path, result = output, contests.prove_schedule(schedule, config, output, budget=runs, **options)
    _save_contest(RunDirectory(path), result)
    if json:
        _print_json(result.document(verdict(result)))
        return
    out = progress.output()
    out.print(contest.contest_table(result))
    out.print(contest.summary(result, path), soft_wrap=True, highlight=False, markup=False)


@app.command()
def explain(
    run: Annotated[Path, typer.Argument(help="The run directory whose champion to explain.")],
    seeds: Annotated[int, typer.Option(help="Trainings of the champion, and with each signal frozen.", min=1)] = 16,
    devices: Devices = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Explain a champion: what its learning rate does, and which of its signals matter."""
    import msgspec

    from evolr.contest import explanation
    from evolr.report import pictures, progress, tables
    from evolr.study.run_directory import RunDirectory

    end_saying("what was trained is kept; the same command goes on")
    with progress.proving(progress.display(quiet), "explaining") as (on_total, on_done):
        result = explanation.explain(run, seeds=seeds, device_count=devices, on_total=on_total, on_done=on_done)
    directory = RunDirectory.open(run)
    document = msgspec.json.format(msgspec.json.encode(result.document()), indent=1)
    directory.write("explanation.json", document + b"\n")
    directory.write("explanation.png", pictures.explanation_picture(result))
    if json:
        _print_json(result.document())
        return
    out = progress.output()
    out.print(f"champion: {result.simplified}", soft_wrap=True, highlight=False, markup=False)
    out.print(tables.explanation_table(result))
    out.print(f"picture: {run / 'explanation.png'}", soft_wrap=True, highlight=False)


@app.command()
def show(
    what: Annotated[str, typer.Argument(help="A run directory, a schedule's JSON file, or a formula.")],
    epochs: Annotated[int | None, typer.Option(help="Epochs of the curve; 30, or the run's.", min=1)] = None,
    steps_per_epoch: Annotated[int | None, typer.Option(help="Steps of an epoch; 40, or the run's.", min=1)] = None,
    transform: Annotated[str | None, typer.Option(help="With a formula: linear or log.")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="A PNG file to draw the curve to.")] = None,
    json: Json = False,
) -> None:
    """Show a schedule: its formula, simplified and in LaTeX, and its learning-rate curve."""
    from evolr.report import progress, shown

    described = shown.describe(what, transform, epochs, steps_per_epoch)
    if output is not None:
        picture = described.picture()
        try:
            output.write_bytes(picture)
        except OSError as error:
            raise ConfigError(f"cannot write {output}: {error.strerror}") from error
    if json:
        _print_json(described.document())
        return
    out = progress.output()
    out.print(described.text(), soft_wrap=True, highlight=False, markup=False)
    if described.front is not None:
        out.print(described.front)


@app.command()
def runs(
    folder: Annotated[Path, typer.Argument(help="The folder to look in.")] = RUNS,
    json: Json = False,
) -> None:
    """List the studies in a folder: where they stand and what they found, while they run too."""
    from evolr.report import progress, tables
    from evolr.study.summary import summaries

    found = list(summaries(folder))
    if json:
        _print_json({"runs": [tables.summary_document(path, summary) for path, summary in found]})
    elif found:
        progress.output().print(tables.runs_table(found))
    else:
        print(f"no studies in {folder}")


def _study_of(run: Path | None, preset: str | None, file: Path | None, given: dict[str, Any]) -> tuple[Path, Config]:
    """The directory of a search and its configuration: the stored one, where it was begun before."""
    from evolr.config import changed, resolve
    from evolr.study.evolve import stored_config
    from evolr.study.run_directory import DATABASE, RunDirectory

    if run is not None and preset is None and file is None and os.path.isfile(run / DATABASE):
        return run, changed(stored_config(run), given)
    resolved = resolve(preset or "original", file, given)
    return run or RunDirectory.reserve(RUNS, preset or "original"), resolved


def _compare_run(
    path: Path, config: Config, settings: Comparison, devices: int | None, quiet: bool
) -> ComparisonResult:
    """Compares the champion that a run directory holds, read from its file, and writes the result there."""
    from evolr.study.run_directory import RunDirectory

    directory = RunDirectory.open(path)
    result = _compare(directory.champion(), config, settings, devices, quiet)
    _save_comparison(directory, result)
    return result


def _compare(schedule: Any, config: Config, settings: Comparison, devices: int | None, quiet: bool) -> ComparisonResult:
    from evolr.contest import comparison
    from evolr.report import progress

    with progress.comparing(progress.display(quiet), comparison.trainings(settings)) as on_trained:
        return comparison.compare(
            schedule,
            config.problem,
            config.training.optimizer,
            settings,
            config.seed,
            device_count=devices,
            on_trained=on_trained,
        )


def _save_comparison(directory: Any, result: ComparisonResult) -> None:
    import msgspec

    from evolr.report.pictures import comparison_picture

    document = msgspec.json.format(msgspec.json.encode(result.document()), indent=1)
    rows = result.rows()
    directory.write("comparison.json", document + b"\n")
    directory.write_csv("comparison.csv", list(rows[0]), rows)
    directory.write("comparison.png", comparison_picture(result))


def _save_contest(directory: Any, result: ContestResult) -> None:
    import msgspec

    from evolr.contest.verdict import verdict
    from evolr.report.contest import page
    from evolr.report.contest_picture import contest_picture

    rows, name = result.rows(), result.file_name
    document = msgspec.json.encode(result.document(verdict(result)))
    directory.write(f"{name}.json", msgspec.json.format(document, indent=1) + b"\n")
    directory.write("proven.json", result.champion.result.schedule.to_json({"contest": verdict(result)}))
    directory.write_csv(f"{name}.csv", list(rows[0]), rows)
    directory.write(f"{name}.md", page(result).encode())
    directory.write(f"{name}.png", contest_picture(result))


def _print_comparison(result: ComparisonResult, path: Path | None) -> None:
    from evolr.report import progress, tables

    out = progress.output()
    out.print()
    out.print(tables.comparison_table(result))
    out.print(tables.verdict(result), highlight=False)
    for note in result.problem.notes:
        out.print(f"note: {note}", highlight=False)
    if path is not None:
        out.print(f"picture: {path / 'comparison.png'}", soft_wrap=True, highlight=False)


def _print_json(document: Mapping[str, Any]) -> None:
    import msgspec

    sys.stdout.write(msgspec.json.format(msgspec.json.encode(document), indent=2).decode() + "\n")


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _budget(text: str) -> int | None:
    """A number of training runs, or None for `equal`."""
    if text == "equal":
        return None
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"--budget expects `equal` or a number of training runs of at least 1, got {text!r}")
    return int(text)


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


def _settings(texts: list[str] | None) -> dict[str, Any]:
    """`name=value` pairs, the values read as TOML; a bare word is a string."""
    import tomllib

    settings: dict[str, Any] = {}
    for text in texts or ():
        name, equals, value = text.partition("=")
        if not equals or not all(part.isidentifier() for part in name.split(".")):
            raise ConfigError(f"--set expects NAME=VALUE with a dotted name, got {text!r}")
        try:
            settings[name] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            settings[name] = value
    return settings
