import pytest

from evolr.config import GenerationalSearch, resolve
from evolr.search.archive import KnownEvaluations
from evolr.search.evaluation import evaluate, seeds_of, to_train
from evolr.search.evolution import initial_population, is_oversize, next_population
from evolr.search.individual import Evaluation


def judged(population, fitness=lambda i: float(i.expression.size)):
    return [Evaluation(i, fitness(i), fitness(i)) for i in population]


def generations(search, seed, count):
    population = initial_population(search, seed)
    yield population
    for _ in range(count - 1):
        population = next_population(search, seed, judged(population))
        yield population


def test_populations_are_a_function_of_configuration_seed_and_history():
    search = GenerationalSearch()
    assert list(generations(search, 3, 5)) == list(generations(search, 3, 5))
    assert list(generations(search, 3, 2)) != list(generations(search, 4, 2))


def test_populations_are_full_and_within_the_limits():
    search = GenerationalSearch(population=40, max_depth=5, max_size=15, initial_depth=(2, 5))
    allowed = {*search.functions, *search.terminals}
    for number, population in enumerate(generations(search, 0, 8)):
        assert [tuple(i.place) for i in population] == [(number, slot) for slot in range(40)]
        for individual in population:
            assert not is_oversize(search, individual.expression)
            assert {t for t in individual.expression.tokens if isinstance(t, str)} <= allowed


def test_an_oversize_child_is_a_copy_of_its_first_parent_and_says_so():
    search = GenerationalSearch(population=60, max_depth=4, max_size=9, initial_depth=(2, 4))
    first = initial_population(search, 1)
    by_place = {i.place: i for i in first}
    second = next_population(search, 1, judged(first))
    oversize = [i for i in second if i.oversize]
    assert oversize
    for individual in oversize:
        assert individual.expression == by_place[individual.parents[0]].expression
        assert individual.operator in ("crossover", "subtree_mutation")


def test_elites_come_first_and_unchanged():
    search = GenerationalSearch(elites=3)
    first = initial_population(search, 2)
    evaluated = judged(first)
    best = sorted(evaluated, key=lambda e: (-e.fitness, e.individual.expression.size, e.individual.place))[:3]
    second = next_population(search, 2, evaluated)
    assert [i.expression for i in second[:3]] == [e.individual.expression for e in best]
    assert [i.operator for i in second[:4]].count("elite") == 3


def test_operators_are_used_as_often_as_configured():
    search = GenerationalSearch(
        population=2_000, crossover=0.5, subtree_mutation=0.2, point_mutation=0.0, hoist_mutation=0.1
    )
    second = next_population(search, 0, judged(initial_population(search, 0)))
    made = [i.operator for i in second[1:]]
    expected = {"crossover": 0.5, "subtree_mutation": 0.2, "hoist_mutation": 0.1, "constant_mutation": 0.1, "copy": 0.1}
    assert set(made) == set(expected)
    for name, share in expected.items():
        assert made.count(name) / len(made) == pytest.approx(share, abs=0.04)


def test_selection_drives_the_search():
    """Under a fitness that likes size, formulas grow; under one that dislikes it, they shrink."""
    search = GenerationalSearch(population=60)
    population = first = initial_population(search, 0)
    for _ in range(6):
        population = next_population(search, 0, judged(population, lambda i: -float(i.expression.size)))
    assert sum(i.expression.size for i in population) < sum(i.expression.size for i in first) / 2


def evaluated(config, population, known):
    """The evaluations of a population whose every training scores by its formula's size; and who was trained."""
    trained = to_train(population, known)
    return evaluate(config, population, known, {i.place: [i.expression.size / 100] for i in trained}), trained


def test_duplicates_are_not_trained_twice():
    config = resolve("original", settings={"search.population": 100})
    known = KnownEvaluations()
    first, trained = evaluated(config, initial_population(config.search, 0), known)
    assert [e.individual for e in first if e.source == "trained"] == trained
    assert len(trained) < 100
    assert {e.source for e in first} == {"trained", "same text", "same values"}
    second, again = evaluated(config, next_population(config.search, 0, first), known)
    assert {i.expression for i in again}.isdisjoint({i.expression for i in trained})
    assert all(e.known_from is not None for e in second if e.source != "trained")


def test_individuals_of_a_generation_meet_the_same_luck_and_generations_do_not():
    config = resolve("original", settings={"search.seeds": 3})
    assert seeds_of(config, 0) == seeds_of(config, 0)
    assert len({*seeds_of(config, 0), *seeds_of(config, 1)}) == 6


def test_a_run_that_diverged_makes_the_individual_the_worst():
    config = resolve("original", settings={"search.population": 3})
    known = KnownEvaluations()
    population = initial_population(config.search, 5)
    trained = to_train(population, known)
    scores = {i.place: [0.5, float("nan") if i is trained[0] else 0.7] for i in trained}
    worst, *others = [e for e in evaluate(config, population, known, scores) if e.source == "trained"]
    assert worst.fitness == float("-inf")
    assert all(e.fitness == 0.6 for e in others)
