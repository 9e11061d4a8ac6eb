"""The spider of the chaos crawl, with good callbacks and bad ones; and the names that it meets."""

from __future__ import annotations

import asyncio
import socket
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from itertools import count, repeat
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult

from scraper import Request, Response, Spider

ADDRESSES = {"inside.test": ["127.0.0.9"], "changing.test": ["127.0.0.2", "127.0.0.9"]}
"""What each name resolves to the first time, the second, and ever after."""


class Names(AbstractResolver):
    """A resolver that knows a few names, and asks nobody."""

    def __init__(self) -> None:
        self._asked: Counter[str] = Counter()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        known = ADDRESSES.get(host)
        if host == "broken.test":
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        if known is None:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        address = known[min(self._asked[host], len(known) - 1)]
        self._asked[host] += 1
        return [
            ResolveResult(
                hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=socket.AI_NUMERICHOST
            )
        ]

    async def close(self) -> None:
        """Nothing is held."""


class Chaos(Spider):
    """Reads the title of every page, and follows every link. ``starts``: URL, callback, whether robots.txt counts."""

    name = "chaos"

    def __init__(self, starts: Sequence[tuple[str, str, bool]]) -> None:
        self.starts = starts
        self.kept: list[Response] = []

    async def start(self) -> AsyncIterator[Request]:
        for url, callback, robots in self.starts:
            yield Request(url, callback, errback=self.failed, obey_robots=robots and None)

    def parse(self, response: Response) -> Iterator[Any]:
        yield {"url": response.url, "title": response.css("h1::text").get()}
        yield from response.follow_all(
            "a, area", errback=self.failed, obey_robots=(response.request.options or {}).get("obey_robots")
        )

    def failed(self, request: Request, error: Exception) -> Iterator[Any]:
        yield {"url": request.url, "error": type(error).__name__}

    # what is wrong with the callbacks themselves

    def raises(self, response: Response) -> Iterator[Any]:
        yield {"url": response.url, "title": "half"}
        raise KeyError("price")

    def raises_badly(self, response: Response) -> None:
        class Unspeakable(Exception):
            def __str__(self) -> str:
                raise ValueError("no words")

        raise Unspeakable

    def junk(self, response: Response) -> Iterator[Any]:
        yield {"url": response.url, "title": "half"}
        yield object()

    def junk_for_ever(self, response: Response) -> Iterator[Any]:
        while True:
            with suppress(Exception):
                yield object()

    def never_stops(self, response: Response) -> Iterator[Any]:
        for number in count():
            yield {"url": response.url, "title": str(number)}
            yield Request(f"{response.url}{number}")

    def yields_nothing_for_ever(self, response: Response) -> Iterator[Any]:
        while True:
            yield None

    async def never_stops_async(self, response: Response) -> AsyncIterator[Any]:
        for number in count():
            yield Request(f"{response.url}{number}")

    def cannot_be_closed(self, response: Response) -> Iterator[Any]:
        while True:
            with suppress(GeneratorExit):
                yield None

    def endless_list(self, response: Response) -> Any:
        return repeat({"url": response.url, "title": "again"})

    def recurses(self, response: Response) -> Any:
        return self.recurses(response)

    def exits(self, response: Response) -> None:
        sys.exit(3)

    def generator_exit(self, response: Response) -> None:
        raise GeneratorExit

    async def cancels_itself(self, response: Response) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await asyncio.sleep(0)

    def cancels_later(self, response: Response) -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()

    def cancelled(self, response: Response) -> None:
        raise asyncio.CancelledError

    def closes_the_loop(self, response: Response) -> None:
        asyncio.get_running_loop().close()

    def stop_iteration(self, response: Response) -> None:
        raise StopIteration

    def no_memory(self, response: Response) -> None:
        raise MemoryError

    def spoils(self, response: Response) -> Iterator[Any]:
        yield {"url": response.url, "title": "whole"}
        response.request.meta["later"] = object()
        response.request.url = response.url = ""
        response.request.depth = response.status = response.body = response.seen = None  # type: ignore[assignment]

    def spoils_a_link(self, response: Response) -> Iterator[Any]:
        link = Request(response.url)
        link.url = "nowhere"
        yield link

    def huge_item(self, response: Response) -> Iterator[Any]:
        yield {"url": response.url, "title": "whole"}
        yield {"url": response.url, "title": "x" * 5_000_000}

    def huge_meta(self, response: Response) -> Iterator[Any]:
        yield Request(response.url + "next", meta={"all": "x" * 5_000_000})

    def keeps(self, response: Response) -> Iterator[Any]:
        self.kept.append(response)
        yield {"url": response.url, "title": response.css("h1::text").get()}

    def bad_errback(self, response: Response) -> Iterator[Any]:
        yield {"url": response.url, "title": "whole"}
        yield Request(response.url + "broken", errback=self.fails_too, obey_robots=False)

    def fails_too(self, request: Request, error: Exception) -> None:
        sys.exit("the errback")
