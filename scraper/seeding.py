"""Seeding: the spider's first requests into the store, while others of them are visited already."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import aclosing

from scraper.errors import StoreError
from scraper.log import Logger
from scraper.ports import Clock, Store
from scraper.request import Request
from scraper.scope import Scope
from scraper.spider import Spider, seeds

log = Logger("scraper.engine")

SEED_CHUNK = 500


class Seeding:
    """Args:
    named: told the URL of each seed, before it may be fetched.
    idle: whether the workers have nothing to do, so that a chunk must not be waited for.
    over: whether the crawl drains; then no more is asked for.
    added: told how many pages were new.
    fail: told what ``start()`` raises.
    """

    def __init__(
        self,
        spider: Spider,
        scope: Scope,
        store: Store,
        clock: Clock,
        *,
        named: Callable[[str], object] | None,
        idle: Callable[[], bool],
        over: Callable[[], bool],
        added: Callable[[int], object],
        fail: Callable[[Exception], object],
    ) -> None:
        self._spider = spider
        self._scope = scope
        self._store = store
        self._clock = clock
        self._named = named
        self._idle = idle
        self._over = over
        self._added = added
        self._fail = fail
        self.waiting: list[Request] = []
        """Given by the spider, and not in the store yet."""

    async def run(self) -> None:
        """To the end of ``start()``. If it raises, what it gave before is not lost."""
        number, failed = 0, False
        try:
            async with aclosing(seeds(self._spider)) as requests:
                async for request in requests:
                    self._scope.prepare(request, f"seed:{number}")
                    if self._named is not None:
                        self._named(request.url)
                    number += 1
                    self.waiting.append(request)
                    if self._idle() or len(self.waiting) >= SEED_CHUNK:
                        await self.add()
                    if self._over():
                        break
        except StoreError:
            raise
        except Exception as error:
            failed = True
            self._fail(error)
        await self.add()
        if number == 0 and not failed:
            log.warning("no_seeds", spider=self._spider.name, hint="give start_urls or write start()")

    async def add(self) -> None:
        """What waits, into the store."""
        requests, self.waiting = self.waiting, []
        if requests:
            self._added(await self._store.add(requests, self._clock.time()))
