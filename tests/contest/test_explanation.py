"""The explanation of a champion, on real trainings."""

from pathlib import Path

import numpy as np
import pytest

from evolr.contest.explanation import explain
from evolr.errors import RunDirectoryError, StudyError
from evolr.search.archive import knee
from evolr.study.study import Study
from evolr.views.explanation_picture import explanation_picture
from evolr.views.tables import explanation_table
from tests.study.small import small


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch, tmp_path):
    monkeypatch.setattr("evolr.contest.trainings.shared_directory", lambda: tmp_path / "shared")


def told(formula, **settings):
    """A study whose champion is a formula: the one that scored best."""
    from evolr.expression import parse

    config = small(
        **{"search.generations": 1, "search.terminals": ["progress", "loss", "val_loss", "constant"], **settings}
    )
    with Study("run", config) as study:
        wanted = parse(formula)
        first = study.ask()[0]
        for individual in study.ask():
            study.tell(individual, 1.0 if individual == first else 2.0)
    import sqlite3

    from evolr.expression import original_text

    connection = sqlite3.connect("run/study.db")
    connection.execute(
        "UPDATE individual SET expression = ?, size = ? WHERE generation = ? AND slot = ?",
        (original_text(wanted), wanted.size, *first.place),
    )
    connection.execute("DELETE FROM hall_of_fame WHERE individual != (SELECT id FROM individual WHERE slot = 0)")
    connection.commit()
    connection.close()
    return Path("run")


def test_the_signal_that_matters_is_told_from_the_one_that_does_not():
    """The learning rate falls by progress; the validation loss stands in the formula and does nothing."""
    explanation = explain(told("1.6 - 4*progress + 0*val_loss"), seeds=16)
    (_, progress), (median, val_loss) = explanation.frozen["progress"], explanation.frozen["val_loss"]
    assert progress.pairs.relation == "better than"
    assert val_loss.pairs.relation == "not distinguishable from"
    assert explanation.frozen["progress"][0] == pytest.approx(0.5, abs=0.1)
    assert median > 0
    assert explanation.learning_rates.shape == (16, 8)
    assert np.all(np.diff(np.median(explanation.learning_rates, axis=0)) < 0)
    assert explanation_picture(explanation).startswith(b"\x89PNG")
    assert len(explanation_table(explanation).rows) == 2
    assert [f["signal"] for f in explanation.document()["frozen"]] == ["progress", "val_loss"]


def test_a_constant_has_no_signal_to_freeze():
    explanation = explain(told("1.5"), seeds=2)
    assert explanation.frozen == {}
    assert explanation_picture(explanation).startswith(b"\x89PNG")


def test_what_cannot_be_explained_is_refused():
    with pytest.raises(RunDirectoryError, match="not a run directory"):
        explain("nothing")
    with Study("young", small()):
        pass
    with pytest.raises(StudyError, match="no champion yet"):
        explain("young")


@pytest.mark.parametrize(
    ("sizes", "fitness", "place"),
    [
        ([3], [0.5], 0),
        ([3, 9], [0.5, 0.6], 1),
        ([1, 5, 30], [0.0, 0.9, 1.0], 1),
        ([1, 5, 9, 40], [0.0, 0.2, 0.95, 1.0], 2),
        ([1, 3, 5, 30], [-np.inf, 0.0, 0.9, 1.0], 2),
        ([3, 8, 20], [0.68, 0.66, 0.675], 0),
        ([3, 8, 20], [0.5, 0.5, 0.5], 0),
    ],
)
def test_the_knee_is_where_size_stops_buying(sizes, fitness, place):
    assert knee(sizes, fitness) == place


def test_an_empty_front_has_no_knee():
    with pytest.raises(ValueError, match="empty front"):
        knee([], [])


def test_the_median_of_a_signal_is_of_the_epochs_that_were_finished():
    from evolr.contest.explanation import _median
    from evolr.training.task import Outcome

    curve = np.array([0.4, 0.2, np.nan], np.float32)  # the third epoch diverged
    outcome = Outcome(0.1, None, curve, curve, curve, curve, signals={"loss": curve, "lr": 2 * curve})
    assert _median("loss", [outcome]) == pytest.approx(0.3)
    assert _median("lr", [outcome]) == pytest.approx(0.6)
