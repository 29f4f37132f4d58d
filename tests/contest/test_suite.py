"""The contest on a suite: tasks are what is counted, and kinds that nobody was tuned on judge."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import evolr
from evolr.config import config_of, resolve
from evolr.contest.contest import RANDOM_SEARCH
from evolr.contest.explanation import _by_progress
from evolr.contest.profile import share_within, shortfalls
from evolr.contest.reading import read_contest
from evolr.contest.results import EVOLVED, FROZEN, Settings
from evolr.contest.verdict import verdict
from evolr.expression import parse
from evolr.problems import JaxProblem, Kind, Suite
from evolr.problems.problem import WORST
from evolr.schedule import Schedule
from evolr.standard import FAMILIES
from evolr.views.contest import page
from evolr.views.profile_picture import profile_picture
from tests.contest.test_verdict import contest

NAN = float("nan")
NUMBERS = np.linspace(-1, 1, 24, dtype=np.float32)
SUITE_CONFIG = resolve("suite")


def on_a_suite(scores):
    return replace(contest(scores), config=SUITE_CONFIG, title="a suite")


# --- the profile --------------------------------------------------------------------------------------------------------


def test_a_profile_counts_the_tasks_on_which_a_contender_is_near_the_best():
    scores = {EVOLVED: [0.5, 0.5, 0.5, 0.5], "a": [0.5, 0.4, 0.6, NAN], "b": [0.1, NAN, 0.2, NAN]}
    behind = shortfalls(on_a_suite({name: np.array(own) for name, own in scores.items()}))
    np.testing.assert_allclose(behind, [[0, 0, 0.1, 0], [0, 0.1, 0, np.inf], [0.4, np.inf, 0.4, np.inf]], atol=1e-12)
    shares = [share_within(own, np.array([0.0, 0.11, 0.41, 9.0])).tolist() for own in behind]
    assert shares == [[0.75, 1, 1, 1], [0.5, 0.75, 0.75, 0.75], [0, 0, 0.5, 0.5]]


def test_where_nobody_has_a_score_nobody_is_near_the_best_and_a_loss_is_the_better_the_lower():
    behind = shortfalls(on_a_suite({EVOLVED: np.array([NAN, 0.5]), "a": np.array([NAN, 0.5])}))
    assert behind.tolist() == [[np.inf, 0], [np.inf, 0]]
    losses = contest({EVOLVED: np.array([0.5, 0.5]), "a": np.array([0.2, 0.9])})
    behind = shortfalls(replace(losses, config=resolve("quadratic")))
    np.testing.assert_allclose(behind, [[0.3, 0], [0, 0.4]])


@pytest.mark.parametrize("others", [{"a": [0.4, 0.3]}, {"a": [NAN, NAN]}, {k: [0.1, 0.5] for k in "abcdefgh"}])
def test_the_profile_is_drawn_whatever_the_scores(others):
    scores = {EVOLVED: np.array([0.5, 0.5]), **{name: np.array(own) for name, own in others.items()}}
    assert profile_picture(on_a_suite(scores)).startswith(b"\x89PNG")


# --- the whole ----------------------------------------------------------------------------------------------------------


def line(slope, pools):
    return JaxProblem(
        init=lambda seed: np.float32(seed % 7),
        loss=lambda weight, x: ((weight * x - slope * x) ** 2).mean(),
        data=dict.fromkeys(("train", "monitor", *pools), NUMBERS),
        batch_size=12,
        name=f"line {slope}",
    )


@pytest.fixture
def few_families(monkeypatch, tmp_path):
    """A contest of some seconds."""
    chosen = {name: FAMILIES[name] for name in ("constant", "cosine", "AdaGrad-Norm")}
    for place in ("contest.contest", "contest.reading"):
        monkeypatch.setattr(f"evolr.{place}.FAMILIES", chosen)
    monkeypatch.setattr("evolr.contest.trainings.shared_directory", lambda: tmp_path / "shared")
    return chosen


def test_a_contest_is_held_on_kinds_that_nobody_was_tuned_on(few_families):
    searched = line(
        2.0, ("fitness", "selection")
    )  # a final that met it would be refused, and so would a search of the other
    suite = Suite(
        {"searched": Kind(searched, 2.0, 0.1), "unseen": Kind(line(4.0, ("test",)), 4.0, 0.1)}, held_out=["unseen"]
    )
    config = config_of(suite, {"training.epochs": 2, "training.optimizer.name": "sgd", "search.seeds": 2})
    rule = Schedule(expression=parse("1/(0.3 + grad_norm)"), max_lr=10.0)
    arguments = {"budget": 8, "seeds": 8, "epochs": 2, "rivals": False}
    result = evolr.prove_schedule(rule, config, "run", trained_by=suite, **arguments)
    assert {entry.name for entry in result.entries} >= {EVOLVED, RANDOM_SEARCH, *few_families}
    assert result.settings == Settings(epochs=2, budget=8, seeds=8, race_seeds=(8, 48))
    assert {suite.draw(seed, "test")[0] for seed in result.seeds} == {"unseen"}
    scores = np.array([entry.result.scores for entry in result.entries])
    assert np.isfinite(scores).all()
    assert scores.min() >= WORST
    assert result.config.problem.metric == suite.metric
    folder = Path("run")
    assert (folder / "contest-profile.png").read_bytes() == profile_picture(result)
    assert "contest-profile.png shows" in page(result)
    assert read_contest(folder).document([]) == result.document([])
    assert FROZEN in {entry.name for entry in result.entries}


def test_a_run_that_diverges_is_in_the_mean_as_the_worst_and_is_said_to_have_diverged(few_families):
    suite = Suite({"line": Kind(line(2.5, ("fitness", "selection", "test")), 2.0, 0.1)})
    config = config_of(suite, {"training.optimizer.name": "sgd", "search.seeds": 2})
    wild = Schedule(expression=parse("1e30"))
    result = evolr.prove_schedule(wild, config, "run", trained_by=suite, budget=4, seeds=8, epochs=2, rivals=False)
    own = result.champion.result
    assert (own.mean, own.diverged, own.unscored) == (WORST, 8, 0)
    assert result.ranked[-1] is result.champion
    (lost,) = (sentence for sentence in verdict(result) if "Diverged" in sentence)
    assert "8 of 8 trainings of evolved" in lost
    assert "a training that diverged has the worst score that there is, which is in the mean" in lost


def test_learning_rates_of_different_numbers_of_steps_are_laid_on_one_another_by_progress():
    rates = [np.array(own, np.float32) for own in ([1, 2], [1, 2, 3, 4], [5, 6, 7])]
    assert _by_progress(rates).tolist() == [[1, 1, 2, 2], [1, 2, 3, 4], [5, 5, 6, 7]]
    assert _by_progress(rates[:1]).tolist() == [[1, 2]]
