"""Server-sent events: what is new of a feed, pushed to a browser."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from starlette.types import Receive, Scope, Send

from evolr.web.feed import Feed, Feeds, Version

_HEARTBEAT_SECONDS: Final = 15.0  # between two signs of life
_SEND_SECONDS: Final = 20.0  # that a browser may take to receive; then the connection is dropped


class Stream:
    """The answer to who looks at a feed and has a version of it. It ends when the browser goes, or takes nothing for a while."""

    def __init__(self, feeds: Feeds, feed: Feed, version: Version) -> None:
        self._feeds, self._feed, self._version = feeds, feed, version

    async def __call__(self, _: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"x-accel-buffering", b"no")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        gone, closing = asyncio.ensure_future(_gone(receive)), asyncio.ensure_future(self._feeds.closing.wait())
        try:
            with self._feed.viewed():
                await self._push(send, (gone, closing))
        except TimeoutError:
            return  # without an end, so that the connection is closed
        finally:
            gone.cancel()
            closing.cancel()
        if not gone.done():
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _push(self, send: Send, ends: Sequence[asyncio.Future[Any]]) -> None:
        await _sent(send, b"retry: 1000\n\n")
        while not any(end.done() for end in ends):
            change = asyncio.ensure_future(self._feed.change(self._version))
            try:
                if parts := self._feed.newer(self._version):
                    self._version = self._feed.version
                    await _sent(send, _event(str(self._version), parts))
                    continue
                done, _ = await asyncio.wait(
                    [change, *ends], timeout=_HEARTBEAT_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
                if not done:
                    await _sent(send, b": here\n\n")
            finally:
                change.cancel()


def _event(version: str, parts: dict[str, str]) -> bytes:
    """An event with parts; JSON has no line breaks."""
    return b"event: parts\nid: " + version.encode() + b"\ndata: " + msgspec.json.encode(parts) + b"\n\n"


async def _sent(send: Send, body: bytes) -> None:
    """Sends; raises TimeoutError if it is not taken."""
    message = {"type": "http.response.body", "body": body, "more_body": True}
    await asyncio.wait_for(send(message), _SEND_SECONDS)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
