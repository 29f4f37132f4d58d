"""Trials on a real Ray cluster, whose actors, machines and head are killed in the middle."""

import functools
import importlib.util
import json
import math
import os
import signal
import subprocess
import sys
from contextlib import closing
from importlib import import_module
from pathlib import Path
from threading import Lock

import pytest

import evolr
from evolr.errors import ConfigError, ExecutorError, MissingExtraError, ProblemError
from evolr.execution.local import Local
from evolr.execution.ray import Ray
from evolr.execution.ray_batch import LOST_ACTORS, LOST_MACHINES, Batch
from evolr.execution.recording import PLACES
from evolr.execution.workers import Workers
from evolr.standard import constant
from evolr.study.summary import summarise
from evolr.training.optimizers import Optimizer
from evolr.training.task import Trial
from tests.contracts.executor import (
    EPOCHS,
    SCHEDULES,
    SIGNALS_TOLD,
    STEPS_PER_EPOCH,
    TRIALS,
    ExecutorContract,
    contents,
    quadratic,
)
from tests.execution import training_functions as functions
from tests.execution.ray_cluster import Machines
from tests.study.small import remembered

ROOT = Path(__file__).parents[2]
MANY = [Trial(schedule, seed) for seed in range(20, 60) for schedule in SCHEDULES]


@pytest.fixture(scope="module", autouse=True)
def _environment():
    """Modules that the processes of a cluster import, no tokens in the user's home, and a short wait for a head that is gone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT)
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "3")
        yield


@pytest.fixture(scope="module")
def cluster():
    with closing(Machines(cpus=8)) as machines:  # room for several executors at once
        yield machines


@pytest.fixture(scope="module")
def expected():
    """The outcomes of MANY by `contracted`, on this machine."""
    with closing(Workers(functions.contracted, signals=SIGNALS_TOLD)) as workers:
        return contents(workers.run(MANY, EPOCHS, "fitness"))


def on(cluster, train, **options):
    """An executor of a function, on a cluster of `Machines`."""
    return Ray(cluster.address, workers=2).for_function(train, SIGNALS_TOLD, **options)


class OfTheCluster:
    """Where the contract's executors run: its fixtures come before the class's."""

    address = None

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _cluster(cls, cluster):
        cls.address = cluster.address


class TestOfAFunction(OfTheCluster, ExecutorContract):
    rates = rows = PLACES
    asks_meanwhile = True

    @classmethod
    def make(cls, folder, count=2):
        return Ray(cls.address, workers=count).for_function(functions.contracted, SIGNALS_TOLD)

    @classmethod
    def hopeless(cls, folder):
        """Of a module that no worker can import."""
        (folder / "absent.py").write_text("def train(schedule, seed, epochs):\n    return 1.0\n")
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(folder)
            executor = Ray(cls.address, workers=1).for_function(import_module("absent").train, frozenset())
        sys.modules.pop("absent")
        return executor


class TestOfAPopulation(OfTheCluster, ExecutorContract):
    rates, rows = EPOCHS * STEPS_PER_EPOCH, EPOCHS

    @classmethod
    def make(cls, folder, count=2):
        return Ray(cls.address, workers=count).for_problem(quadratic(), Optimizer(name="sgd"))

    @classmethod
    def hopeless(cls, folder):
        return Ray(cls.address, workers=1).for_problem(quadratic(is_trainable=False), Optimizer(name="sgd"))


# --- the same as on one machine -----------------------------------------------------------------------------------------


def test_a_population_trains_to_the_bits_of_this_machine(cluster):
    with (
        closing(Ray(cluster.address, workers=2).for_problem(quadratic(), Optimizer(name="sgd"))) as there,
        closing(Local(quadratic(), Optimizer(name="sgd"))) as here,
    ):
        assert there.context == here.context
        assert there.identity == here.identity
        assert contents(there.run(TRIALS, 1, "selection")) == contents(here.run(TRIALS, 1, "selection"))


def test_what_becomes_of_a_trial_is_what_becomes_of_it_in_workers(cluster):
    expected = [
        "ended its process with exit code 7",
        "was killed by signal SIGSEGV",
        "took longer than 2 s",
        "used more than 0.25 GB",
    ]
    with closing(on(cluster, functions.ending_by_seed, time_limit=2, memory_limit=0.25)) as executor:
        outcomes = executor.run([Trial(constant(0.1), seed) for seed in range(4)], 1, "fitness")
    assert [outcome.failure for outcome in outcomes] == expected


# --- losses -------------------------------------------------------------------------------------------------------------


def test_an_actor_that_is_killed_is_replaced_and_its_trials_are_trained_again(cluster, expected, tmp_path):
    killed = []

    def kill(new):
        if new and not killed:
            killed.append(int(next(tmp_path.iterdir()).name))
            os.kill(killed[0], signal.SIGKILL)

    noted = functools.partial(functions.on_a_machine, str(tmp_path))
    with closing(Ray(cluster.address, workers=1).for_function(noted, SIGNALS_TOLD)) as executor:
        assert contents(executor.run(MANY, EPOCHS, "fitness", on_outcomes=kill)) == expected
    actors = {int(note.name) for note in tmp_path.iterdir()}
    assert len(actors) == 2
    assert killed[0] in actors


def test_a_trial_that_ends_its_actor_each_time_has_failed_and_the_others_have_not(cluster):
    trials = [Trial(SCHEDULES[0], seed) for seed in (2, 3, 4, 6)]
    with closing(on(cluster, functions.ending_its_actor)) as executor:
        outcomes = executor.run(trials, EPOCHS, "fitness")
    assert outcomes[1].failure.startswith(f"its worker was lost {LOST_ACTORS} times, the last by: ActorDiedError")
    assert [outcome.failure for outcome in outcomes].count(None) == 3


def test_a_machine_that_is_lost_takes_no_trial_with_it(expected, tmp_path):
    noted = functools.partial(functions.on_two_machines, str(tmp_path))
    landed = []
    with closing(Machines(others=1, cpus=1)) as machines, closing(on(machines, noted)) as executor:

        def cut(new):
            landed.extend(new)
            if new and machines.others:
                machines.end_one()

        assert contents(executor.run(MANY, EPOCHS, "fitness", on_outcomes=cut)) == expected
    assert sorted(landed) == list(range(len(MANY)))
    assert len(list(tmp_path.iterdir())) == 2


SMALL = {"search.generations": 3, "search.population": 3, "search.youth": 2}


def memory(path):
    """What a study remembers; trials in the order of what they are, not of when they landed."""
    known = remembered(path)
    known["trial"] = sorted(known["trial"])
    return known


def test_a_cluster_that_goes_away_ends_the_run_and_the_study_goes_on_without_ray(tmp_path):
    options = {"epochs": 5, "settings": SMALL}
    whole = evolr.evolve(functions.falling, tmp_path / "whole", workers=2, **options)
    with closing(Machines()) as machines:
        landed = []

        def cut(report):
            landed.append(report)
            if len(landed) >= 4:
                machines.end_all()

        with pytest.raises(ExecutorError, match=r"the Ray cluster is gone: .*goes on with the same call"):
            evolr.evolve(
                functions.falling,
                tmp_path / "cut",
                executor=evolr.Ray(machines.address, workers=1),
                on_trial=cut,
                **options,
            )
    assert 4 <= summarise(tmp_path / "cut").trainings < whole.trainings
    gone_on = evolr.evolve(functions.falling, tmp_path / "cut", workers=2, **options)
    assert gone_on.champion == whole.champion
    assert memory(tmp_path / "cut") == memory(tmp_path / "whole")
    assert (tmp_path / "cut" / "champion.json").read_bytes() == (tmp_path / "whole" / "champion.json").read_bytes()


# --- searches -----------------------------------------------------------------------------------------------------------


def test_a_population_is_evolved_on_ray_as_on_this_machine(cluster, tmp_path):
    settings = {**SMALL, "search.children": 3, "search.samples": 4, "search.finalists": 0, "training.epochs": 2}
    results = [
        evolr.evolve(quadratic(), tmp_path / name, settings=settings, executor=executor)
        for name, executor in (("there", evolr.Ray(cluster.address, workers=2)), ("here", None))
    ]
    assert results[0].champion == results[1].champion
    assert memory(tmp_path / "there") == memory(tmp_path / "here")


def test_a_family_is_tuned_on_ray_as_on_this_machine(cluster):
    options = {"trainings": 6, "epochs": 3, "signals": sorted(SIGNALS_TOLD)}
    there = evolr.tune(functions.contracted, "linear", executor=evolr.Ray(cluster.address, workers=2), **options)
    here = evolr.tune(functions.contracted, "linear", workers=2, **options)
    assert (there.score, there.constants) == (here.score, here.constants)


SCRIPT = """
import json, logging, sys, warnings
import evolr
{before}

def train(schedule, seed, epochs):
    return -abs(schedule(progress=0.5) - 0.02) + seed % 5 * 1e-6

def state():
    root = logging.root
    return root.level, root.handlers, logging.getLogRecordFactory(), warnings.filters[:], sys.excepthook, sys.path[:]

if __name__ == "__main__":
    {start}
    settings = {{"search.generations": 2, "search.population": 3, "search.finalists": 0}}
    options = {{"epochs": 2, "signals": ["progress"], "settings": settings}}
    here = evolr.evolve(train, "here", workers=1, **options)
    before = state()
    there = evolr.evolve(train, "there", executor=evolr.Ray({address}), **options)
    assert state() == before
    {after}
    assert here.champion == there.champion
    print(json.dumps([there.trainings, "ray" in sys.modules]))
"""

OF_THE_USER = {
    "before": "import ray",
    "start": "ray.init(num_cpus=1, include_dashboard=False, log_to_driver=False)",
    "address": "",
    "after": "assert ray.is_initialized() and ray.get(ray.remote(lambda: 7).remote()) == 7",
}
OF_EVOLR = {"before": "", "start": "", "address": "'local'", "after": ""}


@pytest.mark.parametrize("whose", [OF_THE_USER, OF_EVOLR], ids=["the user's", "evolr's"])
def test_a_function_of_a_script_is_trained_by_a_cluster_of(whose, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT.format(**whose))
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    environment["PYTHONWARNINGS"] = "ignore"
    done = subprocess.run([sys.executable, "script.py"], capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    trainings, is_imported = json.loads(done.stdout.splitlines()[-1])
    assert trainings > 6
    assert is_imported == (whose is OF_THE_USER)


# --- what is refused ----------------------------------------------------------------------------------------------------


def test_what_no_machine_has_room_for_is_refused(cluster):
    executor = Ray(cluster.address, gpus_per_worker=1).for_function(functions.falling, SIGNALS_TOLD)
    with closing(executor), pytest.raises(ConfigError, match="has room for a worker: one takes 1 CPUs and 1 GPUs"):
        executor.prepare("fitness")


def test_what_the_actors_cannot_load_is_told_with_its_reason(cluster, tmp_path, monkeypatch):
    (tmp_path / "elsewhere.py").write_text("def loss(weights, batch):\n    return (weights ** 2).mean()\n")
    monkeypatch.syspath_prepend(tmp_path)
    problem = quadratic()
    problem._loss = import_module("elsewhere").loss
    monkeypatch.undo()
    executor = Ray(cluster.address, workers=2).for_problem(problem, Optimizer(name="sgd"))
    with closing(executor), pytest.raises(ProblemError, match=r"could not load .*'elsewhere'.*runtime_env"):
        executor.prepare("fitness")


def test_an_address_where_no_cluster_is_ends_in_words():
    for address, problem in (("127.0.0.1:1", "ConnectionRefusedError"), ("nowhere", "Invalid address")):
        executor = Ray(address).for_function(functions.falling, SIGNALS_TOLD)
        with (
            closing(executor),
            pytest.raises(ExecutorError, match=f"cannot reach the Ray cluster '{address}': .*{problem}"),
        ):
            executor.prepare("fitness")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers must be at least 1 and at most 100,000, got 0"),
        ({"workers": 1.5}, "workers must be a whole number"),
        ({"gpus_per_worker": -1}, "gpus_per_worker must be a number from 0 to 100,000, got -1"),
        ({"cpus_per_worker": math.nan}, "cpus_per_worker must be a number from 0 to 100,000, got nan"),
        ({"cpus_per_worker": 0}, r"have to be counted: evolr\.Ray\(workers=8"),
    ],
)
def test_settings_out_of_range_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        Ray(**options)


@pytest.mark.parametrize("missing", ["ray", "cloudpickle"])
def test_without_the_extra_it_says_how_to_install_it(missing, monkeypatch):
    kept = importlib.util.find_spec
    monkeypatch.setattr("evolr.execution.ray.find_spec", lambda name: None if name == missing else kept(name))
    with pytest.raises(MissingExtraError, match=r"evolr\.Ray needs .*pip install 'evolr\[ray\]'"):
        evolr.Ray()


def test_options_of_this_machine_are_refused_beside_ray_and_so_is_what_is_no_executor(tmp_path):
    for options, problem in (
        (
            {"workers": 2, "executor": evolr.Ray()},
            r"workers is an option of training on this machine.*evolr\.Ray\(workers=8\)",
        ),
        ({"executor": "ray"}, r"executor is where trials run, such as evolr\.Ray\(address\), .*got 'ray'"),
    ):
        with pytest.raises(ConfigError, match=problem):
            evolr.evolve(functions.falling, tmp_path / "run", epochs=2, **options)
    with pytest.raises(ConfigError, match="device_count is an option of training on this machine"):
        evolr.evolve(quadratic(), tmp_path / "run", device_count=1, executor=evolr.Ray())
    assert not (tmp_path / "run").exists()


def test_a_function_or_a_problem_that_cannot_travel_is_refused():
    lock = Lock()
    with pytest.raises(ConfigError, match=r"test_ray:.*lambda> cannot be sent to a worker: it holds lock, an object"):
        Ray().for_function(lambda schedule, seed, epochs: lock.locked(), SIGNALS_TOLD)
    with pytest.raises(ConfigError, match=r"called as train\(schedule, seed, epochs\)"):
        Ray().for_function(lambda schedule: 0.0, SIGNALS_TOLD)
    problem = quadratic()
    problem._loss = lambda weights, batch: lock.locked()
    with pytest.raises(
        ConfigError, match=r"what is to be trained cannot be sent to a worker: .*_loss → lock, an object"
    ):
        Ray().for_problem(problem, Optimizer(name="sgd"))


# --- the parts ----------------------------------------------------------------------------------------------------------


def test_the_trials_of_a_seed_are_in_one_part_and_those_of_a_function_in_their_order():
    trials = [Trial(constant(0.1), seed) for seed in (2, 1, 2, 1, 2, 1)]
    batch = Batch(trials, 3, 1, 2)
    assert (batch.size, batch.most_workers) == (3, 2)
    assert [batch.taken(3), batch.taken(3), batch.taken(3)] == [[1, 3, 5], [0, 2, 4], []]
    assert list(Batch(trials, 3, None, 2).waiting) == list(range(6))


def test_what_lost_its_actor_is_trained_alone_and_has_failed_after_three_times():
    batch = Batch([Trial(constant(0.1), 0)] * 4, 3, 1, 1)
    numbers = batch.taken(4)
    assert batch.lost(numbers, "killed", is_machine=False) == {}
    assert [batch.taken(4) for _ in range(4)] == [[0], [1], [2], [3]]
    assert batch.lost([2], "killed", is_machine=False) == {}
    outcomes = batch.lost(batch.taken(4), "killed", is_machine=False)
    assert list(outcomes) == [2]
    assert outcomes[2].failure == "its worker was lost 3 times, the last by: killed"
    assert outcomes[2].train_loss.shape == (3,)


def test_what_lost_its_machine_waits_in_its_place_and_ends_the_run_after_very_many_times():
    batch = Batch([Trial(constant(0.1), 0)] * 4, 3, 1, 1)
    for _ in range(LOST_MACHINES - 1):
        assert batch.lost(batch.taken(2), "cut", is_machine=True) == {}
        assert list(batch.waiting) == [0, 1, 2, 3]
    with pytest.raises(ExecutorError, match="lost 16 machines of the Ray cluster"):
        batch.lost(batch.taken(2), "cut", is_machine=True)
