"""A champion that a user's own function trained: proven, explained and frozen by that function, in workers."""

import functools
import json
import math
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

import evolr
from evolr.cli.app import app
from evolr.contest.explanation import typical_curve
from evolr.contest.prove import prove_schedule
from evolr.contest.reading import read_comparison
from evolr.contest.trainings import Request, Trainings
from evolr.contest.verdict import UNKNOWN_POOLS, verdict
from evolr.errors import ConfigError, ProblemError, StudyError
from evolr.execution.workers import Workers
from evolr.legible import markdown
from evolr.randomness import seed_from
from evolr.schedule import Schedule
from evolr.study.evolve import stored_config
from evolr.study.summary import recorded_trainings, summarise
from evolr.study.trained_by import executor_for
from evolr.training.task import Trial
from evolr.views.shown import describe
from tests.execution import training_functions as functions

ROOT = Path(__file__).parents[2]
SMALL = {
    "search.generations": 3,
    "search.population": 3,
    "search.youth": 2,
    "search.seeds": 1,
}
QUICK = {"budget": 4, "seeds": 11, "workers": 2}
NAME = "tests.execution.training_functions:descending"


@pytest.fixture(autouse=True)
def _own_cache(importable, monkeypatch):
    monkeypatch.setattr("evolr.contest.trainings.shared_directory", None)  # not the user's cache: not to be called


def evolved(directory, train=functions.descending, **options):
    evolr.evolve(train, directory, epochs=3, workers=2, settings=SMALL, **options)
    return directory


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A study that is done and was in no contest."""
    sys.path.insert(0, str(ROOT))
    return evolved(tmp_path_factory.mktemp("functions") / "searched")


@pytest.fixture(scope="module")
def run(searched):
    """The same, for all that is held of it."""
    return shutil.copytree(searched, searched.with_name("mine"))


def test_a_champion_is_proven_in_workers_and_what_was_trained_is_remembered(run):
    proven = evolr.prove(functions.descending, run, **QUICK)
    assert proven.trained > 100
    assert {"cosine", "one-cycle"} <= {entry.name for entry in proven.entries}
    assert proven.left_out[0] == "reduce on plateau"
    assert any("Left out, since the trainings do not tell" in sentence for sentence in verdict(proven))
    for name in ("contest.md", "contest.json", "contest.csv", "contest.png", "proven.json"):
        assert (run / name).stat().st_size > 100
    assert json.loads((run / "contest.json").read_bytes())["left_out"] == proven.left_out
    again = evolr.prove(functions.descending, run, **QUICK)
    assert again.trained == 0
    assert again.document([]) == proven.document([])


def test_the_document_is_the_same_with_any_number_of_workers_and_after_kills(searched, tmp_path):
    documents = []
    for workers in (1, 3):
        copy = shutil.copytree(searched, tmp_path / str(workers))
        documents.append(evolr.prove(functions.descending, copy, **{**QUICK, "workers": workers}).document([]))
    killed = shutil.copytree(searched, tmp_path / "killed")
    code = (
        "import evolr; from tests.execution.training_functions import descending;"
        f"evolr.prove(descending, {str(killed)!r}, budget=4, seeds=11, workers=2, on_done=lambda *n: print(*n, flush=True))"
    )
    rng = np.random.default_rng(0)
    for _ in range(4):
        with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            for _ in range(int(rng.integers(1, 40))):
                process.stdout.readline()
            process.kill()
    resumed = evolr.prove(functions.descending, killed, **QUICK)
    assert resumed.remembered > 0
    documents.append(resumed.document([]))
    assert documents[0] == documents[1] == documents[2]


def test_it_is_explained_by_what_the_function_told_its_schedule(run):
    explained = evolr.explain(functions.descending, run, seeds=8, workers=2)
    assert explained.learning_rates.shape == (8, 128)
    assert set(explained.frozen) == set(explained.schedule.signals)
    if "progress" in explained.frozen:
        assert explained.frozen["progress"][0] == pytest.approx(0.5, abs=0.05)
    assert (run / "explanation.png").read_bytes().startswith(b"\x89PNG")


def test_it_is_frozen_to_the_curve_that_its_trainings_took(run, tmp_path):
    rule = Schedule(expression=evolr.parse("0.02*(1 - progress) + 0*loss"))
    with closing(executor_for(stored_config(run), functions.descending, {"workers": 2})) as executor:
        trainings = Trainings(executor, 3, tmp_path)
        curve = typical_curve(rule, [1, 2], trainings)
        trainings.close()
    np.testing.assert_allclose(
        curve.curve(3, 20)[:50], 0.02 * (1 - np.arange(50) / 60), rtol=0.06
    )  # in stairs of its calls


@pytest.mark.parametrize("number", [0, -1, 1.5, True, "8"])
@pytest.mark.parametrize("judge", [evolr.freeze, evolr.explain, evolr.compare, evolr.prove])
def test_a_number_of_seeds_that_is_none_is_refused_before_anything_is_trained(run, judge, number):
    before = {path.name for path in run.iterdir()}
    options = {"budget": 4} if judge is evolr.prove else {}
    with pytest.raises(ConfigError, match="seeds must be"):
        judge(functions.descending, run, seeds=number, workers=1, **options)
    assert {path.name for path in run.iterdir()} == before


@pytest.mark.parametrize("name", ["epochs", "budget"])
def test_half_an_epoch_or_training_is_refused(run, name):
    with pytest.raises(ConfigError, match=f"{name} must be a whole number, got 1.5"):
        evolr.prove(functions.descending, run, workers=1, **{"budget": 4, name: 1.5})
    if name == "epochs":
        with pytest.raises(ConfigError, match="epochs must be a whole number"):
            evolr.compare(functions.descending, run, epochs=1.5, workers=1)


def test_failures_are_outcomes_and_the_worst(tmp_path):
    directory = evolved(tmp_path / "mine", functions.descending_or_failing)
    proven = evolr.prove(functions.descending_or_failing, directory, **QUICK)
    diverged = [entry.result.diverged for entry in proven.entries]
    assert 0 < sum(diverged) < 11 * len(diverged)
    again = evolr.prove(functions.descending_or_failing, directory, **QUICK)
    assert again.trained == 0
    assert again.document([]) == proven.document([])
    assert any(outcome.failure for entry in again.entries for outcome in entry.result.outcomes)


def test_a_function_that_fails_at_the_one_seed_of_the_first_tuning_round_is_proven(tmp_path):
    """The search's own trainings show that it can succeed."""
    unlucky = functools.partial(functions.failing_at, seed_from(0, 0, "contest tuning"))
    directory = evolved(tmp_path / "mine", unlucky)
    proven = evolr.prove(unlucky, directory, **QUICK)
    failed = [candidate for entry in proven.entries for candidate in entry.candidates if math.isnan(candidate.score)]
    assert failed
    assert proven.champion.result.diverged == 0


def test_where_every_training_fails_the_contest_ends_and_they_are_tried_again(run, tmp_path):
    with closing(Workers(functions.raising, count=1)) as executor:
        wanted = [Request(Trial(Schedule(expression=evolr.parse("0.1")), seed), is_shared=False) for seed in (1, 2)]
        for _ in range(2):
            trainings = Trainings(executor, 1, tmp_path)
            with pytest.raises(StudyError, match=r"2 of 2 trainings failed, the first by: ValueError: not with seed 1"):
                trainings.outcomes(wanted, "fitness")
            assert (trainings.trained, trainings.remembered) == (2, 0)
            trainings.close()


@pytest.mark.parametrize(
    ("what", "error", "problem"),
    [
        (functions.falling, ConfigError, r"was trained by .*:descending, got .*:falling; give the same"),
        (None, ProblemError, r"give it, as in evolr\.prove"),
        ("mine", ConfigError, "a function or None, got 'mine'"),
    ],
)
def test_another_function_or_none_is_refused(run, what, error, problem):
    for judge in (evolr.prove, evolr.explain):
        with pytest.raises(error, match=problem):
            judge(what, run)


def test_an_executor_of_one_s_own_trains_instead_if_it_is_of_the_same_function(run):
    with closing(
        Workers(functions.descending, count=1, signals=frozenset({"progress", "loss", "val_loss"}))
    ) as executor:
        assert evolr.explain(None, run, seeds=2, executor=executor).champion.diverged == 0
    with closing(Workers(functions.falling, count=1)) as other, pytest.raises(ConfigError, match=r"got .*:falling"):
        evolr.explain(None, run, seeds=2, executor=other)


def test_the_final_of_a_function_that_takes_the_pool_is_judged_on_the_test_pool_alone(tmp_path):
    run = evolved(tmp_path / "mine", functions.judging)
    result = evolr.prove(functions.judging, run, **QUICK)
    for entry in result.entries:
        assert np.nanmax(entry.result.scores) < -50
        assert all(max(finalist.scores) > -50 for finalist in entry.finalists)
    page = (run / "contest.md").read_text()
    assert "judged on the test pool, which nothing else sees" in page
    assert markdown(UNKNOWN_POOLS) not in page
    assert page.startswith("# Contest: tests.execution.training_functions:judging, 3 epochs, 11 seeds, test pool")


def test_where_a_function_knows_no_pool_the_page_says_so_and_speaks_of_none(run):
    result = evolr.prove(functions.descending, run, **QUICK)
    assert not result.knows_pools
    assert UNKNOWN_POOLS in verdict(result)
    page = (run / "contest.md").read_text()
    assert page.startswith("# Contest: tests.execution.training_functions:descending, 3 epochs, 11 seeds, fresh seeds")
    assert "pool" not in page.replace(markdown(UNKNOWN_POOLS), "").split("## The constants")[0]
    assert "steps to reach" not in page


def test_a_signal_of_ones_own_is_frozen_at_its_median(tmp_path):
    run = evolved(tmp_path / "own", functions.tempered, signals={"temperature": (0.0, 100.0)})
    explanation = evolr.explain(functions.tempered, run, seeds=6, workers=2)
    assert explanation.schedule.signals == {"temperature"}
    median, frozen = explanation.frozen["temperature"]
    assert 0.010 <= median <= 0.028  # thousandths, as the function tells them: 10 to 14, and 7 more each epoch
    assert frozen.schedule.expression.is_open_loop


def test_what_a_function_tells_is_recorded_and_shown(run):
    recorded = recorded_trainings(run)
    assert recorded.learning_rate.shape == (33,)  # three epochs of eleven parts
    assert np.isfinite(recorded.learning_rate).all()
    with closing(executor_for(stored_config(run), functions.descending, {"workers": 1})) as executor:
        trial = Trial(summarise(run).champion, 5)
        one, again = executor.run([trial, trial], 3, "fitness")
    assert one.learning_rate.tolist() == again.learning_rate.tolist()


def test_the_learning_rates_of_a_formula_whose_signals_are_not_recorded_are_drawn_as_they_were(tmp_path):
    run = evolved(tmp_path / "own", functions.tempered, signals={"temperature": (0.0, 100.0)})
    shown = describe(str(run), None, None, None)
    assert "recorded training" in shown.note
    assert "made-up" not in shown.note
    recorded = recorded_trainings(run).learning_rate
    assert shown.curve.rates.min() == pytest.approx(recorded.min())
    assert shown.curve.epochs.max() < 3
    assert "made-up" in describe(str(run), None, 5, None).note


def test_a_formula_with_a_signal_of_ones_own_is_proven_by_who_tells_it(tmp_path):
    directory = evolved(tmp_path / "mine", functions.tempered, signals={"epoch": None, "temperature": (0.0, 0.1)})
    config, rule = stored_config(directory), Schedule(expression=evolr.parse("@temperature"))
    proven = prove_schedule(rule, config, tmp_path / "own", trained_by=functions.tempered, **QUICK)
    assert proven.champion.result.mean == pytest.approx(0.0, abs=1e-6)
    other = Schedule(expression=evolr.parse("@pressure"))
    with pytest.raises(ConfigError, match="the schedule reads pressure, which these trainings do not tell"):
        prove_schedule(other, config, tmp_path / "other", trained_by=functions.tempered, **QUICK)


def test_options_of_another_kind_are_refused(run):
    with pytest.raises(ConfigError, match="unknown option of what trains this study, 'device_count'"):
        evolr.prove(functions.descending, run, device_count=2)
    with pytest.raises(ConfigError, match="name the run directory after what trained it"):
        evolr.prove(functions.descending)


def test_the_command_line_imports_the_function_by_its_name(run, monkeypatch):
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(app, ["explain", str(run), "--train", NAME, "--seeds", "2", "--workers", "2", "-q"])
    assert done.exit_code == 0, done.output
    for name, problem in (
        ("nothing", "is named module:function"),
        ("os:system;x", "is named module:function"),
        ("no_such_module:train", "cannot import the training function"),
        ("tests.execution.training_functions:nothing", "cannot import the training function"),
        ("math:pi", "is no function"),
    ):
        refused = CliRunner().invoke(app, ["prove", str(run), "--train", name, "-q"])
        assert isinstance(refused.exception, ConfigError), refused
        assert problem in str(refused.exception)


def test_compare_and_a_frozen_export_take_the_function_on_the_command_line(run, monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    compare = ["compare", str(run), "--train", NAME, "--seeds", "2", "--workers", "2", "-q", "--json"]
    done = CliRunner().invoke(app, compare)
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["trained_by"] == NAME
    assert read_comparison(run).title == NAME
    path = tmp_path / "frozen.py"
    frozen = ["export", str(run), "--to", "python", "--frozen", "-o", str(path)]
    done = CliRunner().invoke(app, [*frozen, "--train", NAME, "--workers", "2"])
    champion = evolr.load(run)
    if champion.expression.is_open_loop:
        assert "is its own curve" in str(done.exception)
    else:
        assert "def learning_rate(*, progress: float)" in path.read_text()
    for arguments, problem in (
        (frozen, "give it, as in" if not champion.expression.is_open_loop else "is its own curve"),
        (["export", str(run), "--to", "python", "--train", NAME], "--train belongs to --frozen"),
        (["compare", "--expression", "0.1", "--train", NAME], "--train belongs to a run"),
        (["compare", str(run), "-q"], "give it, as in"),
    ):
        refused = CliRunner().invoke(app, arguments)
        assert problem in str(refused.exception), refused


def test_it_is_compared_with_the_published_baselines(run):
    config = stored_config(run)
    settings = msgspec.structs.replace(config.comparison, seeds=6, base_lr=0.1)
    compared = evolr.compare_schedule(
        Schedule.load(run / "champion.json"), config, functions.descending, settings=settings, workers=2
    )
    assert [c.name for c in compared.contenders] == ["evolved", "constant", "cosine"]  # it tells no epoch
    assert np.isfinite([c.mean for c in compared.contenders]).all()
    with pytest.raises(ProblemError, match="give it, as in"):
        evolr.compare_schedule(Schedule.load(run / "champion.json"), config)
