"""What is answered to each address. Everything is read when it is asked for; nothing is written."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Final, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter, Lock
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from evolr.errors import ConfigError, EvolrError, ExpressionError, RunDirectoryError
from evolr.study.trials import ListedTrial, Selection, all_trials, page_of_trials, trial_with_curves
from evolr.views.live import pages
from evolr.views.page.report import report
from evolr.views.templates import text_of
from evolr.web.feed import MOST_DIGITS, Feed, Feeds, Version, is_number
from evolr.web.folder import Folder
from evolr.web.readers import FolderReader, StudyReader
from evolr.web.stream import Stream

_ROWS: Final = 50  # trainings on a page
_AT_ONCE: Final = 2  # requests that read files at once: a search beside it has the machine
_FIRST_SECONDS: Final = 0.3  # that a page waits for what takes longer than its first parts

_Result = TypeVar("_Result")


class Application:
    """The pages of a folder."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._feeds: Feeds | None = None
        self._limit: CapacityLimiter | None = None
        self._report_lock: Lock | None = None
        self._report: tuple[object, str] = (None, "")

    @property
    def feeds(self) -> Feeds:
        """The feeds, of the event loop that runs when they are first asked for."""
        if self._feeds is None:
            self._feeds = Feeds()
        return self._feeds

    def close(self) -> None:
        """Ends all streams soon; of any thread, and in a handler of a signal."""
        if self._feeds is not None:
            self._feeds.close()

    def starlette(self) -> ASGIApp:
        study = "/study/{name}"
        routes = {
            "/": self._index,
            "/live": self._index_stream,
            "/static/{file}": self._static,
            study: self._study,
            f"{study}/live": self._study_stream,
            f"{study}/report": self._show_report,
            f"{study}/trainings": self._trials,
            f"{study}/trainings.csv": self._csv,
            f"{study}/trainings/{{number}}": self._trial,
        }
        wrongly = {ConfigError: self._asked_wrongly, ExpressionError: self._asked_wrongly}
        handlers = {HTTPException: self._refused, EvolrError: self._failed, **wrongly}
        return Starlette(
            routes=[Route(path, answer) for path, answer in routes.items()],
            exception_handlers=handlers,  # pyright: ignore[reportArgumentType] the type of a handler is that of any error
        )

    # --- pages ------------------------------------------------------------------------------------------------------

    async def _index(self, _: Request) -> Response:
        studies = await self._reading(self._folder.studies)
        if list(studies.values()) == [self._folder.path]:
            return RedirectResponse(pages.address_of(self._folder.title), 303)
        feed = self._index_feed()
        await feed.read(_FIRST_SECONDS)
        return HTMLResponse(pages.index_page(self._folder.title, feed.parts, str(feed.version)))

    async def _index_stream(self, request: Request) -> Response | Stream:
        return self._stream(request, self._index_feed())

    async def _study(self, request: Request) -> Response:
        name, path = await self._named(request)
        feed = self._study_feed(name, path)
        await feed.read(_FIRST_SECONDS)
        return HTMLResponse(pages.study_page(name, feed.parts, str(feed.version)))

    async def _study_stream(self, request: Request) -> Response | Stream:
        name, path = await self._named(request)
        return self._stream(request, self._study_feed(name, path))

    async def _show_report(self, request: Request) -> Response:
        _, path = await self._named(request)
        self._report_lock = self._report_lock or Lock()
        async with self._report_lock:  # drawing takes seconds: one at a time
            stamp = await self._reading(partial(_files, path))
            if self._report[0] != stamp:
                self._report = (stamp, await self._reading(lambda: report(path).html))
            html = self._report[1]
        # What the page may load is said in its own head.
        policy = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        return HTMLResponse(html, headers={"Content-Security-Policy": policy})

    async def _trials(self, request: Request) -> Response:
        name, path = await self._named(request)
        query = {field: value for field, value in request.query_params.items() if value}
        try:
            selection = _selection(query)
            after, before = (_number(query, field) for field in ("after", "before"))
        except (ConfigError, ExpressionError) as error:
            return HTMLResponse(pages.refused_trials_page(name, query, error), 400)
        page = await self._reading(lambda: page_of_trials(path, selection, _ROWS, after=after, before=before))
        return HTMLResponse(pages.trials_page(name, selection, page))

    async def _csv(self, request: Request) -> Response:
        name, path = await self._named(request)
        selection = _selection({field: value for field, value in request.query_params.items() if value})
        disposition = f"attachment; filename*=UTF-8''{pages.quoted(name)}-trainings.csv"
        chunks = all_trials(path, selection)
        first = await self._reading(lambda: next(chunks, None))  # what cannot be read is a page that says so
        return StreamingResponse(
            self._csv_chunks(first, chunks), media_type="text/csv", headers={"Content-Disposition": disposition}
        )

    async def _csv_chunks(
        self, chunk: list[ListedTrial] | None, later: Iterator[list[ListedTrial]]
    ) -> AsyncIterator[str]:
        yield pages.CSV_HEADER
        try:
            while chunk is not None:
                yield pages.csv_rows(chunk)
                chunk = await self._reading(lambda: next(later, None))
        except EvolrError as error:
            yield f"# this file is not whole: {error}\n"

    async def _trial(self, request: Request) -> Response:
        name, path = await self._named(request)
        number = request.path_params["number"]
        found = await self._reading(lambda: trial_with_curves(path, int(number))) if is_number(number) else None
        if found is None:
            raise HTTPException(404, f"{name} has no training {number}")
        return HTMLResponse(pages.trial_page(name, *found))

    async def _static(self, request: Request) -> Response:
        found = pages.STATIC.get(request.path_params["file"])
        if found is None:
            raise HTTPException(404, "there is no such file")
        place, kind = found
        return Response(text_of(place), media_type=kind)

    # --- what they share --------------------------------------------------------------------------------------------

    async def _named(self, request: Request) -> tuple[str, Path]:
        """The name and the path of the study that a request is about. Raises HTTPException if there is none."""
        name = request.path_params["name"]
        path = (await self._reading(self._folder.studies)).get(name)
        if path is None:
            raise HTTPException(404, f"there is no study {name} here (any more)")
        return name, path

    async def _reading(self, read: Callable[[], _Result]) -> _Result:
        """What a function reads, in a thread; few at once."""
        self._limit = self._limit or CapacityLimiter(_AT_ONCE)
        return await anyio.to_thread.run_sync(read, limiter=self._limit)

    def _index_feed(self) -> Feed:
        return self.feeds.of("/", lambda: FolderReader(self._folder))

    def _study_feed(self, name: str, path: Path) -> Feed:
        return self.feeds.of(name, lambda: StudyReader(name, path))

    def _stream(self, request: Request, feed: Feed) -> Response | Stream:
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        known = request.headers.get("last-event-id") or request.query_params.get("since", "")
        return Stream(self.feeds, feed, Version.read(known))

    async def _refused(self, _: Request, error: HTTPException) -> Response:
        is_unknown = error.detail == HTTPStatus.NOT_FOUND.phrase  # by no route, and not by a study or a training
        message = "there is no page at this address" if is_unknown else error.detail
        return HTMLResponse(pages.fault_page("Not found", message), error.status_code)

    async def _asked_wrongly(self, _: Request, error: EvolrError) -> Response:
        return HTMLResponse(pages.fault_page("This is not understood", str(error)), 400)

    async def _failed(self, _: Request, error: EvolrError) -> Response:
        return HTMLResponse(pages.fault_page("This cannot be shown", str(error)), 500)


def _selection(query: dict[str, str]) -> Selection:
    """The selection of a form. Raises ConfigError and ExpressionError for what is none."""
    chosen = {name: query[name] for name in ("status", "formula", "order") if name in query}
    return Selection(generation=_number(query, "generation"), **chosen)


def _number(query: dict[str, str], name: str) -> int | None:
    text = query.get(name)
    if text is None:
        return None
    if not is_number(text):
        raise ConfigError(f"{name} must be a whole number of at most {MOST_DIGITS} digits, got {text[:40]!r}")
    return int(text)


def _files(path: Path) -> object:
    """What is another whenever some file of a run is. Raises RunDirectoryError where nobody can look."""
    found: list[tuple[str, int, int]] = []
    try:
        with os.scandir(path) as entries:
            for entry in entries:
                if not entry.name.endswith("-shm"):
                    with suppress(FileNotFoundError):  # a search that runs renames and removes files
                        status = entry.stat(follow_symlinks=False)
                        found.append((entry.name, status.st_mtime_ns, status.st_size))
    except OSError as error:
        raise RunDirectoryError(f"cannot look into {path}: {error.strerror}") from error
    return path, sorted(found)
