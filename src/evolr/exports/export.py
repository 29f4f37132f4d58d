"""One call that hands a schedule over: as the text of a file, or as the file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evolr.discovered import GalleryEntry
from evolr.exports.example import optimizer_named
from evolr.exports.targets import source
from evolr.named import named
from evolr.schedule import Schedule
from evolr.training.optimizers import Optimizer, OptimizerName
from evolr.writing import Output


def export(
    what: Schedule | GalleryEntry | Path | str,
    to: str,
    path: Path | str | None = None,
    *,
    provenance: Mapping[str, Any] | None = None,
    optimizer: Optimizer | OptimizerName | None = None,
    force: bool = False,
) -> str:
    """A schedule as code for a framework: one Python file that needs no evolr. Answers its text.

        evolr.export("runs/mine", "torch", "my_schedule.py")
        text = evolr.export(schedule, "optax")

    what: a Schedule, or what `evolr.load` takes. to: python, torch, optax, keras, lightning or huggingface.
    path: where to save it; nowhere where None. force: writes over a file that is there.
    provenance: what the file's docstring says of where the schedule comes from; what is known of a run or a file where None.
    optimizer: of the example in the file, an `evolr.training.optimizers.Optimizer` or the name of one that frameworks have: sgd, momentum, adam or adamw;
    where None, what the run or the entry of the gallery was found with, and Adam where nobody knows.

    Raises ScheduleError for an unknown target, and where the schedule reads a signal that the target cannot supply;
    ConfigError for an optimizer that is none, and for a path that cannot be written, or is there; errors as of `load`.
    """
    output = None if path is None else Output.checked(path, force=force)
    if isinstance(what, Schedule):
        schedule, known, found_with = what, {}, None
    else:
        found = named(what)
        schedule, known, found_with = found.schedule, found.provenance, found.optimizer
    chosen = found_with if optimizer is None else optimizer_named(optimizer)
    text = source(schedule, to, known if provenance is None else provenance, chosen)
    if output is not None:
        output.write(text.encode())
    return text
