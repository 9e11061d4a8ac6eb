"""ReadingSpider: what the spiders of feeds have in common. A feed is read from a file, some rows to a page.

A page's results are in memory until they are committed, so a feed of a million rows cannot be one page. Each part of it
is a page of its own: it gives the results of some thousand rows, and a request that reads on from the same file.
Nothing is asked again for that, and a crawl that was killed goes on at the part it was at.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import datetime
from hashlib import sha256
from typing import Any, ClassVar

import msgspec

from scraper.errors import ParseError
from scraper.feeds.source import Source
from scraper.item import is_item
from scraper.page import Reject
from scraper.request import CallbackRef, Request
from scraper.response import Response
from scraper.spider import Spider

MOST_BYTES = 4 * 1024 * 1024
"""Of a feed in one part, however few rows that are: what is made of them takes several times as much."""
MOST_OPEN = 64
"""Feeds that are kept open between two of their parts; another one is opened again, and read up to its place."""


class Reading:
    """A feed that is being read: ``at`` is the number of rows that were taken."""

    def __init__(self, source: Source, rows: Iterator[Any]) -> None:
        self.at = 0
        self._source = source
        self._rows = rows
        self._next: list[Any] = []
        self._error: ParseError | None = None

    def skip(self, rows: int) -> None:
        """Pass over rows that were taken before."""
        while self.at < rows and (self._next or self._pull()):
            self._next.clear()
            self.at += 1

    def take(self, most: int) -> tuple[list[Any], bool]:
        """Up to so many rows, and whether there is more to come.

        Where it breaks, what was whole is given first: the error is raised when nothing stands before it.
        """
        rows: list[Any] = []
        begun = self._source.taken
        more = False
        while self._next or self._pull():
            if len(rows) >= most or (rows and self._source.taken - begun > MOST_BYTES):
                more = True
                break
            rows.append(self._next.pop())
        if self._error is not None and not more:
            if not rows:
                raise self._error
            more = True
        self.at += len(rows)
        return rows, more

    def _pull(self) -> bool:
        if self._error is None:
            try:
                self._next.append(next(self._rows))
                return True
            except StopIteration:
                return False
            except ParseError as error:
                self._error = error
        return False


class ReadingSpider(Spider):
    """Base of the spiders that read feeds.

    Attributes:
        rows_per_page: rows whose results are committed together; lower it where a row gives very many.
        max_feed_size: bytes of a feed, as it comes and unpacked; in place of the setting ``max_body_size``.
        last_run: when the last run that came to its end began; None before there is one.
    """

    in_parts: ClassVar[bool] = True
    rows_per_page: ClassVar[int] = 5000
    max_feed_size: ClassVar[int] = 1024 * 1024 * 1024
    last_run: datetime | None = None

    async def start(self) -> AsyncIterator[Request]:
        """A request for each feed of ``start_urls``."""
        async for request in super().start():
            yield self.feed_request(request.url)

    def feed_request(self, url: str, callback: CallbackRef = None, **arguments: Any) -> Request:
        """A request for a feed: its body goes to a file, and is read from there. Takes all arguments of Request."""
        request = Request(url, callback or self.parse_feed, **{"max_body_size": self.max_feed_size, **arguments})
        request.options = {**(request.options or {}), "part": {}}
        return request

    async def parse_feed(self, response: Response) -> Any:
        """Reads some rows of a feed, and asks for the part after them."""
        return await self.read_part(response)

    async def parse(self, response: Response) -> Any:
        """Reads the answer as a feed. Write one of your own for pages that rows lead to."""
        return await self.read_part(response)

    # -- what each kind of feed has of its own

    def adapt_response(self, response: Response) -> Response:
        """Mends a feed before it is read. With one of your own, ``response.body`` holds all of it."""
        return response

    def process_results(self, response: Response, results: list[Any]) -> Iterable[Any]:
        """Has the last word on what one row gave: items and requests."""
        return results

    def rows_of(self, source: Source, response: Response) -> Iterator[Any]:
        """The rows of a feed, which may raise ParseError on the way."""
        raise NotImplementedError

    def row_callback(self) -> Callable[..., Any]:
        """What reads one row: called with the response and the row."""
        raise NotImplementedError

    def rejected(self, row: Any) -> Reject | None:
        """The reject for a row that is none, or None when it is one."""
        return None

    def after_last(self, response: Response) -> Iterable[Any]:
        """What is given after the last row."""
        return ()

    # -- parts

    async def read_part(self, response: Response) -> Any:
        """The results of the next rows, and the request for those after them."""
        rows, more = await self.take_rows(response)
        results = self._given(response, rows, more)
        return results

    async def take_rows(self, response: Response) -> tuple[list[Any], Request | None]:
        """The rows of this part, and the request for the next one."""
        part = (response.request.options or {}).get("part") or {}
        start = int(part.get("row", 0))
        if start and part["sha256"] != response.sha256:
            start = 0
            self.logger.warning(
                "feed_changed",
                url=response.url,
                rows=part["row"],
                hint="it changed while it was read, so it is read from its start: rows with a key replace themselves",
            )
        live: dict[tuple[str, str | None], Reading] = self.__dict__.setdefault("_live", {})
        key = (response.url, response.sha256)
        before = live.pop(key, None)
        if response.seen.status is not None:  # asked for again: somebody has been at the file that is open
            before = None
        rows, more, reading = await asyncio.to_thread(self._read_on, response, before, start)
        if not more:
            return rows, None
        if response.file is not None:
            live[key] = reading
        if len(live) > MOST_OPEN:
            del live[next(iter(live))]
        return rows, self._next_part(response, part, reading.at)

    def _read_on(self, response: Response, reading: Reading | None, start: int) -> tuple[list[Any], bool, Reading]:
        if reading is None or reading.at != start:
            if _is_own(self, "adapt_response"):
                if response.file is not None:
                    adapted = Response(
                        response.url, response.status, response.headers, response.file.read_bytes(), response.request
                    )
                else:
                    adapted = response
                content: Any = self.adapt_response(adapted).body
            else:
                content = response.file if response.file is not None else response.body
            source = Source(content, response.url, response.headers.get("Content-Type", ""), self.max_feed_size)
            reading = Reading(source, self.rows_of(source, response))
            reading.skip(start)
        rows, more = reading.take(self.rows_per_page)
        return rows, more, reading

    def _next_part(self, response: Response, part: dict[str, Any], row: int) -> Request:
        old = response.request
        number = int(part.get("number", 0)) + 1
        request = old.replace(dont_filter=False, callback=old.callback)
        # Without a file, it was asked for like any page: then it is asked for once more, into a file.
        new = {
            "file": "/".join(response.file.parts[-3:]) if response.file is not None else "",
            "sha256": response.sha256 or sha256(response.body).hexdigest(),
            "type": response.headers.get("Content-Type", ""),
            "row": row,
            "number": number,
        }
        request.options = {"max_body_size": self.max_feed_size, **(request.options or {}), "part": new}
        before = old.salt.rpartition("\0part ")[0] if part else old.salt
        request.salt = f"{before}\0part {number}"
        return request

    def _given(self, response: Response, rows: list[Any], more: Request | None) -> Any:
        callback = self.row_callback()
        if inspect.iscoroutinefunction(callback) or inspect.isasyncgenfunction(callback):
            return self._give_async(response, rows, more, callback)
        return self._give(response, rows, more, callback)

    def _give(
        self, response: Response, rows: list[Any], more: Request | None, callback: Callable[..., Any]
    ) -> Iterator[Any]:
        own = _is_own(self, "process_results")
        for row in rows:
            if (reject := self.rejected(row)) is not None:
                yield reject
                continue
            results = flat(callback(response, row))
            yield from self.process_results(response, list(results)) if own else results
        yield from (more,) if more is not None else self.after_last(response)

    async def _give_async(
        self, response: Response, rows: list[Any], more: Request | None, callback: Callable[..., Any]
    ) -> AsyncIterator[Any]:
        for row in rows:
            if (reject := self.rejected(row)) is not None:
                yield reject
                continue
            given = callback(response, row)
            results = [each async for each in given] if inspect.isasyncgen(given) else list(flat(await given))
            for each in self.process_results(response, results):
                yield each
        for each in (more,) if more is not None else self.after_last(response):
            yield each


def _is_own(spider: ReadingSpider, name: str) -> bool:
    return getattr(type(spider), name) is not getattr(ReadingSpider, name)


def flat(result: Any) -> Iterable[Any]:
    """What a callback returned, as what it would have yielded."""
    if result is None:
        return ()
    if isinstance(result, Request | str | bytes) or is_item(result) or not isinstance(result, Iterable):
        return (result,)
    return result


def reject(kind: str, reason: str, data: Any) -> Reject:
    """A row that cannot be read, for the table ``rejects``."""
    return Reject(kind, reason, msgspec.json.encode(data).decode())
