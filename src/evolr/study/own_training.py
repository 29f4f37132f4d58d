"""The study of a user's own training function: its configuration, and the workers that train it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from inspect import signature
from typing import Any, Final, cast

from evolr.config import CONSTANT, Config, dotted, resolve
from evolr.errors import ConfigError, has_items, shown
from evolr.execution.executor import Executor, ExecutorMaker
from evolr.execution.training_function import TrainingFunction, name_of
from evolr.expression import SIGNALS
from evolr.ranges import EPOCHS, STUDY_SEEDS
from evolr.signals.own import MARK, signal_of, token_of
from evolr.study.trained_by import executor_for

SignalNames = Iterable[str] | Mapping[str, tuple[float, float] | None]
"""Names of signals, or of each the range of its values, None for one of evolr's own."""

_LIKE: Final = 0.8  # how much alike a name and a signal's are that is taken for a slip of the pen

_ARGUMENTS: Final = {
    "seed": "seed",
    "training.epochs": "epochs",
    "search.terminals": "signals",
    "search.own_signals": "signals",
    "problem.metric_name": "metric",
    "problem.higher_is_better": "higher_is_better",
}
"""The settings that are arguments of `evolve`, and their names there."""

_OF_PROBLEM: Final = ("problem.steps_per_epoch", "problem.draws_tasks")  # that may be set of a function


def study_of(
    train: TrainingFunction,
    *,
    epochs: int,
    metric: str = "score",
    higher_is_better: bool = True,
    signals: SignalNames = ("progress", "loss", "val_loss"),
    seed: int = 0,
    settings: Mapping[str, Any] | None = None,
    workers: int | None = None,
    time_limit: float | None = None,
    memory_limit: float | None = None,
    threads: int | None = None,
    executor: ExecutorMaker | None = None,
    trainings: int | None = None,
) -> tuple[Config, Executor]:
    """What `evolve` makes of a function: preset `function` with these settings, and what trains.

    Raises ConfigError for a function, a signal, a limit or a setting that cannot be; nothing is started or written.
    """
    own = _own_signals(signals)
    settings = dotted({} if settings is None else settings)
    _refuse_arguments(settings)
    given = {
        "seed": STUDY_SEEDS.of("seed", seed),
        "problem.metric_name": metric,
        "problem.higher_is_better": higher_is_better,
        "problem.trainer": name_of(train),
        "training.epochs": (epochs := EPOCHS.of("epochs", epochs)),
        "comparison.epochs": epochs,
        "search.terminals": [*map(token_of, map(signal_of, signals)), CONSTANT],
        "search.own_signals": own,
    }
    config = resolve("function", settings={**given, **settings}, trainings=trainings)
    limits = {"time_limit": time_limit, "memory_limit": memory_limit}
    return config, executor_for(config, train, {"executor": executor, "workers": workers, "threads": threads, **limits})


OPTIONS: Final = tuple(signature(study_of).parameters)[1:]
"""The options of `evolve` with a function."""


def _own_signals(signals: SignalNames) -> list[tuple[str, float, float]]:
    """The signals of the user's own, by name, least and greatest value.

    Raises ConfigError for a name that looks like a mistake, and for a range that is none.
    """
    if isinstance(signals, str):
        raise ConfigError(f"signals is a list of names, such as ({signals!r},), got the text {signals!r}")
    if not has_items(signals):
        raise ConfigError(f"signals is a list of names, such as ('progress', 'loss'), got {shown(signals)}")
    own: list[tuple[str, float, float]] = []
    spans = cast("Mapping[str, Any]", signals) if isinstance(signals, Mapping) else dict.fromkeys(signals)
    for given, span in spans.items():
        if not isinstance(cast("Any", given), str):
            raise ConfigError(f"a signal is given by its name, got {shown(given)}")
        name = signal_of(given)
        if name in SIGNALS and name == given:
            if span is not None:
                raise ConfigError(
                    f"{name!r} is a signal of evolr's, which needs no range: give None, got {shown(span)}"
                )
            continue
        near = difflib.get_close_matches(name[:80], list(SIGNALS), n=1, cutoff=_LIKE)
        if near and name == given and name not in SIGNALS:
            raise ConfigError(
                f"unknown signal {name!r}; did you mean {near[0]!r}? A signal of your own with that name is {MARK + name!r}"
            )
        low, high = (0.0, 1.0) if span is None else _span(name, span)
        own.append((name, low, high))
    return own


def _span(name: str, span: Any) -> tuple[float, float]:
    try:
        low, high = map(float, span)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"the range of the signal {name!r} is its least and its greatest value, such as (0.0, 1.0), got {shown(span)}"
        ) from error
    return low, high


def _refuse_arguments(settings: Mapping[str, Any]) -> None:
    """Raises ConfigError for a setting, by dotted name, that `evolve` makes of its arguments."""
    for name in settings:
        if name in _ARGUMENTS:
            raise ConfigError(f"{name} is no setting here, but an argument: evolve(…, {_ARGUMENTS[name]}=…)")
        if name.split(".")[0] == "problem" and name not in _OF_PROBLEM:
            raise ConfigError(
                f"{name} cannot be set: the problem is your function; of it, metric=…, higher_is_better=… and the settings "
                f"{' and '.join(_OF_PROBLEM)} can be given"
            )
