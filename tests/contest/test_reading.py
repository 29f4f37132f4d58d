"""A record that is read again is the one that was written: every view of it is the same. What is no record is refused."""

import json
import shutil
import sys
from pathlib import Path

import pytest

import evolr
from evolr.contest.reading import read_comparison, read_contest, read_explanation
from evolr.contest.verdict import verdict
from evolr.errors import RunDirectoryError, StudyError
from evolr.views.contest import contest_table, page
from evolr.views.contest_picture import contest_picture
from evolr.views.explanation_picture import explanation_picture
from evolr.views.pictures import comparison_picture
from evolr.views.tables import comparison_table, explanation_table
from tests.execution import training_functions as functions

ROOT = Path(__file__).parents[2]
SMALL = {"search.generations": 3, "search.population": 3, "search.youth": 2, "search.seeds": 1}
READERS = {"contest": read_contest, "comparison": read_comparison, "explanation": read_explanation}


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A run directory, and what was written into it, by name."""
    sys.path.insert(0, str(ROOT))
    run = tmp_path_factory.mktemp("reading") / "mine"
    signals = ("progress", "loss")
    evolr.evolve(functions.falling, run, epochs=3, workers=2, settings=SMALL, signals=signals)
    return run, {
        "contest": evolr.prove(functions.falling, run, budget=4, seeds=12, workers=2),
        "comparison": evolr.compare(functions.falling, run, seeds=6, workers=2),
        "explanation": evolr.explain(functions.falling, run, seeds=6, workers=2),
    }


def test_a_contest_is_read_as_it_was(judged):
    run, made = judged
    read, written = read_contest(run), made["contest"]
    assert read.document(verdict(read)) == written.document(verdict(written))
    assert page(read) == page(written) == (run / "contest.md").read_text()
    assert contest_table(read).rows == contest_table(written).rows
    assert contest_picture(read) == (run / "contest.png").read_bytes()
    assert read.evolved.candidates[0].schedule == written.evolved.candidates[0].schedule


def test_a_comparison_is_read_as_it_was(judged):
    run, made = judged
    read, written = read_comparison(run), made["comparison"]
    assert read.document() == written.document()
    assert read.rows() == written.rows()
    assert comparison_table(read).rows == comparison_table(written).rows
    assert comparison_picture(read) == (run / "comparison.png").read_bytes()


def test_an_explanation_is_read_as_it_was(judged):
    run, made = judged
    read, written = read_explanation(run), made["explanation"]
    assert read.document() == written.document()
    assert explanation_table(read).rows == explanation_table(written).rows
    assert explanation_picture(read) == (run / "explanation.png").read_bytes()


@pytest.mark.parametrize("kind", READERS)
def test_what_is_no_such_record_is_refused_with_what_to_do(judged, kind, tmp_path):
    run, _ = judged
    path = tmp_path / f"{kind}.json"
    with pytest.raises(RunDirectoryError, match="cannot read"):
        READERS[kind](tmp_path)
    whole = json.loads((run / f"{kind}.json").read_bytes())
    for wrong, problem in (
        (b"", "damaged"),
        (b"[]", "damaged"),
        (b"\xff\xfe", "damaged"),
        (b"{}", "is no "),
        (json.dumps({**whole, "version": 2}).encode(), "of version 2"),
        (json.dumps({**whole, "record": "another"}).encode(), "is no "),
        (json.dumps({**whole, "study": {"search": {"population": "many"}}}).encode(), "damaged"),
        ((run / f"{kind}.json").read_bytes()[:-100], "damaged"),
    ):
        path.write_bytes(wrong)
        with pytest.raises(StudyError, match=problem):
            READERS[kind](tmp_path)


@pytest.mark.parametrize("place", ["scores", "diverged_at", "train_loss", "schedule", "pairs", "name"])
def test_a_contender_that_is_damaged_anywhere_is_refused(judged, place, tmp_path):
    run, _ = judged
    document = json.loads((run / "contest.json").read_bytes())
    entry = document["contenders"][1]
    entry[place] = {"scores": entry["scores"][:-1], "schedule": {"expression": "0.1 +"}}.get(place, 7)
    (tmp_path / "contest.json").write_text(json.dumps(document))
    with pytest.raises(StudyError, match="damaged"):
        read_contest(tmp_path)


def changed(document, path, change):
    """The document, with what stands at a path of keys changed in place."""
    *keys, last = path
    at = document
    for key in keys:
        at = at[key]
    at[last] = change(at[last])
    return document


def without_first(values):
    return values[1:]


def twice(values):
    return [*values, values[-1]]


INCONSISTENT = {
    "no champion": (("contenders",), without_first),
    "no contender": (("contenders",), lambda _: []),
    "a contender twice": (("contenders",), twice),
    "the champion under another name": (("contenders", 0, "name"), lambda _: "other"),
    "a contender without pairs": (("contenders", 1, "pairs"), lambda _: None),
    "fewer seeds than scores": (("seeds",), without_first),
    "more seeds than scores": (("seeds",), twice),
    "a curve that is too short": (("contenders", 1, "train_loss", 0), without_first),
    "a curve's number that float32 has not": (("contenders", 1, "train_loss", 0, 0), lambda _: 1e300),
    "a mean of other scores": (("contenders", 1, "mean"), lambda mean: mean + 1),
    "a score that the mean is not of": (("contenders", 1, "scores", 0), lambda score: score + 1),
    "p above 1": (("contenders", 1, "pairs", "p_value"), lambda _: 1.5),
    "p below 0": (("contenders", 1, "pairs", "p_value"), lambda _: -0.1),
    "a share above 1": (("contenders", 1, "pairs", "improvement"), lambda _: 2.0),
    "a direction that is none": (("contenders", 1, "pairs", "direction"), lambda _: 10**30),
    "another direction of the metric": (("higher_is_better",), lambda is_higher: not is_higher),
    "a problem without its direction": (("study", "problem"), lambda problem: {"name": problem["name"]}),
    "a study of defaults": (("study",), lambda _: {}),
}


@pytest.mark.parametrize("fault", INCONSISTENT)
@pytest.mark.parametrize("kind", ["contest", "comparison"])
def test_a_record_that_is_not_whole_or_contradicts_itself_is_refused(judged, kind, fault, tmp_path):
    run, _ = judged
    document = changed(json.loads((run / f"{kind}.json").read_bytes()), *INCONSISTENT[fault])
    (tmp_path / f"{kind}.json").write_text(json.dumps(document))
    with pytest.raises(StudyError, match="damaged"):
        READERS[kind](tmp_path)


@pytest.mark.parametrize(
    "fault",
    [("frozen", without_first), ("frozen", twice), ("learning_rates", lambda rows: rows * 2), ("study", lambda _: {})],
)
def test_an_explanation_that_is_not_whole_is_refused(judged, fault, tmp_path):
    run, _ = judged
    document = json.loads((run / "explanation.json").read_bytes())
    (tmp_path / "explanation.json").write_text(json.dumps(changed(document, fault[:1], fault[1])))
    with pytest.raises(StudyError, match="damaged"):
        read_explanation(tmp_path)


@pytest.mark.parametrize("kind", READERS)
def test_a_record_nested_without_end_is_refused(kind, tmp_path):
    nested = "[" * 100_000 + "]" * 100_000
    (tmp_path / f"{kind}.json").write_text(f'{{"record": "{kind}", "version": 1, "study": {nested}}}')
    with pytest.raises(StudyError, match="damaged"):
        READERS[kind](tmp_path)


def test_a_rehearsal_is_read_by_itself(judged, tmp_path):
    run, _ = judged
    again = tmp_path / "again"
    shutil.copytree(run, again)
    rehearsed = evolr.prove(functions.falling, again, budget=4, seeds=12, workers=2, is_quick=True)
    assert read_contest(again, is_quick=True).document([]) == rehearsed.document([])
    assert not read_contest(again).settings.is_quick
