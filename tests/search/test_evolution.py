import msgspec
import pytest

from evolr.config import Search, resolve
from evolr.search.archive import KnownEvaluations
from evolr.search.evaluation import evaluate
from evolr.search.evolution import initial_population, is_oversize, next_population
from evolr.search.individual import Evaluation
from evolr.training.task import Outcome


def judged(population, fitness=lambda i: float(i.expression.size)):
    return [Evaluation(i, fitness(i), fitness(i)) for i in population]


def generations(search, seed, count):
    population = initial_population(search, seed)
    yield population
    for _ in range(count - 1):
        population = next_population(search, seed, judged(population))
        yield population


def test_populations_are_a_function_of_configuration_seed_and_history():
    search = Search()
    assert list(generations(search, 3, 5)) == list(generations(search, 3, 5))
    assert list(generations(search, 3, 2)) != list(generations(search, 4, 2))


def test_populations_are_full_and_within_the_limits():
    search = Search(population=40, max_depth=5, max_size=15, initial_depth=(2, 5))
    allowed = {*search.functions, *search.terminals}
    for number, population in enumerate(generations(search, 0, 8)):
        assert [tuple(i.place) for i in population] == [(number, slot) for slot in range(40)]
        for individual in population:
            assert not is_oversize(search, individual.expression)
            assert {t for t in individual.expression.tokens if isinstance(t, str)} <= allowed


def test_an_oversize_child_is_a_copy_of_its_first_parent_and_says_so():
    search = Search(population=60, max_depth=4, max_size=9, initial_depth=(2, 4))
    first = initial_population(search, 1)
    by_place = {i.place: i for i in first}
    second = next_population(search, 1, judged(first))
    oversize = [i for i in second if i.oversize]
    assert oversize
    for individual in oversize:
        assert individual.expression == by_place[individual.parents[0]].expression
        assert individual.operator in ("crossover", "subtree_mutation")


def test_elites_come_first_and_unchanged():
    search = Search(elites=3)
    first = initial_population(search, 2)
    evaluated = judged(first)
    best = sorted(evaluated, key=lambda e: (-e.fitness, e.individual.expression.size, e.individual.place))[:3]
    second = next_population(search, 2, evaluated)
    assert [i.expression for i in second[:3]] == [e.individual.expression for e in best]
    assert [i.operator for i in second[:4]].count("elite") == 3


def test_operators_are_used_as_often_as_configured():
    search = Search(population=2_000, crossover=0.5, subtree_mutation=0.2, point_mutation=0.0, hoist_mutation=0.1)
    second = next_population(search, 0, judged(initial_population(search, 0)))
    made = [i.operator for i in second[1:]]
    expected = {"crossover": 0.5, "subtree_mutation": 0.2, "hoist_mutation": 0.1, "constant_mutation": 0.1, "copy": 0.1}
    assert set(made) == set(expected)
    for name, share in expected.items():
        assert made.count(name) / len(made) == pytest.approx(share, abs=0.04)


def test_selection_drives_the_search():
    """Under a fitness that likes size, formulas grow; under one that dislikes it, they shrink."""
    search = Search(population=60)
    population = first = initial_population(search, 0)
    for _ in range(6):
        population = next_population(search, 0, judged(population, lambda i: -float(i.expression.size)))
    assert sum(i.expression.size for i in population) < sum(i.expression.size for i in first) / 2


class Runner:
    """Scores a trial by its seed and its formula's size; counts what it was asked for."""

    def __init__(self):
        self.trials = []

    def __call__(self, trials):
        self.trials += trials
        return [Outcome(t.schedule.expression.size / 100 + (t.seed % 7) / 1000, None, *[None] * 4) for t in trials]


def test_duplicates_are_not_trained_twice():
    config = resolve(settings={"search.population": 100})
    population = initial_population(config.search, 0)
    runner, known = Runner(), KnownEvaluations()
    first = evaluate(config, population, known, runner)
    trained = [e for e in first if e.source == "trained"]
    assert len(trained) == len(runner.trials) < 100
    assert {e.source for e in first} == {"trained", "same text", "same values"}
    again = evaluate(config, next_population(config.search, 0, first), known, runner)
    assert any(e.source == "trained" for e in again)
    assert all(e.known_from is not None for e in again if e.source != "trained")


def test_individuals_of_a_generation_meet_the_same_luck_and_generations_do_not():
    config = resolve(settings={"search.seeds": 3})
    runner, known = Runner(), KnownEvaluations()
    first = evaluate(config, initial_population(config.search, 0), known, runner)
    seeds = {t.seed for t in runner.trials}
    assert len(seeds) == 3
    assert len(runner.trials) == 3 * sum(e.source == "trained" for e in first)
    evaluate(config, next_population(config.search, 0, first), known, runner)
    assert len({t.seed for t in runner.trials}) == 6


def test_a_run_that_diverged_makes_the_individual_the_worst():
    config = resolve(settings={"search.seeds": 2})
    config = msgspec.structs.replace(config, search=msgspec.structs.replace(config.search, population=3))

    def runner(trials):
        return [Outcome(float("nan") if k == 0 else 0.5, None, *[None] * 4) for k in range(len(trials))]

    evaluated = evaluate(config, initial_population(config.search, 5), KnownEvaluations(), runner)
    assert evaluated[0].fitness == float("-inf")
    assert all(e.fitness == 0.5 for e in evaluated[1:] if e.source == "trained")
