"""What a search is to begin with: schedules, by whatever names them, in the search's own terms."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from evolr.config import Config, Search, changed
from evolr.errors import ConfigError, EvolrError, count, has_items, shortened, shown
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
    if not has_items(initial):
        raise ConfigError(f"initial is a list of schedules, formulas, names or runs, got {shown(initial)}")
    formulas = [text for what in cast("Iterable[Any]", initial) for text in _formulas(config.search, what)]
    return changed(config, {"search.initial": list(dict.fromkeys([*config.search.initial, *formulas]))})


def warn_of_left_out(search: Search) -> None:
    """Warns of initial formulas that the search does not begin with."""
    given, room = len(search.initial), search.initial_at_most
    if given > room:
        warnings.warn(
            f"search.initial has {count(given, 'formula')}, and search.population room for {room}; left out: the last {given - room}",
            UserWarning,
            stacklevel=5,  # who calls evolve
        )


def _formulas(search: Search, what: Any) -> list[str]:
    """What something names, in the search's own terms; of a former run what can be said so."""
    from evolr.named import load  # it looks into studies, so this package cannot import it at the top

    if isinstance(what, str | Path) and os.path.isdir(what):
        return _of_run(search, Path(what))
    name = str(what.expression) if isinstance(what, Schedule) else str(what)
    try:
        schedule = what if isinstance(what, Schedule) else load(what)
        return [original_text(in_search(search, schedule))]
    except EvolrError as error:
        raise ConfigError(f"initial {shortened(name)!r}: {error}") from error


def _of_run(search: Search, run: Path) -> list[str]:
    """The best schedules of a run that the search can say; those that it cannot are told of. Raises ConfigError for none."""
    found = best_schedules(run, _OF_A_RUN)
    if not found:
        raise ConfigError(f"initial {str(run)!r}: it has no schedule yet to begin with")
    formulas: list[str] = []
    reasons: list[ConfigError] = []
    for schedule, _ in found:
        try:
            formulas.append(original_text(in_search(search, schedule)))
        except ConfigError as reason:
            reasons.append(reason)
    if not formulas:
        raise ConfigError(f"initial {str(run)!r}: none of its best schedules can be said: the first {reasons[0]}")
    if reasons:
        warnings.warn(
            f"initial {str(run)!r}: {len(reasons)} of its {len(found)} best schedules are left out: the first {reasons[0]}",
            UserWarning,
            stacklevel=4,
        )
    return formulas


def in_search(search: Search, schedule: Schedule) -> Expression:
    """The expression that is this schedule by a search's transform and bounds.

    Raises ConfigError for a schedule that reads what no formula of the search may, and for one beyond the search's bounds or sizes.
    """
    told = {signal_of(terminal) for terminal in search.terminals}
    if unknown := sorted(schedule.signals - told):
        raise ConfigError(
            f"reads {', '.join(unknown)}, which is none of search.terminals: {', '.join(search.terminals)}"
        )
    wanted = behaviour(schedule, search.own_signals)
    said = [_said(search, schedule, bounded=bounded) for bounded in (False, True)]
    alike = [
        tree for tree in said if np.abs(behaviour(search.schedule(tree), search.own_signals) - wanted).max() < _ALIKE
    ]
    if not alike:
        raise ConfigError(
            f"has learning rates beyond this search's, from search.min_lr {search.min_lr:g} to search.max_lr {search.max_lr:g}"
        )
    tree = alike[0]
    if tree.size > search.max_size or tree.depth > search.max_depth:
        raise ConfigError(
            f"has {tree.size} nodes and {tree.depth} levels in this search's terms, more than search.max_size "
            f"{search.max_size} or search.max_depth {search.max_depth}"
        )
    return tree


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
