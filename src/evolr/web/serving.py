"""Listens, and answers until Ctrl-C."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from evolr.errors import ConfigError, RunDirectoryError
from evolr.web.application import Application
from evolr.web.folder import Folder
from evolr.web.guard import Guard, needs_token

_NICENESS: Final = 5  # a search beside it goes first
_MOST_CONNECTIONS: Final = 200
_REQUEST_SECONDS: Final = 10.0  # within which a connection has to say what it asks for
_QUIET_SECONDS: Final = 60.0  # between two messages that are the same


def serve(folder: Path, host: str, port: int, *, has_token: bool, listening: Callable[[str], object]) -> None:
    """Serves the studies of a folder, or one study, until Ctrl-C or SIGTERM, which it then passes on.

    listening: is told the address. Otherwise as `Server`.
    """
    server = Server(folder, host, port, has_token=has_token)
    with suppress(OSError, AttributeError):  # Windows has none
        os.nice(_NICENESS)
    for logger in ("uvicorn.error", "asyncio"):
        logging.getLogger(logger).addFilter(_OnceAWhile())
    listening(server.address)
    server.run()


class Server:
    """A server of the studies of a folder, or of one study; it listens as soon as it is made. address: where, with the token in it, if it
    has one.

    port: 0 for any that is free. has_token: whether a token is needed on this machine too; if others can reach the host it always is.

    Raises RunDirectoryError where there is no such folder, and ConfigError where it cannot listen.
    """

    def __init__(self, folder: Path, host: str = "127.0.0.1", port: int = 0, *, has_token: bool = False) -> None:
        if not os.path.isdir(folder):
            raise RunDirectoryError(
                f"there is no folder {folder}: name one with run directories in it, or a run directory"
            )
        self._socket = _bound(host, port)
        port = self._socket.getsockname()[1]
        token = secrets.token_urlsafe(24) if has_token or needs_token(host) else None
        name = f"[{host.strip('[]')}]" if ":" in host else host
        self.address = f"http://{name}:{port}/" + (f"?token={token}" if token else "")
        application = Application(Folder(folder))
        options = uvicorn.Config(
            Guard(application.starlette(), host, port, token),
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=_MOST_CONNECTIONS,
            timeout_graceful_shutdown=2,
        )
        self._server = _Uvicorn(options, application)

    def run(self) -> None:
        """Answers until `end`, or in the main thread until Ctrl-C or SIGTERM, which it then passes on to whoever handled it before."""
        self._server.run(sockets=[self._socket])

    def end(self) -> None:
        """Ends it soon; of any thread."""
        self._server.end()


class _Uvicorn(uvicorn.Server):
    """A server whose streams end when it is to end."""

    def __init__(self, options: uvicorn.Config, application: Application) -> None:
        super().__init__(options)
        self._application = application

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._application.close()
        super().handle_exit(sig, frame)

    def end(self) -> None:
        self._application.close()
        self.should_exit = True


class _Protocol(H11Protocol):
    """A connection, which is closed if it lets wait for a request, the first or a later one that has begun.

    There may be so many at once, and no more; between two requests uvicorn itself closes it soon.
    """

    _timer: asyncio.TimerHandle | None = None  # of the request that is waited for

    def connection_made(self, transport: asyncio.Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        super().connection_made(transport)
        self._timer = self.loop.call_later(_REQUEST_SECONDS, self._close_waiting)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if not self._is_answering:
            self._timer = self._timer or self.loop.call_later(_REQUEST_SECONDS, self._close_waiting)
        elif self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def _is_answering(self) -> bool:
        cycle = self.cycle  # at first it is None
        return cycle is not None and not cycle.response_complete  # pyright: ignore[reportUnnecessaryComparison]

    def _close_waiting(self) -> None:
        self._timer = None
        if not (self._is_answering or self.transport.is_closing()):
            self.transport.close()


class _OnceAWhile(logging.Filter):
    """Lets each message through once a minute: a stranger's requests, or a lack of descriptors, would fill a terminal."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now, message = time.monotonic(), record.getMessage()[:200]
        if now - self._said.get(message, -math.inf) < _QUIET_SECONDS:
            return False
        if len(self._said) >= _MOST_CONNECTIONS:
            self._said.clear()
        self._said[message] = now
        return True


def _bound(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises ConfigError where there is none to be had."""
    try:
        places = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, place = places[0]
        return socket.create_server((str(place[0]), port), family=family, backlog=128)
    except (OSError, UnicodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "it is no host's name"
        raise ConfigError(
            f"cannot listen on {host}, port {port}: {what}; another port by --port, any free one by --port 0"
        ) from error
