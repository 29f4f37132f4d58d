"""What evolr serve answers: numbers that are the database's, text that is text, and nothing to whom it is not for."""

import csv
import io
import os
import re
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from html import unescape
from urllib.parse import urlsplit

import pytest

import evolr as library
from evolr.errors import printable
from evolr.training.task import Outcome
from evolr.web.guard import POLICY, Guard, needs_token
from tests.study.small import small
from tests.study.test_following import land, trials
from tests.views.page.pages import Page
from tests.views.test_html import study
from tests.web.serving import asked, serving, stream

EVIL = "<script>alert(1)</script>[b]"
NAME = EVIL.replace("/", "∕")  # a folder's name has no slash
QUOTED = "%3Cscript%3Ealert%281%29%3C%E2%88%95script%3E%5Bb%5D"
STUDY = f"/study/{QUOTED}"


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


def page_of(answer):
    """The page of an answer, read strictly; of scripts it has what it loads alone."""
    page = Page.__new__(Page)
    links = re.sub(r'(href|src|action)="(/[^"]*)"', "", answer.text)
    Page.__init__(page, links)
    assert answer.status == 200
    assert not [script for script in page.scripts if script.strip()]
    assert not re.search(r"https?://(?!www\.w3\.org)|\sstyle=|\son\w+=", links)
    assert all(character.isprintable() or character in "\n\t" for character in answer.text)
    return page


def value(text, name):
    """What a page says of a name."""
    return unescape(re.search(rf"<dt>{re.escape(name)}</dt><dd>([^<]*)</dd>", text)[1])


PAGES = ["/", "/study/small", "/study/small/trainings", "/study/small/trainings/1", STUDY, f"{STUDY}/trainings"]


@pytest.mark.parametrize("path", [*PAGES, "/static/live.js", "/nothing", "/study/small/trainings.csv"])
def test_every_answer_says_what_browsers_may_do_with_it(address, path):
    answer = asked(address, path)
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "unsafe-inline" not in POLICY
    head = asked(address, path, "HEAD")
    assert (head.status, head.text) == (answer.status, "")


@pytest.mark.parametrize("path", PAGES)
def test_pages_are_whole_and_what_users_and_files_say_is_text(address, path):
    page = page_of(asked(address, path))
    if path == STUDY:
        assert NAME in page.headings
        assert f"best {EVIL}" in page.text
        assert printable(f"{EVIL}\x1b[31m\u202e") in page.text


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_nothing_can_be_changed(address, method):
    answer = asked(address, "/study/small", method)
    assert answer.status == 405
    assert answer.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "hosts",
    [
        ["evil.example"],
        ["localhost.evil.example:8642"],
        ["127.0.0.1.evil.example"],
        ["evil.example:127"],
        ["10.0.0.1:8642"],
        [""],
        ["localhost", "evil.example"],
    ],
)
def test_a_foreign_name_is_refused(address, hosts):
    answer = asked(address, "/", headers=[("Host", host) for host in hosts])
    assert answer.status in (400, 403)
    assert "studies" not in answer.text


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:1", "127.0.0.1:99", "[::1]:8642", "[::1]"])
def test_its_own_names_are_taken_by_any_port_since_a_tunnel_has_another(address, host):
    assert asked(address, "/", headers=[("Host", host)]).status == 200


def test_from_elsewhere_it_takes_addresses_and_the_machine_s_own_name_and_a_token():
    assert not any(map(needs_token, ("127.0.0.1", "localhost", "::1", "[::1]", "127.5.5.5")))
    assert all(map(needs_token, ("0.0.0.0", "::", "10.0.0.7", "example.org")))  # noqa: S104
    guard = Guard(None, "0.0.0.0", 8642, "token")  # noqa: S104
    assert all(map(guard._is_own, ("10.0.0.7:8642", "[fe80::1]:8642", socket.gethostname(), "localhost")))
    assert not any(map(guard._is_own, ("evil.example", "evil.example:8642", "10.0.0.7.evil.example", "")))


@pytest.mark.parametrize(
    "cookies",
    ['prefs={"a": 1}; {}', "foo; a b; x[y]=1; Path; expires=Wed, 1; {}", "{}; kä=1; =1", "{name}=bad; {}; {name}=bad"],
)
def test_the_token_is_found_whatever_cookies_stand_beside_it(folder, cookies):
    with serving(folder, has_token=True) as given:
        address, _, token = given.partition("/?token=")
        name = f"evolr-{address.rpartition(':')[2]}"
        cookie = cookies.replace("{name}", name).replace("{}", f"{name}={token}").encode()
        assert asked(address, headers=[("Cookie", cookie)]).status == 200


def test_a_long_cookie_is_answered_at_once(folder):
    with serving(folder, has_token=True) as given:
        begun = time.perf_counter()
        cookie = 'a="' + "\\" * 60_000 + '"'
        assert asked(given.partition("/?token=")[0], headers=[("Cookie", cookie)]).status in (400, 403)
        assert time.perf_counter() - begun < 5


def test_a_connection_that_asks_for_nothing_is_closed(folder, monkeypatch):
    monkeypatch.setattr("evolr.web.serving._FIRST_REQUEST_SECONDS", 0.2)
    with serving(folder) as address:
        where = urlsplit(address)
        for said in (b"", b"GET / HTT"):
            with socket.create_connection((where.hostname, where.port), timeout=20) as connection:
                connection.sendall(said)
                assert connection.recv(100) == b""
        assert asked(address).status == 200


def test_a_form_of_many_names_is_refused_and_no_study_is_called_damaged(folder):
    with serving(folder) as address:
        for page in ("trainings", "trainings.csv"):
            answer = asked(address, f"/study/small/{page}?formula=" + "a+" * 1500)
            assert answer.status == 400
            assert "50 names at most, got 1,500" in answer.text
            assert "damaged" not in answer.text


def test_where_a_token_is_asked_for_nobody_looks_without_it(folder):
    with serving(folder, has_token=True) as given:
        address, _, token = given.partition("/?token=")
        assert len(token) >= 32
        for headers in ([], [("Cookie", "evolr=x")], [("Cookie", f"evolr-{address[-5:]}=x")], [("Cookie", "=;==")]):
            for path in ("/", "/static/live.js", "/live", "/?token=", "/?token=x", "/?token=%00%ff"):
                answer = asked(address, path, headers=headers)
                assert answer.status == 403, path
                assert "studies" not in answer.text
        answer = asked(address, f"/study/small/trainings?status=failed&token={token}")
        assert (answer.status, answer.headers["Location"]) == (303, "/study/small/trainings?status=failed")
        cookie = answer.headers["Set-Cookie"]
        assert {"HttpOnly", "SameSite=strict"} <= set(cookie.split("; "))
        assert asked(address, "/", headers=[("Cookie", cookie.split(";")[0])]).status == 200
        answer = asked(address, f"//evil.example/?token={token}")
        assert answer.headers["Location"].startswith("/evil.example")  # not to another server


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


def test_the_command_ends_by_ctrl_c_and_says_where_it_listens(tmp_path):
    command = [sys.executable, "-m", "evolr", "serve", str(tmp_path), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        address = process.stdout.readline().split()[2].rstrip("/")
        with stream(address, "/live") as next_parts:
            next_parts()
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err == "\ninterrupted\n"


@pytest.mark.parametrize(
    ("environment", "redirection"),
    [
        ({"PYTHONIOENCODING": "ascii"}, ""),
        ({"COLUMNS": "20"}, ""),
        ({"HOME": None, "XDG_CACHE_HOME": None}, ""),
        ({}, ">&-"),
        ({}, ">/dev/full"),
        ({}, "2>&-"),
    ],
    ids=["ASCII stdout", "20 columns", "no HOME", "closed stdout", "full stdout", "closed stderr"],
)
@pytest.mark.skipif(os.name != "posix", reason="redirects by a shell")
def test_the_command_serves_wherever_it_runs_or_says_why_not(tmp_path, environment, redirection):
    """As tests/cli/test_environments.py, for the command that does not end by itself."""
    folder = tmp_path / "é∞"
    study(folder / "run", generations=1).close()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    variables = {name: value for name, value in {**os.environ, **environment}.items() if value is not None}
    words = [sys.executable, "-m", "evolr", "serve", str(folder), "--port", str(port)]
    command = ["sh", "-c", f'exec "$0" "$@" {redirection}', *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=variables) as process:
        if redirection.startswith(">"):  # nobody could be told where it listens
            err = process.communicate(timeout=60)[1].decode()
            assert process.returncode == 2, err
            assert err.count("error: ") == 1
        else:
            assert process.stdout.readline()
            assert "run" in asked(f"http://127.0.0.1:{port}").text
            process.send_signal(signal.SIGINT)
            err = process.communicate(timeout=60)[1].decode()
            assert process.returncode == 130, err
        assert "Traceback" not in err


def test_the_command_refuses_what_it_cannot_serve(tmp_path, evolr, monkeypatch):
    assert evolr("serve", tmp_path / "nothing")[0] == 2
    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, _, err = evolr("serve", tmp_path, "--port", taken.getsockname()[1])
    assert code == 2
    assert "any free one by --port 0" in err
    code, _, err = evolr("serve", tmp_path, "--host", "no.such.host.invalid")
    assert code == 2
    assert "cannot listen on no.such.host.invalid" in err
    monkeypatch.setattr("evolr.libraries.find_spec", lambda name: None)
    code, _, err = evolr("serve", tmp_path)
    assert code == 2
    assert "pip install 'evolr[web]'" in err
    assert os.listdir(tmp_path) == []


def test_a_csv_of_a_study_that_cannot_be_read_is_a_page_that_says_so(folder, address):
    answer = asked(address, "/study/damaged/trainings.csv")
    assert answer.status == 500
    assert "damaged" in answer.text


def test_names_that_are_no_unicode_stay_apart(folder, tmp_path):
    for name in (b"\xff", b"\xfe"):
        place = os.path.join(os.fsencode(tmp_path), name)
        os.mkdir(place)
        shutil.copy(os.fsencode(folder / "small" / "study.db"), place)
    with serving(tmp_path) as address:
        for name in ("%5Cxff", "%5Cxfe"):
            assert asked(address, f"/study/{name}").status == 200
