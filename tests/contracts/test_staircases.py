"""Stairs fall where integer arithmetic has them: a slice of benchmarks/staircases.py, which looks at the whole grid."""

import numpy as np
import pytest

from benchmarks.staircases import (
    SPELLINGS,
    Points,
    around_stairs,
    every_epoch,
    in_float32,
    in_numpy,
    in_python,
    in_trainings,
    misplaced,
    pairs_up_to,
    points,
)
from evolr.expression import parse
from evolr.schedule import Schedule

CANCELS = "ceil((1 - progress)*epochs/every)"  # float32 has too few digits of 1 − progress near the end


def amiss(counts, *, leaving_out=()):
    assert all(count["points"] > 0 for count in counts.values())
    return {text: count for text, count in counts.items() if count["misplaced"] and text not in leaving_out}


@pytest.mark.parametrize(
    ("evaluate", "leaving_out"), [(in_numpy, ()), (in_float32, (CANCELS,))], ids=["float64", "the trainer's float32"]
)
class TestOfABackEnd:
    def test_every_pair_up_to_120_at_every_epoch(self, evaluate, leaving_out):
        found = misplaced(evaluate, points(pairs_up_to(120, 120), every_epoch))
        assert amiss(found, leaving_out=leaving_out) == {}

    def test_random_pairs_up_to_1000_around_their_stairs(self, evaluate, leaving_out):
        pairs = np.random.default_rng(1).choice(pairs_up_to(1_000, 1_000), 300, axis=1, replace=False)
        assert amiss(misplaced(evaluate, points(pairs, around_stairs)), leaving_out=leaving_out) == {}


def test_python_floats_at_random_pairs():
    rng = np.random.default_rng(2)
    chosen = rng.choice(around_stairs(rng.choice(pairs_up_to(1_000, 300), 200, axis=1)), 500, axis=1)
    for steps in (1, 1_000):
        some = Points(*chosen, within=np.full(chosen.shape[1], steps - 1), steps_per_epoch=steps)
        wrong = {text: some.wrong(in_python(text, some), kind) for text, kind in SPELLINGS.items()}
        assert not any(wrong.values()), wrong


def test_real_trainings_of_random_pairs():
    assert amiss(in_trainings(2, 4, 60, 60, seed=4), leaving_out=(CANCELS,)) == {}


def test_a_plain_floor_misplaces_steps():
    """What the check is for: without a tolerance, stairs in parts of the training fall an epoch late."""
    pairs = pairs_up_to(40, 40)
    counts = [
        some.wrong(np.floor(some.signals()["progress"] / (some.every / some.epochs)), "stairs")
        for some in points(pairs, every_epoch)
    ]
    assert sum(counts) > 0


def test_the_tenth_of_ten_epochs_by_hand():
    schedule = Schedule(expression=parse("floor(progress/0.1)"))
    assert [float(schedule(progress=epoch / 10)) for epoch in range(10)] == list(range(10))
    assert [schedule.at(progress=epoch / 10) for epoch in range(10)] == list(range(10))
