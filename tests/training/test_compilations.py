"""When the population trainer compiles its programs, and which trainers share them."""

import gc
from dataclasses import replace
from pathlib import Path

import jax
import pytest

from evolr.problems import Mnist1dMlp
from evolr.training import programs
from evolr.training.optimizers import Optimizer
from evolr.training.task import Trial
from evolr.training.trainer import Trainer
from tests.training.tasks import SGD, SMALL, anew, same, schedule


def test_nothing_is_compiled_anew_for_another_generation_or_horizon(monkeypatch):
    traced = []
    original = programs._SingleRun.epoch
    monkeypatch.setattr(programs._SingleRun, "epoch", lambda *a: traced.append(1) or original(*a))
    trainer = Trainer(anew(SMALL), SGD)
    trainer.train([Trial(schedule("0.01"), 0)], 1)
    first, prepared = len(traced), trainer.preparing_seconds
    trainer.train([Trial(schedule("0.01*exp(-epoch)"), seed) for seed in range(50)], 2)
    trainer.train([Trial(schedule("0.1/(1+step)"), 1) for _ in range(200)], 30)
    assert first == len(traced) == 1
    assert trainer.preparing_seconds == prepared > 0


def test_a_trainer_like_another_shares_its_programs_and_judges_on_its_own_examples(monkeypatch):
    traced = []
    original = programs._SingleRun.epoch
    monkeypatch.setattr(programs._SingleRun, "epoch", lambda *a: traced.append(1) or original(*a))
    problem, trials = Mnist1dMlp(), [Trial(schedule("0.003"), 0)]
    judged, tested = anew(problem.task("fitness")), problem.task("test")
    first = Trainer(judged, Optimizer())
    first.train(trials, 1)
    (shared,) = Trainer(replace(tested, loss=judged.loss, evaluate=judged.evaluate), Optimizer(), like=first).train(
        trials, 1
    )
    assert len(traced) == 1
    (alone,) = Trainer(anew(tested), Optimizer()).train(trials, 1)
    assert len(traced) == 2
    assert same(shared, alone)


def test_a_trainer_like_one_of_another_loss_shares_nothing():
    other = replace(SMALL, loss=lambda *a: 2.0 * SMALL.loss(*a))
    trials = [Trial(schedule("0.01"), 0)]
    first = Trainer(SMALL, SGD)
    first.train(trials, 1)
    (found,), (alone,) = Trainer(other, SGD, like=first).train(trials, 1), Trainer(other, SGD).train(trials, 1)
    assert same(found, alone)
    assert not same(found, first.train(trials, 1)[0])


def test_a_trainer_like_one_on_other_devices_shares_nothing():
    trials = [Trial(schedule("0.01"), seed) for seed in range(3)]
    two = Trainer(SMALL, SGD, device_count=2)
    two.train(trials, 1)
    found = Trainer(SMALL, SGD, device_count=1, like=two).train(trials, 1)
    assert all(map(same, found, Trainer(SMALL, SGD, device_count=1).train(trials, 1)))


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="memory maps are counted on Linux")
def test_many_optimizers_take_no_more_of_the_memory_maps_than_a_few():
    """A process has 65,530 of them; XLA ends it where there are no more, so that a contest of a suite of many kinds had no end."""
    trainer = Trainer(anew(SMALL), SGD, device_count=1)

    def maps_after(*optimizers):
        for name in optimizers:
            trainer.train([Trial(schedule("0.01"), 0, Optimizer(name=name))], 1)
            gc.collect()
        return len(Path("/proc/self/maps").read_text().splitlines())

    few = maps_after("dog", "momo", "prodigy_adam", "dadapt_adam")
    assert maps_after("mechanic_momentum", "mechanic_adam") < 1.2 * few


def test_a_damaged_cache_of_compiled_programs_is_emptied_and_said_so(tmp_path, caplog):
    from jax._src import compilation_cache

    before = jax.config.jax_compilation_cache_dir
    trials = [Trial(schedule("0.01"), 0)]
    try:
        jax.config.update("jax_compilation_cache_dir", str(tmp_path))
        compilation_cache.reset_cache()
        expected = Trainer(anew(SMALL), SGD).train(trials, 1)
        entries = list(tmp_path.glob("*-cache"))
        assert entries
        for entry in entries:
            entry.write_bytes(b"damaged")
        jax.clear_caches()
        outcomes = Trainer(anew(SMALL), SGD).train(trials, 1)
        assert "damaged" in caplog.text
        assert same(outcomes[0], expected[0])
        assert not any(entry.exists() and entry.read_bytes() == b"damaged" for entry in entries)
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
        compilation_cache.reset_cache()
