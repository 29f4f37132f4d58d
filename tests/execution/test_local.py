from contextlib import closing

from evolr.execution.local import Local
from evolr.problems import Quadratic
from evolr.training import programs
from evolr.training.optimizers import Optimizer
from tests.contracts.executor import EPOCHS, STEPS_PER_EPOCH, TRIALS, ExecutorContract, quadratic


class TestTheContract(ExecutorContract):
    rates, rows = EPOCHS * STEPS_PER_EPOCH, EPOCHS

    @classmethod
    def make(cls, folder, count=2):
        return Local(quadratic(), Optimizer(name="sgd"), device_count=count)

    @classmethod
    def hopeless(cls, folder):
        return Local(quadratic(is_trainable=False), Optimizer(name="sgd"))


def test_it_is_prepared_once():
    local = Local(Quadratic(dimension=3), Optimizer(name="sgd"))
    assert local.prepare("test") is local.prepare("test")


def test_the_pools_of_a_model_share_what_is_compiled(monkeypatch):
    traced = []
    original = programs._SingleRun.epoch
    monkeypatch.setattr(programs._SingleRun, "epoch", lambda *a: traced.append(1) or original(*a))
    with closing(Local(quadratic(), Optimizer(name="sgd"))) as local:
        scores = [local.run(TRIALS[:2], EPOCHS, pool)[0].score for pool in ("fitness", "selection")]
    assert len(traced) == 1
    assert scores[0] != scores[1]  # each is judged on its own examples
