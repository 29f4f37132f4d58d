"""A server of evolr's pages in a thread of the test, and requests to it as they are."""

import http.client
import json
import threading
from contextlib import contextmanager
from typing import NamedTuple
from urllib.parse import urlsplit

from evolr.web.serving import Server

SECONDS = 60


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    text: str


@contextmanager
def serving(folder, **options):
    """The address of a server, without a slash at its end."""
    server = Server(folder, **options)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server.address.rstrip("/")
    finally:
        server.end()
        thread.join(SECONDS)
        assert not thread.is_alive()


def asked(address, path="/", method="GET", headers=()):
    """The answer to a request whose path and headers are sent as they are; `headers` are pairs, Host among them if it is another."""
    where = urlsplit(address)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=SECONDS)
    try:
        connection.putrequest(method, path, skip_host=any(name.lower() == "host" for name, _ in headers))
        for name, value in headers:
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read().decode())
    finally:
        connection.close()


@contextmanager
def stream(address, path):
    """A function that gives the parts of the next event of a stream, and its version."""
    where = urlsplit(address)
    connection = http.client.HTTPConnection(where.hostname, where.port, timeout=SECONDS)
    connection.request("GET", path)
    answer = connection.getresponse()
    assert answer.headers["Content-Type"].startswith("text/event-stream")

    def next_parts():
        version = None
        while line := answer.readline().decode():
            name, _, value = line.rstrip("\n").partition(": ")
            if name == "id":
                version = value
            elif name == "data":
                return json.loads(value), version
        return None, None

    try:
        yield next_parts
    finally:
        connection.close()
