"""The parts that fetch: which wrap which, and what each remembers of an earlier crawl.

From the inside: the pooled session, one request over it, robots.txt first.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from scraper.fetchers.http import HttpFetcher
from scraper.page import Run
from scraper.ports import Clock, Fetcher, Learner, Store, Throttle
from scraper.robots import RobotsFetcher
from scraper.session import SessionPool
from scraper.settings import Settings
from scraper.spider import Spider
from scraper.throttle import FixedThrottle


@dataclass
class Parts:
    """What one crawl fetches with. ``pool`` is None with a fetcher of the caller's own."""

    fetcher: Fetcher
    throttle: Throttle
    pool: SessionPool | None = None
    learners: list[Learner] = field(default_factory=list)
    named: Callable[[str], object] | None = None
    """Told the URLs of the seeds: their hosts are named by the spider."""

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
) -> Parts:
    """The parts as the settings ask for them, each with its notes; ``fetcher`` and ``throttle`` of the caller's own
    take the place of ours."""
    throttle = throttle or FixedThrottle(settings)
    if fetcher is not None:
        return Parts(fetcher, throttle)
    pool = SessionPool(settings)
    fetcher = HttpFetcher(pool, settings)
    if settings.obey_robots:
        fetcher = RobotsFetcher(fetcher, settings)
    return Parts(fetcher, throttle, pool)
