"""The front door: builds the parts, runs one crawl, reports. The only place that knows which parts."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from scraper.clock import SystemClock
from scraper.discover import build
from scraper.engine import Engine
from scraper.errors import CallbackError, SpiderError, StoreError, UsageError
from scraper.export import check_target, export
from scraper.fetchers.http import HttpFetcher
from scraper.log import Logger, configure
from scraper.page import HostLedger, Outcome, Receipt, Retry, Run, Snapshot
from scraper.ports import Clock, Fetcher, Observer, RetryPolicy, Store, Throttle
from scraper.process import run_alone
from scraper.retry import default_policy
from scraper.robots import RobotsFetcher
from scraper.session import SessionPool
from scraper.settings import NAMES, Settings, load
from scraper.spider import Spider
from scraper.stores.sqlite import SqliteStore
from scraper.throttle import FixedThrottle

log = Logger("scraper.crawl")

COMPLETE = ("finished", "limit_pages", "limit_items")
"""Reasons after which a run is over; after any other it is resumed by the next crawl."""

LEDGER_EVERY = 5.0
"""Seconds between writes of the ledger: what a kill may cost of it."""


@dataclass(frozen=True, slots=True)
class CrawlReport:
    """What came of a crawl.

    ``counts`` is of this process, ``totals`` of the whole run, over every process that worked on it.
    ``hosts`` is the run's connection ledger, busiest first. ``finished`` is False when there is work
    left, and the next crawl resumes.
    """

    spider: str
    run: int
    resumed: bool
    reason: str
    finished: bool
    counts: Snapshot
    totals: Snapshot
    hosts: list[HostLedger]
    database: Path | None
    exported: int | None = None
    """Items written to ``output``, when one was asked for."""


class Crawl:
    """One crawl, to be run once. ``crawl()``, ``run()`` and ``stream()`` are what most callers want.

    Args:
        spider: class, or an instance.
        arguments: given to the spider's ``__init__``; strings are converted to the annotated types.
        db: the SQLite file; ``<data>/<spider>.db`` when None.
        output: a file for this run's items (.jsonl, .csv, .json; ``-`` is stdout), written at the end.
        settings: ready-made Settings, or the names and values of some.
        store, fetcher, throttle, retry, clock: parts of your own in place of ours.
        observers: told of every commit.

    Raises:
        UsageError: spider, argument, setting or output that cannot be.
    """

    def __init__(
        self,
        spider: type[Spider] | Spider,
        *,
        arguments: Mapping[str, Any] | None = None,
        db: str | Path | None = None,
        output: str | None = None,
        settings: Settings | Mapping[str, Any] | None = None,
        store: Store | None = None,
        fetcher: Fetcher | None = None,
        throttle: Throttle | None = None,
        retry: RetryPolicy | None = None,
        clock: Clock | None = None,
        observers: Sequence[Observer] = (),
    ) -> None:
        if inspect.isclass(spider) and issubclass(spider, Spider):
            spider = build(spider, arguments)
        elif not isinstance(spider, Spider):
            raise SpiderError(f"{spider!r} is not a Spider; pass a subclass of scraper.Spider")
        elif arguments:
            raise SpiderError("arguments go to a spider class; this is an instance already")
        if output is not None:
            check_target(output)
        self.spider = spider
        self.settings = settings if isinstance(settings, Settings) else load(settings, spider=spider.settings)
        configure(self.settings.log_level, self.settings.log_format, force=False)
        self.database = None if store is not None else Path(db or Path(self.settings.data) / f"{spider.name}.db")
        self._output = output
        self._store = store
        self._fetcher = fetcher
        self._throttle = throttle or FixedThrottle(self.settings)
        self._retry = retry or spider.retry_policy or default_policy(self.settings)
        self._clock = clock or SystemClock()
        self._observers = list(observers)
        self._engine: Engine | None = None
        self._stopped: str | None = None
        self._task: asyncio.Task[Any] | None = None

    async def run(self) -> CrawlReport:
        """Crawl to the end. Raises StoreError (StoreLocked when another run has the database)."""
        self._task = asyncio.current_task()
        async with AsyncExitStack() as stack:
            store = self._store if self._store is not None else SqliteStore(self.database or "")
            await store.open()
            stack.push_async_callback(store.close)
            fetcher, keeper = self._fetcher, []
            if fetcher is None:
                pool = SessionPool(self.settings)
                stack.push_async_callback(pool.close)
                keeper = [_LedgerKeeper(pool, store, self._clock)]
                fetcher = HttpFetcher(pool, self.settings)
                if self.settings.obey_robots:
                    fetcher = RobotsFetcher(fetcher, self.settings)
            stack.push_async_callback(fetcher.close)
            run = await store.begin(self.spider.name, self._clock.time())
            log.debug("run", spider=self.spider.name, run=run.id, resumed=run.resumed)
            self._engine = Engine(
                spider=self.spider,
                settings=self.settings,
                store=store,
                fetcher=fetcher,
                throttle=self._throttle,
                retry=self._retry,
                clock=self._clock,
                observers=[*keeper, *self._observers],
            )
            if self._stopped is not None:
                self._engine.stop(self._stopped)
            try:
                reason = await self._engine.run()
            finally:
                for each in keeper:
                    with suppress(StoreError):  # after one the store takes no more; that one is being raised
                        await each.save()
            report = await self._report(store, run, reason)  # before the end: an export that fails can be had again
            await store.finish(reason, self._clock.time(), finished=reason in COMPLETE)
        await self._close_spider(report)
        return report

    async def _report(self, store: Store, run: Run, reason: str) -> CrawlReport:
        exported = await export(store, self._output, run.id) if self._output is not None else None
        return CrawlReport(
            spider=self.spider.name,
            run=run.id,
            resumed=run.resumed,
            reason=reason,
            finished=reason in COMPLETE,
            counts=self.snapshot(),
            totals=msgspec.structs.replace(await store.counts(), seconds=self.snapshot().seconds),
            hosts=await store.ledger(),
            database=self.database,
            exported=exported,
        )

    async def _close_spider(self, report: CrawlReport) -> None:
        try:
            result = self.spider.closed(report)
            if inspect.isawaitable(result):
                await result
        except Exception as error:
            raise CallbackError(f"{self.spider.name}.closed() raised {type(error).__name__}: {error}") from error

    def stop(self, reason: str = "stopped") -> None:
        """Drain: begin nothing more, finish and commit what has begun. The next crawl resumes."""
        self._stopped = self._stopped or reason
        if self._engine is not None:
            self._engine.stop(reason)

    def abort(self) -> None:
        """Stop at once. What was not committed is fetched again by the next crawl; nothing is lost."""
        if self._task is not None:
            self._task.cancel()

    def snapshot(self) -> Snapshot:
        """The counters of this process now."""
        return self._engine.snapshot() if self._engine is not None else Snapshot()


class _LedgerKeeper:
    """Writes the ledger's new counts to the store now and then, on the heels of a commit."""

    def __init__(self, pool: SessionPool, store: Store, clock: Clock) -> None:
        self._pool = pool
        self._store = store
        self._clock = clock
        self._saved = clock.monotonic()

    async def committed(self, outcomes: Sequence[Outcome], receipts: Sequence[Receipt]) -> None:
        if self._clock.monotonic() - self._saved >= LEDGER_EVERY:
            await self.save()

    async def save(self) -> None:
        self._saved = self._clock.monotonic()
        await self._store.save_ledger(self._pool.take())


_OPTIONS = frozenset(inspect.signature(Crawl).parameters) - {"spider", "settings"}


def _crawl(spider: type[Spider] | Spider, options: dict[str, Any]) -> Crawl:
    """Options that are Crawl's go there; all others are settings (an unknown one is a clear error)."""
    own = {name: value for name, value in options.items() if name in _OPTIONS}
    given = options.get("settings")
    rest = {name: value for name, value in options.items() if name not in _OPTIONS and name != "settings"}
    if isinstance(given, Settings):
        if not rest:
            return Crawl(spider, settings=given, **own)
        given = {name: getattr(given, name) for name in NAMES}
    return Crawl(spider, settings={**(given or {}), **rest}, **own)


async def crawl(spider: type[Spider] | Spider, **options: Any) -> CrawlReport:
    """Run a spider in the running event loop.

    Options are the arguments of ``Crawl`` and any setting by name:
    ``await scraper.crawl(Books, db="books.db", concurrency_per_host=8)``.
    Raises UsageError, StoreError, CallbackError.
    """
    return await _crawl(spider, options).run()


async def stream(spider: type[Spider] | Spider, **options: Any) -> AsyncIterator[Any]:
    """Run a spider and yield its items, each once its page is committed. Options as in ``crawl``.

    A slow consumer slows the crawl. Leaving the loop early drains the crawl, and a later one resumes
    (close the generator with ``contextlib.aclosing`` to wait for that).
    """
    tap = _Tap()
    one = _crawl(spider, {**options, "observers": [*options.get("observers", ()), tap]})
    task = asyncio.ensure_future(one.run())
    task.add_done_callback(lambda _: tap.end())
    try:
        async for item in tap:
            yield item
        await task
    finally:
        tap.closed = True
        if not task.done():
            one.stop()
            tap.drop()
            await task


class _Tap:
    """A bounded queue from the writer to the consumer of ``stream``."""

    def __init__(self, bound: int = 1000) -> None:
        self.closed = False
        self._queue: asyncio.Queue[Any] = asyncio.Queue()
        self._room = asyncio.Semaphore(bound)  # beside the queue, so that the end always finds a place
        self._end = object()

    async def committed(self, outcomes: Sequence[Outcome], receipts: Sequence[Receipt]) -> None:
        for outcome, receipt in zip(outcomes, receipts, strict=True):
            if receipt.applied and not isinstance(outcome, Retry):
                for item in outcome.found.items:
                    if self.closed:
                        return
                    await self._room.acquire()
                    self._queue.put_nowait(item.value)

    def end(self) -> None:
        """The crawl is over: what is queued is the rest."""
        self._queue.put_nowait(self._end)

    def drop(self) -> None:
        """Let a writer that waits for room go on."""
        self._room.release()

    async def __aiter__(self) -> AsyncIterator[Any]:
        while (item := await self._queue.get()) is not self._end:
            self._room.release()
            yield item


def run(spider: type[Spider] | Spider, **options: Any) -> CrawlReport:
    """Run a spider from a script and wait for it. Options as in ``crawl``.

    SIGINT and SIGTERM drain the crawl; a second one stops it at once. Nothing is lost either way.
    Raises UsageError inside a running event loop (a notebook): use ``await scraper.crawl(...)`` there.
    """
    with suppress(RuntimeError):  # there is none, as it should be
        asyncio.get_running_loop()
        raise UsageError(
            "an event loop is running already (a notebook?): write 'await scraper.crawl(...)' instead of run()"
        )
    return run_crawl(_crawl(spider, options))


def run_crawl(one: Crawl, beside: Callable[[Crawl], Any] | None = None) -> CrawlReport:
    """Run a Crawl in a new event loop (uvloop where it can be had) with signals wired to drain.

    ``beside`` makes a coroutine that runs next to it, such as a progress display.
    """

    async def work() -> CrawlReport:
        companion = asyncio.ensure_future(beside(one)) if beside is not None else None
        try:
            return await one.run()
        finally:
            if companion is not None:
                companion.cancel()
                with suppress(asyncio.CancelledError):
                    await companion

    return run_alone(one, work)
