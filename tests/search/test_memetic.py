"""Memetic search and the race of its finalists, as functions of what they are told."""

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from evolr.config import resolve
from evolr.errors import ConfigError, StudyError
from evolr.expression import Expression, ordinary_text, parse
from evolr.search.archive import fingerprint
from evolr.search.constants import places, tunable, values, with_values
from evolr.search.evaluation import evaluate_race, race_population, runs_of, runs_of_race, seeds_of
from evolr.search.individual import Evaluation, Individual, Place
from evolr.search.memetic import Memetic
from evolr.search.standard_structures import in_terms, product_of_powers, standard_structures
from evolr.standard import FAMILIES
from tests.search.lived import lived, recalled

CONFIG = resolve(
    "memetic", settings={"search.population": 5, "search.youth": 2, "search.samples": 6, "search.children": 5}
)
SEARCH = CONFIG.search


def progress_like(individual):
    """Fitter the nearer its curve is to a line that falls: no training, but something to find."""
    progress = np.linspace(0.0, 0.999, 50)
    flat = {name: np.full(50, 0.5) for name in ("loss", "loss_ema", "val_loss")}
    value = np.broadcast_to(individual.expression({"progress": progress, **flat}), 50)
    error = np.mean(np.abs(np.nan_to_num(value, nan=1e3, posinf=1e3, neginf=-1e3) - (3.0 - 2.0 * progress)))
    return -float(min(error, 1e3))


def evolved(generations, seed=1, judge=progress_like, search=SEARCH):
    return lived(search, generations, seed, judge)


def test_populations_are_a_function_of_settings_seed_and_what_was_told():
    assert evolved(6)[1] == evolved(6)[1]
    assert evolved(3)[1] != evolved(3, seed=2)[1]


def test_a_new_one_that_recalls_what_was_makes_the_same_next_population():
    method, history = evolved(6)
    other = recalled(Memetic(SEARCH, 1), history)
    assert other.population() == method.population()
    assert other.finalists(8) == method.finalists(8)


def test_a_history_that_it_would_not_have_made_is_refused():
    _, history = evolved(2)
    (population, _), _ = history
    with pytest.raises(StudyError, match="another version"):
        Memetic(SEARCH, 1).recall(population[::-1])
    with pytest.raises(StudyError, match="another version"):
        Memetic(SEARCH, 1).recall(population[:-1])


def test_a_history_whose_last_bits_are_another_processors_is_gone_on_with():
    _, history = evolved(3)
    other = Memetic(SEARCH, 1)

    def nudged(individual):
        tokens = [
            t * (1 + 1e-15) if isinstance(t, float) and not t.is_integer() and t != math.pi else t
            for t in individual.expression.tokens
        ]
        return replace(individual, expression=Expression(tuple(tokens)))

    for population, evaluations in history:
        theirs = [nudged(i) for i in population]
        other.recall(theirs)
        other.learn([replace(e, individual=i) for e, i in zip(evaluations, theirs, strict=True)])
    assert other.population()


def test_twins_live_side_by_side_and_one_can_make_room():
    small = resolve(
        "memetic", settings={"search.population": 3, "search.youth": 2, "search.max_size": 12, "search.max_depth": 6}
    ).search
    for seed in range(8):
        evolved(25, seed, search=small)
    method, _ = evolved(1)
    twin = method._niche(method._niches[0].structure, Place(9, 9), 0.6)
    method._niches.append(twin)
    method._niches.remove(twin)
    assert twin not in method._niches


def test_points_that_are_all_alike_end_nothing():
    method, _ = evolved(300, judge=lambda _: 0.5)
    assert all(np.isfinite(niche.strategy.mean).all() for niche in method._niches)


def test_the_first_structures_do_not_share_their_luck():
    method = Memetic(SEARCH, 1)
    method.population()
    firsts = [
        tuple(np.round(niche.points[0] - niche.strategy.mean, 6)) for niche in method._niches if len(niche.scales) == 3
    ]
    assert len(set(firsts)) == len(firsts) > 1


def test_no_child_is_a_twin_of_a_living_structure():
    method, _ = evolved(12)
    living = {fingerprint(niche.centre()) for niche in method._niches}
    born = [i for i in method.population() if i.operator not in ("cma", "copy")]
    assert born
    assert not living & {fingerprint(i.expression) for i in born}


def test_the_fittest_structure_is_never_thrown_away():
    method, history = evolved(30)
    best = max(niche.fitness for niche in [*method._niches, *method._past])
    assert max(niche.fitness for niche in method._niches) == best
    assert history


def test_it_tunes_constants_towards_what_is_fit():
    _, history = evolved(40)
    best = [max(e.fitness for e in evaluations) for _, evaluations in history]
    assert best[-1] > -0.1 > best[0]


def test_populations_are_of_points_and_children_within_the_limits():
    _, history = evolved(8)
    for generation, (population, _) in enumerate(history):
        assert [i.place for i in population] == [Place(generation, slot) for slot in range(len(population))]
        operators = [i.operator for i in population]
        if generation == 0:
            assert set(operators) == {"initial"}
            continue
        assert len([o for o in operators if o != "cma"]) == SEARCH.children
        for individual in population:
            assert individual.expression.size <= SEARCH.max_size
            assert individual.expression.depth <= SEARCH.max_depth
            assert individual.parents
            assert all(parent.generation < generation for parent in individual.parents)
    assert len(history[-1][0]) <= (SEARCH.population + SEARCH.youth) * SEARCH.samples + SEARCH.children


def test_the_young_are_safe_and_the_worst_of_the_others_makes_room():
    method, _ = evolved(12)
    assert len(method._niches) <= SEARCH.population + 1
    assert any(niche.age < SEARCH.youth for niche in method._niches)


def test_what_diverges_is_the_worst_and_ends_nothing():
    method, _ = evolved(6, judge=lambda _: -math.inf)
    assert method.finalists(3)
    method, history = evolved(20, judge=lambda i: -math.inf if i.place.slot % 2 else progress_like(i))
    assert max(e.fitness for e in history[-1][1]) > max(e.fitness for e in history[0][1])


LAST = resolve(
    "memetic",
    settings={
        "search.population": 5,
        "search.youth": 2,
        "search.samples": 6,
        "search.children": 5,
        "search.generations": 6,
        "search.last_generations": 3,
        "search.last_population": 2,
        "search.last_seeds": 7,
        "search.seeds": 2,
    },
)


def test_in_the_last_generations_the_best_structures_alone_go_on_without_children():
    _, history = evolved(9, search=LAST.search)
    assert [i.operator for i in history[5][0][-5:]] != ["cma"] * 5  # children
    before = evolved(6, search=LAST.search)[0]
    for population, _ in history[6:]:
        assert {i.operator for i in population} == {"cma"}
        assert len(population) == 2 * 6
    assert len({parent for i in history[6][0] for parent in i.parents}) == 2
    best = max(e.fitness for e in history[5][1])
    assert any(e.fitness >= best - 0.05 for e in history[8][1])
    assert {niche.birth for niche in before._niches} == {parent for i in history[8][0] for parent in i.parents}


def test_the_last_generations_may_try_more_points_by_strategies_that_begin_anew():
    search = msgspec.structs.replace(LAST.search, last_samples=9)
    before, history = evolved(6, search=search)
    assert [(n.strategy.population_size, n.restarts) for n in before._niches] == [(9, 1)] * 2
    method, history = evolved(9, search=search)
    assert [len(population) for population, _ in history[6:]] == [2 * 9] * 3
    assert search.individuals_at(7, 80) == 2 * 9
    assert {(n.strategy.population_size, n.restarts) for n in method._niches} == {(9, 1)}  # begun anew once
    same, other = evolved(9, search=msgspec.structs.replace(search, last_samples=6)), evolved(9, search=LAST.search)
    assert [i for population, _ in same[1] for i in population] == [i for population, _ in other[1] for i in population]


@pytest.mark.parametrize(
    "changes", [{}, {"youth": 1}, {"youth": 4, "population": 6}, {"children": 0}, {"population": 40}]
)
def test_the_individuals_of_each_generation_are_counted_beforehand(changes):
    search = msgspec.structs.replace(LAST.search, **changes)
    _, history = evolved(9, search=search)
    sizes = [len(population) for population, _ in history]
    assert [search.individuals_at(generation, sizes[0]) for generation in range(9)] == sizes
    assert max(sizes) <= search.most_at_once


def test_where_few_are_old_enough_the_youngest_fill_the_last_population():
    search = resolve(
        "memetic",
        settings={
            "search.population": 5,
            "search.youth": 4,
            "search.samples": 6,
            "search.generations": 12,
            "search.last_generations": 2,
            "search.last_population": 4,
        },
    ).search
    before, _ = evolved(11, search=search)
    assert sum(niche.age + 1 >= 3 for niche in before._niches) < 4
    after, _ = evolved(12, search=search)
    assert len(after._niches) == 4
    assert len(after.population()) == 4 * 6


def test_what_went_on_in_the_last_generations_races_whatever_the_others_had():
    """Those have met other tasks, which may have been the easier ones."""
    method, _ = evolved(9, search=LAST.search)
    for niche in method._niches:
        niche.history = [-1e6] * 9
    for count in (6, 2):  # the front of sizes is theirs too, and not of smaller ones that had better fitness before
        assert {e.individual.place for e in method.finalists(count)} >= {niche.birth for niche in method._niches}


def test_a_point_of_the_last_generations_is_judged_by_more_seeds():
    assert [len(seeds_of(LAST, generation)) for generation in range(9)] == [2] * 6 + [7] * 3
    (individual, *_) = evolved(1, search=LAST.search)[1][0][0]
    assert len(runs_of(LAST, 8, [individual])) == 7
    assert LAST.search.generations_in_all == 10
    assert [len(seeds_of(CONFIG, generation)) for generation in (0, 39)] == [CONFIG.search.seeds] * 2


def test_finalists_are_different_and_hold_small_formulas_too():
    method, _ = evolved(20)
    finalists = method.finalists(12)
    formulas = [e.individual.expression for e in finalists]
    assert len(set(formulas)) == len(formulas) <= 12
    assert min(f.size for f in formulas) < max(f.size for f in formulas)
    assert len(method.finalists(1)) == 1


def test_the_first_structures_are_the_families_that_the_language_can_say():
    said = [ordinary_text(tree) for tree in standard_structures(SEARCH)]
    assert any("cos(" in text for text in said)
    assert not any("stale_epochs" in text for text in said)
    few = resolve(
        "memetic",
        settings={"search.functions": ["add", "mul", "log", "cos"], "search.terminals": ["progress", "constant"]},
    )
    assert all(
        {t for t in tree.tokens if isinstance(t, str)} <= {"add", "mul", "log", "cos", "progress"}
        for tree in standard_structures(few.search)
    )
    linear = resolve("memetic", settings={"search.transform": "linear"})
    cosine = next(tree for tree in standard_structures(linear.search) if "cos" in tree.tokens)
    assert float(linear.search.schedule(cosine)(progress=0.0)) == pytest.approx(0.01)


NORMS = ("grad_norm", "grad_norm_ema", "grad_norm_rss", "update_norm")


def test_a_product_of_powers_takes_steps_that_are_as_long_whatever_the_gradients_scale():
    mixed = resolve("mixed").search
    product = product_of_powers(mixed)
    schedule = mixed.schedule(product)
    signals = dict.fromkeys(sorted(product.signals - {"progress"}), 2.0)
    steeper = signals | dict.fromkeys(NORMS, 20.0)
    assert float(schedule(progress=0.5, **steeper)) == pytest.approx(float(schedule(progress=0.5, **signals)) / 10)
    assert [float(schedule(progress=p, **signals)) for p in (0.0, 1.0)] == [mixed.min_lr] * 2
    assert len(places(product)) == 11
    assert Memetic(mixed, 1).population()[0].expression.signals == product.signals


def test_a_product_of_powers_reads_what_the_search_has_and_is_none_where_it_cannot_be_said():
    few = resolve("mixed", settings={"search.terminals": ["progress", "grad_norm", "constant"]}).search
    assert product_of_powers(few).signals == {"progress", "grad_norm"}
    for settings in (
        {"search.terminals": ["grad_norm", "constant"]},
        {"search.functions": ["add", "mul", "log"]},
        {"search.max_size": 50},
        {"search.terminals": ["progress", "constant"]},
    ):
        search = resolve("mixed", settings=settings).search
        assert product_of_powers(search) is None
        assert Memetic(search, 1).population()  # begins with the others


@pytest.mark.parametrize("text", ["progress", "progress + 0.5", "2*progress", "cos(3.141592653589793*progress)"])
def test_every_structure_has_two_constants_to_tune_at_least(text):
    tree = tunable(parse(text))
    assert len(places(tree)) >= 2
    assert float(tree({"progress": 0.5})) == pytest.approx(float(parse(text)({"progress": 0.5})), abs=0.05)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"search.samples": 3}, "search.samples must be at least 4 and at most 10,000, got 3"),
        ({"search.finalists": -1}, "search.finalists must be at least 0"),
        ({"search.youth": 0}, "search.youth must be at least 1"),
        ({"search.seed_families": False, "search.random_structures": 0}, "search.random_structures must be at least 1"),
        ({"search.method": "memetical"}, "search.method"),
        ({"search.growth_mutation": 0.9}, "add up to at most 1"),
        ({"search.newcomers": 9, "search.population": 99}, "search.newcomers must be at most search.children, 8"),
        ({"search.population": 4}, "search.population must be greater than search.youth · search.newcomers, 4"),
        ({"search.functions": ["sub", "div"]}, "search.functions must hold 'add'"),
        ({"search.terminals": ["progress"]}, "search.terminals must hold 'constant'"),
        ({"search.last_generations": -1}, "search.last_generations must be at least 0 and at most 1,000,000, got -1"),
        ({"search.last_population": 0}, "search.last_population must be at least 1 and at most 100,000, got 0"),
        ({"search.seed_powers": True, "search.transform": "linear"}, "search.seed_powers needs the log transform"),
        ({"search.last_samples": 3}, "search.last_samples must be at least 4 and at most 10,000, got 3"),
        ({"search.last_seeds": 0}, "search.last_seeds must be at least 1 and at most 100,000, got 0"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        resolve("memetic", settings=settings)


def test_a_language_in_which_no_structure_fits_is_refused():
    tiny = resolve("memetic", settings={"search.max_size": 1, "search.initial_depth": [1, 1]}).search
    with pytest.raises(ConfigError, match="no structure with a signal"):
        Memetic(tiny, 0).population()


# --- the race -----------------------------------------------------------------------------------------------------------


def racers(count):
    finalists = [Evaluation(Individual(Place(3, k), parse(f"{k + 1}"), "cma"), 0.0, 0.0) for k in range(count)]
    return race_population(finalists, CONFIG.search.generations)


def raced(count, worth, noise=0.0):
    """The race of so many finalists, each with a true worth; the scores it asked for."""
    population, scores = racers(count), {}
    rng = np.random.default_rng(0)
    while missing := [
        r for r in runs_of_race(CONFIG, population, scores) if (r.individual.place, r.pool, r.seed) not in scores
    ]:
        for run in missing:
            scores[run.individual.place, run.pool, run.seed] = worth(run.individual.place.slot) + noise * rng.normal()
    return evaluate_race(CONFIG, population, scores), scores


def test_each_heat_keeps_a_third_and_triples_the_seeds():
    evaluations, scores = raced(24, lambda slot: slot / 100)
    runs = sorted(sum(place.slot == slot for place, _, _ in scores) for slot in range(24))
    assert runs == [6] * 16 + [18] * 5 + [54] * 3
    assert {pool for _, pool, _ in scores} == {"selection"}
    assert max(evaluations, key=lambda e: e.fitness).individual.place.slot == 23
    assert len({seed for _, _, seed in scores}) == 54


def test_who_went_out_ranks_below_all_who_stayed_in_the_order_of_its_own_heat():
    evaluations, scores = raced(24, lambda slot: slot / 1000, noise=0.05)
    count = {e.individual.place: sum(place == e.individual.place for place, _, _ in scores) for e in evaluations}
    by_heat = [[e.fitness for e in evaluations if count[e.individual.place] == runs] for runs in (54, 18, 6)]
    assert min(by_heat[0]) > max(by_heat[1])
    assert min(by_heat[1]) > max(by_heat[2])
    assert len(set(by_heat[2])) == len(by_heat[2])
    assert all(e.score == e.fitness for e in evaluations)


def test_a_finalist_that_diverges_in_the_last_heat_takes_nobody_with_it():
    late = iter(range(10_000))
    evaluations, _ = raced(24, lambda slot: math.nan if slot == 23 and next(late) > 20 else slot / 100)
    assert sum(math.isfinite(e.fitness) for e in evaluations) == 23


def test_a_finalist_that_diverges_loses():
    evaluations, _ = raced(6, lambda slot: math.nan if slot == 5 else slot / 100)
    assert max(evaluations, key=lambda e: e.fitness).individual.place.slot == 4


def test_few_finalists_race_in_one_heat():
    _, scores = raced(2, float)
    assert len(scores) == 2 * CONFIG.search.race_seeds


def test_as_many_children_stay_as_are_to_each_generation():
    config = resolve(
        "memetic", settings={"search.population": 9, "search.youth": 2, "search.newcomers": 3, "search.children": 5}
    )
    _, history = evolved(6, search=config.search)
    births = [{parent for i in population if i.operator == "cma" for parent in i.parents} for population, _ in history]
    for generation in range(2, 6):
        assert len([birth for birth in births[generation] if birth.generation == generation - 1]) == 3


@pytest.mark.parametrize("name", ["L4", "DoG", "normalised gradient", "trust ratio"])
def test_what_guards_a_quotient_against_0_is_not_tuned(name):
    """A first step of 0.05 on 1e-12 would be the greatest part of what it is added to."""
    family = FAMILIES[name]
    structure = in_terms(resolve("mixed").search, family)
    tuned = values(tunable(structure))
    assert (np.abs(tuned) > 1e-7).all()
    guards = [token for token in structure.tokens if isinstance(token, float) and 0 < token < 1e-7]
    assert guards
    made = with_values(structure, 1.5 * values(structure))
    assert [token for token in made.tokens if isinstance(token, float) and 0 < token < 1e-7] == guards


@pytest.mark.parametrize("draws_tasks", [True, False])
def test_a_suite_s_first_structures_are_judged_by_their_best_point_and_others_by_half_of_them(draws_tasks):
    method = Memetic(SEARCH, 1, draws_tasks=draws_tasks)
    population = method.population()
    promising = method._niches[0]
    (slots,) = [slots for niche, slots in method._asked if niche is promising]
    score = dict.fromkeys(slots, 0.0) | {slots[2]: 2.0}  # one of its points is good, the others are not
    told = [score.get(number, 0.8) for number in range(len(population))]
    method.learn([Evaluation(i, told[n], told[n]) for n, i in enumerate(population)])
    assert (promising in method._niches) == draws_tasks
    assert not draws_tasks or method._niches[0] is promising
