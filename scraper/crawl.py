"""One crawl: builds the parts, runs them, reports. The only place that knows which parts."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from scraper.clock import SystemClock
from scraper.discover import build
from scraper.engine import OVER, Engine
from scraper.errors import CallbackError, ExportError, OutputError, SpiderError, StoreError
from scraper.expect import doubtful, judge, parse
from scraper.log import Logger, configure
from scraper.page import Run, Snapshot, Verdict
from scraper.parts import build_parts, check_parts
from scraper.ports import Clock, Fetcher, Mode, Observer, RetryPolicy, Store, Throttle
from scraper.pulse import Pulse
from scraper.report import CrawlReport
from scraper.retry import default_policy
from scraper.scope import Scope
from scraper.session import SessionPool
from scraper.settings import Settings, load
from scraper.spider import Spider
from scraper.state import load_state, save_state, state_of
from scraper.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from scraper.exports.crawled import Wanted

log = Logger("scraper.crawl")

NOTHING = "nothing_to_retry"
"""The reason of a crawl that was to retry dead pages and found none."""


class Crawl:
    """One crawl, to be run once. ``crawl()``, ``run()`` and ``stream()`` are what most callers want.

    Args:
        spider: class, or an instance.
        arguments: given to the spider's ``__init__``; strings are converted to the annotated types.
        db: the SQLite file; ``<data>/<spider>.db`` when None.
        output: files for this run's items, one or several, written at the end besides the spider's ``exports``; see
            docs/exports.md (``-`` is stdout).
        mode: ``auto`` resumes an unfinished run and else begins a new one, ``fresh`` abandons it, ``resume``
            insists on it.
        revive: crawl only the dead pages of the last run, those with one of these reasons (shell patterns; empty:
            all), as a part of that run.
        expect: rules besides the spider's own that a finished run must meet; see docs/rules.md.
        settings: ready-made Settings, or the names and values of some.
        store, fetcher, throttle, retry, clock: parts of your own in place of ours.
        observers: told of every commit.

    Raises:
        UsageError: spider, argument, setting, rule or output that cannot be.
    """

    def __init__(
        self,
        spider: type[Spider] | Spider,
        *,
        arguments: Mapping[str, Any] | None = None,
        db: str | Path | None = None,
        output: str | Path | Iterable[str | Path] | None = None,
        mode: Mode = "auto",
        revive: Sequence[str] | None = None,
        expect: Iterable[str] = (),
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
        self.spider = spider
        self.settings = settings if isinstance(settings, Settings) else load(settings, spider=spider.settings)
        chosen = self.settings
        check_parts(chosen)
        configure(
            chosen.log_level,
            chosen.log_format,
            file=chosen.log_file,
            size=chosen.log_file_size,
            count=chosen.log_file_count,
            force=False,
        )
        if spider.steps:
            from scraper.steps import Steps

            Steps(spider).check()
        self._rules = parse([*rules_of(spider.expect, f"{spider.name}.expect"), *rules_of(expect, "expect")])
        self._mode: Mode = mode
        self._revive = revive
        self.database = None if store is not None else Path(db or Path(self.settings.data) / f"{spider.name}.db")
        self._wanted: list[Wanted] = []
        if output is not None or spider.exports:  # what only exports need is imported for them
            from scraper.exports.crawled import wanted

            self._wanted = wanted(output, spider.exports, spider.name, self.database)
        self._store = store
        self._fetcher = fetcher
        self._throttle = throttle
        self._retry = retry or spider.retry_policy or default_policy(self.settings)
        self._clock = clock or SystemClock()
        self._observers = list(observers)
        self._engine: Engine | None = None
        self._stopped: str | None = None
        self._sqlite: SqliteStore | None = None
        self.drained = False
        self.cut_short = False
        self._task: asyncio.Task[Any] | None = None

    async def run(self) -> CrawlReport:
        """Crawl to the end. Raises StoreError (StoreLocked when another run has the database), UsageError."""
        self._task = asyncio.current_task()
        settings, clock = self.settings, self._clock
        ends = clock.monotonic() + settings.deadline if settings.deadline else None
        async with AsyncExitStack() as stack:
            store = self._store if self._store is not None else self._own_store()
            late = None if ends is None else clock.call_at(ends, lambda: self._give_up("the deadline came"))
            try:
                await store.open()
            finally:
                if late is not None:
                    late.cancel()
            stack.push_async_callback(store.close)
            run, waiting = await self._begin(store)
            parts = await build_parts(self.spider, settings, store, clock, run, self._fetcher, self._throttle)
            stack.push_async_callback(parts.close)
            if getattr(self.spider, "in_parts", False):
                await parts.read_feeds(self.spider, settings, store, self._clock, run)
            await self._doubt(store)
            log.debug("run", spider=self.spider.name, run=run.id, resumed=run.resumed)
            if not waiting:
                return await self._report(store, run, NOTHING)
            await load_state(self.spider, store, clock.time())
            engine = self._engine = Engine(
                spider=self.spider,
                settings=settings,
                store=store,
                fetcher=parts.fetcher,
                throttle=parts.throttle,
                retry=self._retry,
                clock=clock,
                observers=[*self._observers, *parts.observers],
                before=await store.counts() if run.resumed else None,
                seeding=not run.reopened,
                learners=parts.learners,
                named=parts.named,
                group=parts.group,
                asked_until=run.asked_until,
            )
            parts.connect(engine.frontier)
            if self._stopped is not None:
                engine.stop(self._stopped)
            reason = await self._work(engine, store, run, parts.pool, ends)
            if reason == "finished" and run.reopened is not None:
                reason = run.reopened  # a sample whose dead pages were tried again is a sample still
            try:
                report = await self._report(store, run, reason)  # before the end: an export that fails can be had again
            except OutputError as error:
                await store.finish("export_failed", clock.time(), False)
                raise ExportError(f"{error}; the same command writes them again") from error
            verdicts = report.verdicts if report.finished else None
            await store.finish(reason, clock.time(), report.finished, verdicts)
        await self._close_spider(report)
        return report

    async def _doubt(self, store: Store) -> None:
        """Say before the crawl which rule may be misspelt: after it, it would have failed."""
        if slips := doubtful(self._rules):
            now, before = await store.figures()
            known = {kind for run in (now, *before) for kind in run.kinds}
            for rule, (kind, near) in slips.items():
                if kind not in known:
                    log.warning("rule_may_be_misspelt", rule=rule, no_such_kind_yet=kind, did_you_mean=near)

    def _own_store(self) -> SqliteStore:
        settings = self.settings
        store = SqliteStore(self.database or "", settings.busy_timeout, settings.if_running, settings.grace)
        self._sqlite = store
        if self._stopped is not None:
            self._give_up(f"it was stopped ({self._stopped})")
        return store

    def _give_up(self, why: str) -> None:
        """Where we wait for another run, wait no longer."""
        if self._sqlite is not None:
            self._sqlite.give_up(why)

    async def _begin(self, store: Store) -> tuple[Run, bool]:
        """The run, and whether there is anything to be done for it."""
        name, now, scope = self.spider.name, self._clock.time(), self._scope()
        if self._revive is None:
            return await store.begin(name, now, self._mode, scope), True
        run, number = await store.revive(name, self._revive, now, scope)
        return run, bool(number)

    def _scope(self) -> str:
        """What the run follows, as JSON, for those who ask later why a page was not fetched."""
        limits = "max_depth max_url_length max_path_repeats max_pages_per_host limit_pages limit_items".split()
        domains = Scope(self.spider).domains
        chosen = {name: getattr(self.settings, name) for name in (*limits, "obey_robots")}
        return msgspec.json.encode({"allowed_domains": domains, **chosen}).decode()

    async def _work(self, engine: Engine, store: Store, run: Run, pool: SessionPool | None, ends: float | None) -> str:
        """Let the engine run, with a pulse beside it and the deadline over it."""
        timer = None if ends is None else self._clock.call_at(ends, lambda: engine.stop("deadline"))
        pulse = Pulse(engine, store, self._clock, run, pool)
        beating = asyncio.ensure_future(pulse.run())
        self.cut_short = True
        try:
            async with steps.opened(run) if (steps := engine.scope.steps) is not None else nullcontext():
                reason = await engine.run()
            await save_state(state_of(self.spider), store)
            self.cut_short = reason not in OVER
            return reason
        except StoreError:
            raise
        except BaseException as error:
            reason = "aborted" if isinstance(error, asyncio.CancelledError) else "failed"
            with suppress(StoreError):  # the error that ends the crawl is the one to be shown
                await store.finish(reason, self._clock.time(), False)
            raise
        finally:
            self.drained = True
            if timer is not None:
                timer.cancel()
            beating.cancel()
            await asyncio.wait([beating])
            with suppress(StoreError):  # after one the store takes no more; that one is being raised
                await pulse.save()

    async def _report(self, store: Store, run: Run, reason: str) -> CrawlReport:
        finished = reason in OVER or reason == NOTHING
        verdicts: list[Verdict] = []
        if reason in OVER:
            now, before = await store.figures()
            verdicts = judge(self._rules, now, before, sample=reason != "finished")
        return CrawlReport(
            spider=self.spider.name,
            run=run.id,
            resumed=run.resumed,
            reason=reason,
            finished=finished,
            counts=self.snapshot(),
            totals=msgspec.structs.replace(await store.counts(), seconds=self.snapshot().seconds),
            hosts=await store.ledger(),
            database=self.database,
            exported=await self._export(store, run, finished),
            verdicts=tuple(verdicts),
        )

    async def _export(self, store: Store, run: Run, finished: bool) -> int | None:
        if not self._wanted:
            return None
        from scraper.exports.crawled import export

        return await export(store, self.database, self._wanted, run, finished)

    async def _close_spider(self, report: CrawlReport) -> None:
        try:
            result = self.spider.closed(report)
            if inspect.isawaitable(result):
                await result
        except Exception as error:
            raise CallbackError(f"{self.spider.name}.closed() raised {type(error).__name__}: {error}") from error
        state_of(self.spider).ended_with_the_crawl()

    def stop(self, reason: str = "stopped") -> None:
        """Drain: begin nothing more, finish and commit what has begun. The next crawl resumes."""
        self._stopped = self._stopped or reason
        if self._engine is not None:
            self._engine.stop(reason)
        else:
            self._give_up(f"it was stopped ({reason})")

    def abort(self) -> None:
        """Stop at once. What was not committed is fetched again by the next crawl; nothing is lost."""
        if self._task is not None:
            self._task.cancel()

    @property
    def prints(self) -> bool:
        """Whether its items go to stdout."""
        return any(each.target.stdout for each in self._wanted)

    @property
    def rules(self) -> int:
        """Rules that a finished run is held against."""
        return len(self._rules)

    @property
    def revives(self) -> bool:
        """Whether it is for some dead pages only, by their reasons."""
        return bool(self._revive)

    def snapshot(self) -> Snapshot:
        """The counters of this process now."""
        return self._engine.snapshot() if self._engine is not None else Snapshot()


def rules_of(rules: Iterable[str], where: str) -> list[str]:
    """The rules, or a SpiderError for the one string that was meant to be a list of one."""
    if isinstance(rules, str):
        raise SpiderError(f"{where} is one string; make it a list: [{rules!r}]")
    return list(rules)
