"""The generations that breed no children and tune the best structures on more trainings, in a study."""

from pathlib import Path

import pytest

from evolr.config import resolve
from evolr.errors import StudyError
from evolr.study.evolve import evolve
from evolr.study.summary import summarise
from tests.study.small import SETTINGS, derived, evolved_with_stops, remembered

LAST = {
    **{name: value for name, value in SETTINGS.items() if name not in ("search.transform", "search.constant_range")},
    "search.population": 3,
    "search.youth": 1,
    "search.samples": 4,
    "search.children": 2,
    "search.random_structures": 2,
    "search.generations": 3,
    "search.seeds": 1,
    "search.last_generations": 2,
    "search.last_population": 2,
    "search.last_seeds": 5,
    "search.last_samples": 6,
    "search.finalists": 3,
    "search.race_seeds": 2,
}
CONFIG = resolve("memetic", settings=LAST)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    path = tmp_path_factory.mktemp("last") / "run"
    evolve(CONFIG, path)
    return path


def trainings_by_generation(path: Path) -> list[int]:
    counts: dict[int, int] = {}
    for generation, *_ in remembered_trials(path):
        counts[generation] = counts.get(generation, 0) + 1
    return [counts[generation] for generation in sorted(counts)]


def remembered_trials(path):
    tables = remembered(path)
    place = {row[0]: row[1] for row in tables["individual"]}  # id, generation, …
    return [(place[individual], seed) for individual, _, seed, *_ in tables["trial"]]


def test_they_come_after_the_others_and_before_the_race(whole):
    assert summarise(whole).generations_done == 3 + 2 + 1
    *_, one, other, race = trainings_by_generation(whole)
    assert one == other == 2 * 6 * 5
    assert race % 2 == 0


@pytest.mark.parametrize("every", [7, 30])
def test_a_study_that_is_interrupted_in_them_ends_as_one_that_is_not(whole, tmp_path, every):
    result, _ = evolved_with_stops(CONFIG, tmp_path / "run", every)
    assert result.stopped_by is None
    assert remembered(tmp_path / "run") == remembered(whole)
    assert derived(tmp_path / "run") == derived(whole)


def test_once_they_have_begun_the_generations_do_not_grow(tmp_path):
    path = tmp_path / "run"
    evolve(CONFIG, path, should_stop=lambda: "enough" if summarise(path).generations_done >= 3 else None)
    with pytest.raises(StudyError, match="its generations cannot grow any more"):
        evolve(resolve("memetic", settings={**LAST, "search.generations": 4}), path)
