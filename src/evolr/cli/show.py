"""The command that shows a schedule: show."""

from __future__ import annotations

from typing import Annotated

import typer

from evolr.cli.app import Force, Json, app, require_output
from evolr.cli.formula import FormulaCommand, MaxLr, MinLr, PlateauText, Transform, formula_options
from evolr.cli.output import print_json, say, say_table


@app.command(cls=FormulaCommand)
def show(
    what: Annotated[
        str,
        typer.Argument(
            help="A run directory, a schedule's JSON file, a formula, or a name of the gallery or of a family."
        ),
    ],
    epochs: Annotated[int | None, typer.Option(help="Epochs of the curve; 30, or the run's.", min=1)] = None,
    steps_per_epoch: Annotated[int | None, typer.Option(help="Steps of an epoch; 40, or the run's.", min=1)] = None,
    transform: Transform = None,
    min_lr: MinLr = None,
    max_lr: MaxLr = None,
    plateau: PlateauText = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="A PNG file to draw the curve to.")
    ] = None,
    force: Force = False,
    json: Json = False,
) -> None:
    """Show a schedule: its formula, simplified and in LaTeX, and its learning-rate curve."""
    from evolr.views import shown
    from evolr.writing import Output

    require_output(output, force=force)
    file = None if output is None else Output.checked(output, force=force)
    described = shown.describe(what, formula_options(transform, min_lr, max_lr, plateau), epochs, steps_per_epoch)
    if file is not None:
        file.write(described.picture())
    if json:
        print_json(described.document())
        return
    say(*described.lines())
    if described.front is not None:
        say_table(described.front)
