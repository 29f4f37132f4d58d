"""What evolr serve pushes to an open page: what has landed since, and no more."""

import re
import shutil

from evolr.training.task import Outcome
from tests.study.test_following import land, trials
from tests.views.test_html import study
from tests.web.served import value
from tests.web.serving import asked, serving, stream


def test_what_lands_is_pushed_and_no_more_than_that(tmp_path):
    with study(tmp_path / "run", generations=1) as found, serving(tmp_path) as address:
        shown = asked(address, "/study/run").text
        version = re.search(r'data-version="([^"]*)"', shown)[1]
        with stream(address, f"/study/run/live?since={version}") as next_parts:
            land(found, 0.75)
            parts, later = next_parts()
            count = trials(tmp_path / "run")
            assert set(parts) == {"now", "latest"}
            assert f"/study/run/trainings/{count}" in parts["latest"]
            assert value(parts["now"], "trainings").startswith(f"{count}")
            assert later != version
        with stream(address, f"/study/run/live?since={later}") as next_parts:  # it comes again where it was
            land(found, Outcome.failed("no", 2), 0.5)
            assert f"/study/run/trainings/{count + 1}" in next_parts()[0]["latest"]
        with stream(address, "/study/run/live?since=other-99") as next_parts:  # of a server before this one
            assert {"now", "history", "champion", "front", "latest", "failures"} <= set(next_parts()[0])


def test_a_study_that_vanishes_and_comes_back_is_shown_as_such(tmp_path):
    study(tmp_path / "run", generations=1).close()
    with serving(tmp_path) as address, stream(address, "/study/run/live") as next_parts:
        assert next_parts()[0]["fault"] == ""
        shutil.move(tmp_path / "run" / "study.db", tmp_path / "away.db")
        assert "is not a study" in next_parts()[0]["fault"]
        shutil.move(tmp_path / "away.db", tmp_path / "run" / "study.db")
        assert next_parts()[0]["fault"] == ""


def test_a_stream_ends_with_its_server(tmp_path):
    study(tmp_path / "run", generations=1).close()
    with serving(tmp_path) as address:
        kept = stream(address, "/study/run/live")
        next_parts = kept.__enter__()
        next_parts()
    assert next_parts() == (None, None)
    kept.__exit__(None, None, None)
