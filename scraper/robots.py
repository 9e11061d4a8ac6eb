"""RobotsFetcher: a Fetcher that asks robots.txt first (RFC 9309).

It wraps another fetcher and asks through it, so that robots.txt has the same time-outs, proxy and ledger as a
page. A origin is asked once however many wait; the answer is kept for a day.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from protego import Protego

from scraper.errors import FetchError, RobotsDenied
from scraper.ports import Clock, Fetcher
from scraper.request import Request, link
from scraper.response import Response
from scraper.settings import Settings
from scraper.url import origin_of, resolve

if TYPE_CHECKING:
    from scraper.robots_line import DenyingLines

KEPT_FOR = 24 * 3600.0  # seconds; RFC 9309 section 2.4
FAILED_FOR = 30.0
"""Seconds for which a robots.txt that could not be had is not asked for again."""
MOST_ORIGINS = 1_000
MOST_BYTES = 500 * 1024
"""What is parsed of a robots.txt; RFC 9309 section 2.5 asks for no less."""
MOST_HOPS = 5
OFF_LOOP = 16 * 1024
"""From this size (bytes) parsing takes longer than the loop may stand still: 1 ms for 6 kB."""


class _Rules:
    """What one origin's robots.txt says to us until ``until`` (monotonic seconds)."""

    __slots__ = ("body", "delay", "failure", "lines", "robots", "sitemaps", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        self.robots: Protego | None = None  # None: all is allowed
        self.failure: FetchError | None = None
        self.body = b""  # what was parsed, a twentieth of what Protego makes of it; until lines is made of it
        self.lines: DenyingLines | None = None
        self.delay: float | None = None
        self.sitemaps: tuple[str, ...] = ()


class RobotsFetcher:
    """Fetches what robots.txt allows the product token (``user_agent`` up to its first "/").

    2xx is parsed, up to five redirects are followed; 4xx, too many redirects or an empty file allow all. While
    it answers 5xx nothing is allowed: that RobotsDenied is transient and its ``retry_after`` says when robots.txt
    will be asked for again. When it cannot be reached, the page fails with the same error.
    """

    def __init__(self, inner: Fetcher, settings: Settings, clock: Clock | None = None) -> None:
        self._inner = inner
        self._token = settings.user_agent.partition("/")[0].strip() or "*"
        self._now = clock.monotonic if clock is not None else monotonic
        self._rules: dict[str, _Rules] = {}  # least recently used first
        self._asking: dict[str, asyncio.Task[_Rules]] = {}
        self._finding = asyncio.Lock()

    async def fetch(self, request: Request) -> Response:
        """As the inner fetcher does. Raises RobotsDenied when robots.txt forbids it or answers 5xx."""
        url = request.url
        origin = origin_of(url)
        rules = self._rules.pop(origin, None)
        if rules is not None and rules.until > self._now():
            self._rules[origin] = rules
        elif url == origin + "/robots.txt":
            return await self._inner.fetch(request)  # always allowed
        else:
            rules = await self._ask(origin)
        if rules.failure is not None:
            raise self._unreachable(request, origin, rules)
        if rules.robots is not None and not rules.robots.can_fetch(url, self._token):
            raise await self._denied(request, origin, rules)
        return await self._inner.fetch(request)

    def crawl_delay(self, origin: str) -> float | None:
        """Seconds of its ``Crawl-delay`` for us; None when it has none or was not asked yet."""
        rules = self._rules.get(origin)
        return rules.delay if rules is not None else None

    def sitemaps(self, origin: str) -> tuple[str, ...]:
        """The ``Sitemap`` URLs it names, as written; none when it was not asked yet."""
        rules = self._rules.get(origin)
        return rules.sitemaps if rules is not None else ()

    async def close(self) -> None:
        """Give up what is being asked, and close the inner fetcher."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await self._inner.close()

    async def _ask(self, origin: str) -> _Rules:
        task = self._asking.get(origin)
        if task is None:
            task = self._asking[origin] = asyncio.create_task(self._load(origin))
            task.add_done_callback(lambda _: self._asking.pop(origin))
        # Shielded: one who gives up must not take the answer from the others.
        return await asyncio.shield(task)

    async def _load(self, origin: str) -> _Rules:
        try:
            response = await self._follow(origin)
            if response is not None and response.status >= 500:
                failure = FetchError(f"it answered {response.status}")
                failure.transient, failure.status = True, response.status
                raise failure
        except FetchError as failure:
            # A server in trouble is left alone for a while; one that cannot be reached is asked at each attempt.
            rules = _Rules(self._now() + (FAILED_FOR if failure.status else 0.0))
            rules.failure = failure
        else:
            rules = _Rules(self._now() + KEPT_FOR)
            if response is not None and response.ok:
                await self._read(rules, response.body)
        self._rules[origin] = rules
        if len(self._rules) > MOST_ORIGINS:
            del self._rules[next(iter(self._rules))]
        return rules

    async def _follow(self, origin: str) -> Response | None:
        """The answer at the end of the redirects; None when they lead nowhere."""
        url: str | None = f"{origin}/robots.txt"
        for _ in range(1 + MOST_HOPS):
            if url is None:
                return None
            response = await self._inner.fetch(link(url))
            if not 300 <= response.status < 400:
                return response
            url = resolve(url, response.headers.get("Location") or "//")  # "//" is no URL
        return None

    async def _read(self, rules: _Rules, body: bytes) -> None:
        if len(body) > MOST_BYTES:
            body = body[:MOST_BYTES].rpartition(b"\n")[0]  # half a rule would be another rule
        text = _text(body)
        robots = Protego.parse(text) if len(body) < OFF_LOOP else await asyncio.to_thread(Protego.parse, text)
        rules.delay = robots.crawl_delay(self._token)
        rules.sitemaps = tuple(robots.sitemaps)
        rules.robots = robots
        rules.body = body

    async def _denied(self, request: Request, origin: str, rules: _Rules) -> RobotsDenied:
        """The denial, with the line that says so."""
        from scraper.robots_line import DenyingLines  # few crawls are denied anything

        if rules.lines is None:
            async with self._finding:  # the first who is denied makes it for all
                if rules.lines is None:
                    text = _text(rules.body)
                    if len(rules.body) < OFF_LOOP:
                        rules.lines = DenyingLines(text, self._token)
                    else:
                        rules.lines = await asyncio.to_thread(DenyingLines, text, self._token)
                    rules.body = b""
        line = rules.lines.find(request.url)
        where = f"{origin}/robots.txt" + (f' line {line.number}, "{line.text}",' if line is not None else "")
        return RobotsDenied(
            f"{where} forbids {request.url} to {self._token!r}; leave it out of the crawl", request=request
        )

    def _unreachable(self, request: Request, origin: str, rules: _Rules) -> FetchError:
        """Why the page is not fetched: the server is in trouble, or (the same error as its page would get) away."""
        failure = rules.failure
        assert failure is not None
        text = (
            f"{request.url} is not fetched while {origin}/robots.txt cannot be had: {failure}; "
            "it is tried again later, or set obey_robots = false if you may"
        )
        if failure.status is None:
            denied = type(failure)(text, request=request)
        else:
            denied = RobotsDenied(text, request=request)
            denied.transient = True
            denied.retry_after = max(rules.until - self._now(), failure.retry_after or 0.0)
        denied.__cause__ = failure
        return denied


def _text(body: bytes) -> str:
    return body.decode("utf-8-sig", "replace")
