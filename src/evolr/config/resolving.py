"""From a preset, a TOML file and single settings to a configuration, the later ones on top."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from functools import reduce
from pathlib import Path
from typing import Any, cast

import msgspec

from evolr.config.budget import plan
from evolr.config.data import from_data
from evolr.config.dotted import dotted, nested
from evolr.config.search import METHODS
from evolr.config.settings import Config
from evolr.config.stored import read_given
from evolr.errors import ConfigError, shown, unknown_name
from evolr.presets import DEFAULT, PRESETS, RENAMED
from evolr.problems import External, OwnProblem


def resolve(
    preset: str = DEFAULT,
    file: Path | str | None = None,
    settings: Mapping[str, Any] | None = None,
    *,
    trainings: int | None = None,
) -> Config:
    """The configuration of a preset, a TOML file and single settings by dotted name, the later on top.

    preset: `memetic`, the best search that we know, where none is named; `suite`, `mixed`, `original`, `quadratic` or `function`.
    trainings: that the search is to spend, its race included: how it searches follows from them (config/budget.py), and is refused
        in file and settings; of the preset's own search what a formula is made of stays.

    >>> resolve("original", settings={"search.population": 50}).search.population
    50

    Raises ConfigError for what is unknown, of another problem or search method, of the wrong type or out of range.
    """
    if not isinstance(cast("Any", preset), str):
        raise ConfigError(f"a preset is given by its name, got {shown(preset)}")
    if preset in RENAMED:
        raise ConfigError(f"the preset {preset!r} is called {RENAMED[preset]!r} now: name it so")
    if preset not in PRESETS:
        raise ConfigError(unknown_name("preset", preset, PRESETS))
    given = nested({} if settings is None else settings)
    return _with(PRESETS[preset], [given] if file is None else [read_given(Path(file)), given], trainings)


def _with(data: Mapping[str, Any], given: Sequence[Mapping[str, Any]], trainings: int | None) -> Config:
    """What a person gives, as nested tables, on top of data, and between them, if a number of trainings is given, what follows from it."""
    names = {name for table in given for name in dotted(table)}
    planned = [] if trainings is None else [nested(_planned(trainings, names))]
    try:
        return from_data(reduce(_merged, [*planned, *given], data))
    except ConfigError as error:
        if trainings is not None and any(name.startswith("search.") for name in names):
            raise ConfigError(f"{error}; with trainings={trainings} the method is bayesian") from error
        raise


def _planned(trainings: int, given: Set[str]) -> dict[str, Any]:
    """The settings of a search for a budget. Raises ConfigError for those of them that are given as well, by dotted name."""
    planned = plan(trainings)
    if both := sorted(planned.keys() & given):
        follow = "follows" if len(both) == 1 else "follow"
        raise ConfigError(f"{', '.join(both)} {follow} from trainings={trainings}: give the one or the other")
    return planned


def config_of(
    problem: OwnProblem, settings: Mapping[str, Any] | None = None, seed: int = 0, trainings: int | None = None
) -> Config:
    """The configuration of a study that a JaxProblem or a Suite trains: its preset, with single settings by dotted name on top.

    Its problem is `external`: a study remembers the metric and the name of who trains it, and no code. Unless
    `comparison.epochs` is given, champions are compared and proven at the search's epochs. Raises ConfigError as `resolve`
    does, and for settings of the problem, which are the problem's own.
    """
    settings = dotted({} if settings is None else settings)
    if own := [name for name in settings if name.split(".")[0] == "problem"]:
        raise ConfigError(f"{own[0]} is what the {type(problem).__name__} says; give it there")
    external = External(
        metric_name=problem.metric.name,
        higher_is_better=problem.metric.higher_is_better,
        steps_per_epoch=problem.steps_per_epoch,
        draws_tasks=problem.draws_tasks,
        trainer=problem.identity,
    )
    given = {"seed": seed, **settings, "problem": msgspec.to_builtins(external)}
    config = resolve(problem.preset, settings=given, trainings=trainings)
    if "comparison.epochs" in given:
        return config
    return changed(config, {"comparison.epochs": config.training.epochs})


def changed(config: Config, settings: Mapping[str, Any], *, trainings: int | None = None) -> Config:
    """A configuration with single settings by dotted name on top; trainings and errors as of `resolve`."""
    return _with(msgspec.to_builtins(config), [nested(settings)], trainings)


def differences(one: Config, other: Config) -> dict[str, tuple[Any, Any]]:
    """The settings in which two configurations differ, by dotted name, with both values.

    Settings that one of them alone has are those of another problem or search method, and its name says it all.
    """
    left, right = dotted(msgspec.to_builtins(one)), dotted(msgspec.to_builtins(other))
    return {name: (left[name], right[name]) for name in left if name in right and left[name] != right[name]}


def _merged(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """`top` over `base`, table by table.

    Another problem or optimiser starts from its own defaults; another search method keeps the settings that both have.
    """
    if _is_another("name", base, top):
        return dict(top)
    merged = dict(base)
    if _is_another("method", base, top) and top["method"] in METHODS:
        known = METHODS[top["method"]].__struct_fields__
        merged = {name: value for name, value in base.items() if name in known}
    for key, value in top.items():
        below = merged.get(key, {})
        is_table = isinstance(value, Mapping) and isinstance(below, Mapping)
        merged[key] = _merged(cast("Any", below), cast("Any", value)) if is_table else value
    return merged


def _is_another(key: str, base: Mapping[str, Any], top: Mapping[str, Any]) -> bool:
    return key in base and isinstance(top.get(key), str) and base[key] != top[key]
