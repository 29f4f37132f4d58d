"""An executor that trains nothing twice: what it looks up, what it keeps, and what it tries again."""

import itertools
import sqlite3
import sys
from contextlib import closing
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from evolr.errors import StudyError
from evolr.execution.local import Local
from evolr.execution.recording import PLACES
from evolr.execution.workers import Workers
from evolr.study.ledger import Ledger
from evolr.study.remembered import Remembered
from evolr.training.optimizers import Optimizer
from evolr.training.task import Outcome, Trial
from tests.contracts.executor import (
    EPOCHS,
    SCHEDULES,
    SIGNALS_TOLD,
    STEPS_PER_EPOCH,
    TRIALS,
    ExecutorContract,
    StoppedError,
    contents,
    quadratic,
)
from tests.execution import training_functions as functions

_numbers = itertools.count()


def remembered(executor, folder):
    """A Remembered around an executor, with an empty ledger."""
    return Remembered(executor, Ledger(Path(folder) / f"{next(_numbers)}.db"))


class TestAroundLocal(ExecutorContract):
    rates, rows = EPOCHS * STEPS_PER_EPOCH, EPOCHS

    @classmethod
    def make(cls, folder, count=2):
        return remembered(Local(quadratic(), Optimizer(name="sgd"), device_count=count), folder)

    @classmethod
    def hopeless(cls, folder):
        return remembered(Local(quadratic(is_trainable=False), Optimizer(name="sgd")), folder)


@pytest.fixture(scope="module", autouse=True)
def _importable():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[2])
        yield


class TestAroundWorkers(ExecutorContract):
    rates = rows = PLACES
    asks_meanwhile = True

    @classmethod
    def make(cls, folder, count=2):
        return remembered(Workers(functions.contracted, count=count, signals=SIGNALS_TOLD), folder)

    @classmethod
    def hopeless(cls, folder):
        """Of a module that a worker cannot import."""
        (folder / "gone.py").write_text("def train(schedule, seed, epochs):\n    return 1.0\n")
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(folder)
            workers = Workers(import_module("gone").train)
        sys.modules.pop("gone")
        return remembered(workers, folder)


class Made:
    """An executor that makes outcomes up and notes what it was asked for; some of its seeds fail."""

    identity, signals, context = "made up", frozenset({"progress"}), {"made": "up"}

    def __init__(self, failing=(), *, keeps_failures=True):
        self.failing, self.keeps_failures = failing, keeps_failures
        self.trained, self.seconds, self.trainings, self.is_closed = [], 0.0, 0, False

    def prepare(self, pool):
        return pool

    def run(self, trials, epochs, pool, *, keep_steps=False, on_outcomes=None):
        outcomes = []
        for number, trial in enumerate(trials):
            self.trained.append(trial.seed)
            self.trainings, self.seconds = self.trainings + 1, self.seconds + 1.0
            if trial.seed in self.failing:
                outcomes.append(Outcome.failed(f"not {trial.seed}", 1))
            else:
                steps = np.float32([trial.seed] * 3) if keep_steps else None

                outcomes.append(Outcome(float(trial.seed), None, *np.zeros((4, epochs), np.float32), steps))
            if on_outcomes:
                on_outcomes({number: outcomes[-1]})
        return outcomes

    def close(self):
        self.is_closed = True


def trials(*seeds):
    return [Trial(SCHEDULES[0], seed) for seed in seeds]


def test_what_is_known_lands_first_and_is_the_same_to_the_bit(tmp_path):
    with closing(remembered(Local(quadratic(), Optimizer(name="sgd")), tmp_path)) as first:
        expected = first.run(TRIALS[:4], EPOCHS, "fitness", keep_steps=True)
    again = Remembered(Local(quadratic(), Optimizer(name="sgd")), first._own)
    landed = []
    with closing(again):
        found = again.run(
            [*TRIALS[:5], TRIALS[4]],
            EPOCHS,
            "fitness",
            keep_steps=True,
            on_outcomes=lambda new: landed.append(list(new)),
        )
    assert contents(found[:4]) == contents(expected)
    assert landed == [[0, 1, 2, 3], [4, 5]]
    assert (again.trained, again.remembered, again.trainings) == (1, 5, 6)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("curves = zeroblob(1600)", "its curves have 100 places, which is no training of"),
        ("curves = zeroblob(0)", "its curves have 0 places"),
        (
            """signals = zeroblob(8), signal_names = '["loss"]'""",
            "it does not say .*progress.*, which its schedule reads",
        ),
    ],
)
def test_what_cannot_be_what_the_training_left_is_damage(tmp_path, damage, said):
    with closing(remembered(Local(quadratic(), Optimizer(name="sgd")), tmp_path)) as first:
        first.run(TRIALS[:4], EPOCHS, "fitness", keep_steps=True)
    with closing(sqlite3.connect(first._own.path)) as connection, connection:
        connection.execute(f"UPDATE training SET {damage}")  # noqa: S608
    again = Remembered(Local(quadratic(), Optimizer(name="sgd")), first._own)
    with closing(again), pytest.raises(StudyError, match=f"is damaged: training .*: {said}"):
        again.run(TRIALS[:4], EPOCHS, "fitness", keep_steps=True)
    assert again.trained == 0


def test_each_of_what_decides_an_outcome_is_looked_up(tmp_path):
    made = Made()
    executor = remembered(made, tmp_path)
    for _ in range(2):
        executor.run(trials(1), 1, "fitness")
        executor.run(trials(1), 2, "fitness")
        executor.run(trials(1), 1, "selection")
        executor.run([Trial(SCHEDULES[1], 1)], 1, "fitness")
    assert len(made.trained) == 4
    other = Made()
    other.context = {"made": "otherwise"}
    Remembered(other, executor._own).run(trials(1), 1, "fitness")
    assert other.trained == [1]
    executor.close()


def test_what_has_landed_is_remembered_before_it_is_told(tmp_path):
    made = Made()
    executor = remembered(made, tmp_path)

    def stop(outcomes):
        raise StoppedError

    with pytest.raises(StoppedError):
        executor.run(trials(1, 2, 3), 1, "fitness", on_outcomes=stop)
    assert (made.trained, executor.trainings) == ([1], 1)
    executor.run(trials(1, 2, 3), 1, "fitness")
    assert made.trained == [1, 2, 3]
    executor.close()


def test_failures_are_kept_if_the_executor_keeps_them_and_not_everything_failed(tmp_path):
    made = Made(failing=(1, 2))
    executor = remembered(made, tmp_path)
    for _ in range(2):  # everything fails: it is no formula's fault, and is tried again
        assert [outcome.failure for outcome in executor.run(trials(1, 2), 1, "fitness")] == ["not 1", "not 2"]
        assert [outcome.failure for outcome in executor.unkept] == ["not 1", "not 2"]
    assert made.trained == [1, 2, 1, 2]
    executor.run(trials(1, 2, 3), 1, "fitness")
    assert executor.unkept == []
    assert executor.run(trials(1, 2, 3), 1, "fitness")[1].failure == "not 2"
    assert made.trained == [1, 2, 1, 2, 1, 2, 3]
    executor.close()


def test_failures_that_alone_are_missing_are_kept_if_a_known_success_still_succeeds(tmp_path):
    """So after a kill in a run of which all but the failures had landed, and in a last round of one candidate."""
    made = Made(failing=(2,))
    executor = remembered(made, tmp_path)
    executor.run(trials(1, 3), 1, "fitness")
    again = Remembered(made, executor._own)
    assert again.run(trials(1, 2, 3), 1, "fitness")[1].failure == "not 2"
    assert again.unkept == []
    assert made.trained == [1, 3, 2, 1]  # the last to know whether anything succeeds
    again.run(trials(2), 1, "fitness")
    assert made.trained == [1, 3, 2, 1]
    assert (again.trained, again.remembered) == (1, 3)
    executor.close()
    again.close()


def test_failures_are_not_kept_if_what_succeeded_fails_now(tmp_path):
    made = Made()
    executor = remembered(made, tmp_path)
    executor.run(trials(1), 1, "fitness")
    made.failing = (1, 2, 3)  # its data are gone, say
    executor.run(trials(2, 3), 1, "fitness")
    assert [outcome.failure for outcome in executor.unkept] == ["not 2", "not 3"]
    made.failing = ()
    assert [outcome.failure for outcome in executor.run(trials(1, 2, 3), 1, "fitness")] == [None] * 3
    executor.close()


def test_failures_that_the_executor_does_not_keep_are_tried_again(tmp_path):
    made = Made(failing=(1,), keeps_failures=False)
    executor = remembered(made, tmp_path)
    for _ in range(2):
        executor.run(trials(1, 2), 1, "fitness")
        assert [outcome.failure for outcome in executor.unkept] == ["not 1"]
    assert made.trained == [1, 2, 1]
    executor.run(trials(2), 1, "fitness")
    assert executor.unkept == []
    executor.close()


def test_what_is_shared_is_remembered_in_the_shared_ledger_alone(tmp_path):
    own, shared = Ledger(tmp_path / "own.db"), Ledger(tmp_path / "shared.db")
    executor = Remembered(Made(), own, shared=shared)
    executor.run(trials(1, 2, 3), 1, "fitness", is_shared=[True, False, True])
    for ledger, expected in ((own, [1, 3]), (shared, [2])):
        made = Made()
        Remembered(made, ledger).run(trials(1, 2, 3), 1, "fitness")
        assert made.trained == expected
    executor.close()
    assert executor.inner.is_closed
    own.close()
    shared.close()
