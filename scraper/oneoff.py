"""One request at a time with the very parts of a crawl: what the commands that look at a single page use.

The session, the guard, cookies, credentials, robots.txt and its Crawl-delay are those of a crawl with the same
settings; what it learns lives in memory and nothing is stored. Every exchange is kept as it went over the wire.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from time import monotonic
from typing import Any, Self

from aiohttp.http import HttpVersion
from msgspec import Struct

from scraper.clock import SystemClock
from scraper.curl import SECRET
from scraper.errors import Postponed
from scraper.log import Logger
from scraper.parts import Parts, build_parts
from scraper.redirect import redirected
from scraper.request import Request
from scraper.response import Response
from scraper.robots import RobotsFetcher
from scraper.robots_line import Line
from scraper.session import Answer, SessionPool
from scraper.settings import Settings
from scraper.spider import Spider
from scraper.stores.memory import MemoryStore
from scraper.url import host_of, shown

log = Logger("scraper.oneoff")

MOST_EXCHANGES = 1_000
MOST_HOSTS = 1_000
NOTICED = 1.0
"""Seconds of waiting for a host that a person is told of."""

Pairs = list[tuple[str, str]]


class Exchange(Struct):
    """One request as it was sent, and the head of its answer; times in seconds.

    ``dns``, ``connect`` and ``tls`` are what a new connection took (0 on one that was kept), ``first_byte`` the time
    from the beginning to the head of the answer, ``total`` to the end of the body (None: not read to its end).
    Credentials are hidden, in the URL and in ``sent``; cookies are not, for they tell which session it was.
    """

    method: str
    url: str
    sent: Pairs
    version: str
    status: int
    words: str
    headers: Pairs
    reused: bool
    address: str | None
    tls_version: str | None
    dns: float
    connect: float
    tls: float
    first_byte: float
    total: float | None = None
    size: int | None = None
    """Bytes of the body, decoded."""


class _Telling(SessionPool):
    """A pool that keeps each exchange. One request at a time: the ledger's change is that request's own."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.exchanges: list[Exchange] = []

    async def send(self, request: Request) -> Answer:
        before, begun = self._paid(), monotonic()
        answer = await super().send(request)
        took = monotonic() - begun
        dns, connect, tls = (now - then for now, then in zip(self._paid(), before, strict=True))
        transport = answer.wire.transport
        peer = transport.get_extra_info("peername") if transport is not None else None
        secure = transport.get_extra_info("ssl_object") if transport is not None else None
        version = answer.version or HttpVersion(1, 1)
        self.exchanges.append(
            Exchange(
                method=answer.request_info.method,
                url=shown(request.url),
                sent=[(str(name), _hidden(name, value)) for name, value in answer.request_info.headers.items()],
                version=f"{version.major}.{version.minor}",
                status=answer.status,
                words=answer.reason or "",
                headers=[(name.decode("latin-1"), value.decode("latin-1")) for name, value in answer.raw_headers],
                reused=answer.reused,
                address=f"{peer[0]}:{peer[1]}" if peer else None,
                tls_version=secure.version() if secure is not None else None,
                dns=dns,
                connect=connect,
                tls=tls,
                first_byte=took,
            )
        )
        del self.exchanges[:-MOST_EXCHANGES]
        return answer

    def _paid(self) -> tuple[float, float, float]:
        hosts = self.ledger()
        return sum(host.dns for host in hosts), sum(host.connect for host in hosts), sum(host.tls for host in hosts)


def _hidden(name: str, value: str) -> str:
    """The value of a header as it may be shown: credentials are not for those who look over one's shoulder."""
    if name.lower() == "cookie" or not SECRET.search(name):
        return value
    scheme, space, _ = value.partition(" ")
    return f"{scheme} ***" if space else "***"


def _log_wait(host: str, seconds: float) -> None:
    log.info("waiting", host=host, seconds=round(seconds, 1))


class OneOff:
    """The parts of one spider, for one request at a time: ``async with OneOff(spider, settings) as oneoff``.

    It is a Fetcher: the next request to a host waits for its turn, as ``delay`` and robots.txt have it. The host of
    a URL given to ``get`` counts as named by the user; those that redirects lead to do not.
    """

    def __init__(self, spider: Spider, settings: Settings, waits: Callable[[str, float], object] = _log_wait) -> None:
        """``waits`` is told of a host that has to be waited for, and for how many seconds."""
        self._waits = waits
        self._spider = spider
        self._settings = settings
        self._clock = SystemClock()
        self._stack = AsyncExitStack()
        self._parts: Parts | None = None
        self._pool: _Telling | None = None
        self._last: dict[str, float] = {}

    async def __aenter__(self) -> Self:
        store = MemoryStore()
        async with AsyncExitStack() as stack:
            await store.open()
            stack.push_async_callback(store.close)
            run = await store.begin(self._spider.name, self._clock.time())
            parts = await build_parts(self._spider, self._settings, store, self._clock, run, pool=_Telling)
            stack.push_async_callback(parts.close)
            assert isinstance(parts.pool, _Telling)
            self._parts, self._pool = parts, parts.pool
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End the session and all that was learnt with it."""
        await self._stack.aclose()

    @property
    def exchanges(self) -> list[Exchange]:
        """What went over the wire so far, robots.txt included; the oldest are forgotten after a thousand."""
        return self._pool.exchanges if self._pool is not None else []

    async def fetch(self, request: Request) -> Response:
        """One request, one answer, when it is its host's turn. Raises FetchError."""
        assert self._parts is not None and self._pool is not None
        host = host_of(request.url)
        while True:
            await self._turn(host)
            known = len(self._pool.exchanges)
            try:
                response = await self._parts.fetcher.fetch(request)
            except Postponed:
                continue
            finally:
                if len(self._pool.exchanges) != known or known == MOST_EXCHANGES:
                    self._went(host)
            if self._pool.exchanges:
                last = self._pool.exchanges[-1]
                last.total, last.size = response.seen.elapsed, response.seen.size
            return response

    def name(self, url: str) -> None:
        """The host of this URL is the user's own choice, also at a private address."""
        assert self._parts is not None
        if self._parts.named is not None:
            self._parts.named(url)

    async def get(self, request: Request, follow: bool = True) -> list[Response]:
        """The answer, which is the last, and the redirects that led to it. Raises FetchError."""
        self.name(request.url)
        found: list[Response] = []
        following: Request | None = request
        while following is not None:
            found.append(await self.fetch(following))
            following = redirected(found[-1], self._settings.max_redirects) if follow else None
        return found

    def gap(self, host: str) -> float:
        """Seconds between two requests to a host, by the settings and by its robots.txt."""
        assert self._parts is not None
        return self._parts.throttle.limits(self._parts.group(host) if self._parts.group is not None else host).delay

    async def overruled(self, url: str) -> Line | None:
        """The line of robots.txt that would forbid an allowed URL if a longer Allow did not overrule it."""
        assert self._parts is not None
        robots = next((each for each in self._parts.learners if isinstance(each, RobotsFetcher)), None)
        return await robots.overruled(url) if robots is not None else None

    async def _turn(self, host: str) -> None:
        """A date, as in a crawl: the last request and the gap of its host."""
        last = self._last.get(host)
        now = self._clock.monotonic()
        if last is None or (gap := self.gap(host)) <= 0 or (left := last + gap - now) <= 0:
            return
        if left >= NOTICED:
            self._waits(host, left)
        turn = asyncio.Event()
        self._clock.call_at(last + gap, turn.set)
        await turn.wait()

    def _went(self, host: str) -> None:
        self._last.pop(host, None)
        self._last[host] = self._clock.monotonic()
        if len(self._last) > MOST_HOSTS:
            del self._last[next(iter(self._last))]
