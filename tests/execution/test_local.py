from evolr.execution.local import Local
from evolr.problems import Quadratic
from evolr.training.optimizers import Optimizer
from tests.contracts.executor import EPOCHS, STEPS_PER_EPOCH, ExecutorContract, quadratic


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
