"""Who may look, and what every answer says to browsers.

A page of the web that a browser has open can send requests to this server, and by DNS rebinding under a name of its own even read the
answers. So a request has to name this server by a name that is its own; where others than this machine can reach it, it has to have
the token too.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import secrets
import socket
from collections.abc import Iterable
from typing import Final
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from evolr.expression.mathml import CELL_STYLE

_STYLE = base64.b64encode(hashlib.sha256(CELL_STYLE.encode()).digest()).decode()
POLICY: Final = (
    "default-src 'none'; script-src 'self'; connect-src 'self'; img-src 'self'; "
    f"style-src 'self' 'unsafe-hashes' 'sha256-{_STYLE}'; "  # the one style that a formula's element has
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""What a page may load and do: its own files, and nothing else."""

_HEADERS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_HERE: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Guard:
    """Answers in the place of an application who may not look, and writes headers into every answer.

    host: the one that it listens on; token: what who looks has to have, None for nothing; port: where it listens, by which the cookie is
    named, since cookies of all ports are one heap.
    """

    def __init__(self, application: ASGIApp, host: str, port: int, token: str | None) -> None:
        self._application = application
        self._token = token
        self._cookie = f"evolr-{port}"
        self._names = _HERE | {host.strip("[]").lower()}
        self._takes_addresses = not _is_loopback(host)
        if self._takes_addresses:
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return  # nothing is said on other ways
        answer = self._refusal(scope) or self._application
        await answer(scope, receive, _with_headers(send))

    def _refusal(self, scope: Scope) -> Response | None:
        """What is answered to a request that is refused, or has to come again without its token; None for one that is fine."""
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("only GET and HEAD: nothing is changed here\n", 405, {"Allow": "GET, HEAD"})
        headers = Headers(scope=scope)
        names = headers.getlist("host")
        if len(names) != 1 or not self._is_own(names[0]):
            return PlainTextResponse("this is not a name of this server: ask for it as evolr serve printed it\n", 403)
        return None if self._token is None else self._unproven(scope, headers, self._token)

    def _unproven(self, scope: Scope, headers: Headers, token: str) -> Response | None:
        """The refusal of a request without the token; a request that has it in its address gets a cookie for it."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if any(name == "token" and _is_equal(value, token) for name, value in query):
            rest = urlencode([(name, value) for name, value in query if name != "token"])
            path = scope["raw_path"].decode("latin-1").split("?")[0]
            response = RedirectResponse("/" + path.lstrip("/") + (f"?{rest}" if rest else ""), 303)
            response.set_cookie(self._cookie, token, httponly=True, samesite="strict")
            return response
        if any(_is_equal(value, token) for value in _cookies(headers.getlist("cookie"), self._cookie)):
            return None
        return PlainTextResponse("this needs the token: open the address that evolr serve printed\n", 403)

    def _is_own(self, host: str) -> bool:
        """Whether a Host header names this server. An address is no name that DNS could have led here; its port may be that of a tunnel."""
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() and not host.endswith("]") else host
        name = name.removeprefix("[").removesuffix("]").lower()
        return name in self._names or (self._takes_addresses and _is_address(name))


def needs_token(host: str) -> bool:
    """Whether others than this machine can reach a server on a host."""
    return not _is_loopback(host)


def _is_loopback(host: str) -> bool:
    name = host.strip("[]")
    return name.lower() == "localhost" or (_is_address(name) and ipaddress.ip_address(name).is_loopback)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_equal(given: str, token: str) -> bool:
    return secrets.compare_digest(given.encode("utf-8", "replace"), token.encode())


def _cookies(headers: Iterable[str], name: str) -> list[str]:
    """The values that a cookie has, whatever other programs of this host have put beside it."""
    parts = (part.partition("=") for header in headers for part in header.split(";"))
    return [value.strip() for own, _, value in parts if own.strip() == name]


def _with_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sending
