"""The engine: feeds the frontier, works its leases, sees to it that every visit ends in one outcome.

    _seed    the spider's first requests into the store
    _feed    leases from the store into the frontier, and the end of the crawl
    _work    lease after lease; as many of these tasks as ``concurrency``
    _visit   one lease to one outcome: the only try/except of the crawl

Every part is given; nothing here knows which store, fetcher or policy it has.
"""

from __future__ import annotations

import asyncio
import math
import traceback
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from typing import Any

from scraper.errors import (
    CallbackError,
    FetchError,
    NestingError,
    ParseError,
    StatusError,
    StoreError,
)
from scraper.frontier import Frontier
from scraper.log import Logger
from scraper.page import Dead, Done, Found, Lease, Outcome, Receipt, Retry, Seen, Snapshot
from scraper.ports import Clock, Fetcher, Observer, RetryPolicy, Store, Throttle, Timer
from scraper.process import cores
from scraper.redirect import redirected
from scraper.request import Request
from scraper.response import Response
from scraper.settings import Settings
from scraper.spider import Scope, Spider, collect, seeds
from scraper.stats import Stats
from scraper.writer import Writer

log = Logger("scraper.engine")

FOR_GOOD = math.inf
"""Our leases have no date: we never lose track of one, and the owner's death ends them all at once."""

SEED_CHUNK = 500
PARSE_ON_THREAD = 64 * 1024
"""Bytes of HTML from which a thread parses: selectolax releases the GIL, so a second core does it meanwhile.

With one core a thread would only add its hop (50-90 µs) and its waiting for the GIL."""


class Engine:
    """One crawl, from its first seed to its last commit. ``run`` it once."""

    def __init__(
        self,
        *,
        spider: Spider,
        settings: Settings,
        store: Store,
        fetcher: Fetcher,
        throttle: Throttle,
        retry: RetryPolicy,
        clock: Clock,
        observers: Sequence[Observer] = (),
    ) -> None:
        self._spider = spider
        self._settings = settings
        self._store = store
        self._fetcher = fetcher
        self._throttle = throttle
        self._retry = retry
        self._clock = clock
        self._observers = observers
        self._scope = Scope(spider, settings.max_depth)
        self._wake = asyncio.Event()
        self.stats = Stats(clock.monotonic())
        self.frontier = Frontier(
            throttle,
            clock,
            keepalive=settings.keepalive_timeout,
            look_ahead=max(256, 4 * settings.concurrency),
            per_host=max(128, 8 * settings.concurrency_per_host) if not settings.delay else 4,
            hungry=self._wake.set,
            allowance=settings.limit_pages or None,
        )
        self.writer = Writer(store, clock, self._committed)
        self._all = settings.handle_statuses == "all"
        self._handled = frozenset(settings.handle_statuses if not self._all else ())
        self._again = frozenset(settings.retry_statuses)
        self._threads = cores() > 1
        # No more at once than there are cores: each holds a page and its tree.
        self._parsers = ThreadPoolExecutor(cores(), thread_name_prefix="parse")
        self._visiting = 0
        self._found_items = 0
        self._seeding = True
        self._seeds: list[Request] = []
        self._failure: Exception | None = None
        self._reason: str | None = None
        self._dates = True
        """Pages may wait for a date that no timer is armed for; a resumed run brings such pages along."""
        self._asked = 0.0
        """Date of the last question for leases: what was due by then has been found."""
        self._due_timer: Timer | None = None

    # -- what the front door asks

    async def run(self) -> str:
        """Crawl until nothing is due, a limit is met or ``stop`` is called; returns the reason.

        Raises StoreError, or what the spider's ``start()`` raises; all that was committed stays.
        """
        try:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(self.writer.run())
                seed = tasks.create_task(self._seed())
                feed = tasks.create_task(self._feed())
                workers = [tasks.create_task(self._work()) for _ in range(self._settings.concurrency)]
                await asyncio.wait([feed, *workers])
                seed.cancel()  # a start() without end must not hold up a drain; the next crawl asks it again
                if not writer.done():
                    await self.writer.close()
        except BaseExceptionGroup as group:
            raise _first(group) from None
        finally:
            self.frontier.close()
            self._parsers.shutdown(wait=False)
            if self._due_timer is not None:
                self._due_timer.cancel()
        if self._failure is not None:
            raise self._failure
        return self._reason or "finished"

    def stop(self, reason: str) -> None:
        """Drain: begin nothing more, finish what has begun, commit it. The first reason stays."""
        if self._reason is None:
            self._reason = reason
            self._wake.set()

    def snapshot(self) -> Snapshot:
        """This process's counters now."""
        return self.stats.snapshot(self._clock.monotonic(), self.frontier.in_flight, self.frontier.queued)

    # -- seeds and leases

    async def _seed(self) -> None:
        """The spider's first requests into the store. If ``start()`` raises, what it gave before is not lost."""
        number = 0
        try:
            async with aclosing(seeds(self._spider)) as requests:
                async for request in requests:
                    self._scope.prepare(request, f"seed:{number}")
                    number += 1
                    self._seeds.append(request)
                    idle = not (self.frontier.queued or self.frontier.in_flight)
                    if idle or len(self._seeds) >= SEED_CHUNK:
                        await self._add_seeds()
                    if self._reason is not None:
                        break
        except StoreError:
            raise
        except Exception as error:
            self._failure = error
            self.stop("failed")
        await self._add_seeds()
        self._seeding = False
        self._wake.set()
        if number == 0 and self._failure is None:
            log.warning("no_seeds", spider=self._spider.name, hint="give start_urls or write start()")

    async def _add_seeds(self) -> None:
        seeds, self._seeds = self._seeds, []
        await self._add(seeds)

    async def _add(self, requests: list[Request]) -> None:
        if requests:
            new = await self._store.add(requests, self._clock.time())
            self.stats.links += new  # not in one line with await: commits count links meanwhile
            self.frontier.refill()

    async def _feed(self) -> None:
        """Keep the frontier supplied; leave when the crawl is over."""
        frontier = self.frontier
        self._wake.set()  # a resumed run has work before its first seed
        while self._reason is None:
            await self._wake.wait()
            self._wake.clear()
            leases: list[Lease] = []
            if (asked := frontier.room) and not frontier.dry:
                frontier.dry = True  # unless something new comes while we ask
                now = self._asked = self._clock.time()
                leases = await self._store.lease(asked, frontier.per_host, now, FOR_GOOD, frontier.full)
                if len(leases) == asked:
                    frontier.dry = False
                frontier.push(leases)
            if not leases and self._seeds:  # a slow start() must not keep workers waiting
                await self._add_seeds()
            if frontier.dry and self._dates:
                await self._arm()
            if not leases and self._is_quiet():
                if frontier.allowance == 0:
                    self.stop("limit_pages")
                elif frontier.dry and not self._dates and self._due_timer is None:
                    self.stop("finished")
        await self._store.release(frontier.close())

    def _is_quiet(self) -> bool:
        """True when nothing is being done that could give more to do."""
        more = self._seeding or self.frontier.queued
        if self._visiting or (more and self.frontier.allowance != 0):
            return False
        self.writer.flush()
        return not self.writer.pending

    async def _arm(self) -> None:
        """Wake up when the next waiting page is due."""
        self._dates = False
        due = await self._store.next_due(self._asked)  # not now: a date may have come since we asked
        if self._due_timer is not None:
            self._due_timer.cancel()
            self._due_timer = None
        if due is not None:
            wait = max(0.0, due - self._clock.time())
            self._due_timer = self._clock.call_at(self._clock.monotonic() + wait, self._on_due)

    def _on_due(self) -> None:
        self._due_timer = None
        self._dates = True
        self.frontier.refill()
        self._wake.set()

    # -- visits

    async def _work(self) -> None:
        while (lease := await self.frontier.next()) is not None:
            self._visiting += 1
            outcome = await self._visit(lease)
            self._note(lease, outcome)
            if isinstance(outcome, Retry):
                self.frontier.allow()
            await self.writer.put(outcome)
            self._visiting -= 1
            if not self.frontier.queued and not self.frontier.in_flight and self.frontier.dry:
                self.writer.flush()  # its links may be all there is to do

    async def _visit(self, lease: Lease) -> Outcome:
        """One lease to one outcome. The slot is free before anything is parsed."""
        begun = self._clock.monotonic()
        seen: Seen | None = None
        error: FetchError | None = None
        try:
            response = await self._fetcher.fetch(lease.request)
            seen = response.seen
            if response.status in (429, 503):
                seen.retry_after = response.retry_after(self._clock.time())
            error = self._refusal(response)
            self._free(lease, seen, error)
            if error is None:
                return await self._read(lease, response)
        except FetchError as failure:
            error = failure
        except (Exception, asyncio.CancelledError) as failure:
            if _is_abort(failure):
                raise
            if seen is None:  # a fetcher broke its word
                seen = Seen(elapsed=self._clock.monotonic() - begun, keepalive=False)
                self._free(lease, seen, None)
            return self._broken(lease, seen, failure)
        assert error is not None  # every other way out has returned
        if seen is None:
            seen = Seen(error.status, self._clock.monotonic() - begun, keepalive=False)
            self._free(lease, seen, error)
        return await self._failed(lease, seen, error)

    def _note(self, lease: Lease, outcome: Outcome) -> None:
        """What a visit came to: against the limit on items at once, and into the log at debug."""
        found = outcome.found if not isinstance(outcome, Retry) else Found()
        self._found_items += len(found.items)
        if 0 < self._settings.limit_items <= self._found_items:
            self.stop("limit_items")
        if log.writes("debug"):
            log.debug(
                "page",
                url=lease.request.url,
                status=outcome.seen.status,
                outcome=type(outcome).__name__.lower(),
                attempt=lease.attempt,
                ms=round(outcome.seen.elapsed * 1000, 1),
                reused=outcome.seen.reused,
                items=len(found.items),
                links=len(found.links),
            )

    def _free(self, lease: Lease, seen: Seen, error: FetchError | None) -> None:
        rest = 0.0
        try:
            rest = self._throttle.observe(lease.host, seen, error)
        finally:  # a slot that is not given back would stall its host for good
            self.frontier.done(lease, seen.keepalive, rest)

    def _refusal(self, response: Response) -> StatusError | None:
        """The error for a status that nobody asked to see."""
        status = response.status
        if status < 400 or self._all or status in self._handled:
            return None
        wait = response.seen.retry_after
        if wait is None:
            wait = response.retry_after(self._clock.time())
        return StatusError(
            status, response.url, transient=status in self._again, retry_after=wait, request=response.request
        )

    async def _read(self, lease: Lease, response: Response) -> Done:
        target = None
        if response.status not in self._handled:  # named there, a redirect is an answer like any other
            target = redirected(response, self._settings.max_redirects)
        if target is not None:
            return Done(lease, response.seen, self._one_link(target), reason="redirect")
        if (
            self._threads
            and len(response.body) >= PARSE_ON_THREAD
            and "html" in response.headers.get("Content-Type", "")
        ):
            await asyncio.get_running_loop().run_in_executor(self._parsers, _parse_ahead, response)
        request = lease.request
        name = str(request.callback or "parse")
        callback = getattr(self._spider, name, None)
        if callback is None:
            raise CallbackError(f"spider {self._spider.name!r} has no method {name!r} any more", request=request)
        result = callback(response, **request.cb_kwargs) if request.cb_kwargs else callback(response)
        return Done(lease, response.seen, await collect(self._scope, result, request))

    def _one_link(self, target: Request) -> Found:
        reason = self._scope.drop_reason(target)
        return Found(links=[target]) if reason is None else Found(drops={reason: 1})

    async def _failed(self, lease: Lease, seen: Seen, error: FetchError) -> Outcome:
        """Retry while the policy says so; else dead, after the errback has had its say."""
        error.request = lease.request
        delay = self._retry.delay(lease, error, self._clock.time())
        if delay is not None:
            return Retry(lease, seen, delay, error.reason, str(error))
        log.info("dead", url=lease.request.url, reason=error.reason, attempts=lease.attempt, error=str(error))
        dead = Dead(lease, seen, error.reason, str(error))
        if lease.request.errback is not None:
            try:
                result = getattr(self._spider, str(lease.request.errback))(lease.request, error)
                dead.found = await collect(self._scope, result, lease.request)
            except (Exception, asyncio.CancelledError) as failure:
                if _is_abort(failure):
                    raise
                return self._broken(lease, seen, failure)
        return dead

    def _broken(self, lease: Lease, seen: Seen, error: BaseException) -> Dead:
        """Spider code raised: the page is dead and its traceback kept; the crawl goes on."""
        reason = error.reason if isinstance(error, ParseError | FetchError) else "callback"
        trace = "".join(traceback.format_exception(error))
        frames = traceback.extract_tb(error.__traceback__)
        at = f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        log.error("callback_failed", url=lease.request.url, error=f"{type(error).__name__}: {error}", at=at)
        return Dead(lease, seen, reason, f"{type(error).__name__}: {error}", trace[-20_000:])

    # -- after each commit

    async def _committed(self, outcomes: Sequence[Outcome], receipts: Sequence[Receipt]) -> None:
        self.stats.count(outcomes, receipts)
        for observer in self._observers:
            await observer.committed(outcomes, receipts)
        waits = any(isinstance(outcome, Retry) for outcome in outcomes)
        self._dates = self._dates or waits
        if waits or any(receipt.new_links for receipt in receipts):
            self.frontier.refill()
        self._wake.set()


def _is_abort(error: BaseException) -> bool:
    """True when we are cancelled; False for a cancellation that spider code let slip, which is its failure."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def _parse_ahead(response: Response) -> None:
    try:
        _ = response.tree
    except NestingError:
        return  # the callback meets it when it asks for the tree, and may never ask


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    """The one error to show: the first that is not the echo of another."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
