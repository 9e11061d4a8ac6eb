"""The parts that fetch: which wrap which, and what each remembers of an earlier crawl.

From the inside: the pooled session, one request over it, cookies and credentials, robots.txt first, files that are
there already.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime

from scraper.auth import HostAuth
from scraper.download import sweep
from scraper.fetchers.credentials import CredentialsFetcher
from scraper.fetchers.http import HttpFetcher
from scraper.fetchers.kept import KeptFetcher
from scraper.frontier import Frontier
from scraper.grouping import Groups
from scraper.guard import Guard
from scraper.jars import KIND as COOKIES
from scraper.jars import Jars
from scraper.log import Logger
from scraper.page import Run
from scraper.ports import Clock, Fetcher, Learner, Observer, Store, Throttle
from scraper.robots import RobotsFetcher
from scraper.scope import Scope
from scraper.session import SessionPool, is_anonymous
from scraper.settings import Settings
from scraper.spider import Spider
from scraper.throttle import KIND, AdaptiveThrottle, FixedThrottle, Remembering
from scraper.url import canonical

log = Logger("scraper.parts")


def check_parts(settings: Settings) -> None:
    """Raises SettingsError for what shows only when the parts are built: proxies, addresses, the agent."""
    SessionPool(settings, guard=Guard(settings))


@dataclass
class Parts:
    """What one crawl fetches with. ``pool`` is None with a fetcher of the caller's own."""

    fetcher: Fetcher
    throttle: Throttle
    pool: SessionPool | None = None
    learners: list[Learner] = field(default_factory=list)
    named: Callable[[str], object] | None = None
    """Told the URLs of the seeds: their hosts are named by the spider."""
    group: Callable[[str], str] | None = None
    """The slot key of a host; None: the host itself."""
    observers: list[Observer] = field(default_factory=list)

    async def read_feeds(self, spider: Spider, settings: Settings, store: Store, clock: Clock, run: Run) -> None:
        """What the spiders of feeds need besides: feeds in files, and when the last finished run began."""
        from scraper.fetchers.reread import RereadFetcher  # most spiders read pages

        self.fetcher = reread = RereadFetcher(self.fetcher, settings.files, spider.name)
        self.observers.append(reread)
        if not run.resumed:
            await asyncio.to_thread(reread.sweep, clock.time())
        _, before = await store.figures(1)
        if before and getattr(spider, "last_run", None) is None:
            spider.__dict__["last_run"] = datetime.fromtimestamp(before[0].started, UTC)

    def connect(self, frontier: Frontier) -> None:
        """Let the frontier know when requests are sent, and when limits change."""
        if self.pool is not None:
            self.pool.gate = frontier
            frontier.reported = True
        if isinstance(self.throttle, FixedThrottle):
            self.throttle.changed = frontier.refresh

    async def close(self) -> None:
        """Every part, the outermost first."""
        async with AsyncExitStack() as stack:
            if self.pool is not None:
                stack.push_async_callback(self.pool.close)
            stack.push_async_callback(self.fetcher.close)


async def build_parts(
    spider: Spider,
    settings: Settings,
    store: Store,
    clock: Clock,
    run: Run,
    fetcher: Fetcher | None = None,
    throttle: Throttle | None = None,
    pool: type[SessionPool] | None = None,
) -> Parts:
    """The parts as the settings ask for them, each with its notes; ``fetcher`` and ``throttle`` of the caller's own
    take the place of ours. ``pool`` is the kind of session that is made in place of ours."""
    learners: list[Learner] = []
    if throttle is None:
        throttle = own = (AdaptiveThrottle if settings.adaptive else FixedThrottle)(settings)
        own.load(await store.notes(KIND, clock.time()), clock.monotonic(), clock.time())
        learners.append(Remembering(own, clock))
    if fetcher is not None:
        fetcher = KeptFetcher(fetcher, settings, store, clock, spider.name)
        return Parts(fetcher, throttle, learners=learners, group=_grouping(settings, throttle, None))
    guard = await _guard(spider, settings, store, run)
    session = (pool or SessionPool)(settings, guard=guard)
    sweep(settings.files)
    jars = Jars(clock, run.id) if settings.cookies else None
    if jars is not None:
        jars.load((await store.notes(COOKIES, clock.time())).values())
        learners.append(jars)
    auth = HostAuth(settings.auth, settings.hosts, spider.start_urls, Scope(spider).domains)
    fetcher = CredentialsFetcher(HttpFetcher(session, settings), jars, auth)
    group = _grouping(settings, throttle, session)
    key = group or _itself
    learnt = throttle.learnt if isinstance(throttle, FixedThrottle) else _heedless
    robots = RobotsFetcher(
        fetcher,
        settings,
        clock,
        store,
        learnt=lambda host, seconds, origin: learnt(key(host), seconds, origin),
        delay=lambda host: throttle.limits(key(host)).delay,
    )
    kept = KeptFetcher(robots, settings, store, clock, spider.name)
    return Parts(kept, throttle, session, [robots, *learners], guard.name, group)


def _grouping(settings: Settings, throttle: Throttle, pool: SessionPool | None) -> Callable[[str], str] | None:
    """What gives the slot key of a host; None where each host has a slot of its own."""
    if settings.slot_by == "host" or (settings.slot_by == "ip" and pool is None):
        return None
    address = pool.address if pool is not None else _unknown
    return Groups(settings, address, throttle.join if isinstance(throttle, FixedThrottle) else _heedless)


def _itself(host: str) -> str:
    return host


def _unknown(host: str) -> None:
    """The address of any host to a fetcher of the caller's own."""


def _heedless(*told: object) -> None:
    """What a throttle of the caller's own makes of robots.txt and of shared slots."""


async def _guard(spider: Spider, settings: Settings, store: Store, run: Run) -> Guard:
    """The guard, which knows the hosts that the spider names; what ``start()`` gives is told to it on the way."""
    guard = Guard(settings, _no_contact if is_anonymous(settings) else None)
    guard.name_hosts(Scope(spider).domains)
    # One that can be read only once is left to start().
    for url in spider.start_urls if isinstance(spider.start_urls, Collection) else ():
        if isinstance(url, str) and (found := canonical(url)):
            guard.name(found)
    if run.resumed or run.reopened:
        guard.name_hosts(await store.seed_hosts())
    return guard


def _no_contact() -> None:
    log.info("no_contact", hint="set contact to a mail address or URL: whoever runs a site can then write to you")
