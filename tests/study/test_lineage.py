"""The lineage of a champion and the course of a search, as the study's own history has them."""

from pathlib import Path

import pytest

from evolr.errors import StudyError
from evolr.study.course import course
from evolr.study.lineage import lineage
from evolr.study.study import Study
from tests.study.small import small

DATABASES = Path(__file__).parent / "databases"


def told(path, generations, **settings):
    """A study that is told scores by which larger formulas are better, and different ones differ."""
    study = Study(path, small(**settings))
    for _ in range(generations):
        for individual in study.ask():
            study.tell(individual, 1.0 / (individual.expression.size + individual.place.slot / 100))
    return study


def test_the_line_is_that_of_the_first_parents(tmp_path):
    with told(tmp_path / "run", 4) as study:
        history = {e.individual.place: e for e in study.history()}
        champion = study.front[-1].individual
    found = lineage(tmp_path / "run")
    assert found.line[0].place == champion.place
    assert len(found.line) > 1
    for step, earlier in zip(found.line, [*found.line[1:], None], strict=True):
        own = history[step.place]
        parents = own.individual.parents
        assert (step.operator, step.expression, step.score) == (
            own.individual.operator,
            own.individual.expression,
            own.score,
        )
        assert earlier is None if not parents else earlier.place == parents[0]
        assert step.other == (parents[1] if len(parents) > 1 else None)
    ancestors, pending = set(), [champion.place]
    while pending:
        fresh = set(history[pending.pop()].individual.parents) - ancestors
        ancestors |= fresh
        pending += fresh
    assert found.ancestors == len(ancestors)


def test_a_study_without_a_champion_has_no_line_and_one_of_a_first_generation_a_short_one(tmp_path):
    with told(tmp_path / "none", 0):
        pass
    assert lineage(tmp_path / "none") is None
    with told(tmp_path / "half", 0) as study:
        first = study.ask()[0]
        study.tell(first, 0.5)
    (step,) = lineage(tmp_path / "half").line
    assert step.expression == first.expression
    assert step.operator == "initial"
    assert step.score != step.score  # not evaluated yet


def test_the_course_counts_generations_and_sessions(tmp_path):
    with told(tmp_path / "run", 2) as study:
        history = study.history()
    with Study(tmp_path / "run") as study:
        study.ask()
        found = course(tmp_path / "run")  # while it is written
    assert [g.number for g in found.generations] == [0, 1, 2]
    assert [g.is_finished for g in found.generations] == [True, True, False]
    assert found.generations[0].best == max(e.fitness for e in history if e.individual.place.generation == 0)
    assert found.generations[2].best is None
    assert [g.individuals for g in found.generations] == [8, 8, 8]
    assert sum(found.operators.values()) == 24
    assert len(found.sessions) == 2
    assert found.seconds == sum(s.seconds for s in found.sessions) >= 0
    assert all(s.started_at <= s.ended_at for s in found.sessions)


@pytest.mark.parametrize("name", sorted(path.name for path in DATABASES.iterdir()))
def test_they_are_read_from_databases_of_every_schema(name, tmp_path):
    (tmp_path / "study.db").write_bytes((DATABASES / name).read_bytes())
    assert lineage(tmp_path).line
    found = course(tmp_path)
    assert found.generations[0].is_finished
    assert found.sessions
    assert found.sessions[0].evolr


def test_where_there_is_no_study_nothing_is_told(tmp_path):
    for read in (lineage, course):
        with pytest.raises(StudyError, match="is not a study"):
            read(tmp_path)
