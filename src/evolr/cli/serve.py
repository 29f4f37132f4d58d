"""The command that shows studies in a browser: serve."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evolr.cli.app import RUNS, app
from evolr.cli.output import say


@app.command()
def serve(
    folder: Annotated[Path, typer.Argument(help="The folder of run directories, or one run directory.")] = RUNS,
    port: Annotated[int, typer.Option(help="The port; 0 for any that is free.", min=0, max=65535)] = 8642,
    host: Annotated[
        str, typer.Option(help="The address to listen on; one that others can reach needs the token that is printed.")
    ] = "127.0.0.1",
    token: Annotated[
        bool, typer.Option("--token", help="Ask for a token on this machine too, if others use it as well.")
    ] = False,
) -> None:
    """Show studies in a browser, live while they run; nothing there changes anything. Ctrl-C ends it."""
    from evolr.libraries import require

    require("evolr serve", "web", ("starlette", "uvicorn"))
    from evolr.views.tables import deeper_text
    from evolr.web.serving import serve as served

    def listening(address: str) -> None:
        say(f"serving on {address} (Ctrl-C ends it)")
        if deeper := deeper_text(folder):
            say(deeper)

    served(folder, host, port, has_token=token, listening=listening)
