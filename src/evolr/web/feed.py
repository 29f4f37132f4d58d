"""The parts of a page as they are now, for all who look at it.

One thread reads, however many look, and it ends when nobody has looked for a while. Who looks is given what is newer than what he has:
the latest parts, not all that were in between. So a slow reader costs no memory, and holds up nobody.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from typing import Final, NamedTuple

from evolr.errors import EvolrError
from evolr.views.live.pages import fault_parts
from evolr.web.readers import Reader

_log = logging.getLogger(__name__)

_SHARE: Final = 0.05  # of one core, that reading takes at most while it goes on
_FAULT_SECONDS: Final = 1.0  # until what cannot be read is tried again
_KEPT_SECONDS: Final = 60.0  # that a feed goes on without anybody who looks


MOST_DIGITS: Final = 15
"""Of a number in an address."""


def is_number(text: str) -> bool:
    """Whether a text of an address is a whole number that is read."""
    return text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS


class Version(NamedTuple):
    """Which parts somebody has: those of a feed up to a number."""

    feed: str
    number: int

    def __str__(self) -> str:
        return f"{self.feed}-{self.number}"

    @classmethod
    def read(cls, text: str) -> Version:
        """The version that a text says; none of any feed where it says nothing."""
        feed, _, number = text.rpartition("-")
        return cls(feed, int(number)) if is_number(number) else cls("", 0)


class Feed:
    """The parts of one page. All but its thread belongs to the event loop that it is made in."""

    def __init__(self, make: Callable[[], Reader]) -> None:
        self._make = make
        self._loop = asyncio.get_running_loop()
        self._name = secrets.token_hex(4)
        self._number = 0
        self._parts: dict[str, tuple[int, str]] = {}
        self._changed = asyncio.Event()
        self._whole = asyncio.Event()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._viewers = 0
        self._last_viewed = time.monotonic()
        self._logged = ""
        self.is_over = False
        threading.Thread(target=self._run, name="evolr-feed", daemon=True).start()

    # --- for the pages -----------------------------------------------------------------------------------------------

    @property
    def parts(self) -> dict[str, str]:
        """All parts, by name."""
        return {name: html for name, (_, html) in self._parts.items()}

    @property
    def version(self) -> Version:
        return Version(self._name, self._number)

    def newer(self, version: Version) -> dict[str, str]:
        """The parts that are newer than a version."""
        since = version.number if version.feed == self._name else 0
        return {name: html for name, (number, html) in self._parts.items() if number > since}

    async def change(self, since: Version) -> None:
        """Waits until some part is newer than a version."""
        while not self.newer(since):
            await self._changed.wait()

    async def read(self, seconds: float) -> None:
        """Waits for the first parts, and so long at most for all that takes longer."""
        while not self._number:
            await self._changed.wait()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._whole.wait(), seconds)

    def keep(self) -> bool:
        """Notes that a page was asked for; whether the feed still runs."""
        with self._lock:
            self._last_viewed = time.monotonic()
            return not self.is_over

    @contextmanager
    def viewed(self) -> Generator[None]:
        """A page is open as long as the block runs."""
        self._viewers += 1
        try:
            yield
        finally:
            self._viewers -= 1
            self.keep()

    def end(self) -> None:
        """Ends its thread soon."""
        self._ended.set()

    def _publish(self, parts: dict[str, str], is_whole: bool) -> None:
        new = {name: html for name, html in parts.items() if self._parts.get(name, (0, None))[1] != html}
        if is_whole:
            self._whole.set()
        if not new and self._number:
            return
        self._number += 1
        self._parts |= {name: (self._number, html) for name, html in new.items()}
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    # --- its thread -------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            with closing(self._make()) as reader:
                while not self._is_unused():
                    self._ended.wait(self._read(reader))
        finally:
            with self._lock:
                self.is_over = True

    def _read(self, reader: Reader) -> float:
        """Reads once; the seconds until the next reading."""
        begun = time.thread_time()
        try:
            parts, is_whole = reader.read(), reader.is_whole
        except Exception as error:  # one that is not evolr's too: the page shows it, and it is tried again
            is_expected = isinstance(error, EvolrError)
            why = str(error) if is_expected else f"{type(error).__name__}: {error}"
            if not is_expected and why != self._logged:
                _log.exception("a page cannot be made")
                self._logged = why
            self._tell(fault_parts(why), True)
            return _FAULT_SECONDS
        if parts is not None:
            self._tell(parts, is_whole)
        if not is_whole:
            return 0.0
        return max(reader.pause, (time.thread_time() - begun) / _SHARE)

    def _tell(self, parts: dict[str, str], is_whole: bool) -> None:
        try:
            self._loop.call_soon_threadsafe(self._publish, parts, is_whole)
        except RuntimeError:  # the event loop is gone: the program ends
            _log.debug("a feed has no event loop any more", exc_info=True)
            self._ended.set()

    def _is_unused(self) -> bool:
        """Whether no page is open any more, or it was ended; then it is over."""
        with self._lock:
            is_wanted = self._viewers or time.monotonic() - self._last_viewed < _KEPT_SECONDS
            self.is_over = self._ended.is_set() or not is_wanted
            return self.is_over


class Feeds:
    """The feeds of all pages that are open."""

    def __init__(self) -> None:
        self._feeds: dict[str, Feed] = {}
        self._loop = asyncio.get_running_loop()
        self.closing = asyncio.Event()

    def of(self, address: str, make: Callable[[], Reader]) -> Feed:
        """The feed of a page; a new one if there is none."""
        feed = self._feeds.get(address)
        if feed is None or not feed.keep():
            self._feeds = {where: feed for where, feed in self._feeds.items() if not feed.is_over}
            feed = self._feeds[address] = Feed(make)
        return feed

    def close(self) -> None:
        """Ends all streams and threads soon; of any thread, and in a handler of a signal."""
        self._loop.call_soon_threadsafe(self.closing.set)
        for feed in self._feeds.values():
            feed.end()
