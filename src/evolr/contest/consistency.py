"""What has to agree in a record that is read: with itself, and with what a record is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from evolr.config import Config, from_data
from evolr.contest.contender import Contender
from evolr.errors import StudyError


def study_config(study: dict[str, Any], metric: str | None = None, higher_is_better: bool | None = None) -> Config:
    """The configuration of a study; the metric and its direction are said once more, if the record says them.

    Raises StudyError where a part of it or a setting of the problem is missing, whose default might say otherwise.
    """
    config = from_data(study)
    whole = msgspec.to_builtins(config)
    missing = [name for name in whole if name not in study]
    missing += [f"problem.{name}" for name in whole["problem"] if name not in study.get("problem", {})]
    if missing:
        raise StudyError(f"its study lacks {', '.join(missing)}")
    own = config.problem.metric
    if (metric or own.name, own.higher_is_better if higher_is_better is None else higher_is_better) != (
        own.name,
        own.higher_is_better,
    ):
        raise StudyError("its metric is not that of its study")
    return config


def require_whole(contenders: Sequence[Contender], champion: str, seeds: int) -> None:
    """Raises StudyError unless the champion comes first, all others have pairs with it, none comes twice, and all have so
    many scores.
    """
    names = [contender.name for contender in contenders]
    if not names or names[0] != champion or [c for c in contenders if c.pairs is None] != list(contenders[:1]):
        raise StudyError(f"its contenders are not {champion!r} and others paired with it: {', '.join(names) or 'none'}")
    if len(set(names)) < len(names):
        raise StudyError(f"a contender comes twice: {', '.join(names)}")
    for contender in contenders:
        if len(contender.scores) != seeds or not seeds:
            raise StudyError(f"{contender.name!r} has {len(contender.scores)} scores of {seeds} seeds")
