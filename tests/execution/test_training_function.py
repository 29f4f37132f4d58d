"""Which functions train in workers, how they are named, and what is refused."""

import functools
import math
from contextlib import closing
from importlib import import_module

import pytest

from evolr.errors import ConfigError, ProblemError
from evolr.execution.training_function import name_of, require_callable, takes_pool
from evolr.execution.workers import Workers
from evolr.standard import constant
from evolr.training.task import Trial
from tests.execution import training_functions as functions
from tests.execution.in_workers import gone


def test_a_function_of_other_arguments_is_refused():
    with pytest.raises(ConfigError, match=r"called as train\(schedule, seed, epochs\), but .*gone\(process\)"):
        Workers(gone)
    with pytest.raises(
        ConfigError, match=r"called by position as train.*yours is .*misordered\(seed, schedule, epochs\)"
    ):
        Workers(functions.misordered)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time_limit": 0}, "time_limit must be a positive number of seconds"),
        ({"time_limit": math.nan}, "time_limit"),
        ({"memory_limit": -1}, "memory_limit must be a positive number of GB"),
        ({"count": 0}, "workers must be at least 1"),
        ({"threads": 0}, "threads must be at least 1"),
    ],
)
def test_limits_out_of_range_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Workers(functions.falling, **options)


class Called:
    def __init__(self, function):
        self.name = function.__name__

    async def __call__(self, schedule, seed, epochs):
        return 1.0


@pytest.mark.parametrize(
    ("train", "kind"),
    [
        (functions.coroutine, r"a coroutine function \(async def\)"),
        (functions.generator, r"a generator function \(it has a yield\)"),
        (functions.generator_of_coroutines, "a generator function"),
        (functools.partial(functools.partial(functions.coroutine), epochs=3), "a coroutine function"),
        (Called(functions.falling), "a coroutine function"),
    ],
    ids=["async", "yield", "both", "partial", "object"],
)
def test_a_function_of_which_a_call_runs_nothing_is_refused(train, kind):
    with pytest.raises(ConfigError, match=f"must return a number when it is called, but .* is {kind}"):
        Workers(train)


def test_a_module_that_a_worker_cannot_import_is_told_with_its_reason(tmp_path, monkeypatch):
    (tmp_path / "fleeting.py").write_text("def train(schedule, seed, epochs):\n    return 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    workers = Workers(import_module("fleeting").train)
    (tmp_path / "fleeting.py").write_text("raise OSError('no data here')\n")
    with pytest.raises(ProblemError, match="could not import the training function fleeting:train: OSError: no data"):
        workers.prepare("fitness")
    (tmp_path / "fleeting.py").write_text("import os\nos._exit(4)\n")
    with pytest.raises(ProblemError, match="ended its process with exit code 4"):
        workers.prepare("fitness")
    workers.close()


DYING = """
import os, signal
from pathlib import Path

births = Path(__file__).with_suffix(".births")
births.write_text(births.read_text() + "." if births.exists() else ".")
if len(births.read_text()) in {births}:
    os.kill(os.getpid(), signal.SIGKILL)

def train(schedule, seed, epochs):
    if seed == 1:
        os._exit(7)
    return 1.0
"""


@pytest.mark.parametrize("births", [(3, 4), (3, 4, 5)])
def test_a_worker_that_dies_while_it_starts_is_replaced_and_three_in_a_row_are_the_end(tmp_path, monkeypatch, births):
    module = f"dying_{len(births)}"
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / f"{module}.py").write_text(DYING.format(births=births))
    workers = Workers(import_module(module).train, count=1)
    trials, seen = [Trial(constant(0.1), seed) for seed in range(3)], {}
    if len(births) == 2:
        assert [o.failure for o in workers.run(trials, 1, "fitness")] == [
            None,
            "ended its process with exit code 7",
            None,
        ]
    else:
        with pytest.raises(ProblemError, match=rf"{module}:train: the worker was killed by signal SIGKILL"):
            workers.run(trials, 1, "fitness", on_outcomes=seen.update)
        assert sorted(seen) == [0, 1]
    workers.close()


def test_the_name_of_a_function():
    assert name_of(functions.falling) == "tests.execution.training_functions:falling"
    assert name_of(functools.partial(functions.falling)) == "tests.execution.training_functions:falling"
    bound = functools.partial(functions.with_grandchild, "note", epochs=object())
    assert name_of(bound) == "tests.execution.training_functions:with_grandchild('note', epochs=<object object>)"
    one, other = (name_of(functools.partial(functions.with_grandchild, "x" * 999 + end)) for end in "ab")
    assert one != other
    assert len(one) < 300


def test_a_function_that_takes_the_pool_is_told_it_and_another_is_not():
    trial = Trial(constant(0.1), 0)
    with closing(Workers(functions.pooled, count=1)) as told, closing(Workers(functions.first_rate, count=1)) as untold:
        scores = [told.run([trial], 2, pool)[0].score for pool in ("monitor", "fitness", "selection", "test")]
        assert scores == [1.0, 2.0, 3.0, 4.0]
        assert untold.run([trial], 2, "test")[0].failure is None
        assert (told.knows_pools, untold.knows_pools) == (True, False)


def test_a_pool_by_keyword_and_one_that_is_bound_and_any_keywords():
    def anything(schedule, seed, epochs, **options):
        return 0.0

    assert takes_pool(functions.judging)
    assert takes_pool(functools.partial(functions.pooled))
    assert not takes_pool(anything)
    assert not takes_pool(functools.partial(functions.pooled, pool="max"))  # a kind of pooling, say
    with closing(Workers(functools.partial(functions.pooled, pool="test"), count=1)) as bound:
        assert bound.run([Trial(constant(0.1), 0)], 2, "monitor")[0].score == 4.0
        assert not bound.knows_pools
    require_callable(functions.pooled)
    require_callable(functions.judging)
