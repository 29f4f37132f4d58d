"""The study of a user's own training function: its configuration, and the workers that train it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any, Final

from evolr.config import CONSTANT, Config, changed, dotted, resolve
from evolr.errors import ConfigError, unknown_name, whole_number
from evolr.execution.training_function import TrainingFunction, name_of
from evolr.execution.workers import Workers
from evolr.expression import SIGNALS

_ARGUMENTS: Final = {
    "seed": "seed",
    "training.epochs": "epochs",
    "search.terminals": "signals",
    "problem.metric_name": "metric",
    "problem.higher_is_better": "higher_is_better",
}
"""The settings that are arguments of `evolve`, and their names there."""


def study_of(
    train: TrainingFunction,
    *,
    epochs: int,
    metric: str = "score",
    higher_is_better: bool = True,
    signals: Sequence[str] = ("progress", "loss", "val_loss"),
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    workers: int | None = None,
    time_limit: float | None = None,
    memory_limit: float | None = None,
    threads: int = 1,
) -> tuple[Config, Workers]:
    """What `evolve` makes of a function: preset `function` with these settings, and what trains.

    Raises ConfigError for a function, a signal, a limit or a setting that cannot be; nothing is started or written.
    """
    if isinstance(signals, str):
        raise ConfigError(f"signals is a list of names, such as ({signals!r},), got the text {signals!r}")
    for signal in signals:
        if signal not in SIGNALS:
            raise ConfigError(unknown_name("signal", signal, SIGNALS))
    settings = dotted(settings or {})
    _refuse_arguments(settings)
    executor = Workers(
        train,
        count=workers,
        time_limit=time_limit,
        memory_limit=memory_limit,
        threads=threads,
        signals=frozenset(signals),
    )
    given = {
        "seed": whole_number("seed", seed),
        "problem.metric_name": metric,
        "problem.higher_is_better": higher_is_better,
        "problem.trainer": name_of(train),
        "training.epochs": (epochs := whole_number("epochs", epochs)),
        "comparison.epochs": epochs,
        "search.terminals": [*signals, CONSTANT],
    }
    return changed(resolve("function", settings=given), settings), executor


OPTIONS: Final = tuple(signature(study_of).parameters)[1:]
"""The options of `evolve` with a function."""


def _refuse_arguments(settings: Mapping[str, Any]) -> None:
    """Raises ConfigError for a setting, by dotted name, that `evolve` makes of its arguments."""
    for name in settings:
        if name in _ARGUMENTS:
            raise ConfigError(f"{name} is no setting here, but an argument: evolve(…, {_ARGUMENTS[name]}=…)")
        if name.split(".")[0] == "problem" and name != "problem.steps_per_epoch":
            raise ConfigError(
                f"{name} cannot be set: the problem is your function; of it, metric=…, higher_is_better=… and the setting "
                "problem.steps_per_epoch can be given"
            )
