"""A folder of studies, small, hostile and damaged, and its server."""

import pytest

import evolr as library
from evolr.training.task import Outcome
from tests.study.small import small
from tests.study.test_following import land
from tests.views.test_html import study
from tests.web.served import EVIL, NAME
from tests.web.serving import serving


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    library.evolve(small(**{"search.generations": 3}), folder / "small")
    with study(folder / NAME, generations=2, **{"problem.metric_name": EVIL, "problem.trainer": EVIL}) as found:
        land(found, 0.25, Outcome.failed(f"{EVIL}\x1b[31m\u202e", 2), float("nan"))
    (folder / "damaged").mkdir()
    (folder / "damaged" / "study.db").write_bytes(b"SQLite format 3\0" + b"\xff" * 5_000)
    (folder / "no study").mkdir()
    return folder


@pytest.fixture(scope="module")
def address(folder):
    with serving(folder) as address:
        yield address
