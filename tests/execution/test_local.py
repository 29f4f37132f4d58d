from contextlib import closing

import pytest

from evolr.errors import ConfigError
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


@pytest.mark.parametrize("count", [0, -1, 10**11])
def test_a_number_of_devices_that_no_machine_has_is_refused_at_once(count):
    with pytest.raises(ConfigError, match="devices must be at least 1 and at most 4,096, got"):
        Local(quadratic(), Optimizer(name="sgd"), device_count=count)


def test_devices_that_this_machine_lacks_are_refused_before_any_data_is_loaded(monkeypatch):
    monkeypatch.setattr(Quadratic, "kinds", lambda *_: pytest.fail("it loads the data"))
    with pytest.raises(ConfigError, match="devices must be from 1 to"):
        Local(Quadratic(dimension=3), Optimizer(name="sgd"), device_count=4_000).prepare("test")


def test_the_pools_of_a_model_share_what_is_compiled(monkeypatch):
    traced = []
    original = programs._SingleRun.epoch
    monkeypatch.setattr(programs._SingleRun, "epoch", lambda *a: traced.append(1) or original(*a))
    with closing(Local(quadratic(), Optimizer(name="sgd"))) as local:
        scores = [local.run(TRIALS[:2], EPOCHS, pool)[0].score for pool in ("fitness", "selection")]
    assert len(traced) == 1
    assert scores[0] != scores[1]  # each is judged on its own examples
