import math

import numpy as np
import pytest

from evolr.expression import parse
from evolr.search.archive import KnownEvaluations, champion, fingerprint, hall_of_fame, knee
from evolr.search.individual import Evaluation, Individual, Place


def evaluation(text, fitness, generation=0, slot=0):
    return Evaluation(Individual(Place(generation, slot), parse(text), "initial"), fitness, fitness)


def test_equal_values_have_one_fingerprint():
    for one, two in [
        ("epoch + epoch", "2*epoch"),
        ("exp(log(loss))", "loss*1"),
        ("sin(progress)*0", "0"),
        ("epoch - epoch", "0*loss"),
        ("(loss + epoch) + step", "loss + (epoch + step)"),
        ("floor(progress)", "0"),
    ]:
        assert fingerprint(parse(one)) == fingerprint(parse(two))


def test_different_values_have_different_fingerprints():
    texts = ["epoch", "loss", "val_loss", "progress", "step", "0", "1", "epoch*1.0001", "sin(loss)", "floor(progress)"]
    assert len({fingerprint(parse(t)) for t in texts}) == len(texts) - 1  # floor(progress) is 0


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("step*(1/step)", "1"),  # division by zero is 1, so they differ at the first step
        ("0.01 + exp(-2*step)", "0.01"),
        ("0.01 + floor(1/(1 + step))", "0.01"),
        ("log(progress)", "log(progress + 0.000001)"),
        ("floor(progress + 0.003)", "0"),
    ],
)
def test_formulas_that_differ_at_the_first_or_last_step_only_are_told_apart(one, two):
    assert fingerprint(parse(one)) != fingerprint(parse(two))


def test_a_known_formula_is_found_by_text_then_by_values():
    known = KnownEvaluations()
    known.add(evaluation("epoch + epoch", 0.5, slot=3))
    again = known.find(Individual(Place(1, 0), parse("epoch + epoch"), "crossover"))
    alike = known.find(Individual(Place(1, 1), parse("2*epoch"), "crossover"))
    assert (again.source, again.fitness, again.known_from) == ("same text", 0.5, Place(0, 3))
    assert (alike.source, alike.individual.place, alike.known_from) == ("same values", Place(1, 1), Place(0, 3))
    assert known.find(Individual(Place(1, 2), parse("3*epoch"), "crossover")) is None


def test_the_champion_is_the_fittest_then_the_smallest_then_the_earliest():
    best = evaluation("loss", 0.7, 1, 0)
    others = [evaluation("loss + 1", 0.7, 0, 0), evaluation("epoch", 0.7, 1, 1), evaluation("1", 0.6)]
    assert champion([*others, best]) == best


def test_a_champion_is_found_where_everybody_diverged():
    dead = evaluation("1", -math.inf)
    assert champion([dead, evaluation("1 + 1", -math.inf)]) == dead
    assert hall_of_fame([dead]) == []


def test_the_hall_of_fame_rises_with_size():
    kept = [evaluation("1", 0.2), evaluation("loss + 1", 0.5), evaluation("loss + epoch + 1", 0.6)]
    dropped = [evaluation("2", 0.1), evaluation("exp(1)", 0.2), evaluation("loss*epoch*2*3", 0.6)]
    assert hall_of_fame([*dropped, *kept]) == kept


@pytest.mark.parametrize(
    ("sizes", "fitness", "place"),
    [
        ([1, 3, 30], [0.5, 0.69, 0.70], 1),  # where size buys little
        ([1, 3, 60], [0.10, 0.36, 0.66], 2),  # 0.36 is above the line, and below half-way
        ([1, 2, 40, 60], [0.0, 0.25, 0.45, 0.5], 1),  # exactly half-way up is enough
        ([1, 2, 40, 60], [0.0, 0.249, 0.45, 0.5], 2),
        ([1, 5, 9], [-2.3, -2.2, -0.4], 2),  # losses: chance, a little better, good
        ([3, 5, 9], [0.5, 0.5, 0.5], 0),
        ([1, 3, 5, 7], [-math.inf, 0.1, 0.6, 0.61], 2),
        ([1, 3, 5], [0.1, 0.2, -math.inf], 1),  # two that finished are no choice
        ([4], [0.3], 0),
        ([4, 5], [-math.inf, -math.inf], 1),
    ],
)
def test_the_knee_is_at_least_half_way_up(sizes, fitness, place):
    assert knee(sizes, fitness) == place


def test_no_formula_at_the_level_of_chance_is_a_knee_on_any_front():
    rng = np.random.default_rng(0)
    for _ in range(2_000):
        count = rng.integers(3, 9)
        sizes = np.sort(rng.choice(np.arange(1, 60), count, replace=False)).tolist()
        fitness = np.sort(rng.lognormal(0, 2, count)).tolist()
        assert fitness[knee(sizes, fitness)] >= (fitness[0] + fitness[-1]) / 2 * (1 - 1e-12)
