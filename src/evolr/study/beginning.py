"""What a search is to begin with: schedules, by whatever names them, in the search's own terms."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from evolr.config import Config, Search, changed
from evolr.errors import ConfigError, shortened
from evolr.expression import Expression, original_text
from evolr.schedule import Schedule
from evolr.search.behaviour import behaviour
from evolr.signals.own import signal_of
from evolr.study.summary import best_schedules

_OF_A_RUN: Final = 6  # schedules of a former run: its best
_ALIKE: Final = 0.02  # decades, in which learning rates may differ in the search's own terms


def begun_with(config: Config, initial: object) -> Config:
    """The configuration of a search that begins with some schedules.

    initial: a Schedule, what `evolr.load` takes, or a list of such; of a run, its best schedules and not the champion alone.
    Raises ConfigError for what is none of these, and for a schedule that this search cannot say.
    """
    if initial is None:
        return config
    if isinstance(initial, str | Path | Schedule):
        initial = [initial]
    if not isinstance(initial, Iterable):
        raise ConfigError(f"initial is a list of schedules, formulas, names or runs, got {shortened(repr(initial))}")
    schedules = [schedule for what in cast("Iterable[Any]", initial) for schedule in _schedules(what)]
    formulas = [original_text(in_search(config.search, schedule)) for schedule in schedules]
    return changed(config, {"search.initial": list(dict.fromkeys([*config.search.initial, *formulas]))})


def _schedules(what: Any) -> Sequence[Schedule]:
    from evolr.named import load  # it looks into studies, so that this room cannot know it from the start

    if isinstance(what, Schedule):
        return [what]
    if isinstance(what, str | Path) and os.path.isdir(what):
        found = best_schedules(Path(what), _OF_A_RUN)
        if not found:
            raise ConfigError(f"{what} has no schedule yet to begin with")
        return [schedule for schedule, _ in found]
    return [load(what)]


def in_search(search: Search, schedule: Schedule) -> Expression:
    """The expression that is this schedule by a search's transform and bounds.

    Raises ConfigError for a schedule that reads what no formula of the search may, and for one beyond the search's bounds or sizes.
    """
    told = {signal_of(terminal) for terminal in search.terminals}
    if unknown := sorted(schedule.signals - told):
        raise ConfigError(
            f"initial: {schedule.expression} reads {', '.join(unknown)}, which is none of the search's terminals: "
            f"{', '.join(search.terminals)}"
        )
    wanted = behaviour(schedule, search.own_signals)
    for bounded in (False, True):
        tree = _said(search, schedule, bounded=bounded)
        if tree.size <= search.max_size and tree.depth <= search.max_depth:
            found = behaviour(search.schedule(tree), search.own_signals)
            if np.abs(found - wanted).max() < _ALIKE:
                return tree
    raise ConfigError(
        f"initial: {schedule.expression} is no formula of this search: beyond search.max_size {search.max_size}, "
        f"max_depth {search.max_depth}, or its learning rates beyond search.min_lr {search.min_lr:g} and max_lr {search.max_lr:g}"
    )


def _said(search: Search, schedule: Schedule, *, bounded: bool) -> Expression:
    tokens = schedule.expression.tokens
    if schedule.transform == search.transform == "log" and not bounded:
        shift = math.log(schedule.reference_lr / search.reference_lr)
        return Expression(tokens if shift == 0 else ("add", shift, *tokens))
    if schedule.transform == "log":
        tokens = ("mul", schedule.reference_lr, "exp", *tokens)
    if bounded:
        tokens = ("min", schedule.max_lr, "max", schedule.min_lr, *tokens)
    if search.transform == "log":
        tokens = ("add", -math.log(search.reference_lr), "log", *tokens)
    return Expression(tokens)
