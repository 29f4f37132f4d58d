"""The contract of every executor: subclass `ExecutorContract` in the tests of one, and say there how it is made.

An executor of a JAX problem trains `quadratic()`, one of a function `tests.execution.training_functions.contracted`; both fail
with the seed FAILING, and both are told progress, loss and val_loss. The function never ends with the seed ENDLESS.
"""

from __future__ import annotations

import json
import math
from itertools import pairwise

import numpy as np
import pytest

from evolr.errors import ConfigError, EvolrError
from evolr.expression import parse
from evolr.problems import JaxProblem
from evolr.schedule import Schedule
from evolr.training.optimizers import Optimizer
from evolr.training.task import Trial
from tests.execution.training_functions import ENDLESS, FAILING

EPOCHS = 3
SIGNALS_TOLD = frozenset({"progress", "loss", "val_loss"})
STEPS_PER_EPOCH = 4
SCHEDULES = [
    Schedule(expression=parse(text)) for text in ("0.05*(1 - progress)", "0.02/(1 + loss)", "0.01 + 0*val_loss")
]
TRIALS = [Trial(schedule, seed) for seed in (5, 3, 8) for schedule in SCHEDULES]


def quadratic(*, is_trainable: bool = True) -> JaxProblem:
    """A least-squares fit of two numbers, whose seed FAILING raises; where it is not trainable, every seed does."""
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(32, 2)).astype(np.float32)
    noise = rng.normal(0, 0.1, (4, 32)).astype(np.float32)

    def init(seed):
        if seed == FAILING or not is_trainable:
            raise ValueError(f"not with seed {seed}")
        return np.random.default_rng(seed).normal(size=2).astype(np.float32)

    def loss(weights, batch):
        return ((batch[0] @ weights - batch[1]) ** 2).mean()

    pools = zip(("train", "monitor", "fitness", "selection"), noise, strict=True)
    data = {name: (inputs, inputs @ np.array([1.0, -2.0], np.float32) + n) for name, n in pools}
    return JaxProblem(init=init, loss=loss, data=data, batch_size=32 // STEPS_PER_EPOCH, name="contracted")


def content(outcome):
    """All that an outcome says, to compare to the bit."""
    arrays = (
        outcome.train_loss,
        outcome.val_loss,
        outcome.val_score,
        outcome.learning_rate,
        outcome.learning_rates,
        *(outcome.signals or {}).values(),
    )
    told = [None if array is None else (array.dtype.str, array.shape, array.tobytes()) for array in arrays]
    return repr(outcome.score), outcome.diverged_at, outcome.failure, list(outcome.signals or ()), told


def contents(outcomes):
    return [content(outcome) for outcome in outcomes]


class StoppedError(Exception):
    """What `on_outcomes` raises here."""


class ExecutorContract:
    """The tests. What a subclass has to say:

    make(folder, count): a new executor, which trains on so many devices or workers at once; `folder` is empty.
    hopeless(folder): one of which nothing can be trained, and whose `prepare` has to say so.
    rates, rows: the shapes, with `keep_steps`, of the learning rates, (rates,), and of each signal, (rows,).
    asks_meanwhile: whether it asks meanwhile, while nothing lands, whether to go on.
    """

    rates: int
    rows: int
    asks_meanwhile = False

    @classmethod
    def make(cls, folder, count=2):
        raise NotImplementedError

    @classmethod
    def hopeless(cls, folder):
        raise NotImplementedError

    @pytest.fixture(scope="class")
    @classmethod
    def executor(cls, tmp_path_factory):
        """One for the tests that leave it usable, which all of them have to."""
        executor = cls.make(tmp_path_factory.mktemp("executor"))
        yield executor
        executor.close()

    @pytest.fixture(scope="class")
    @classmethod
    def outcomes(cls, executor):
        """Of TRIALS, in their order."""
        return executor.run(TRIALS, EPOCHS, "fitness")

    def test_outcomes_are_in_the_order_of_the_trials_and_each_has_trained(self, outcomes):
        assert len(outcomes) == len(TRIALS)
        assert all(math.isfinite(outcome.score) and outcome.failure is None for outcome in outcomes)
        assert len({outcome.score for outcome in outcomes}) == len(TRIALS)

    def test_an_outcome_depends_on_its_trial_alone_whatever_the_order_the_company_and_the_number_of_workers(
        self, outcomes, tmp_path
    ):
        expected = dict(zip(TRIALS, contents(outcomes), strict=True))
        other = self.make(tmp_path, 1)
        try:
            for company in (TRIALS[::-1], TRIALS[4:5], [TRIALS[7], TRIALS[0], TRIALS[7]]):
                assert contents(other.run(company, EPOCHS, "fitness")) == [expected[trial] for trial in company]
        finally:
            other.close()

    def test_it_says_the_same_of_itself_whatever_it_has_done_and_however_many_train(self, executor, outcomes, tmp_path):
        other = self.make(tmp_path, 1)
        for each in (executor, other):
            assert isinstance(each.identity, str)
            assert isinstance(each.keeps_failures, bool)
            assert each.signals >= SIGNALS_TOLD
            assert all(isinstance(name, str) for name in each.signals)
            assert json.loads(json.dumps(each.context)) == each.context
        for name in ("identity", "title", "knows_pools", "keeps_failures", "takes_optimizers", "signals", "context"):
            assert getattr(executor, name) == getattr(other, name)
        other.close()

    def test_a_trial_that_names_an_optimizer_is_trained_by_it_or_refused(self, executor, outcomes):
        named = Trial(SCHEDULES[0], 5, Optimizer(name="momo"))
        if not executor.takes_optimizers:
            with pytest.raises(ConfigError, match="has an optimiser of its own, got a trial that names 'momo'"):
                executor.run([named], EPOCHS, "fitness")
            return
        own, other = executor.run([TRIALS[0], named], EPOCHS, "fitness")
        assert content(own) == content(outcomes[0])
        assert other.failure is None
        assert other.score != own.score

    def test_the_schedule_the_seed_and_the_epochs_make_the_outcome(self, executor, outcomes):
        base, *others = executor.run(
            [Trial(SCHEDULES[0], 5), Trial(SCHEDULES[1], 5), Trial(SCHEDULES[0], 3)], 1, "fitness"
        )
        longer = executor.run([Trial(SCHEDULES[0], 5)], EPOCHS, "fitness")[0]
        assert len({base.score, longer.score, *(other.score for other in others)}) == 4
        assert content(longer) == content(outcomes[0])

    @pytest.mark.parametrize("pool", ["monitor", "selection"])
    def test_every_pool_can_be_judged_on_again_and_again(self, executor, pool):
        executor.prepare(pool)
        first = executor.run(TRIALS[:2], 1, pool)
        assert contents(first) == contents(executor.run(TRIALS[:2], 1, pool))

    def test_each_trial_lands_once_with_the_outcome_that_is_returned(self, executor):
        landed = []
        company = [*TRIALS, TRIALS[0], Trial(SCHEDULES[0], FAILING)]
        outcomes = executor.run(company, 1, "fitness", on_outcomes=lambda new: landed.extend(new.items()))
        assert sorted(number for number, _ in landed) == list(range(len(company)))
        assert all(content(outcome) == content(outcomes[number]) for number, outcome in landed)

    def test_a_trial_that_fails_has_an_outcome_that_says_why_and_the_others_are_trained(self, executor, outcomes):
        company = [TRIALS[0], Trial(SCHEDULES[0], FAILING), TRIALS[1], Trial(SCHEDULES[1], FAILING), *TRIALS[2:]]
        found = executor.run(company, EPOCHS, "fitness")
        for failed in (found.pop(3), found.pop(1)):
            assert math.isnan(failed.score)
            assert failed.diverged_at is None
            assert f"not with seed {FAILING}" in failed.failure
        assert contents(found) == contents(outcomes)

    def test_no_trials_are_no_outcomes(self, executor):
        before, landed = executor.trainings, []
        assert executor.run([], EPOCHS, "fitness", on_outcomes=landed.append) == []
        assert (executor.trainings, landed) == (before, [])

    def test_trials_and_time_are_counted(self, executor):
        trainings, seconds = executor.trainings, executor.seconds
        executor.run([*TRIALS[:3], Trial(SCHEDULES[2], FAILING)], 2, "monitor")
        assert executor.trainings == trainings + 4
        assert executor.seconds > seconds

    def test_what_on_outcomes_raises_ends_the_run_and_the_next_one_is_as_ever(self, executor, outcomes):
        before, landed = executor.trainings, {}

        def stop(new):
            if new:
                landed.update(new)
                raise StoppedError

        trials = [Trial(SCHEDULES[2], seed) for seed in range(100, 160)]
        with pytest.raises(StoppedError):
            executor.run(trials, EPOCHS, "fitness", on_outcomes=stop)
        assert 0 < len(landed) < len(trials)
        assert executor.trainings == before + len(landed)
        assert contents(executor.run(TRIALS, EPOCHS, "fitness")) == contents(outcomes)
        again = executor.run(trials, EPOCHS, "fitness")
        assert all(content(again[number]) == content(outcome) for number, outcome in landed.items())

    def test_it_asks_meanwhile_and_drops_what_is_under_way_where_it_says_so(self, executor, outcomes):
        told = []
        if not self.asks_meanwhile:
            executor.run(TRIALS, EPOCHS, "fitness", on_outcomes=told.append)
            assert all(told)
            return

        def stop(new):
            told.append(new)
            if not new and any(told):
                raise StoppedError

        before = executor.trainings
        with pytest.raises(StoppedError):
            executor.run([TRIALS[0], Trial(SCHEDULES[0], ENDLESS)], EPOCHS, "fitness", on_outcomes=stop)
        assert contents([outcome for new in told for outcome in new.values()]) == contents(outcomes[:1])
        assert executor.trainings == before + 1
        assert contents(executor.run(TRIALS[:3], EPOCHS, "fitness")) == contents(outcomes[:3])

    def test_steps_are_kept_where_they_are_asked_for(self, executor, outcomes):
        kept = executor.run(TRIALS[:3], EPOCHS, "fitness", keep_steps=True)
        for outcome, without in zip(kept, outcomes, strict=False):
            assert (outcome.learning_rates.shape, outcome.learning_rates.dtype) == ((self.rates,), np.float32)
            assert outcome.signals.keys() >= SIGNALS_TOLD
            assert {(s.shape, s.dtype.str) for s in outcome.signals.values()} == {((self.rows,), "<f4")}
            assert outcome.score == without.score
            assert without.learning_rates is without.signals is None
        rates = kept[0].learning_rates
        assert rates[0] == pytest.approx(0.05)
        assert all(later <= earlier for earlier, later in pairwise(rates))
        assert rates[-1] < rates[0] / 2
        np.testing.assert_allclose(kept[2].learning_rates, 0.01)
        losses = kept[1].signals["loss"]
        assert np.isfinite(losses).all()
        assert losses[0] > losses[-1] > 0

    def test_what_cannot_be_trained_is_refused_by_prepare_and_nothing_is_written(self, tmp_path):
        folder = tmp_path / "beside"
        folder.mkdir()
        hopeless = self.hopeless(folder)
        before = set(tmp_path.rglob("*"))
        with pytest.raises(EvolrError):
            hopeless.prepare("fitness")
        hopeless.close()
        written = set(tmp_path.rglob("*")) - before
        assert not {path for path in written if "__pycache__" not in path.parts}

    def test_it_is_closed_as_often_as_one_likes_and_trains_again_afterwards(self, outcomes, tmp_path):
        executor = self.make(tmp_path)
        executor.close()  # before anything
        first = executor.run(TRIALS[:3], EPOCHS, "fitness")
        executor.close()
        executor.close()
        second = executor.run(TRIALS[3:5], EPOCHS, "fitness")
        assert contents(first + second) == contents(outcomes[:5])
        assert executor.trainings == 5
        executor.close()
