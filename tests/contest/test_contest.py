"""The contest on a small quadratic: real trainings, every stage."""

import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evolr.config import resolve
from evolr.contest import results
from evolr.contest.contest import RANDOM_SEARCH
from evolr.contest.prove import prove, prove_schedule
from evolr.contest.results import EVOLVED, FROZEN, Settings
from evolr.contest.trainings import Request, Trainings
from evolr.contest.tuning import Candidate, FamilyTuner, best_of, tune
from evolr.contest.verdict import verdict
from evolr.errors import ConfigError, ProblemError, RunDirectoryError, StudyError
from evolr.expression import parse
from evolr.legible import markdown
from evolr.problems import Metric
from evolr.run_files import LEDGER
from evolr.schedule import Schedule
from evolr.standard import FAMILIES
from evolr.study.ledger import Ledger, training_key
from evolr.study.study import Study
from evolr.study.trained_by import executor_for
from evolr.training.task import Trial
from evolr.views.contest import contest_table, page, summary
from evolr.views.contest_picture import contest_picture
from tests.study.small import small

CONFIG = small()
TINY = {"budget": 12, "seeds": 12, "epochs": 3, "rivals": False}


def schedule(text, **settings):
    return Schedule(expression=parse(text), min_lr=0.0, max_lr=10.0, **settings)


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    """Each test has a ledger of its own for what contests share."""
    monkeypatch.setattr("evolr.contest.trainings.shared_directory", lambda: tmp_path / "shared")


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("contests")


@pytest.fixture(scope="module")
def searched(home):
    """A study that is done and was in no contest."""
    with Study(home / "searched", small()) as made:
        made.run()
    return home / "searched"


@pytest.fixture(scope="module")
def first(home, searched):
    """Its first contest, in `home / "proven"`; where the families are remembered is `home / "shared"`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evolr.contest.trainings.shared_directory", lambda: home / "shared")
        return prove(shutil.copytree(searched, home / "proven"), **TINY)


@pytest.fixture(scope="module")
def equal(home, searched):
    """Its contest at the budget that is its own, of trainings of an epoch; and how many trainings it would take at most."""
    totals = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evolr.contest.trainings.shared_directory", lambda: home / "shared of equal")
        result = prove(
            shutil.copytree(searched, home / "equal"), seeds=12, epochs=1, rivals=False, on_total=totals.append
        )
    return result, totals[0]


@pytest.fixture(scope="module")
def steady(home):
    """A contest of the constant 0.3."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evolr.contest.trainings.shared_directory", lambda: home / "shared of steady")
        return prove_schedule(schedule("0.3"), CONFIG, home / "steady", **TINY)


@pytest.fixture
def study(searched):
    """The study, in a folder of the test's own."""
    return Path(shutil.copytree(searched, "run"))


@pytest.fixture
def contested(first, home, tmp_path):
    """The study after its first contest, in a folder of the test's own, which remembers that contest's trainings."""
    shutil.copytree(home / "shared", tmp_path / "shared")
    return Path(shutil.copytree(home / "proven", "run"))


def proven(text, **changes):
    return prove_schedule(schedule(text), CONFIG, "mine", **{**TINY, **changes})


# --- the whole ----------------------------------------------------------------------------------------------------------


def test_a_study_is_proven_against_every_family(first):
    result = first
    names = {entry.name for entry in result.entries}
    assert names >= {EVOLVED, RANDOM_SEARCH, *FAMILIES}
    assert result.champion.name == EVOLVED
    assert result.settings.pool == "test"
    document = result.document(verdict(result))
    assert json.dumps(document, allow_nan=False)
    assert {len(c["scores"]) for c in document["contenders"]} == {12}
    assert {c["training_runs"] for c in document["contenders"] if c["name"] in FAMILIES} == {12}
    assert len(result.rows()) == 12 * len(names)
    assert contest_picture(result).startswith(b"\x89PNG")
    text = page(result)
    assert all(f"| {name}" in text for name in names)
    assert all(markdown(sentence) in text for sentence in verdict(result))
    assert len(contest_table(result).rows) == len(names)
    assert summary(result, Path("here"))[-1].endswith("; saved: here/contest.*")


def test_the_default_budget_is_the_studys_own(study, equal):
    result, total = equal
    spent = sum(
        1 for _ in (line for line in Path(study, "history.csv").read_text().splitlines()[1:] if ",trained," in line)
    )
    assert result.settings.budget == result.champion.trained == 3 * spent
    assert result.trained + result.remembered <= total


def test_the_same_contest_again_trains_nothing_and_says_the_same(contested, first):
    second = prove(contested, **TINY)
    assert (second.trained, second.remembered) == (0, first.trained + first.remembered)
    assert second.document([]) == first.document([])


def test_another_study_on_the_problem_finds_the_families_tuned(contested, first):
    with Study("other", small(seed=5)) as other:
        other.run()
    second = prove("other", **TINY)
    assert second.trained < 0.5 * first.trained
    tuned = [{e.name: e.constants for e in result.entries if e.name in FAMILIES} for result in (first, second)]
    assert tuned[0] == tuned[1]
    assert first.seeds != second.seeds


def test_the_number_of_devices_changes_nothing(study, first):
    """`first` is by both of them."""
    assert prove(study, **TINY, device_count=1).document([]) == first.document([])


def test_a_contest_that_was_killed_goes_on_and_ends_the_same(study, first, tmp_path, monkeypatch):
    """Killed again and again, at whatever moment; what was acknowledged is not trained twice."""
    killed = tmp_path / "killed"
    code = (
        "import evolr.contest.prove as p, evolr.contest.trainings as t, pathlib;"
        f"t.shared_directory = lambda: pathlib.Path({str(killed)!r});"
        f"p.prove({str(study)!r}, budget=12, seeds=12, epochs=3, rivals=False, on_done=lambda t, r: print(t, flush=True))"
    )
    trained, kills = 0, 0
    for patience in (40, 200, 100_000):
        process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        seen = 0
        assert process.stdout is not None
        for line in process.stdout:
            seen += int(line)
            if seen > patience:
                process.kill()
                kills += 1
                break
        process.wait()
        process.stdout.close()
        trained += seen
    assert kills == 2
    assert process.returncode == 0
    monkeypatch.setattr("evolr.contest.trainings.shared_directory", lambda: killed)
    ended = prove(study, **TINY)
    assert ended.trained == 0
    assert first.document([]) == ended.document([])
    # Between an acknowledgement and a kill nothing is lost; what had landed but was not acknowledged may be.
    assert trained <= first.trained


# --- what may be said ---------------------------------------------------------------------------------------------------


def test_a_standard_family_in_disguise_is_not_distinguishable_from_itself(first):
    tuned = next(e for e in first.entries if e.name == "cosine")
    disguised = ordinary = tuned.result.schedule
    result = prove_schedule(disguised, CONFIG, "second", **TINY)
    pairs = next(e.result.pairs for e in result.entries if e.name == "cosine")
    assert (pairs.difference, pairs.p_value, pairs.relation) == (0.0, 1.0, "not distinguishable from")
    assert ordinary == disguised
    assert "not distinguishable from" in verdict(result)[0]


def test_a_bad_schedule_is_said_to_be_worse_plainly():
    result = proven("0.0000000001")
    assert "beats none of" in verdict(result)[0]
    assert "it is worse than" in verdict(result)[0]


def test_a_schedule_that_always_diverges_is_said_to():
    result = prove_schedule(Schedule(expression=parse("1e9"), max_lr=1e10), CONFIG, "mine", **{**TINY, "seeds": 16})
    assert any("16 of 16 trainings of evolved" in sentence for sentence in verdict(result))
    assert math.isnan(result.champion.result.mean)
    assert contest_picture(result).startswith(b"\x89PNG")
    assert page(result)


def test_too_few_seeds_are_said_to_be_too_few():
    """28 contenders: Holm leaves the least of the p-values of 10 pairs, 1/512, above 0.05."""
    (few,) = verdict(proven("0.3", seeds=10))
    assert few.startswith("Nothing can be said: with 10 seeds")
    assert "28 contenders need 11 seeds" in few
    assert not any("no difference" in sentence for sentence in verdict(proven("0.3", seeds=11)))


def test_feedback_is_proven_against_its_own_frozen_curve(steady):
    result = proven("0.5*min(1, loss/5)")
    entry = next(e for e in result.entries if e.name == FROZEN)
    assert entry.result.schedule.expression.is_open_loop
    realised = np.median(result.champion.result.curves("learning_rate"), axis=0)
    np.testing.assert_allclose(np.median(entry.result.curves("learning_rate"), axis=0), realised, rtol=0.4)
    assert any("It reads loss" in sentence for sentence in verdict(result))
    assert FROZEN not in {e.name for e in steady.entries}
    assert not any("It reads" in sentence for sentence in verdict(steady))


def test_a_feedback_schedule_that_diverges_has_no_frozen_curve_and_that_is_said():
    result = prove_schedule(
        Schedule(expression=parse("1e6*loss"), max_lr=1e10), CONFIG, "mine", **{**TINY, "seeds": 16}
    )
    assert FROZEN not in {e.name for e in result.entries}
    assert any("there is no median curve" in sentence for sentence in verdict(result))
    assert "None of its trainings finished." in verdict(result)


def test_unequal_budgets_and_untuned_families_are_said(study, equal):
    flattered = verdict(prove(study, **{**TINY, "budget": 6}))
    assert any("The budgets are not equal" in sentence for sentence in flattered)
    assert any("hardly tuned: take 60 at least" in sentence for sentence in flattered)
    fair = verdict(equal[0])
    assert not any("budgets" in sentence for sentence in fair)


def test_looking_at_the_test_pool_again_is_counted(contested, first):
    assert first.looks == 1
    assert prove(contested, **TINY).looks == 1
    again = prove(contested, **{**TINY, "seeds": 13})
    assert again.looks == 2
    assert any("looked at by 2 different contests" in sentence for sentence in verdict(again))


def test_a_contender_that_lives_by_its_survivors_is_not_the_best(steady):
    result = steady
    lucky = next(e for e in result.entries if e.name == "cosine")
    scores = np.array([0.0, *[np.nan] * 11])
    entries = [
        replace(e, result=replace(e.result, scores=scores, mean=0.0)) if e is lucky else e for e in result.entries
    ]
    assert replace(result, entries=entries).ranked[-1].name == "cosine"


def test_a_rehearsal_says_that_it_is_one_and_leaves_the_test_pool_unseen(study, monkeypatch):
    pools = []
    kept = Trainings.outcomes

    def watched(self, wanted, pool, **options):
        pools.append(pool)
        return kept(self, wanted, pool, **options)

    monkeypatch.setattr(Trainings, "outcomes", watched)
    result = prove(study, is_quick=True, epochs=2, rivals=False)
    assert set(pools) == {"fitness", "selection"}
    assert "a rehearsal" in verdict(result)[-1]
    pools.clear()
    prove(study, **TINY)
    assert pools.count("test") == 1
    assert pools[-1] == "test"


def paired_as(result, name, **changes):
    """The result with other pairs of one contender."""
    entries = [
        replace(e, result=replace(e.result, pairs=replace(e.result.pairs, **changes))) if e.name in name else e
        for e in result.entries
    ]
    return replace(result, entries=entries)


def test_the_claim_names_the_strictest_level_that_all_its_p_values_are_below(steady):
    result = steady
    everyone = [e.name for e in result.entries[1:]]
    won = paired_as(result, everyone, direction=1, p_value=0.00099)
    assert f"beats all {len(everyone)} contenders at p < 0.001." in verdict(won)[0]
    assert "at p < 0.01." in verdict(paired_as(won, ["cosine"], p_value=0.001))[0]
    assert "at p < 0.05." in verdict(paired_as(won, ["cosine"], p_value=0.01))[0]
    tie = verdict(paired_as(won, ["cosine"], p_value=0.05))[0]
    assert (
        f"beats {len(everyone) - 1} of {len(everyone)} contenders at p < 0.001; it is not distinguishable from cosine."
        in tie
    )
    lost = verdict(paired_as(result, everyone, direction=-1, p_value=0.04))[0]
    assert f"beats none of {len(everyone)} contenders; it is worse than all {len(everyone)} at p < 0.05" in lost


# --- the parts ----------------------------------------------------------------------------------------------------------


def test_tuning_spends_its_budget_and_finds_the_optimum_of_one_constant(tmp_path):
    """A constant learning rate on the quadratic: the tuned one is as good as the best of a fine grid, all but."""
    config = small(**{"search.seeds": 16})
    trainings = Trainings(executor_for(config), 4, tmp_path / "own")
    found = tune([FamilyTuner(FAMILIES["constant"])], config, 40 * 16, trainings)["constant"]
    assert trainings.trained + trainings.remembered == 40 * 16
    assert len(found) == 40
    best = best_of(found, 1, config.problem.metric)[0]
    problem = config.problem
    grid = [problem.expected_loss(np.full(16, rate)) for rate in np.geomspace(1e-3, 2, 200)]
    assert problem.expected_loss(np.full(16, best.constants["base"])) < 1.3 * min(grid)
    trainings.close()


def test_the_best_candidates_are_different_and_those_that_diverged_are_last():
    one, other, lost = schedule("0.1"), schedule("0.2"), schedule("0.3")
    found = [Candidate(lost, math.nan), Candidate(one, 0.5), Candidate(one, 0.4), Candidate(other, 0.45)]
    assert [c.schedule for c in best_of(found, 3, Metric("accuracy", True))] == [one, other, lost]
    assert [c.score for c in best_of(found, 2, Metric("loss", False))] == [0.4, 0.45]


def test_a_training_is_done_once_and_remembered_to_the_bit(tmp_path):
    wanted = [Request(Trial(schedule("0.1*loss"), 3), is_shared=False)] * 2
    for expected in ((1, 1), (0, 2)):
        trainings = Trainings(executor_for(CONFIG), 3, tmp_path / "own")
        one, two = trainings.outcomes(wanted, "selection", keep_steps=True)
        assert (trainings.trained, trainings.remembered) == expected
        assert one.score == two.score
        trainings.close()
        if expected == (1, 1):
            first = one
    assert (first.score, first.diverged_at) == (one.score, one.diverged_at)
    for name in ("train_loss", "val_loss", "val_score", "learning_rate", "learning_rates"):
        assert np.array_equal(getattr(first, name), getattr(one, name))


def test_the_key_of_a_training_tells_everything_that_matters_apart():
    context = {"problem": {"name": "quadratic"}, "jax": "1"}
    trial = Trial(schedule("0.1"), 3)
    keys = [
        training_key(context, trial, 3, "test", keep_steps=False),
        training_key({**context, "jax": "2"}, trial, 3, "test", keep_steps=False),
        training_key(context, Trial(schedule("0.2"), 3), 3, "test", keep_steps=False),
        training_key(context, Trial(schedule("0.1", transform="log"), 3), 3, "test", keep_steps=False),
        training_key(context, Trial(trial.schedule, 4), 3, "test", keep_steps=False),
        training_key(context, trial, 4, "test", keep_steps=False),
        training_key(context, trial, 3, "selection", keep_steps=False),
        training_key(context, trial, 3, "test", keep_steps=True),
    ]
    assert len(set(keys)) == len(keys)
    assert keys[0] == training_key(dict(reversed(context.items())), trial, 3, "test", keep_steps=False)


def test_a_ledger_that_is_no_ledger_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / LEDGER
    path.write_bytes(b"not a database at all" * 100)
    with pytest.raises(StudyError, match="damaged or no study"):
        Ledger(path)
    assert path.read_bytes().startswith(b"not a database")


def test_another_database_is_no_ledger(study):
    with pytest.raises(StudyError, match="no ledger of evolr's"):
        Ledger(study / "study.db")
    assert Study(study).is_finished


def test_a_failed_training_is_tried_again(tmp_path, monkeypatch):
    from evolr.problems import Quadratic

    trainings = Trainings(executor_for(CONFIG), 2, tmp_path / "own")
    kept = Quadratic.task

    def failing(self, pool):
        def raising(seed):
            raise RuntimeError("no memory")

        return replace(kept(self, pool), initial=raising)

    monkeypatch.setattr(Quadratic, "task", failing)
    with pytest.raises(StudyError, match="no memory"):
        trainings.outcomes([Request(Trial(schedule("0.1"), 3), is_shared=True)], "fitness")
    monkeypatch.setattr(Quadratic, "task", kept)
    trainings.close()
    trainings = Trainings(executor_for(CONFIG), 2, tmp_path / "own")
    assert trainings.outcomes([Request(Trial(schedule("0.1"), 3), is_shared=True)], "fitness")[0].failure is None
    assert trainings.trained == 1
    trainings.close()


# --- what is refused ----------------------------------------------------------------------------------------------------


def test_what_cannot_be_proven_is_refused(study):
    with pytest.raises(RunDirectoryError, match="not a run directory"):
        prove("nothing")
    with Study("young", small()), pytest.raises(StudyError, match="still being searched"):
        prove("young")
    with pytest.raises(StudyError, match="no champion yet"):
        prove("young")
    with pytest.raises(ConfigError, match="seeds must be at least 1 and at most 100,000, got 0"):
        prove(study, seeds=0)
    with pytest.raises(ConfigError, match="budget must be at least 1 and at most 1,000,000,000, got 0"):
        prove(study, budget=0)
    external = resolve("original", settings={"problem.name": "external"})
    with pytest.raises(ProblemError, match=r"external.*call evolr\.evolve"):
        prove_schedule(schedule("0.1"), external, "mine", budget=4)
    with pytest.raises(ConfigError, match="the budget must be at least 3, got 2"):
        prove(study, budget=2)
    with pytest.raises(RunDirectoryError, match="holds a study, which has files of its own"):
        prove_schedule(schedule("0.1"), CONFIG, study, **TINY)
    prove_schedule(schedule("0.1"), CONFIG, "other", **TINY)
    with pytest.raises(RunDirectoryError, match="contest of another schedule"):
        prove_schedule(schedule("0.2"), CONFIG, "other", **TINY)
    Path("taken").mkdir()
    Path("taken", "letter.txt").write_text("kept")
    with pytest.raises(RunDirectoryError, match="holds other files"):
        prove_schedule(schedule("0.1"), CONFIG, "taken", **TINY)
    assert not Path("mine").exists()


def test_the_settings_of_a_rehearsal_never_exceed_the_budget():
    assert results.quick(30, 5, 1).budget == 5
    assert results.quick(30, 500, 1).budget == 32
    assert results.quick(30, 500, 16).budget == 192
    assert Settings(epochs=1, budget=1).pool == "test"
