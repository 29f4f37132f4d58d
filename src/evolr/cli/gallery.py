"""The command that shows what this project found: gallery."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from evolr.cli.app import Json, app, print_json


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
    from evolr.views import progress, shown

    if name is None:
        found = list(entries.values())
        if json:
            print_json({"entries": [views.entry_document(entry) for entry in found]})
        else:
            progress.output().print(views.gallery_table(found))
        return
    entry = entries[name]
    if json:
        print_json(views.entry_document(entry))
        return
    out = progress.output()
    out.print(views.entry_text(entry), soft_wrap=True, highlight=False, markup=False)
    schedule = replace(shown.describe(name, None, None, None), provenance={})  # which is said above
    out.print(schedule.text(), soft_wrap=True, highlight=False, markup=False)
