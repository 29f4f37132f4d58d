from evolr.execution.local import Local
from evolr.problems import Quadratic
from evolr.standard import constant
from evolr.training.optimizers import Optimizer
from evolr.training.task import Trial


def test_trainings_and_time_are_counted_over_calls():
    local = Local(Quadratic(dimension=3), Optimizer(name="sgd"))
    assert (local.trainings, local.seconds) == (0, 0.0)
    local.run([Trial(constant(0.1), seed) for seed in range(3)], 1, "fitness")
    after_one = local.seconds
    outcomes = local.run([Trial(constant(0.1), 7)], 1, "fitness")
    assert len(outcomes) == 1
    assert local.trainings == 4
    assert local.seconds > after_one > 0


def test_it_is_prepared_once():
    local = Local(Quadratic(dimension=3), Optimizer(name="sgd"))
    assert local.prepare("test") is local.prepare("test")
