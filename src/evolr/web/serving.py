"""Listens, and answers until Ctrl-C."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Final

import uvicorn

from evolr.errors import ConfigError, RunDirectoryError
from evolr.web.application import Application
from evolr.web.folder import Folder
from evolr.web.guard import Guard, needs_token

_NICENESS: Final = 5  # a search beside it goes first
_MOST_CONNECTIONS: Final = 200


def serve(folder: Path, host: str, port: int, *, has_token: bool, listening: Callable[[str], object]) -> None:
    """Serves the studies of a folder, or one study, until Ctrl-C or SIGTERM, which it then passes on.

    port: 0 for any that is free. has_token: whether a token is needed on this machine too; from elsewhere it always is. listening: is told
    the address, with the token in it, when there is one.

    Raises RunDirectoryError where there is no such folder, and ConfigError where it cannot listen.
    """
    if not os.path.isdir(folder):
        raise RunDirectoryError(f"there is no folder {folder}: name one with run directories in it, or a run directory")
    sock = _bound(host, port)
    port = sock.getsockname()[1]
    token = secrets.token_urlsafe(24) if has_token or needs_token(host) else None
    with suppress(OSError, AttributeError):  # Windows has none
        os.nice(_NICENESS)
    application = Application(Folder(folder))
    guarded = Guard(application.starlette(), host, port, token)
    name = f"[{host.strip('[]')}]" if ":" in host else host
    listening(f"http://{name}:{port}/" + (f"?token={token}" if token else ""))
    options = uvicorn.Config(
        guarded,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=2,
    )
    _Server(options, application).run(sockets=[sock])


class _Server(uvicorn.Server):
    """A server whose streams end when it is to end."""

    def __init__(self, options: uvicorn.Config, application: Application) -> None:
        super().__init__(options)
        self._application = application

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._application.close()
        super().handle_exit(sig, frame)


def _bound(host: str, port: int) -> socket.socket:
    """A socket that listens. Raises ConfigError where there is none to be had."""
    try:
        places = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, _, _, _, place = places[0]
        return socket.create_server(place[:2], family=family, backlog=128)  # pyright: ignore[reportArgumentType] of IP, two or four parts
    except (OSError, UnicodeError) as error:
        what = error.strerror if isinstance(error, OSError) else "it is no host's name"
        raise ConfigError(
            f"cannot listen on {host}, port {port}: {what}; another port by --port, any free one by --port 0"
        ) from error
