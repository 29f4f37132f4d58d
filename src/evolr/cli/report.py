"""The command that writes a run's report: report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evolr.cli.app import Force, app, require_output
from evolr.cli.output import say


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="The run directory; its search may be unfinished, or running.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The HTML file; report.html in the run directory by default.")
    ] = None,
    force: Force = False,
) -> None:
    """Write the report of a run: one HTML page that needs nothing beside it, to read, to print and to send."""
    from evolr.run_files import REPORT
    from evolr.study.run_directory import RunDirectory
    from evolr.views.page.report import report as made

    require_output(output, force=force)
    if output is not None:
        made(run, output, force=force)
    else:
        page = made(run)
        RunDirectory.open(run).write(REPORT, page.html.encode())
    say(f"saved: {output or run / REPORT}")
