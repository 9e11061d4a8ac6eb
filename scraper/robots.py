"""RobotsFetcher: a Fetcher that asks robots.txt first (RFC 9309).

It wraps another fetcher and asks through it, so that robots.txt has the same time-outs, proxy and ledger as a
page. An origin is asked once however many wait. Its answer is kept for a day, in the store too: the next crawl
does not ask again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from scraper.errors import ConnectError, FetchError, NoSuchHost, Postponed, ReadError, RobotsDenied, StatusError
from scraper.log import Logger
from scraper.page import Note
from scraper.ports import Clock, Fetcher, Store
from scraper.request import Request, link
from scraper.response import Response
from scraper.robots_kept import MOST_ORIGINS, Known, Origins
from scraper.robots_rules import Rules
from scraper.robots_text import MOST_BYTES, our_token, robots_text
from scraper.settings import Settings
from scraper.url import host_of, origin_of, resolve

if TYPE_CHECKING:
    from scraper.robots_line import Line

log = Logger("scraper.robots")

TROUBLED_FOR = 30.0
"""Seconds for which a server that answered 5xx is left alone; doubled each time, as are those of a silent one."""
SILENT_FOR = 1.0
LONGEST_BACK_OFF = 3600.0
MOST_RAW = 16 * 1024 * 1024
"""Bytes that may come before there are 500 KiB, whatever ``max_body_size`` says of pages."""
MOST_HOPS = 5


class RobotsFetcher:
    """Fetches what robots.txt allows our product token: `robots_agent`, else the one of `user_agent`.

    2xx is parsed, up to five redirects are followed; 4xx, more redirects or an empty file allow all. While it
    answers 5xx, or cannot be reached, nothing is allowed; the error says when it will be asked for again. Nothing
    is asked for requests with ``obey_robots=False``, nor without the setting unless they have ``obey_robots=True``.

    Args:
        store: keeps answers from one crawl to the next; None: they are not kept.
        learnt: told (host, seconds, origin) of each Crawl-delay and Request-rate, and 0 when it is gone.
        delay: the seconds that must be between two requests to a host. Where it is not 0, robots.txt takes a turn
            of its own: the page that asked for it is postponed, and so is each further hop to the same host.
    """

    def __init__(
        self,
        inner: Fetcher,
        settings: Settings,
        clock: Clock,
        store: Store | None = None,
        learnt: Callable[[str, float, str], object] = lambda host, seconds, origin: None,
        delay: Callable[[str], float] = lambda host: 0.0,
    ) -> None:
        self._inner = inner
        self._obey = settings.obey_robots
        self._token = our_token(settings)
        self._longest = settings.retry_after_max
        self._patience = settings.breaker_patience
        self._longest_gap = settings.crawl_delay_max
        self._silent_for = min(SILENT_FOR, settings.retry_max_wait)
        self._clock = clock
        self._now = clock.monotonic
        self._learnt = learnt
        self._delay = delay
        self._origins = Origins(self._token, clock, store)
        self._asking: dict[str, asyncio.Task[Known]] = {}
        self._hops: dict[str, tuple[str, int]] = {}
        """Where those stand that had to wait for their host in the midst of redirects."""

    async def fetch(self, request: Request) -> Response:
        """As the inner fetcher does. Raises RobotsDenied when robots.txt forbids it or answers 5xx, the error of
        robots.txt when that cannot be reached, and Postponed when it took the turn of the page."""
        options = request.options
        if not (self._obey if options is None else options.get("obey_robots", self._obey)):
            return await self._inner.fetch(request)
        url = request.url
        origin = origin_of(url)
        if url.endswith("/robots.txt") and url == origin + "/robots.txt":
            return await self._inner.fetch(request)  # always allowed
        known = self._origins.get(origin)
        waited = known is None or known.until <= self._now()
        if known is None or waited:
            known = await self._ask(origin, options)
        if known.failure is not None:
            raise self._unreachable(request, origin, known)
        if waited and known.paces and self._delay(host_of(url)) > 0:
            raise Postponed(f"{url} waits for its turn after {origin}/robots.txt", request=request)
        rules = known.rules
        if rules is not None and not rules.allows(url):
            raise await self._denied(request, origin, rules)
        return await self._inner.fetch(request)

    def notes(self) -> list[Note]:
        """Answers that came since the last call."""
        return self._origins.notes()

    async def overruled(self, url: str) -> Line | None:
        """The line that would forbid a URL that is allowed, were it not for a longer Allow; None where there is none,
        or where nothing is known of its robots.txt."""
        known = self._origins.get(origin_of(url))
        return await known.rules.line(url) if known is not None and known.rules is not None else None

    async def close(self) -> None:
        """Give up what is being asked, and close the inner fetcher."""
        asking = list(self._asking.values())
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
        await self._inner.close()

    # -- one answer for all who wait

    async def _ask(self, origin: str, options: dict[str, object] | None) -> Known:
        task = self._asking.get(origin)
        if task is None:
            task = self._asking[origin] = asyncio.create_task(self._load(origin, options))
            task.add_done_callback(lambda done: self._asked(origin, done))
        # Shielded: one who gives up must not take the answer from the others.
        return await asyncio.shield(task)

    def _asked(self, origin: str, task: asyncio.Task[Known]) -> None:
        del self._asking[origin]
        if not task.cancelled():
            task.exception()  # those who wait for it know; nobody may be left

    async def _load(self, origin: str, options: dict[str, object] | None) -> Known:
        host = host_of(origin + "/")
        before = self._origins.get(origin)
        known = await self._origins.recall(origin) if before is None or before.failure is None else None
        if known is None:
            known = await self._fetched(origin, options, before)
            known.paces = True
        if known.rules is not None and known.rules.gap > 0:
            delay = self._delay(host)
            self._learnt(host, min(known.rules.gap, self._longest_gap), origin)
            known.paces = known.paces or self._delay(host) > delay  # this turn was taken before that was known
        elif before is not None and before.rules is not None and before.rules.gap > 0 and known.failure is None:
            self._learnt(host, 0.0, origin)
        self._origins.keep(origin, known)
        return known

    async def _fetched(self, origin: str, options: dict[str, object] | None, before: Known | None) -> Known:
        try:
            response = await self._follow(origin, options)
        except FetchError as failure:
            failures = before.failures if before is not None else 0
            back_off = TROUBLED_FOR if failure.status else self._silent_for
            wait = min(back_off * 2.0 ** min(failures, 30), LONGEST_BACK_OFF)
            now = self._now()
            since = before.since if before is not None and failures else now
            wait = max(wait, min(failure.retry_after or 0.0, self._longest))
            if now < since + self._patience:  # the last time when patience ends
                wait = min(wait, since + self._patience - now)
            known = Known(now + wait)
            known.failure, known.failures, known.since = _bare(failure), failures + 1, since
            if failures == 0 and not isinstance(failure, NoSuchHost):
                log.warning("robots_unavailable", origin=origin, error=str(failure), seconds=round(wait, 1))
            where = failure.request.url if failure.request is not None else origin + "/"
            known.elsewhere = host_of(where) != host_of(origin + "/")
            return known
        text = robots_text(response.body) if response is not None and response.ok else ""
        return await self._origins.learn(origin, response.status if response is not None else 0, text)

    async def _follow(self, origin: str, options: dict[str, object] | None) -> Response | None:
        """The answer at the end of the redirects; None when they lead nowhere.

        Raises FetchError when it cannot be had, Postponed when the next hop has to wait for the host.
        """
        url, hops = self._hops.pop(origin, (f"{origin}/robots.txt", 0))
        asked = set()
        while True:
            host = host_of(url)
            if host in asked and self._delay(host) > 0:
                if len(self._hops) >= MOST_ORIGINS:
                    del self._hops[next(iter(self._hops))]
                self._hops[origin] = url, hops
                raise Postponed(f"{url} waits for its turn")
            asked.add(host)
            response = await self._inner.fetch(_asking_for(url, options))
            if response.status >= 500:
                wait = response.retry_after(self._clock.time())
                raise StatusError(response.status, url, retry_after=wait, request=response.request)
            if not 300 <= response.status < 400:
                return response
            hops += 1
            target = resolve(url, response.headers.get("Location") or "//")  # "//" is no URL
            if target is None or hops > MOST_HOPS:
                return None
            url = target

    # -- why a page is not fetched

    async def _denied(self, request: Request, origin: str, rules: Rules) -> RobotsDenied:
        line = await rules.line(request.url)
        where = f"{origin}/robots.txt" + (f' line {line.number}, "{line.text}",' if line is not None else "")
        return RobotsDenied(
            f"{where} forbids {request.url} to {self._token!r}; leave it out of the crawl", request=request
        )

    def _unreachable(self, request: Request, origin: str, known: Known) -> FetchError:
        """The server is in trouble, or (the same error as its page would get) away."""
        failure = known.failure
        assert failure is not None
        left = known.until - self._now()
        lasted = self._now() - known.since
        over = known.failures > 1 and 0 < self._patience <= lasted
        kind = type(failure) if failure.status is None and not known.elsewhere else RobotsDenied
        if issubclass(kind, ConnectError | ReadError):  # as its page would have met it
            at = origin.partition(":")[2] + "/robots.txt"
            text = str(failure).replace(at, request.url.partition(":")[2]) + " (asked for robots.txt first)"
            if over:
                text += f"; this goes on for {lasted:.0f} s, so the page is given up"
        else:
            again = f"it is not asked for again within {left:.0f} s; " if left >= 1 else ""
            text = (
                f"{request.url} is not fetched while {origin}/robots.txt cannot be had: {failure}; "
                + (f"it could not for {lasted:.0f} s, so this page is given up; " if over else again)
                + "see what ails it, or set obey_robots = false if you may"
            )
        denied = kind(text, request=request)
        denied.unsent = True
        if kind is RobotsDenied:
            denied.transient = True
        if over:
            denied.transient = False
        elif left > 0:
            denied.retry_after = left
        denied.__cause__ = failure
        return denied


def _bare(failure: FetchError) -> FetchError:
    """Without the frames that it came through, which hold all that they worked with."""
    failure.__cause__ = failure.__context__ = None
    return failure.with_traceback(None)


def _asking_for(url: str, options: dict[str, object] | None) -> Request:
    """For robots.txt by the same proxy as its page, and no more of it than is read."""
    request = link(url)
    request.options = {"cut_at": MOST_BYTES + 1, "max_body_size": MOST_RAW, "cookies": False}
    if options is not None and "proxy" in options:
        request.options["proxy"] = options["proxy"]
    return request
