"""The command that writes a run's report: report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evolr.cli.app import app
from evolr.errors import ConfigError


@app.command()
def report(
    run: Annotated[Path, typer.Argument(help="The run directory; its search may be unfinished, or running.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The HTML file; report.html in the run directory by default.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="With -o: write over a file that is there.")] = False,
) -> None:
    """Write the report of a run: one HTML page that needs nothing beside it, to read, to print and to send."""
    from evolr.study.run_directory import RunDirectory
    from evolr.views.page.report import REPORT
    from evolr.views.page.report import report as made

    if output is not None:
        page = made(run, output, force=force)
    elif force:
        raise ConfigError("--force belongs to -o: the report in the run directory is always made anew")
    else:
        page = made(run)
        RunDirectory.open(run).write(REPORT, page.html.encode())
    typer.echo(f"saved: {output or run / REPORT}")
