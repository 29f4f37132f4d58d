"""A feed: who looks gets the latest parts, whoever is slow holds up nobody, and what nobody looks at is not read."""

import asyncio
import threading

import pytest

from evolr.errors import StudyError
from evolr.web import feed as feed_module
from evolr.web.feed import Feed, Feeds, Version
from evolr.web.stream import Stream


class Told:
    """A reader that reads what a test puts into it."""

    pause = 0.001
    is_whole = True

    def __init__(self):
        self.next, self.is_closed, self.read_once = None, threading.Event(), threading.Event()

    def read(self):
        found, self.next = self.next, None
        self.read_once.set()
        if isinstance(found, Exception):
            raise found
        return found

    def close(self):
        self.is_closed.set()


async def changed(feed, reader, parts):
    change = asyncio.ensure_future(feed.change(feed.version))
    await asyncio.sleep(0)
    reader.next = parts
    await change


def test_who_looks_gets_what_is_newer_and_only_the_latest_of_it():
    async def run():
        reader = Told()
        feed = Feed(lambda: reader)
        await changed(feed, reader, {"a": "1", "b": "1"})
        first = feed.version
        assert feed.newer(Version("", 0)) == {"a": "1", "b": "1"}
        assert feed.newer(first) == {}
        await changed(feed, reader, {"a": "2", "b": "1"})
        await changed(feed, reader, {"a": "3", "b": "1"})
        assert feed.newer(first) == {"a": "3"}
        assert feed.newer(Version("another", 99)) == {"a": "3", "b": "1"}
        await changed(feed, reader, StudyError("gone <b>"))
        assert feed.parts["fault"] == "gone &lt;b&gt;"
        assert feed.parts["a"] == "3"
        feed.end()
        assert await asyncio.to_thread(reader.is_closed.wait, 60)

    asyncio.run(run())


def test_a_change_between_two_looks_is_not_lost():
    async def run():
        reader = Told()
        feed = Feed(lambda: reader)
        await changed(feed, reader, {"a": "1"})
        seen = feed.version
        await changed(feed, reader, {"a": "2"})
        await asyncio.wait_for(feed.change(seen), 60)  # it came before anybody waited for it
        assert feed.newer(seen) == {"a": "2"}
        feed.end()

    asyncio.run(run())


def test_a_fault_that_nobody_expected_is_said_and_logged_once_and_reading_goes_on(monkeypatch, caplog):
    monkeypatch.setattr(feed_module, "_FAULT_SECONDS", 0.001)

    async def run():
        reader = Told()
        feed = Feed(lambda: reader)
        await changed(feed, reader, {"a": "1"})
        await changed(feed, reader, RecursionError("too <deep>"))
        assert feed.parts == {"a": "1", "fault": "RecursionError: too &lt;deep&gt;", "said": ""}
        await changed(feed, reader, {"a": "2", "fault": ""})
        await changed(feed, reader, RecursionError("too <deep>"))
        await changed(feed, reader, {"a": "3", "fault": ""})
        assert feed.parts["a"] == "3"
        feed.end()
        assert await asyncio.to_thread(reader.is_closed.wait, 60)

    asyncio.run(run())
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == [
        "a page cannot be made"
    ]


@pytest.mark.parametrize("text", ["", "x", "-", "a-b", "a--1", "a-1.5", f"a-{'9' * 99}", "a-²"])
def test_a_version_that_says_nothing_is_none(text):
    assert Version.read(text) in (Version("", 0), Version("a-", 1))
    assert Version.read("ab-7") == Version("ab", 7)


def test_what_nobody_looks_at_is_not_read_and_is_read_again_for_who_comes(monkeypatch):
    async def run():
        readers = []
        feeds = Feeds()

        def make():
            readers.append(Told())
            return readers[-1]

        first = feeds.of("a", make)
        with first.viewed():
            assert await asyncio.to_thread(readers[0].read_once.wait, 60)
            assert feeds.of("a", make) is first
            assert not readers[0].is_closed.is_set()
            monkeypatch.setattr(feed_module, "_KEPT_SECONDS", -1.0)
        assert await asyncio.to_thread(readers[0].is_closed.wait, 60)
        monkeypatch.undo()
        assert feeds.of("a", make) is not first
        feeds.close()
        assert await asyncio.to_thread(readers[1].is_closed.wait, 60)

    asyncio.run(run())


def test_a_browser_that_takes_nothing_is_dropped_and_holds_up_nobody(monkeypatch):
    monkeypatch.setattr("evolr.web.stream._SEND_SECONDS", 0.01)

    async def run():
        reader, feeds = Told(), Feeds()
        feed = feeds.of("a", lambda: reader)
        taken = []

        async def never(message):
            if message["type"] == "http.response.body":
                await asyncio.Event().wait()

        async def taking(message):
            taken.append(message)

        async def receive():
            await asyncio.Event().wait()

        slow = asyncio.ensure_future(Stream(feeds, feed, Version("", 0))({}, receive, never))
        quick = asyncio.ensure_future(Stream(feeds, feed, Version("", 0))({}, receive, taking))
        await asyncio.wait_for(slow, 60)
        await changed(feed, reader, {"a": "1"})
        while not any(b"event: parts" in message.get("body", b"") for message in taken):
            await asyncio.sleep(0)
        feeds.close()
        await asyncio.wait_for(quick, 60)
        assert taken[-1] == {"type": "http.response.body", "body": b"", "more_body": False}

    asyncio.run(run())
