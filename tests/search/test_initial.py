"""Searches that begin with formulas that are given."""

import pytest

from evolr.config import changed, plan, resolve
from evolr.errors import ConfigError
from evolr.expression import parse
from evolr.search.behaviour import behaviour
from evolr.search.method import method_of

TEXT = "1.5 + log(min(progress/0.1, (1 - progress)/0.4))"


def first_formulas(settings, preset="memetic"):
    search = resolve(preset, settings=settings).search
    return search, method_of(search, 1).population()


def test_a_generational_search_begins_with_them_and_goes_on_with_random_ones():
    search, population = first_formulas({"search.initial": ["0.1 - 0.01*epoch", "0.01"]}, "original")
    assert [i.expression for i in population[:2]] == [parse("0.1 - 0.01*epoch"), parse("0.01")]
    assert len(population) == search.population
    _, without = first_formulas({}, "original")
    assert population[2:] == without[2:]


def test_a_memetic_search_makes_structures_of_them():
    search, population = first_formulas({"search.initial": [TEXT]})
    _, without = first_formulas({})
    shape = [token if isinstance(token, str) else None for token in parse(TEXT).tokens]
    own = population[: search.samples]
    assert all([t if isinstance(t, str) else None for t in i.expression.tokens] == shape for i in own)
    assert len(population) == len(without) + search.samples


def test_a_bayesian_search_tries_them_as_they_are_and_families_around_their_level():
    settings = {**plan(40), "search.initial": [TEXT]}
    search, population = first_formulas(settings)
    assert population[0].expression == parse(TEXT)
    level = behaviour(search.schedule(parse(TEXT)))[0]
    others = [behaviour(search.schedule(i.expression))[0] for i in population[1:]]
    assert len(population) == search.first
    assert all(abs(other - level) < 1.5 for other in others)
    assert min(others) < level < max(others)


def test_of_more_than_the_first_population_holds_the_first_ones_are_taken():
    many = [f"{k}.5 - progress" for k in range(12)]
    search, population = first_formulas({**plan(20), "search.initial": many})
    assert [i.expression for i in population] == [parse(text) for text in many[: search.first]]


@pytest.mark.parametrize(
    ("formula", "part"),
    [("0.1*(", "search.initial: "), ("val_los", "unknown"), ("1 - grad_norm", "reads grad_norm, which is none of")],
)
def test_a_formula_that_cannot_be_searched_from_is_refused(formula, part):
    with pytest.raises(ConfigError, match=part.replace("(", r"\(")):
        changed(resolve("memetic"), {"search.initial": [formula]})
