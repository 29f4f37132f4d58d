"""The command that shows what this project found: gallery."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from evolr.cli.app import Json, app
from evolr.cli.output import print_json, say, say_table


@app.command()
def gallery(
    name: Annotated[
        str | None, typer.Argument(help="The entry to show in full; all of them, in short, by default.")
    ] = None,
    json: Json = False,
) -> None:
    """Show the discovered schedules that come with evolr; show, export, compare and prove take their names."""
    from evolr.discovered import gallery as entries
    from evolr.views import gallery as views
    from evolr.views import shown

    if name is None:
        found = list(entries.values())
        if json:
            print_json({"entries": [views.entry_document(entry) for entry in found]})
        else:
            say_table(views.gallery_table(found))
        return
    entry = entries[name]
    if json:
        print_json(views.entry_document(entry))
        return
    say(*views.entry_lines(entry))
    schedule = replace(shown.describe(name, None, None, None), provenance={})  # which is said above
    say(*schedule.lines())
