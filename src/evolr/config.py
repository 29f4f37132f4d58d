"""The configuration of a study: frozen, strict, and stored as resolved.

A configuration is resolved from a preset, then a TOML file, then single settings, the later ones on top.
Every default lives here or in the settings that a problem or an optimiser defines.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal, cast

import msgspec

from evolr.errors import ConfigError, EvolrError, unknown_name
from evolr.expression import CORE_SIGNALS, ORIGINAL_SET, PRIMITIVES, SIGNALS, Expression
from evolr.expression.text import MAX_NESTING, MAX_NODES
from evolr.presets import DEFAULT, PRESETS, RENAMED
from evolr.problems import PROBLEMS, AnyProblem, External, JaxProblem, Mnist1dMlp, Problem
from evolr.schedule import Schedule, Transform
from evolr.signals.own import MARK, fault_of
from evolr.training.optimizers import Optimizer

CONSTANT: Final = "constant"
"""The terminal that stands for a random constant."""


class Training(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How one network trains. epochs: of a trial of the search."""

    epochs: int = 10
    optimizer: Optimizer = msgspec.field(default_factory=Optimizer)

    def __post_init__(self) -> None:
        _at_least("training.epochs", self.epochs, 1)


class Search(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How schedules evolve.

    method: `generational`, tree genetic programming as in the first experiment; `memetic`, a population of structures
        that each tune their constants (search/memetic.py).
    population, generations: individuals in each population (structures, where memetic), and populations evaluated, the
        first included.
    functions: primitives that formulas are made of. terminals: signals, and `constant`; of one of your own, that your
        training function tells, `@name`. own_signals: these, by name, least and greatest value.
    constant_range: a new constant is uniform in it.
    transform, reference_lr, min_lr, max_lr: of every schedule; see Schedule.
    seeds: training runs of an individual; its fitness is their mean.
    initial_depth: least and greatest depth of the ramped half-and-half initialisation.
    tournament: individuals drawn for each tournament selection. elites: best individuals copied unchanged. Both of the
        generational method alone.
    crossover, subtree_mutation, point_mutation, hoist_mutation, constant_mutation, growth_mutation: the probability
        that a child is made so; what they leave of 1 is the probability that it is a copy.
    max_depth, max_size: limits of a formula. An oversize child is discarded, a copy of its first parent takes
        its place, and the history says so.
    finalists, race_seeds: how many of the most promising race at the end, on fresh seeds and the selection pool, and on
        how many seeds at first; each heat keeps a third and triples the seeds. The winner is the champion. 0: no race.

    Of the memetic method alone:
    samples: points that each structure tries a generation. children: new structures tried a generation.
    youth: generations for which a new structure is safe. seed_families: whether the first structures are the standard
        families, as far as the language can say them. random_structures: random ones among the first.
    """

    method: Literal["generational", "memetic"] = "generational"
    population: int = 20
    generations: int = 10
    functions: tuple[str, ...] = ORIGINAL_SET
    terminals: tuple[str, ...] = (*CORE_SIGNALS, CONSTANT)
    own_signals: tuple[tuple[str, float, float], ...] = ()
    constant_range: tuple[float, float] = (-1.0, 1.0)
    transform: Transform = "linear"
    reference_lr: float = 1e-3
    min_lr: float = 1e-8
    max_lr: float = 1.0
    seeds: int = 1
    initial_depth: tuple[int, int] = (2, 5)
    tournament: int = 3
    elites: int = 1
    crossover: float = 0.7
    subtree_mutation: float = 0.1
    point_mutation: float = 0.05
    hoist_mutation: float = 0.05
    constant_mutation: float = 0.1
    growth_mutation: float = 0.0
    max_depth: int = 8
    max_size: int = 50
    finalists: int = 0
    race_seeds: int = 6
    samples: int = 8
    children: int = 8
    youth: int = 4
    seed_families: bool = False
    random_structures: int = 8

    def __post_init__(self) -> None:
        for name in (
            "population",
            "generations",
            "seeds",
            "tournament",
            "max_depth",
            "max_size",
            "race_seeds",
            "youth",
        ):
            _at_least(f"search.{name}", getattr(self, name), 1)
        for name in ("elites", "finalists", "random_structures", "children"):
            _at_least(f"search.{name}", getattr(self, name), 0)
        _at_least("search.samples", self.samples, 4)
        _each_known("search.functions", "function", self.functions, PRIMITIVES)
        self._check_own_signals()
        own = [MARK + name for name, _, _ in self.own_signals]
        _each_known("search.terminals", "terminal", self.terminals, [*SIGNALS, *own, CONSTANT])
        if self.method == "memetic":
            self._check_memetic()
        _at_most("search.max_size", self.max_size, MAX_NODES)
        _at_most("search.max_depth", self.max_depth, MAX_NESTING)
        for name in ("tournament", "elites") if self.method == "generational" else ():
            if getattr(self, name) > self.population:
                raise ConfigError(
                    f"search.{name} must be at most the population, {self.population}, got {getattr(self, name)}"
                )
        low, high = self.constant_range
        if not (math.isfinite(high - low) and low <= high):
            raise ConfigError(f"search.constant_range must be two finite numbers, low then high, got {low}, {high}")
        least, most = self.initial_depth
        if not 1 <= least <= most <= self.max_depth:
            raise ConfigError(
                f"search.initial_depth must be from 1 to max_depth, {self.max_depth}, least then greatest, got {least}, {most}"
            )
        for name, value in self.operators.items():
            if not 0 <= value <= 1:
                raise ConfigError(f"search.{name} must be a probability, got {value}")
        if (total := math.fsum(self.operators.values())) > 1 + 1e-9:
            raise ConfigError(f"search.{', '.join(self.operators)} must add up to at most 1, got {total:g}")
        self.schedule(Expression((0.0,)))  # raises for a transform or bounds out of range

    def _check_own_signals(self) -> None:
        names = [name for name, _, _ in self.own_signals]
        for name, low, high in self.own_signals:
            if fault := fault_of(name):
                raise ConfigError(f"search.own_signals: {fault}")
            if not (math.isfinite(high - low) and low < high):
                raise ConfigError(
                    f"search.own_signals: a signal lies between two finite numbers, the least first, got {low}, {high} of {name!r}"
                )
            if MARK + name not in self.terminals or names.count(name) > 1:
                raise ConfigError(
                    f"search.own_signals names each own signal of search.terminals once, as {MARK}{name} there; got "
                    f"{', '.join(names)} and the terminals {', '.join(self.terminals)}"
                )

    def _check_memetic(self) -> None:
        if not (self.seed_families or self.random_structures):
            raise ConfigError("search.random_structures must be at least 1 where search.seed_families is false, got 0")
        if self.population <= self.youth:
            raise ConfigError(
                f"search.population must be greater than search.youth, {self.youth}, so that good structures can stay; got "
                f"{self.population}"
            )
        for name, needed in (("functions", "add"), ("functions", "mul"), ("terminals", CONSTANT)):
            if needed not in getattr(self, name):
                raise ConfigError(f"the memetic method tunes constants: search.{name} must hold {needed!r}")

    @property
    def operators(self) -> dict[str, float]:
        """The probability of each way of making a child, by name."""
        names = (
            "crossover",
            "subtree_mutation",
            "point_mutation",
            "hoist_mutation",
            "constant_mutation",
            "growth_mutation",
        )
        return {name: getattr(self, name) for name in names}

    @property
    def generations_in_all(self) -> int:
        """The populations that are evaluated, the race's finalists included."""
        return self.generations + (self.finalists > 0)

    def schedule(self, expression: Expression) -> Schedule:
        """The schedule that an expression is in this search."""
        return Schedule(
            expression=expression,
            transform=self.transform,
            min_lr=self.min_lr,
            max_lr=self.max_lr,
            reference_lr=self.reference_lr,
        )


class Comparison(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a champion is compared with the published baselines.

    epochs: of each training. seeds: trainings of each schedule. base_lr: where the baselines start.
    """

    epochs: int = 30
    seeds: int = 8
    base_lr: float = 1e-3

    def __post_init__(self) -> None:
        _at_least("comparison.epochs", self.epochs, 1)
        _at_least("comparison.seeds", self.seeds, 1)
        if not (self.base_lr > 0 and math.isfinite(self.base_lr)):
            raise ConfigError(f"comparison.base_lr must be positive, got {self.base_lr}")


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole configuration of a study. seed: the study's; every draw is keyed by it."""

    seed: int = 0
    problem: AnyProblem = msgspec.field(default_factory=Mnist1dMlp)
    training: Training = msgspec.field(default_factory=Training)
    search: Search = msgspec.field(default_factory=Search)
    comparison: Comparison = msgspec.field(default_factory=Comparison)

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise ConfigError(f"seed must be from 0 to 2³² − 1, got {self.seed}")
        given = self.problem.optimizers
        if self.training.optimizer.name not in given:
            raise ConfigError(
                f"the problem {problem_name(self.problem)!r} trains by {', '.join(given)}, "
                f"got the optimizer {self.training.optimizer.name!r}"
            )
        require_signals(self.problem, [t for t in self.search.terminals if t != CONSTANT])


def resolve(preset: str = DEFAULT, file: Path | None = None, settings: Mapping[str, Any] | None = None) -> Config:
    """The configuration of a preset, a TOML file and single settings by dotted name, the later on top.

    preset: `memetic`, the best search that we know, where none is named; `original`, `quadratic` or `function`.

    >>> resolve("original", settings={"search.population": 50}).search.population
    50

    Raises ConfigError for what is unknown, of the wrong type or out of range.
    """
    if preset in RENAMED:
        raise ConfigError(f"the preset {preset!r} is called {RENAMED[preset]!r} now: name it so")
    if preset not in PRESETS:
        raise ConfigError(unknown_name("preset", preset, PRESETS))
    data = _merged({}, PRESETS[preset])
    if file is not None:
        data = _merged(data, _read_toml(file))
    return from_data(_merged(data, _nested(settings or {})))


def config_of(problem: JaxProblem, settings: Mapping[str, Any] | None = None, seed: int = 0) -> Config:
    """The configuration of a study that a JaxProblem trains: preset `memetic`, with single settings by dotted name on top.

    Its problem is `external`: a study remembers the metric and the name of who trains it, and no code. Unless
    `comparison.epochs` is given, champions are compared and proven at the search's epochs. Raises ConfigError as `resolve`
    does, and for settings of the problem, which are the JaxProblem's own.
    """
    settings = dotted(settings or {})
    if own := [name for name in settings if name.split(".")[0] == "problem"]:
        raise ConfigError(f"{own[0]} is what the JaxProblem says; give it there")
    external = External(
        metric_name=problem.metric.name,
        higher_is_better=problem.metric.higher_is_better,
        steps_per_epoch=problem.steps_per_epoch,
        trainer=problem.identity,
    )
    given = {"seed": seed, **settings, "problem": msgspec.to_builtins(external)}
    config = resolve("memetic", settings=given)
    if "comparison.epochs" in given:
        return config
    return changed(config, {"comparison.epochs": config.training.epochs})


def changed(config: Config, settings: Mapping[str, Any]) -> Config:
    """A configuration with single settings by dotted name on top; errors as of `resolve`."""
    return from_data(_merged(msgspec.to_builtins(config), _nested(settings)))


def from_data(data: Mapping[str, Any]) -> Config:
    """The configuration of a nested mapping, as TOML gives it; errors as of `resolve`."""
    _refuse_unknown_keys(data)
    try:
        return msgspec.convert(data, Config)
    except msgspec.ValidationError as error:
        if isinstance(error.__cause__, EvolrError):
            raise ConfigError(str(error.__cause__)) from error
        raise ConfigError(_readable(str(error))) from error


def load(path: Path) -> Config:
    """The configuration that a study stored."""
    return from_data(_read_toml(path))


def to_toml(config: Config) -> bytes:
    """The whole configuration, as resolved."""
    return msgspec.toml.encode(config)


def differences(one: Config, other: Config) -> dict[str, tuple[Any, Any]]:
    """The settings in which two configurations differ, by dotted name, with both values."""
    left, right = dotted(msgspec.to_builtins(one)), dotted(msgspec.to_builtins(other))
    names = [*left, *(name for name in right if name not in left)]
    return {n: (left.get(n), right.get(n)) for n in names if left.get(n) != right.get(n)}


def dotted(table: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Settings as tables in tables, by dotted name alone; names that are dotted already may be among them."""
    flat: dict[str, Any] = {}
    for key, value in table.items():
        flat |= dotted(cast("Any", value), f"{path}{key}.") if isinstance(value, Mapping) else {f"{path}{key}": value}
    return flat


def problem_name(problem: Problem) -> str:
    """The tag of a problem's settings; the name that a JaxProblem was given."""
    if isinstance(problem, JaxProblem):
        return problem.name
    return str(cast("msgspec.Struct", problem).__struct_config__.tag)


def require_signals(problem: Problem, names: Sequence[str]) -> None:
    """Raises ConfigError where a problem does not give one of the signals."""
    for name in names:
        if name.startswith(MARK) and not problem.takes_own_signals:
            raise ConfigError(
                f"{name!r} is a signal of your own, which a training function tells; the problem {problem_name(problem)!r} gives "
                f"{', '.join(problem.signals)}"
            )
        if name not in problem.signals and not name.startswith(MARK):
            raise ConfigError(
                f"the problem {problem_name(problem)!r} does not give the signal {name!r}; it gives {', '.join(problem.signals)}"
            )


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a TOML file: {error}") from error


def _nested(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by dotted name as tables in tables."""
    data: dict[str, Any] = {}
    for name, value in dotted(settings).items():
        *tables, last = name.split(".")
        table = data
        for key in tables:
            table = table.setdefault(key, {})
            if not isinstance(table, dict):
                raise ConfigError(f"{name} is a setting in {key}, which is given another value beside it")
        table[last] = value
    return data


def _merged(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """`top` over `base`, table by table. Another problem or optimiser starts from its own defaults."""
    if "name" in base and "name" in top and base["name"] != top["name"]:
        return dict(top)
    merged = dict(base)
    for key, value in top.items():
        below = merged.get(key, {})
        is_table = isinstance(value, Mapping) and isinstance(below, Mapping)
        merged[key] = _merged(cast("Any", below), cast("Any", value)) if is_table else value
    return merged


def _refuse_unknown_keys(data: Mapping[str, Any]) -> None:
    tables: dict[str, type[msgspec.Struct]] = {"training": Training, "search": Search, "comparison": Comparison}
    _refuse_unknown("", data, ("seed", "problem", *tables))
    for name, struct in tables.items():
        _refuse_unknown(f"{name}.", data.get(name), struct.__struct_fields__)
    training = data.get("training")
    if isinstance(training, Mapping):
        _refuse_unknown("training.optimizer.", cast("Any", training).get("optimizer"), Optimizer.__struct_fields__)
    problem = cast("Any", data.get("problem"))
    if isinstance(problem, Mapping):
        name = cast("Any", problem).get("name", "mnist1d-mlp")
        if not isinstance(name, str) or name not in PROBLEMS:
            raise ConfigError(unknown_name("problem", str(name), PROBLEMS))
        _refuse_unknown("problem.", problem, ("name", *PROBLEMS[name].__struct_fields__))


def _refuse_unknown(path: str, table: Any, known: Sequence[str]) -> None:
    for key in cast("Mapping[str, Any]", table) if isinstance(table, Mapping) else ():
        if key not in known:
            raise ConfigError(unknown_name("setting", f"{path}{key}", [f"{path}{k}" for k in known]))


def _readable(message: str) -> str:
    """Msgspec's «Expected `int`, got `str` - at `$.search.population`» with the setting's name in front."""
    text, _, place = message.partition(" - at ")
    text = (text[:1].lower() + text[1:]).replace("`", "")
    return f"{place.strip('`').removeprefix('$.')}: {text}" if place else text


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise ConfigError(f"{name} must be at least {least}, got {value}")


def _at_most(name: str, value: int, most: int) -> None:
    if value > most:
        raise ConfigError(f"{name} must be at most {most}, got {value}")


def _each_known(name: str, kind: str, given: Sequence[str], known: Any) -> None:
    if not given:
        raise ConfigError(f"{name} must name at least one {kind}")
    for each in given:
        if each not in known:
            raise ConfigError(unknown_name(kind, each, known))
    if len(set(given)) < len(given):
        raise ConfigError(f"{name} names a {kind} twice: {', '.join(given)}")
