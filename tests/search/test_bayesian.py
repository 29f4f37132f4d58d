"""Bayesian search over formulas, as a function of what it is told."""

import math
from dataclasses import replace

import numpy as np
import pytest

from evolr.config import changed, resolve
from evolr.config.budget import LEAST, plan
from evolr.errors import ConfigError, StudyError
from evolr.expression import original_text, parse
from evolr.randomness import generator
from evolr.search.bayesian import Bayesian
from evolr.search.behaviour import LEVEL, behaviour
from evolr.search.individual import Evaluation
from evolr.search.landscape import Landscape, levelled
from evolr.search.standard_structures import in_terms
from evolr.standard import FAMILIES
from tests.search.lived import lived, recalled

CONFIG = changed(resolve("memetic"), {**plan(40), "search.candidates": 100})
SEARCH = CONFIG.search
WANTED = behaviour(FAMILIES["WSD (linear)"].schedule(peak=0.03, cooldown=0.6))


def nearness(individual, search=SEARCH):
    """Fitter the nearer its learning rates are to those of a certain trapezoid: no training, but something to find."""
    distance = behaviour(search.schedule(individual.expression)) - WANTED
    return -float(np.sqrt(np.mean(distance**2)))


def evolved(generations=None, seed=1, judge=nearness, search=SEARCH):
    return lived(search, search.generations if generations is None else generations, seed, judge)


def test_populations_are_a_function_of_settings_seed_and_what_was_told():
    assert evolved(4)[1] == evolved(4)[1]
    assert evolved(3)[1] != evolved(3, seed=2)[1]


def test_a_new_one_that_recalls_what_was_makes_the_same_next_population():
    method, history = evolved(4)
    other = recalled(Bayesian(SEARCH, 1), history)
    assert other.population() == method.population()
    assert other.finalists(8) == method.finalists(8)


def test_a_history_that_it_would_not_have_made_is_refused():
    _, history = evolved(2)
    (population, _), _ = history
    with pytest.raises(StudyError, match="another version"):
        Bayesian(SEARCH, 1).recall(population[:-1])
    with pytest.raises(StudyError, match="another version"):
        Bayesian(SEARCH, 1).recall([replace(individual, operator="near") for individual in population])


def test_what_another_processor_made_counts_and_is_gone_on_with():
    _, history = evolved(3)
    other = Bayesian(SEARCH, 1)
    for population, evaluations in history[:2]:
        other.recall(population)
        other.learn(evaluations)
    theirs = [replace(i, expression=parse("0.5 - progress")) for i in history[2][0]]
    other.recall(theirs)
    other.learn([Evaluation(i, 1.0, 1.0) for i in theirs])
    assert other.finalists(1)[0].individual.expression == parse("0.5 - progress")


def test_it_comes_near_what_is_wanted_within_its_few_trainings():
    method, history = evolved()
    first = max(e.fitness for e in history[0][1])
    assert nearness(method.finalists(1)[0].individual) > 0.35 * first  # a third of the distance, which is below 0


def test_of_noisy_scores_it_prefers_what_is_expected_to_the_luckiest():
    rng = generator("noisy hill")
    worth, taken = [], []
    for _ in range(20):
        points = np.zeros((30, len(WANTED)))
        points[:, 0] = rng.uniform(-3, -1, 30)
        true = -((points[:, 0] + 2) ** 2)
        fitness = true + 0.3 * rng.normal(size=30)
        worth.append(true[Landscape(points, fitness, np.arange(30)).mean(points).argmax()])
        taken.append(true[fitness.argmax()])
    assert np.mean(worth) > 0.5 * np.mean(taken)  # both are below 0, the best


def test_trainings_that_diverge_are_learnt_from():
    def cliff(individual):
        level = behaviour(SEARCH.schedule(individual.expression))[0]
        return nearness(individual) if level < -1.5 else -math.inf

    method, history = evolved(judge=cliff)
    late = [e.fitness for _, evaluations in history[-3:] for e in evaluations]
    assert np.mean(np.isfinite(late)) > 0.7
    assert math.isfinite(cliff(method.finalists(1)[0].individual))


def test_where_every_training_diverges_it_goes_on():
    method, history = evolved(judge=lambda _: -math.inf)
    assert len(history) == SEARCH.generations
    assert method.finalists(3)


def test_formulas_stay_within_the_limits_and_the_language():
    search = changed(CONFIG, {"search.max_size": 20, "search.max_depth": 8, "search.max_lr": 0.1}).search
    _, history = evolved(search=search)
    for population, _ in history:
        for individual in population:
            assert individual.expression.size <= 20
            assert individual.expression.depth <= 8
            assert individual.expression.signals <= set(search.terminals)
            assert all(parent.generation < individual.place.generation for parent in individual.parents)


def test_formulas_that_it_begins_with_stay_within_the_limits_though_they_are_as_large():
    given = ["progress*progress", "sin(sin(progress))"]
    search = changed(CONFIG, {"search.initial": given, "search.max_size": 3}).search
    _, history = evolved(6, search=search, judge=lambda i: nearness(i, search))
    assert {parse(text) for text in given} <= {i.expression for i in history[0][0]}
    assert max(i.expression.size for population, _ in history for i in population) <= 3


def test_formulas_for_which_the_first_generation_has_no_room_are_tried_if_they_promise_most():
    poor = [f"{level} + progress" for level in (0.5, 1.5, 2.5, 3.5, 4.5, 5.5)]
    best = in_terms(SEARCH, FAMILIES["WSD (linear)"], peak=0.03, cooldown=0.6)
    search = changed(CONFIG, {"search.initial": [*poor, original_text(best)], "search.first": 6}).search
    _, history = evolved(8, search=search, judge=lambda i: nearness(i, search))
    tried = [i for population, _ in history[1:] for i in population if i.expression == best]
    assert tried[0].operator == "initial"
    assert sum(i.operator == "initial" for population, _ in history[1:] for i in population) == 1


def test_the_first_levels_are_below_a_low_greatest_learning_rate():
    search = changed(CONFIG, {"search.max_lr": 1e-5}).search
    first = [behaviour(search.schedule(i.expression))[0] for i in Bayesian(search, 1).population()]
    assert np.ptp(first) > 0.5
    assert min(first) < -5.7


def test_no_formula_is_asked_for_twice_in_a_generation():
    _, history = evolved()
    for population, _ in history:
        assert len({i.expression for i in population}) == len(population)


def test_the_linear_transform_is_searched_as_well():
    search = changed(CONFIG, {"search.transform": "linear"}).search
    method, history = evolved(search=search, judge=lambda i: nearness(i, search))
    first = max(e.fitness for e in history[0][1])
    assert nearness(method.finalists(1)[0].individual, search) > 0.5 * first


def test_a_language_that_can_say_no_family_begins_with_random_formulas():
    search = changed(CONFIG, {"search.terminals": ["loss", "val_loss", "constant"]}).search
    method, history = evolved(search=search, judge=lambda i: nearness(i, search))
    assert all(i.expression.signals <= {"loss", "val_loss"} for population, _ in history for i in population)
    assert len(history[0][0]) == search.first
    assert method.finalists(1)[0].fitness > min(e.fitness for e in history[0][1])


# --- what it learns by --------------------------------------------------------------------------------------------------


def test_a_behaviour_tells_scale_shape_and_feedback_apart():
    cosine, hotter = (behaviour(FAMILIES["cosine"].schedule(base=base)) for base in (0.01, 0.1))
    assert hotter[0] - cosine[0] == pytest.approx(1.0)
    np.testing.assert_allclose(hotter[LEVEL:], cosine[LEVEL:], atol=1e-12)
    line = behaviour(FAMILIES["linear"].schedule(base=0.01))
    assert abs(line[LEVEL:]).max() > 0.05
    assert np.abs(line - cosine).max() < np.abs(behaviour(FAMILIES["constant"].schedule()) - cosine).max()


def test_a_landscape_finds_the_top_of_a_hill_under_noise():
    rng = generator("hill")
    points = np.zeros((40, len(WANTED)))
    points[:, 0] = rng.uniform(-4, 0, 40)
    fitness = -((points[:, 0] + 2) ** 2) + 0.2 * rng.normal(size=40)
    landscape = Landscape(points, fitness, np.arange(40) // 4)
    grid = np.zeros((200, len(WANTED)))
    grid[:, 0] = np.linspace(-4, 0, 200)
    assert abs(grid[landscape.mean(grid).argmax(), 0] + 2) < 0.3
    mean, covariance = landscape.posterior(grid)
    np.testing.assert_allclose(mean, landscape.mean(grid))
    assert np.linalg.eigvalsh(covariance).min() > -1e-8


def test_hundreds_of_points_are_all_learnt_from_though_some_fit_the_scales():
    rng = generator("many")
    points = np.zeros((600, len(WANTED)))
    points[:, 0] = rng.uniform(-4, 0, 600)
    fitness = -((points[:, 0] + 2) ** 2) + 0.3 * rng.normal(size=600)
    landscape = Landscape(points, fitness, np.arange(600) // 4)
    grid = np.zeros((200, len(WANTED)))
    grid[:, 0] = np.linspace(-4, 0, 200)
    assert (grid[landscape.mean(grid).argmax(), 0] + 2) ** 2 < 0.1  # a third of a training's luck


def test_luck_that_a_generation_shares_is_not_taken_for_merit():
    points = np.zeros((24, len(WANTED)))
    points[:, 0] = np.tile(np.linspace(-3, -1, 4), 6)
    generations = np.repeat(np.arange(6), 4)
    fitness = -((points[:, 0] + 2) ** 2) + np.array([0.0, 3.0, -2.0, 1.0, -3.0, 2.0])[generations]
    landscape = Landscape(points, fitness, generations)
    assert landscape.luck > 0
    expected = landscape.mean(points[:4])
    assert expected.argmax() in (1, 2)
    assert np.ptp(expected[1:3]) < 0.2 * np.ptp(expected)


def test_cliffs_are_cut_off():
    hill = [0.0, 0.1, 0.2, 0.3, 0.35]
    assert levelled(np.array([*hill, -3.0])).tolist() == levelled(np.array([*hill, -1e9])).tolist()
    assert levelled(np.array([*hill, -math.inf])).argmin() == len(hill)
    assert levelled(np.full(3, -math.inf)).tolist() == [0, 0, 0]
    assert levelled(np.full(3, 2.0)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e6, 1e308])
def test_what_diverged_is_worst_whatever_the_scale_of_the_scores(scale):
    assert levelled(scale * np.array([-1.0, -math.inf, -math.inf])).argmax() == 0
    assert np.ptp(levelled(scale * np.array([-1.0, -math.inf, -math.inf]))) > 1
    np.testing.assert_allclose(levelled(scale * np.array([-1.7, 0.3, 1.7])), levelled(np.array([-1.7, 0.3, 1.7])))


@pytest.mark.parametrize("bad", [-1e3, -1e18, -1e300])
def test_many_that_are_worse_by_orders_of_magnitude_leave_the_good_ones_apart(bad):
    """More than half of the first formulas may diverge without an infinity: a loss of 10¹⁸ is a number."""
    good = np.array([-0.030, -0.022, -0.018, -0.016])
    y = levelled(np.array([*good, *[bad * (1 + k) for k in range(6)]]))
    assert np.all(np.diff(y[:4]) > 0.05)
    assert np.all(y[4:] < y[:4].min())


# --- the budget ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trainings", [10, 11, 20, 29, 30, 37, 40, 80, 163, 320, 1000])
def test_a_plan_spends_what_it_is_given_and_no_more(trainings):
    search = changed(resolve("memetic"), plan(trainings)).search
    bred = search.first + (search.generations - 1) * search.population
    assert search.finalists <= 3  # so that the race is one heat
    assert bred + search.finalists * search.race_seeds == trainings
    assert bred >= 0.6 * trainings


def test_a_budget_that_is_none_is_refused():
    with pytest.raises(ConfigError, match=f"at least {LEAST} trainings, got 9"):
        plan(9)
    with pytest.raises(ConfigError, match=r"of 10 to 1,000 trainings, got 1,001; .*--max-trainings N"):
        plan(1001)
