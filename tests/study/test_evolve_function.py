"""A search by a training function of the user's own."""

import math
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from typer.testing import CliRunner

import evolr
from evolr.cli.app import app
from evolr.config import load
from evolr.errors import ConfigError, ProblemError, StudyError
from evolr.study.results import Limits
from evolr.study.study import Study
from evolr.study.summary import summarise
from evolr.views.shown import describe
from tests.execution import training_functions as functions
from tests.study.small import derived, remembered

ROOT = Path(__file__).parents[2]
SMALL = {"search.generations": 3, "search.population": 3, "search.youth": 2}


pytestmark = pytest.mark.usefixtures("importable")


def evolve(train, path, limits=None, **options):
    given = {"epochs": 5, "workers": 2, "settings": SMALL}
    return evolr.evolve(train, path, limits, **{**given, **options})


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The run directory of a search that nothing interrupted, by two workers, of a function that fails at times."""
    path = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT)
        evolve(functions.failing_sometimes, path)
    return path


def unordered(path):
    """What is remembered; trials in the order of what they are, not of when they landed."""
    memory = remembered(path)
    memory["trial"] = sorted(memory["trial"])
    return memory


def test_a_function_is_evolved_for_to_the_end(tmp_path):
    result = evolve(functions.falling, tmp_path / "run")
    assert result.stopped_by is None
    assert result.champion.score > -0.05
    shown = describe(str(tmp_path / "run"), None, None, None)
    assert len(shown.curve.rates) == 5
    assert shown.provenance["trained by"] == "tests.execution.training_functions:falling"
    assert "failed trainings" not in shown.provenance


def test_the_preset_costs_some_three_hundred_trainings(tmp_path):
    result = evolve(functions.falling, tmp_path / "run", settings=None)
    assert 250 <= result.trainings <= 350
    config = load(tmp_path / "run" / "config.toml")
    assert (config.problem.metric_name, config.problem.higher_is_better) == ("score", True)
    assert config.search.terminals == ("progress", "loss", "val_loss", "constant")


def test_what_is_said_of_the_score_is_stored(tmp_path):
    result = evolve(
        functions.falling, tmp_path / "run", metric="error", higher_is_better=False, signals=["progress"], seed=4
    )
    config = load(tmp_path / "run" / "config.toml")
    assert (config.seed, config.problem.metric_name, config.problem.higher_is_better) == (4, "error", False)
    assert config.search.terminals == ("progress", "constant")
    assert result.champion.fitness == -result.champion.score


def test_the_result_does_not_depend_on_the_number_of_workers(whole, tmp_path):
    for workers in (1, 3):
        evolve(functions.failing_sometimes, tmp_path / str(workers), workers=workers)
        assert unordered(tmp_path / str(workers)) == unordered(whole)
        assert derived(tmp_path / str(workers)) == derived(whole)


def test_a_search_that_is_stopped_and_gone_on_with_comes_to_the_same(whole, tmp_path):
    stops = 0
    while (
        result := evolve(functions.failing_sometimes, tmp_path / "run", Limits(trainings=40 * (stops + 1)))
    ).stopped_by:
        stops += 1
    assert stops > 1
    assert result.champion is not None
    assert unordered(tmp_path / "run") == unordered(whole)
    assert derived(tmp_path / "run") == derived(whole)


KILLED = """
import os, signal
import evolr
from tests.execution import training_functions as functions
from tests.study.test_evolve_function import evolve

if __name__ == "__main__":
    landed = []

    def kill(report):
        landed.append(report)
        if len(landed) == 30:
            os.kill(os.getpid(), signal.SIGKILL)

    evolve(functions.failing_sometimes, {path!r}, on_trial=kill)
"""


def test_a_search_that_is_killed_and_gone_on_with_comes_to_the_same(whole, tmp_path):
    script = tmp_path / "killed.py"
    script.write_text(KILLED.format(path=str(tmp_path / "run")))
    done = run(script)
    assert done.returncode == -signal.SIGKILL
    evolve(functions.failing_sometimes, tmp_path / "run")
    assert unordered(tmp_path / "run") == unordered(whole)


def run(script):
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    return subprocess.run([sys.executable, script], check=False, capture_output=True, text=True, env=environment)


def test_a_function_that_fails_in_one_trial_of_ten_ends_with_a_champion(whole):
    result = summarise(whole)
    assert math.isfinite(result.best)
    said = "\n".join(describe(str(whole), None, None, None).lines())
    assert f" of {result.trainings}\nlast failure" in re.sub(" +", " ", said)
    messages = {row[7] for row in remembered(whole)["trial"]}
    assert "was killed by signal SIGSEGV" in messages
    assert "ended its process with exit code 7" in messages


def test_a_function_that_always_fails_is_told_of_early_and_can_be_mended(tmp_path):
    with pytest.raises(
        StudyError, match=r"each of the first .* trainings of generation 0 failed; .* ValueError: not with"
    ):
        evolve(functions.raising, tmp_path / "run")
    assert remembered(tmp_path / "run")["trial"] == []


def test_a_function_that_forgets_a_signal_fails_with_every_formula(tmp_path):
    with pytest.raises(StudyError, match=r"each of the first .* ScheduleError: the study reads val_loss"):
        evolve(functions.forgetful, tmp_path / "run")


def test_settings_in_tables_leave_the_arguments_as_they_are(tmp_path):
    settings = {"search": {**{name.split(".")[1]: n for name, n in SMALL.items()}}, "problem": {"steps_per_epoch": 7}}
    evolve(functions.falling, tmp_path / "run", Limits(trainings=3), settings=settings, signals=["progress"], seed=4)
    config = load(tmp_path / "run" / "config.toml")
    assert (config.seed, config.training.epochs, config.search.terminals) == (4, 5, ("progress", "constant"))
    assert (config.search.generations, config.problem.steps_per_epoch) == (3, 7)
    assert config.problem.trainer.endswith(":falling")


def test_another_function_may_not_go_on_with_a_study(tmp_path):
    evolve(functions.falling, tmp_path / "run", Limits(trainings=10))
    with pytest.raises(StudyError, match=r"problem\.trainer is tests.*:falling, was asked to be tests.*:first_rate"):
        evolve(functions.first_rate, tmp_path / "run")


def test_the_study_of_a_function_says_how_to_go_on_with_it(tmp_path):
    evolve(functions.falling, tmp_path / "run", Limits(trainings=10))
    with Study(tmp_path / "run") as study, pytest.raises(ProblemError, match=r"the script that calls evolr\.evolve"):
        study.run()


def of_no_arguments():
    return 1.0


def holding(held):
    return lambda schedule, seed, epochs: float(held is None)


@pytest.mark.parametrize(
    ("train", "options", "message"),
    [
        (holding(threading.Lock()), {}, r"cannot be sent to a worker: it holds held, an object of type _thread\.lock"),
        (of_no_arguments, {}, r"called as train\(schedule, seed, epochs\)"),
        (functions.falling, {"time_limit": 0}, "time_limit must be a positive number"),
        (functions.falling, {"memory_limit": -2.0}, "memory_limit must be a positive number"),
        (functions.falling, {"workers": 0}, "workers must be at least 1"),
        (functions.falling, {"epochs": 0}, "epochs must be at least 1"),
        (
            functions.falling,
            {"signals": ("progress", "vall_loss")},
            "unknown signal 'vall_loss'; did you mean 'val_loss'",
        ),
        (functions.falling, {"signals": "loss"}, "signals is a list of names"),
        (functions.falling, {"settings": {"search.poplation": 3}}, r"did you mean 'search\.population'"),
        (functions.falling, {"settings": {"training": {"epochs": 3}}}, r"an argument: evolve\(…, epochs=…\)"),
        (functions.falling, {"settings": {"seed": 3}}, r"an argument: evolve\(…, seed=…\)"),
        (functions.falling, {"settings": {"search.terminals": ["loss"]}}, r"an argument: evolve\(…, signals=…\)"),
        (functions.falling, {"settings": {"problem.metric_name": "a"}}, r"an argument: evolve\(…, metric=…\)"),
        (functions.falling, {"settings": {"problem": {"name": "quadratic"}}}, r"problem\.name cannot be set"),
        (
            functions.falling,
            {"time_limt": 3},
            r"unknown option of evolve with a function, 'time_limt'; did you mean 'time_limit'",
        ),
        (functions.falling, {"time_limit": "3"}, "time_limit must be a positive number of seconds, .* got '3'"),
        (functions.falling, {"workers": 2.0}, r"workers must be a whole number, got 2\.0"),
        (functions.falling, {"limits": 100}, r"limits must be evolr\.Limits\(seconds=…, .*, got 100"),
        (functions.falling, {"settings": ["a"]}, "settings must map dotted names to values"),
        (functions.falling, {"metric": "seed"}, r"problem\.metric_name must be the name of a score.*got 'seed'"),
        (functions.falling, {"metric": ""}, r"problem\.metric_name must be the name of a score"),
        ("train", {}, r"a configuration .* or a function train\(schedule, seed, epochs\), got 'train'"),
    ],
)
def test_what_cannot_be_trained_is_refused_and_nothing_is_written(tmp_path, train, options, message):
    with pytest.raises(ConfigError, match=message):
        evolve(train, tmp_path / "run", **options)
    assert list(tmp_path.iterdir()) == []


def test_epochs_belong_to_a_function_and_are_asked_for(tmp_path):
    with pytest.raises(ConfigError, match="needs the epochs that it is called with: epochs=10"):
        evolr.evolve(functions.falling, tmp_path / "run")
    with pytest.raises(ConfigError, match=r"give them to evolr\.resolve, not epochs to evolve"):
        evolr.evolve(evolr.resolve(), tmp_path / "run", epochs=3)
    assert list(tmp_path.iterdir()) == []


def test_the_study_of_a_function_is_not_judged_without_it(tmp_path, monkeypatch):
    evolve(functions.falling, tmp_path / "run")
    for judge in (evolr.prove, evolr.explain):
        with pytest.raises(
            ProblemError, match=r"by tests.*:falling, .* evolr\.prove\(trained_by, directory\); a function by --train"
        ):
            judge(tmp_path / "run")
    done = CliRunner().invoke(app, ["compare", str(tmp_path / "run")])
    assert "trainings" not in done.stdout + done.stderr
    assert isinstance(done.exception, ProblemError)


def test_where_every_training_diverged_there_is_no_champion(tmp_path):
    result = evolve(functions.always_diverging, tmp_path / "run")
    assert (result.schedule, result.champion) == (None, None)
    assert not (tmp_path / "run" / "champion.json").exists()
    with pytest.raises(StudyError, match=r"has no champion: every training of its . generations diverged"):
        describe(str(tmp_path / "run"), None, None, None)


@pytest.mark.parametrize(
    "call", ["evolve(train, RUN, epochs=2, workers=3)", "tune(train, 'cosine', trainings=4, epochs=2, directory=RUN)"]
)
def test_a_script_without_a_guard_is_told_of_it_once(tmp_path, call):
    script = tmp_path / "unguarded.py"
    script.write_text(
        "import evolr\n\ndef train(schedule, seed, epochs):\n    return 1.0\n\n"
        f"print('imported')\nevolr.{call.replace('RUN', repr(str(tmp_path / 'run')))}\n"
    )
    done = run(script)
    assert done.returncode == 1
    assert done.stderr.count('under `if __name__ == "__main__":`') == 1
    assert done.stderr.count("Traceback") == 1
    assert done.stdout.count("imported") == 2  # by the program, and by its one worker
    assert not (tmp_path / "run").exists()


def test_a_script_is_named_by_its_file(tmp_path):
    script = tmp_path / "mine.py"
    script.write_text(
        "import evolr\nfrom evolr.study.results import Limits\n\ndef train(schedule, seed, epochs):\n"
        "    return schedule(epoch=0, loss=1, val_loss=1)\n\nif __name__ == '__main__':\n"
        f"    evolr.evolve(train, {str(tmp_path / 'run')!r}, Limits(trainings=5), epochs=2)\n"
    )
    done = run(script)
    assert (done.returncode, done.stderr) == (0, "")
    assert load(tmp_path / "run" / "config.toml").problem.trainer == "mine:train"
