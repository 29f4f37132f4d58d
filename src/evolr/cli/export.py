"""The command that hands a schedule over: export."""

from __future__ import annotations

from typing import Annotated

import typer

from evolr.cli.app import Devices, Force, Train, WorkerCount, app, require_output, training_function
from evolr.cli.formula import FormulaCommand, MaxLr, MinLr, PlateauText, Transform, formula_options, warn_of
from evolr.cli.output import print_source, tell
from evolr.errors import ConfigError


def _targets() -> list[str]:
    """What a shell completes --to with."""
    from evolr.exports.targets import TARGETS

    return list(TARGETS)


@app.command(cls=FormulaCommand)
def export(
    what: Annotated[
        str,
        typer.Argument(
            help="A run directory, a schedule's JSON file, a formula, or a name of the gallery or of a family."
        ),
    ],
    to: Annotated[
        str,
        typer.Option("--to", help="python, torch, optax, keras, lightning or huggingface.", autocompletion=_targets),
    ],
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="The file; stdout by default.")
    ] = None,
    force: Force = False,
    optimizer: Annotated[
        str | None,
        typer.Option(help="Of the example in the file: momentum, say; by default what it was found with, or Adam."),
    ] = None,
    frozen: Annotated[
        bool, typer.Option("--frozen", help="Of a run: the champion's typical learning rates, as a curve of its own.")
    ] = False,
    transform: Transform = None,
    min_lr: MinLr = None,
    max_lr: MaxLr = None,
    plateau: PlateauText = None,
    devices: Devices = None,
    train: Train = None,
    workers: WorkerCount = None,
) -> None:
    """Export a schedule as code for a framework: one Python file that needs no evolr."""
    from evolr.exports.example import optimizer_named
    from evolr.exports.targets import require_target, source
    from evolr.named import named
    from evolr.writing import Output

    require_output(output, force=force)
    file = None if output is None else Output.checked(output, force=force)
    require_target(to)
    chosen = None if optimizer is None else optimizer_named(optimizer)
    found = named(what, formula_options(transform, min_lr, max_lr, plateau))
    warn_of(found, *found.horizon)
    schedule, provenance = found.schedule, dict(found.provenance)
    if frozen:
        if found.summary is None:
            raise ConfigError("--frozen belongs to a run directory: it trains under the champion to see what it does")
        from evolr.contest.explanation import freeze

        schedule = freeze(training_function(train), what, device_count=devices, workers=workers)
        provenance["frozen"] = "the median learning rates of the champion's trainings, a line through knots"
    elif train is not None:
        raise ConfigError("--train belongs to --frozen: nothing else of an export trains")
    text = source(schedule, to, provenance, found.optimizer if chosen is None else chosen)
    if file is None:
        print_source(text)
        return
    file.write(text.encode())
    tell(f"saved: {output}")
