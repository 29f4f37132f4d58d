"""The settings of the search: what every method has, and what each has of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Self

import msgspec

from evolr.config.checks import each_known
from evolr.errors import ConfigError, ExpressionError, shown
from evolr.expression import CORE_SIGNALS, ORIGINAL_SET, PRIMITIVES, SIGNALS, Expression, parse
from evolr.expression.text import MAX_NESTING, MAX_NODES
from evolr.ranges import SEEDS, Whole, require_ranges
from evolr.schedule import Schedule, Transform
from evolr.signals.own import MARK, fault_of, signal_of
from evolr.standard import FAMILIES

CONSTANT: Final = "constant"
"""The terminal that stands for a random constant."""

_MOST: Final = 100_000
_MOST_CANDIDATES: Final = 1_000_000
_LEAST_SAMPLES, _MOST_SAMPLES = 4, 10_000
_INDIVIDUALS: Final = Whole(1, _MOST)
_GENERATIONS: Final = Whole(1, 1_000_000)
_MOST_POINTS, _BYTES_OF_PAIR = 20_000, 32  # of a Gaussian process: its matrix, and copies of that

OPERATORS: Final = (
    "crossover",
    "subtree_mutation",
    "point_mutation",
    "hoist_mutation",
    "constant_mutation",
    "growth_mutation",
    "power_mutation",
    "product_crossover",
)
"""The ways of making a child, in the order in which they are drawn."""


class Search(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How schedules evolve, whatever the method; each method below adds its own settings.

    population, generations: individuals in each population (structures, where memetic), and populations evaluated, the
        first included.
    functions: primitives that formulas are made of. terminals: signals, and `constant`; of one of your own, that your
        training function tells, `@name`. own_signals: these, by name, least and greatest value.
    constant_range: a new constant is uniform in it.
    transform, reference_lr, min_lr, max_lr: of every schedule; see Schedule.
    seeds: trainings of an individual; its fitness is their mean.
    initial: formulas that the first population begins with, in the search's own terms (before the transform); `evolve` writes
        schedules so. The generational method begins with as many as its population has room for, and warns of more.
    initial_depth: least and greatest depth of the ramped half-and-half initialisation.
    crossover, subtree_mutation, point_mutation, hoist_mutation, constant_mutation, growth_mutation, power_mutation,
        product_crossover: the probability that a child is made so (search/variation.py says how); what they leave of 1 is the
        probability that it is a copy.
    max_depth, max_size: limits of a formula. An oversize child is discarded, a copy of its first parent takes
        its place, and the history says so.
    finalists, race_seeds: how many of the most promising race at the end, on fresh seeds and the selection pool, and on
        how many seeds at first; each heat keeps a third and triples the seeds. The winner is the champion. 0: no race.
    race_heats: heats at most; 0: as many as it takes. A budget that is up in the middle of a race ends it so, after the heats that it had.
    """

    population: Annotated[int, _INDIVIDUALS] = 20
    generations: Annotated[int, _GENERATIONS] = 10
    functions: tuple[str, ...] = ORIGINAL_SET
    terminals: tuple[str, ...] = (*CORE_SIGNALS, CONSTANT)
    own_signals: tuple[tuple[str, float, float], ...] = ()
    constant_range: tuple[float, float] = (-1.0, 1.0)
    transform: Transform = "linear"
    reference_lr: float = 1e-3
    min_lr: float = 1e-8
    max_lr: float = 1.0
    seeds: Annotated[int, SEEDS] = 1
    initial: tuple[str, ...] = ()
    initial_depth: tuple[int, int] = (2, 5)
    crossover: float = 0.7
    subtree_mutation: float = 0.1
    point_mutation: float = 0.05
    hoist_mutation: float = 0.05
    constant_mutation: float = 0.1
    growth_mutation: float = 0.0
    power_mutation: float = 0.0
    product_crossover: float = 0.0
    max_depth: Annotated[int, Whole(1, MAX_NESTING)] = 8
    max_size: Annotated[int, Whole(1, MAX_NODES)] = 50
    finalists: Annotated[int, Whole(0, _MOST)] = 0
    race_seeds: Annotated[int, SEEDS] = 6
    race_heats: Annotated[int, Whole(0, 100)] = 0

    def __post_init__(self) -> None:
        require_ranges("search.", self)
        each_known("search.functions", "function", self.functions, PRIMITIVES)
        self._check_own_signals()
        own = [MARK + name for name, _, _ in self.own_signals]
        each_known("search.terminals", "terminal", self.terminals, [*SIGNALS, *own, CONSTANT])
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
                raise ConfigError(f"search.{name} must be a probability, got {shown(value)}")
        if (total := math.fsum(self.operators.values())) > 1 + 1e-9:
            raise ConfigError(f"search.{', '.join(self.operators)} must add up to at most 1, got {total:g}")
        self.schedule(Expression((0.0,)))  # raises for a transform or bounds out of range
        for formula in self.initial_expressions:
            if unknown := sorted(formula.signals - {signal_of(terminal) for terminal in self.terminals}):
                raise ConfigError(
                    f"search.initial has a formula that reads {', '.join(unknown)}, which is none of search.terminals: "
                    f"{', '.join(self.terminals)}"
                )

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

    @property
    def initial_expressions(self) -> list[Expression]:
        """The formulas that it begins with."""
        try:
            return [parse(text) for text in self.initial]
        except ExpressionError as error:
            raise ConfigError(f"search.initial: {error}") from error

    @property
    def method(self) -> str:
        """The method's name, which says whose settings these are."""
        return str(self.__struct_config__.tag)

    @property
    def operators(self) -> dict[str, float]:
        """The probability of each way of making a child, by name."""
        return {name: getattr(self, name) for name in OPERATORS}

    @property
    def generations_in_all(self) -> int:
        """The populations that are evaluated, the race's finalists included."""
        return self.race_generation + (self.finalists > 0)

    @property
    def race_generation(self) -> int:
        """The number that the race has, if there is one: it comes after all others."""
        return self.generations

    @property
    def initial_at_most(self) -> int:
        """How many of the initial formulas it begins with: the first ones."""
        return len(self.initial)

    @property
    def most_at_once(self) -> int:
        """The trainings of the largest generation, about, or of the first heat of the race."""
        return max(self.seeds * max(self.population, len(self.initial)), self.race_seeds * self.finalists)

    def seeds_at(self, generation: int) -> int:
        """The trainings of each individual of a generation, which is not the race."""
        del generation  # they are the same for all
        return self.seeds

    def epochs_at(self, generation: int, epochs: int) -> int:
        """The epochs of the trainings of a generation; epochs: of a whole training, as those of the race are."""
        del generation
        return epochs

    def individuals_at(self, generation: int, first: int) -> int:
        """How many individuals of a generation have to be trained, about; first: of the first one."""
        return self.population if generation else first

    def ended_before(self, generation: int, finalists: int) -> Self:
        """These settings, ended early: the race, of so many finalists, takes the place of a generation that is not the first."""
        return msgspec.structs.replace(self, generations=min(generation, self.generations), finalists=finalists)

    def schedule(self, expression: Expression) -> Schedule:
        """The schedule that an expression is in this search."""
        return Schedule(
            expression=expression,
            transform=self.transform,
            min_lr=self.min_lr,
            max_lr=self.max_lr,
            reference_lr=self.reference_lr,
        )


class GenerationalSearch(Search, frozen=True, kw_only=True, tag_field="method", tag="generational"):
    """Tree genetic programming as in the first experiment (search/evolution.py); its own settings beside those of Search.

    tournament: individuals drawn for each tournament selection. elites: best individuals copied unchanged.
    """

    tournament: Annotated[int, _INDIVIDUALS] = 3
    elites: Annotated[int, Whole(0, _MOST)] = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("tournament", "elites"):
            if getattr(self, name) > self.population:
                raise ConfigError(
                    f"search.{name} must be at most the population, {self.population}, got {getattr(self, name)}"
                )

    @property
    def initial_at_most(self) -> int:
        return self.population

    def individuals_at(self, generation: int, first: int) -> int:
        return self.population - self.elites if generation else first


class MemeticSearch(Search, frozen=True, kw_only=True, tag_field="method", tag="memetic"):
    """A population of structures that each tune their constants (search/memetic.py); its own settings beside those of Search.

    samples: points that each structure tries a generation. children: new structures tried a generation. newcomers: the best
        of them, so many, that become structures of the population.
    youth: generations for which a new structure is safe. seed_families: whether the first structures are the standard
        families, as far as the language can say them. seed_powers: whether a warm-up and a fall times powers of the norms, and of loss_ema, that are
        among the terminals is one of them, if the language can say it; with the log transform. random_structures: random ones.
    last_generations: after the `generations`, so many more that breed no children: the best `last_population` structures tune
        their constants on `last_seeds` trainings a point, where many tasks or much luck make a few say little. last_samples: points that
        each of them tries a generation, by a strategy that begins anew around where the old one stood; 0: `samples`, by the old one.
    horizon: the part of `training.epochs` that the trainings of the `generations` run. Such a training is a whole one of fewer epochs,
        `progress` goes from 0 to 1, so it shows what a schedule is worth; the beginning of a longer one does not. The last generations
        and the race run all epochs.
    """

    samples: Annotated[int, Whole(_LEAST_SAMPLES, _MOST_SAMPLES)] = 8
    children: Annotated[int, Whole(0, _MOST)] = 8
    newcomers: Annotated[int, _INDIVIDUALS] = 1
    youth: Annotated[int, _GENERATIONS] = 4
    seed_families: bool = False
    seed_powers: bool = False
    random_structures: Annotated[int, Whole(0, _MOST)] = 8
    last_generations: Annotated[int, Whole(0, _GENERATIONS.most)] = 0
    last_population: Annotated[int, _INDIVIDUALS] = 4
    last_seeds: Annotated[int, SEEDS] = 24
    last_samples: Annotated[int, Whole(0, _MOST_SAMPLES)] = 0
    horizon: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.newcomers > max(self.children, 1):
            raise ConfigError(
                f"search.newcomers must be at most search.children, {self.children}, of which they are the best; got "
                f"{self.newcomers}"
            )
        if not 0 < self.horizon <= 1:
            raise ConfigError(f"search.horizon is a part of training.epochs, above 0 and at most 1; got {self.horizon}")
        if self.horizon < 1 and not (self.last_generations or self.finalists):
            raise ConfigError(
                "with a search.horizon below 1 no training would run all epochs: let search.last_generations or search.finalists be at "
                f"least 1, got 0 and 0 and a horizon of {self.horizon:g}"
            )
        if self.seed_powers and self.transform != "log":
            raise ConfigError(
                f"search.seed_powers needs the log transform, got search.transform = {self.transform!r}: set it to 'log', or "
                "search.seed_powers to false"
            )
        if not (self.seed_families or self.random_structures):
            raise ConfigError("search.random_structures must be at least 1 where search.seed_families is false, got 0")
        if self.last_samples:
            Whole(_LEAST_SAMPLES, _MOST_SAMPLES).of("search.last_samples", self.last_samples)
        safe = self.youth * self.newcomers
        if self.population <= safe:
            raise ConfigError(
                f"search.population must be greater than search.youth · search.newcomers, {safe}, so that good structures can "
                f"stay; got a population of {self.population}, search.youth {self.youth} and search.newcomers {self.newcomers}"
            )
        for name, needed in (("functions", "add"), ("functions", "mul"), ("terminals", CONSTANT)):
            if needed not in getattr(self, name):
                raise ConfigError(f"the memetic method tunes constants: search.{name} must hold {needed!r}")

    @property
    def race_generation(self) -> int:
        return self.generations + self.last_generations

    def is_last(self, generation: int) -> bool:
        """Whether a generation is one of the last ones, which breed no children."""
        return self.generations <= generation < self.race_generation

    def samples_at(self, generation: int) -> int:
        """The points that each structure tries in a generation."""
        return self.last_samples if self.is_last(generation) and self.last_samples else self.samples

    @property
    def most_at_once(self) -> int:
        families = (len(FAMILIES) if self.seed_families else 0) + self.seed_powers
        structures = max(self.population, self.random_structures + len(self.initial) + families)
        last = (
            self.last_population * self.samples_at(self.generations) * self.last_seeds if self.last_generations else 0
        )
        return max(super().most_at_once, self.seeds * (structures * self.samples + self.children), last)

    def seeds_at(self, generation: int) -> int:
        return self.last_seeds if self.is_last(generation) else self.seeds

    def epochs_at(self, generation: int, epochs: int) -> int:
        return max(1, round(self.horizon * epochs)) if generation < self.generations else epochs

    def individuals_at(self, generation: int, first: int) -> int:
        if generation == 0:
            return first
        if self.is_last(generation):
            return self.last_population * self.samples_at(generation)
        begun = first // self.samples
        kept = min(begun, max(self.population, begun // 2))  # after one generation; then each brings its newcomers
        structures = kept + min(self.newcomers, self.children) * (generation - 1)
        if generation >= max(self.youth, 2):  # the first ones are no longer safe
            structures = min(structures, self.population)
        return structures * self.samples + self.children

    def ended_before(self, generation: int, finalists: int) -> Self:
        last = max(0, generation - self.generations)
        return msgspec.structs.replace(super().ended_before(generation, finalists), last_generations=last)


class BayesianSearch(Search, frozen=True, kw_only=True, tag_field="method", tag="bayesian"):
    """Bayesian optimisation over formulas (search/bayesian.py); its own settings beside those of Search.

    population: points a generation, after the first. first: points of the first generation. candidates: formulas that are
        thought of for each generation.
    """

    first: Annotated[int, Whole(2, _MOST)] = 6
    candidates: Annotated[int, Whole(1, _MOST_CANDIDATES)] = 300

    def __post_init__(self) -> None:
        super().__post_init__()
        Whole(self.population, _MOST_CANDIDATES).of("search.candidates", self.candidates)
        if (points := self.first + self.population * (self.generations - 1)) > _MOST_POINTS:
            raise ConfigError(
                f"a bayesian search has at most {_MOST_POINTS:,} points, search.first + search.population · (search.generations − 1), got "
                f"{points:,}: its Gaussian process would take {_BYTES_OF_PAIR * points**2 / 1e9:,.0f} GB; the memetic method has no such bound"
            )

    @property
    def most_at_once(self) -> int:
        return max(super().most_at_once, self.seeds * self.first)


AnySearch = GenerationalSearch | MemeticSearch | BayesianSearch
"""The settings of any method, told apart by their key `method`."""

METHODS: Final[Mapping[str, type[AnySearch]]] = MappingProxyType(
    {"generational": GenerationalSearch, "memetic": MemeticSearch, "bayesian": BayesianSearch}
)
"""The settings of each method, by its name."""


def own_settings(method: str) -> tuple[str, ...]:
    """The settings that a method has and Search has not."""
    return tuple(name for name in METHODS[method].__struct_fields__ if name not in Search.__struct_fields__)
