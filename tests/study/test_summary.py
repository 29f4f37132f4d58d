"""The pace of a search, by when its generations were finished and its sessions began."""

import sqlite3
from datetime import UTC, datetime, timedelta

import pytest

import evolr
from evolr.study.summary import pace
from tests.study.small import small

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    directory = tmp_path_factory.mktemp("pace") / "run"
    evolr.evolve(small(), directory)
    return directory


def timed(directory, ends, sessions):
    """The pace, and the trainings of each generation, if these were the seconds after START of each."""
    connection = sqlite3.connect(directory / "study.db")
    trained = connection.execute(
        "SELECT count(trial.id) FROM individual LEFT JOIN trial ON trial.individual = individual.id GROUP BY generation"
    ).fetchall()
    for number, seconds in enumerate(ends):
        at = (START + timedelta(seconds=seconds)).isoformat()
        connection.execute("UPDATE generation SET finished_at = ? WHERE number = ?", (at, number))
    connection.execute("DELETE FROM session WHERE id NOT IN (SELECT session FROM trial)")
    connection.execute("UPDATE session SET started_at = ?", (START.isoformat(),))
    for seconds in sessions:
        at = (START + timedelta(seconds=seconds)).isoformat()
        connection.execute(
            "INSERT INTO session (started_at, host, process, evolr, jax, python, language) SELECT ?, host, process, evolr, jax, python, language "
            "FROM session LIMIT 1",
            (at,),
        )
    connection.commit()
    connection.close()
    return pace(directory), [count for (count,) in trained]


def test_the_pace_is_the_seconds_of_a_training(finished):
    found, (_, *trained) = timed(finished, [1, 11, 21, 31], [])
    assert found == pytest.approx(sorted(10 / count for count in trained)[1])


def test_a_generation_in_which_a_session_began_does_not_count(finished):
    night = 40_000
    found, (_, _, third, fourth) = timed(finished, [1, 11 + night, 21 + night, 31 + night], [5 + night])
    assert found == pytest.approx((10 / third + 10 / fourth) / 2)


def test_nobody_knows_the_pace_of_a_search_that_was_interrupted_in_every_generation_or_whose_clock_went_back(finished):
    assert timed(finished, [1, 11, 21, 31], [5, 15, 25])[0] is None
    assert timed(finished, [31, 21, 11, 1], [])[0] is None
