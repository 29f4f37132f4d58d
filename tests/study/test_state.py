"""Where a search stands, as a thing of its own; and the files that follow it."""

import math

import pytest

from evolr.config import resolve
from evolr.run_files import DATABASE
from evolr.study.database import Database
from evolr.study.derived_files import DerivedFiles
from evolr.study.records import Records
from evolr.study.replay import replay
from evolr.study.run_directory import RunDirectory
from evolr.study.state import SearchState
from evolr.study.study import Study
from tests.study.small import small
from tests.study.test_race import CONFIG as RACING


def told(state, score):
    """A generation of a state, each of its individuals that has to train told its score: once, or heat after heat."""
    state.begin(state.next_population(), {})
    while missing := state.current.missing():
        state.current.add((run.individual.place, run.pool, run.seed, score(run.individual)) for run in missing)
    state.finish(state.current.evaluate())


def by_size(individual):
    return abs(individual.expression.size - 4.0) + 1.0


@pytest.mark.parametrize("config", [small(), RACING], ids=["generational", "memetic with a race"])
def test_a_state_needs_no_file_and_no_trainer(config):
    state = SearchState(config)
    assert (state.generation, state.best, state.schedule, state.front) == (0, None, None, [])
    while not state.is_finished:
        told(state, by_size)
    assert state.generation == config.search.generations_in_all
    assert state.current is None
    assert state.is_raced(state.winner) == (config is RACING)
    assert state.winner.score == min(e.score for e in state.latest)
    assert state.schedule == config.search.schedule(state.winner.individual.expression)


@pytest.mark.parametrize("config", [small(), RACING], ids=["generational", "memetic with a race"])
def test_a_replayed_state_is_the_one_that_was_lived(tmp_path, config):
    with Study(tmp_path / "run", config) as study:
        trained = []
        study.run(on_trial=trained.append, should_stop=lambda: "enough" if len(trained) >= 40 else None)
        lived = study._open.state
        database = Database.open(tmp_path / "run" / DATABASE, write=False)
        again = replay(config, Records(database))
        database.close()
        assert again.generation == lived.generation > 0
        assert again.history == lived.history
        assert (again.best, again.front, again.latest) == (lived.best, lived.front, lived.latest)
        assert again.current.population == lived.current.population
        assert again.current.missing() == lived.current.missing()


def test_a_state_of_diverged_trainings_has_a_best_and_no_winner():
    state = SearchState(small())
    told(state, lambda _: math.nan)
    assert state.best.fitness == -math.inf
    assert (state.winner, state.best_so_far, state.schedule, state.front) == (None, None, None, [])
    told(state, by_size)
    assert state.winner is not None


class Watched(RunDirectory):
    """A run directory that says which files are written."""

    def __init__(self, path):
        super().__init__(path)
        self.written = []

    def write(self, name, content):
        self.written.append(name)
        super().write(name, content)


def test_files_that_are_up_to_date_are_not_written_again(tmp_path):
    directory, state = Watched(tmp_path), SearchState(small())
    files = DerivedFiles(directory, state)
    told(state, by_size)
    files.write()
    assert sorted(directory.written) == ["champion.json", "champion.txt", "config.toml", "front.csv", "history.csv"]
    files.write_best()
    files.write()
    assert len(directory.written) == 5
    told(state, lambda _: math.nan)  # none of them is better
    files.write_best()
    assert len(directory.written) == 5
    files.write()
    assert directory.written[5:] == ["history.csv"]


def test_a_later_session_writes_the_files_anew(tmp_path):
    state = SearchState(small())
    told(state, by_size)
    DerivedFiles(RunDirectory(tmp_path), state).write()
    kept = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    for name in ("champion.json", "front.csv"):
        (tmp_path / name).unlink()
    (tmp_path / "history.csv").write_text("lost")
    DerivedFiles(RunDirectory(tmp_path), state).write()
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == kept


SUITE = resolve(
    "suite",
    settings={"search.generations": 4, "search.finalists": 0, "search.seeds": 2, "search.seed_families": False},
)


def test_the_champion_among_tasks_is_not_the_one_that_met_the_easiest():
    """The first generation meets tasks of which every formula is right; the later ones do not."""
    state = SearchState(SUITE)
    for ease in (0.9, 0.1, 0.3):
        told(state, lambda individual, ease=ease: ease + 0.01 / individual.expression.size)
        assert {e.individual.place.generation for e in [state.best, *state.front]} == {state.generation - 1}
        assert state.best.score <= ease + 0.01
    easy = SearchState(SUITE)
    told(easy, by_size)
    told(easy, lambda individual: math.nan)
    assert easy.winner.individual.place.generation == 0  # nobody finished since


def test_structures_of_different_ages_are_judged_by_the_tasks_that_they_met_together():
    state = SearchState(SUITE)
    for ease in (0.9, 0.1, 0.9, 0.1):
        told(state, lambda individual, ease=ease: ease + 0.001 * (individual.place.slot % 3))
    levels = [niche.history for niche in state._method._niches]
    assert max(abs(value) for history in levels for value in history) < 0.01


def test_a_known_formula_keeps_no_score_of_other_tasks():
    config = resolve("suite", settings={"search": {"method": "generational", "generations": 3, "finalists": 0}})
    state = SearchState(config)
    for _ in range(3):
        told(state, by_size)
        assert all(e.individual.place.generation == e.known_from.generation for e in state.latest if e.known_from)
