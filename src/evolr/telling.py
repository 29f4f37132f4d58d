"""What the callbacks of trainers share: whom they tell, and what of a validation."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from evolr.errors import ScheduleError
from evolr.signals.table import observation_named
from evolr.torch import ExpressionLR


def expressions_in(scheduler: Any) -> list[ExpressionLR]:
    """The ExpressionLR that a scheduler is, or those that a SequentialLR or ChainedScheduler holds, at any depth."""
    if isinstance(scheduler, ExpressionLR):
        return [scheduler]
    return [found for part in getattr(scheduler, "_schedulers", ()) for found in expressions_in(part)]


def tell_validation(
    schedulers: Collection[ExpressionLR], metrics: Mapping[str, Any], names: Mapping[str, str | None]
) -> None:
    """Tells the schedulers what a validation has logged.

    metrics: by the names under which they are logged. names: those names, by what they are to a schedule, as
    {"val_loss": "eval_loss"}; None for what nobody has named.
    """
    told = {observation: metrics[name] for observation, name in names.items() if name is not None and name in metrics}
    if told:
        for scheduler in schedulers:
            scheduler.observe(**told)


def check_logged(
    schedulers: Collection[ExpressionLR], logged: Collection[str], names: Mapping[str, str | None], who: str
) -> None:
    """Raises ScheduleError for what a schedule reads and a validation has not logged.

    logged: the names of all that it has. who: does the logging, in words, as «the module».
    """
    for scheduler in schedulers:
        for observation in sorted(scheduler.observations & names.keys()):
            name, what = names[observation], observation_named(observation).source
            if name is None:
                raise ScheduleError(f"the schedule reads the validation's {what}: say its name, {observation}=…")
            if name not in logged:
                raise ScheduleError(
                    f"the schedule reads the {what}, and {who} logs no {name!r}; it logs "
                    f"{', '.join(sorted(logged)) or 'nothing'}"
                )
