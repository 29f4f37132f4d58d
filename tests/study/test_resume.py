"""A study that was interrupted ends as one that was not."""

import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from evolr.errors import StudyError, StudyLockedError
from evolr.run_files import DATABASE
from evolr.study.database import Database
from evolr.study.evolve import evolve
from evolr.study.records import Records
from evolr.study.results import Limits
from evolr.study.study import Study
from evolr.study.summary import summarise
from tests.study.small import derived, evolved_with_stops, interrupted_after, remembered, small

CONFIG = small()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The study that nothing interrupted."""
    path = tmp_path_factory.mktemp("whole") / "run"
    evolve(CONFIG, path)
    return path


@pytest.mark.parametrize("every", [1, 5, 20, 45])
def test_an_interrupted_study_ends_as_an_uninterrupted_one(whole, tmp_path, every):
    path = tmp_path / "run"
    result, stops = evolved_with_stops(CONFIG, path, every)
    assert result.stopped_by is None
    assert stops >= 1
    assert remembered(path) == remembered(whole)
    assert derived(path) == derived(whole)


def test_one_device_begins_and_two_go_on(whole, tmp_path):
    should_stop, on_trial = interrupted_after(20)
    evolve(CONFIG, tmp_path / "run", device_count=1, should_stop=should_stop, on_trial=on_trial)
    evolve(CONFIG, tmp_path / "run", device_count=2)
    assert remembered(tmp_path / "run") == remembered(whole)


def search_until_killed(path, acknowledge):
    evolve(CONFIG, path, on_trial=lambda _: acknowledge.send(1))


def test_kills_at_random_moments_lose_nothing(whole, tmp_path):
    """The short form of benchmarks/attacks/kills.py."""
    context = multiprocessing.get_context("spawn")
    rng = random.Random(0)
    path = tmp_path / "run"
    acknowledged = kills = 0
    while True:
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=search_until_killed, args=(path, sender))
        process.start()
        sender.close()
        wanted = rng.randint(2, 16)  # trainings until the kill
        try:
            for _ in range(wanted):
                acknowledged += receiver.recv()
            process.kill()
            kills += 1
        except EOFError:
            pass
        process.join()
        try:  # what it still told before it died
            while True:
                acknowledged += receiver.recv()
        except EOFError:
            pass
        stored = summarise(path).trainings  # as a reader sees it, right after the kill
        assert stored >= acknowledged
        if process.exitcode == 0:
            break
        assert process.exitcode == -signal.SIGKILL
    assert kills >= 3
    assert remembered(path) == remembered(whole)
    assert derived(path) == derived(whole)


def test_derived_files_that_were_lost_come_back(whole, tmp_path):
    path = tmp_path / "run"
    evolve(CONFIG, path)
    for name in derived(path):
        if name != "config.toml":
            (path / name).unlink()
    evolve(CONFIG, path)
    assert derived(path) == derived(whole)


def test_generations_may_grow_and_the_longer_study_is_the_same(tmp_path):
    evolve(small(**{"search.generations": 2}), tmp_path / "grown")
    evolve(CONFIG, tmp_path / "grown")
    evolve(CONFIG, tmp_path / "straight")
    assert remembered(tmp_path / "grown") == remembered(tmp_path / "straight")
    assert derived(tmp_path / "grown") == derived(tmp_path / "straight")


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"search.population": 9}, "search.population is 8, was asked to be 9"),
        ({"seed": 5}, "seed is 0, was asked to be 5"),
        ({"problem.noise": 0.2}, "problem.noise is 0.1, was asked to be 0.2"),
        ({"search.generations": 3}, "may grow, not shrink to 3"),
    ],
)
def test_any_other_change_is_refused_with_the_difference(whole, changes, part):
    before = remembered(whole)
    with pytest.raises(StudyError, match=part):
        evolve(small(**changes), whole)
    assert remembered(whole) == before


# --- limits -----------------------------------------------------------------------------------------------------------


def test_a_number_of_trainings_ends_a_search_and_it_can_go_on(whole, tmp_path):
    result = evolve(CONFIG, tmp_path / "run", Limits(trainings=20))
    assert result.stopped_by == f"{result.trainings} trainings are done, 20 were wanted"
    assert 20 <= result.trainings < 40
    assert summarise(tmp_path / "run").state == "stopped"
    evolve(CONFIG, tmp_path / "run")
    assert summarise(tmp_path / "run").state == "done"
    assert remembered(tmp_path / "run") == remembered(whole)


def test_a_target_ends_a_search(tmp_path):
    result = evolve(CONFIG, tmp_path / "run", Limits(target=1e9))  # any loss is below it
    assert "the target is reached" in result.stopped_by
    assert summarise(tmp_path / "run").generations_done == 1


def test_a_time_ends_a_search(tmp_path):
    result = evolve(CONFIG, tmp_path / "run", Limits(seconds=1e-9))
    assert "the time is up" in result.stopped_by
    assert result.champion is None
    assert result.trainings == 0


# --- one writer, many readers -----------------------------------------------------------------------------------------


def test_a_second_writer_is_told_of_the_first(tmp_path):
    with Study(tmp_path / "run", CONFIG), pytest.raises(StudyLockedError) as caught:
        Study(tmp_path / "run")
    assert f"process {os.getpid()} on " in str(caught.value)
    assert ", since 2" in str(caught.value)
    with Study(tmp_path / "run"):  # free again
        pass


def open_until_killed(path, ready):
    with Study(path):
        ready.send(True)
        signal.pause()


def test_the_lock_of_a_killed_writer_is_free_and_that_of_a_running_one_is_not(tmp_path):
    path = tmp_path / "run"
    Study(path, CONFIG).close()
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=open_until_killed, args=(path, sender))
    process.start()
    receiver.recv()
    assert summarise(path).state == "running"
    with pytest.raises(StudyLockedError, match=f"process {process.pid} on "):
        Study(path)
    process.kill()
    process.join()
    assert summarise(path).state == "stopped"
    with Study(path) as study:
        assert len(study.ask()) > 0


def test_a_reader_in_the_middle_of_a_transaction_does_not_hold_up_a_writer(tmp_path):
    path = tmp_path / "run"
    with Study(path, CONFIG) as study:
        reader = sqlite3.connect(f"file:{path / DATABASE}?mode=ro", uri=True)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM trial").fetchall()
        study.run()
        assert reader.execute("SELECT count(*) FROM trial").fetchone() == (0,)  # its own, old snapshot
        reader.close()
        assert summarise(path).trainings > 0


def test_a_reader_cannot_write(tmp_path):
    Study(tmp_path, CONFIG).close()
    reader = Database.open(tmp_path / DATABASE, write=False)
    with pytest.raises(StudyError, match="readonly"):
        reader.write("DELETE FROM individual")
    reader.close()


def test_a_clock_that_goes_backwards_changes_nothing(whole, tmp_path, monkeypatch):
    from evolr.study import records

    times = iter(f"19{99 - k % 100:02}-01-01T00:00:00+00:00" for k in range(10_000))
    monkeypatch.setattr(records, "now", lambda: next(times))
    evolve(CONFIG, tmp_path / "run", Limits(trainings=20))
    evolve(CONFIG, tmp_path / "run")
    assert remembered(tmp_path / "run") == remembered(whole)


# --- faults -----------------------------------------------------------------------------------------------------------


def test_a_full_disk_is_a_clear_error_and_the_study_goes_on_later(whole, tmp_path, monkeypatch):
    """SQLite's own limit on the file's pages makes the real write fail as a full disk does."""
    path = tmp_path / "run"
    write_ahead = Database.write_ahead

    def on_a_small_disk(self):
        write_ahead(self)
        self.pragma(f"max_page_count = {self.pragma('page_count') + 1}")

    evolve(CONFIG, path, Limits(trainings=1))
    stored = summarise(path).trainings
    with monkeypatch.context() as patch:
        patch.setattr(Database, "write_ahead", on_a_small_disk)
        with pytest.raises(StudyError, match=r"disk is full.*make room, then go on with the same command"):
            evolve(CONFIG, path)
    assert summarise(path).trainings >= stored
    evolve(CONFIG, path)
    assert remembered(path) == remembered(whole)


@pytest.mark.parametrize("damage", ["truncated", "foreign", "text", "empty", "other database"])
def test_a_damaged_or_foreign_database_is_refused_and_left_as_it_is(tmp_path, damage):
    path = tmp_path / "run"
    Study(path, CONFIG).close()
    database = path / DATABASE
    content = database.read_bytes()
    if damage == "truncated":
        database.write_bytes(content[: len(content) // 2])
    elif damage == "foreign":
        database.write_bytes(bytes(range(256)) * 40)
    elif damage == "text":
        database.write_text("precious notes")
    elif damage == "empty":
        database.write_bytes(b"")
    else:
        database.unlink()
        other = sqlite3.connect(database)
        other.execute("CREATE TABLE music (song)")
        other.commit()
        other.close()
    before = database.read_bytes()
    with pytest.raises(StudyError) as caught:
        Study(path, CONFIG)
    assert "left as it is" in str(caught.value) or "left as it was" in str(caught.value)
    assert database.read_bytes() == before


def test_every_trial_failing_stops_the_search_and_going_on_tries_again(whole, tmp_path, monkeypatch):
    from evolr.problems import Quadratic

    task = Quadratic.task

    def broken(self, pool):
        from dataclasses import replace

        def batches(seed, epoch):
            raise RuntimeError("the data is on a disk that is not there")

        return replace(task(self, pool), batches=batches)

    with monkeypatch.context() as patch:
        patch.setattr(Quadratic, "task", broken)
        with pytest.raises(
            StudyError, match=r"the first .* trainings of generation 0 failed; .*a disk that is not there"
        ):
            evolve(CONFIG, tmp_path / "run")
    evolve(CONFIG, tmp_path / "run")
    assert remembered(tmp_path / "run") == remembered(whole)


def test_an_individual_that_fails_alone_in_its_generation_does_not_stop_the_search(tmp_path, monkeypatch):
    """Where something has been trained before, a generation of failures is bad luck, not a broken problem."""
    from dataclasses import replace

    from evolr.problems import Quadratic
    from evolr.search.evaluation import seeds_of

    task = Quadratic.task
    bad = set(seeds_of(CONFIG, 2))

    def flaky(self, pool):
        own = task(self, pool)

        def batches(seed, epoch):
            if seed in bad:
                raise RuntimeError("no data today")
            return own.batches(seed, epoch)

        return replace(own, batches=batches)

    monkeypatch.setattr(Quadratic, "task", flaky)
    assert evolve(CONFIG, tmp_path / "run").stopped_by is None
    assert summarise(tmp_path / "run").state == "done"


def test_a_study_that_could_not_write_closes_and_opens_again(whole, tmp_path, monkeypatch):
    path = tmp_path / "run"
    study = Study(path, CONFIG)
    with monkeypatch.context() as patch:

        def full(*_):
            raise StudyError("database or disk is full")

        patch.setattr(Records, "finish_generation", full)
        with pytest.raises(StudyError, match="disk is full"):
            study.run()
    for call in (study.ask, study.run, lambda: study.tell(None, 1.0)):
        with pytest.raises(StudyError, match="is closed; open it again"):
            call()
    evolve(CONFIG, path)
    assert remembered(path) == remembered(whole)


def test_limits_count_each_call_of_a_shared_executor_once(tmp_path):
    from evolr.study.trained_by import executor_for

    executor = executor_for(CONFIG)
    with Study(tmp_path / "run", CONFIG) as study:
        first = study.run(Limits(trainings=20), executor=executor).trainings
        second = study.run(Limits(trainings=first + 10), executor=executor)
    assert second.trainings >= first + 10


@pytest.mark.skipif(not hasattr(os, "setuid") or os.geteuid() != 0, reason="needs to become another user")
def test_a_reader_that_may_not_write_sees_what_a_killed_writer_left(tmp_path):
    path = tmp_path / "run"
    Study(path, CONFIG).close()
    crash = f"""
import os
from evolr.study.results import Limits
from evolr.study.study import Study
study = Study({str(path)!r}); study.run(Limits(trainings=20)); os._exit(9)"""
    subprocess.run([sys.executable, "-c", crash], check=False)
    assert (path / "study.db-wal").stat().st_size > 0
    for folder in (tmp_path, *tmp_path.parents):
        if folder.owner() == "root" and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o055)
    for file in path.iterdir():
        file.chmod(0o644)
    look = f"""
import os
import numpy.ma, numpy.random  # which NumPy loads when they are used: then from where this user may not read, maybe
from pathlib import Path
import evolr.study.summary as summary
os.setuid(65534)
print(summary.summarise(Path({str(path)!r})).trainings)"""
    seen = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout
    assert int(seen) == summarise(path).trainings >= 20


def test_a_study_whose_configuration_is_missing_is_refused(tmp_path):
    Database.create(tmp_path / DATABASE, lambda _: None).close()
    with pytest.raises(StudyError, match="study: it is missing, and so is the configuration"):
        Study(tmp_path, CONFIG)
    with pytest.raises(StudyError, match="study: it is missing, and so is the configuration"):
        summarise(tmp_path)


def test_one_seed_failing_is_recorded_and_the_search_goes_on(tmp_path, monkeypatch):
    from dataclasses import replace

    from evolr.problems import Quadratic
    from evolr.search.evaluation import seeds_of

    task = Quadratic.task
    bad = seeds_of(CONFIG, 1)[0]

    def flaky(self, pool):
        own = task(self, pool)

        def batches(seed, epoch):
            if seed == bad:
                raise RuntimeError("no data today")
            return own.batches(seed, epoch)

        return replace(own, batches=batches)

    monkeypatch.setattr(Quadratic, "task", flaky)
    result = evolve(CONFIG, tmp_path / "run")
    database = Database.open(tmp_path / "run" / DATABASE, write=False)
    assert set(Records(database).failures(1)) == {"RuntimeError: no data today"}
    database.close()
    assert result.stopped_by is None
    trained = [e for e in result.history if e.individual.place.generation == 1 and e.source == "trained"]
    assert trained
    assert all(e.fitness == float("-inf") for e in trained)
