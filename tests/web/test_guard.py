"""Who may ask evolr serve, and for what: nothing to whom it is not for, and nothing that changes anything."""

import http.client
import socket
import time
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from evolr.web.guard import POLICY, Guard, needs_token
from tests.web.served import PAGES
from tests.web.serving import asked, serving, stream


@pytest.mark.parametrize("path", [*PAGES, "/static/live.js", "/nothing", "/study/small/trainings.csv"])
def test_every_answer_says_what_browsers_may_do_with_it(address, path):
    answer = asked(address, path)
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "unsafe-inline" not in POLICY
    head = asked(address, path, "HEAD")
    assert (head.status, head.text) == (answer.status, "")


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
    monkeypatch.setattr("evolr.web.serving._REQUEST_SECONDS", 0.2)
    with serving(folder) as address:
        where = urlsplit(address)
        for said in (b"", b"GET / HTT"):
            with socket.create_connection((where.hostname, where.port), timeout=20) as connection:
                connection.sendall(said)
                assert connection.recv(100) == b""
        assert asked(address).status == 200


def test_a_connection_that_was_refused_and_begins_another_request_is_closed(folder, monkeypatch):
    monkeypatch.setattr("evolr.web.serving._REQUEST_SECONDS", 0.3)
    monkeypatch.setattr("evolr.web.serving._MOST_CONNECTIONS", 5)
    with serving(folder) as address:
        where = urlsplit(address)
        held = [socket.create_connection((where.hostname, where.port), timeout=20) for _ in range(4)]
        for connection in held:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: evil\r\n\r\n")
            assert b" 403 " in connection.recv(100_000)
        for connection in held:
            connection.sendall(b"GET / HTTP/1.1\r\nHo")
        for connection in held:
            while connection.recv(100_000):
                pass  # until it is closed
            connection.close()
        assert asked(address).status == 200


def test_a_slow_answer_is_waited_for(folder, monkeypatch):
    monkeypatch.setattr("evolr.web.serving._REQUEST_SECONDS", 0.2)
    with serving(folder) as address, stream(address, "/study/small/live") as next_parts:
        assert next_parts()[0]
        time.sleep(0.6)
        assert asked(address).status == 200
        where = urlsplit(address)
        with closing(http.client.HTTPConnection(where.hostname, where.port, timeout=20)) as connection:
            for _ in range(3):  # a browser that keeps its connection
                connection.request("GET", "/static/live.js")
                answer = connection.getresponse()
                assert answer.status == 200
                answer.read()
                time.sleep(0.1)


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
