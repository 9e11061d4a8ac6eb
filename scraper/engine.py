"""The engine: feeds the frontier, works its leases, sees to it that every visit ends in one outcome.

    _seed    the spider's first requests into the store (see ``seeding``)
    _feed    leases from the store into the frontier, and the end of the crawl
    _work    lease after lease to a visitor; as many of these tasks as ``Workers`` has

Every part is given; nothing here knows which store, fetcher or policy it has.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Sequence
from typing import Any

from scraper.errors import CallbackError, FetchError, FileError
from scraper.frontier import Frontier
from scraper.handover import Handover, tell
from scraper.log import Logger
from scraper.page import Lease, Note, Outcome, Receipt, Retry, Seen, Snapshot
from scraper.ports import Clock, Fetcher, Learner, Observer, RetryPolicy, Store, Throttle, Timer
from scraper.scope import Scope
from scraper.seeding import Seeding
from scraper.settings import Settings
from scraper.spider import Spider
from scraper.state import state_of
from scraper.stats import Stats
from scraper.visit import Visitor
from scraper.watchdog import Watchdog
from scraper.workers import Workers
from scraper.writer import Writer

log = Logger("scraper.engine")

FOR_GOOD = math.inf
"""Our leases have no date: we never lose track of one, and the owner's death ends them all at once."""

OVER = frozenset(("finished", "limit_pages", "limit_items"))
"""Reasons after which a run is over; after any other it is to be resumed."""


class Engine:
    """One crawl, from its first seed to its last commit. ``run`` it once.

    ``before`` are the counts of earlier processes of the run: a limit is one of the run. With ``seeding`` False
    ``start()`` is not asked: what the store has due is all there is to do. ``learners`` are asked for notes before
    each commit; ``named`` is told the URL of each seed, before it may be fetched. ``group`` gives the slot key of a
    host; until ``asked_until`` (epoch seconds) a process before this one may have asked any of them.
    """

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
        before: Snapshot | None = None,
        seeding: bool = True,
        learners: Sequence[Learner] = (),
        named: Callable[[str], object] | None = None,
        group: Callable[[str], str] | None = None,
        asked_until: float | None = None,
    ) -> None:
        before = before if before is not None else Snapshot()
        self._spider = spider
        self._settings = settings
        self._store = store
        self._throttle = throttle
        self._clock = clock
        self._observers = observers
        self.scope = self._scope = Scope.of(spider, settings)
        if settings.max_pages_per_host:
            store.budget(settings.max_pages_per_host)
        self._wake = asyncio.Event()
        self.stats = Stats(clock.monotonic())
        self.frontier = Frontier(
            throttle,
            clock,
            keepalive=settings.keepalive_timeout,
            look_ahead=max(256, 4 * settings.concurrency),
            per_host=max(128, 8 * settings.concurrency_per_host) if not settings.delay else 4,
            hungry=self._wake.set,
            allowance=max(0, settings.limit_pages - before.pages - before.dead) if settings.limit_pages else None,
            group=group,
            asked_until=_monotonic(asked_until, clock),
        )
        self._learners = learners
        self.writer = Writer(store, clock, self._committed, notes=self.notes)
        self._scope.room = self.writer.room
        self._visitor = Visitor(
            spider,
            self._scope,
            settings,
            fetcher,
            retry,
            clock,
            self._free,
            store.reading,
            self._spare,
            throttle.given_up,
            self._ending,
        )
        self._watchdog = Watchdog(settings.watchdog)
        self._task: asyncio.Task[Any] | None = None
        self._workers = Workers(settings.concurrency, settings.most_at_once, clock, self._work, self.frontier.is_silent)
        self._visiting = self._workers.visiting
        self._state = state_of(spider)
        self._state.visiting, self._state.most = self._visiting, settings.max_item_size
        self._handover = Handover(self._state, self._workers, self._visitor, self.writer)
        self._found_items = before.items
        self._seeding = seeding
        self._seeds = Seeding(
            spider,
            self._scope,
            store,
            clock,
            named=named,
            idle=lambda: not (self.frontier.queued or self.frontier.in_flight),
            over=lambda: self._reason is not None,
            added=self._added,
            fail=self.fail,
        )
        self._failure: Exception | None = None
        self._reason: str | None = None
        self._dates = True
        """Pages may wait for a date that no timer is armed for; a resumed run brings such pages along."""
        self._asked = 0.0
        """Date of the last question for leases: what was due by then has been found."""
        self._due_timer: Timer | None = None
        self._patience: Timer | None = None
        """Goes off when a drain has taken as long as it may."""

    # -- what the front door asks

    async def run(self) -> str:
        """Crawl until nothing is due, a limit is met or ``stop`` is called; returns the reason.

        Raises StoreError, or what the spider's ``start()`` raises; all that was committed stays.
        """
        if 0 < self._settings.limit_items <= self._found_items:
            self.stop("limit_items")
        self._task = asyncio.current_task()
        self._watchdog.start()
        try:
            async with asyncio.TaskGroup() as tasks:
                writer = tasks.create_task(self.writer.run())
                seed = tasks.create_task(self._seed() if self._seeding else _nothing())
                feed = tasks.create_task(self._feed())
                self._workers.begin(tasks)
                await asyncio.wait([feed])
                await self._workers.over()
                if self._visiting:  # given up
                    await self._store.release(list(self._visiting.values()))
                seed.cancel()  # a start() without end must not hold up a drain; the next crawl asks it again
                if not writer.done():
                    await self.writer.close()
        except BaseExceptionGroup as group:
            raise _first(group) from None
        finally:
            self.frontier.close()
            self._visitor.close()
            self._workers.stop()
            self._watchdog.stop()
            for timer in (self._due_timer, self._patience):
                if timer is not None:
                    timer.cancel()
        if self._failure is not None:
            raise self._failure
        return self._reason or "finished"

    def stop(self, reason: str) -> None:
        """Drain: begin nothing more, finish what has begun, commit it. The first reason stays.

        What has not come to its end after ``grace`` seconds is given back, unless the run is over anyway.
        """
        if self._reason is None:
            self._reason = reason
            self._wake.set()
        if reason not in OVER and self._patience is None:  # also where a limit is draining
            self._patience = self._clock.call_at(self._clock.monotonic() + self._settings.grace, self._give_up)

    def fail(self, error: Exception) -> None:
        """Drain, then raise this from ``run``."""
        self._failure = self._failure or error
        self.stop("failed")

    @property
    def draining(self) -> str | None:
        """Why it drains; None while it does not."""
        return self._reason

    def notes(self) -> list[Note]:
        """What was learnt of the hosts since the last call."""
        return [note for learner in self._learners for note in learner.notes()]

    def snapshot(self) -> Snapshot:
        """This process's counters now."""
        return self.stats.snapshot(self._clock.monotonic(), self.frontier.in_flight, self.frontier.queued)

    # -- seeds and leases

    async def _seed(self) -> None:
        """The spider's first requests, and what its ``start()`` did to the state."""
        self._state.seeding = True
        await self._seeds.run()
        self._state.seeding = self._seeding = False
        try:
            if (note := self._state.note()) is not None:
                self.writer.put_together((), note)
        except CallbackError as error:
            self.fail(error)
        self._wake.set()

    def _added(self, new: int) -> None:
        self.stats.links += new
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
                if left := frontier.push(leases):  # of hosts that share a full slot
                    await self._store.release(left)
            if not leases and self._seeds.waiting:  # a slow start() must not keep workers waiting
                await self._seeds.add()
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
        if self._visiting or self._handover.putting or (more and self.frontier.allowance != 0):
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

    async def _work(self, number: int) -> None:
        self._state.enter(number)
        while (lease := await self.frontier.next()) is not None:
            self._workers.visits(number, lease)
            try:
                outcome = await self._visitor.visit(lease, number)
            except asyncio.CancelledError:
                self._state.abandon(number)
                raise
            except FileError as error:
                self._handover.left(number)
                self.fail(error)
                await self._store.release([lease])
                continue
            if outcome is None:
                self._handover.left(number)
                if self._reason is None:
                    self.frontier.postpone(lease)
                else:
                    await self._store.release([lease])
                if self._workers.may_leave(number):
                    return
                continue
            outcome = self._handover.checked(number, outcome)
            self._note(lease, outcome)
            if isinstance(outcome, Retry):
                self.frontier.allow()
            await self._handover.put(number, outcome)
            if not self.frontier.queued and not self.frontier.in_flight and self.frontier.dry:
                self.writer.flush()  # its links may be all there is to do
            if self._workers.may_leave(number):
                return

    def _ending(self) -> bool:
        """Whether it is we who cancel; else a callback has cancelled the task it runs in."""
        return self._workers.cancelled or (self._task is not None and self._task.cancelling() > 0)

    def _give_up(self) -> None:
        """What has begun takes too long: it is given back, and fetched again by the next crawl."""
        if self._visiting:
            hosts = sorted({lease.host for lease in self._visiting.values()})
            log.warning("given_back", pages=len(self._visiting), hosts=hosts[:5], grace=self._settings.grace)
        self._workers.cancel()

    def _note(self, lease: Lease, outcome: Outcome) -> None:
        """What a visit came to: against the limit on items at once, and into the log."""
        self._found_items += len(outcome.found.items) if not isinstance(outcome, Retry) else 0
        if 0 < self._settings.limit_items <= self._found_items:
            self.stop("limit_items")
        tell(lease, outcome)

    def _free(self, lease: Lease, seen: Seen | None, error: FetchError | None) -> bool:
        """A fetch is over: tell the throttle what it showed, and give the place back."""
        if seen is None or (seen.status is None and error is None):  # nothing was asked
            self.frontier.done(lease, answered=False)
            return False
        rest, keepalive = 0.0, seen.keepalive
        untried = error is not None and self.frontier.has_untried(lease.slot)
        try:
            if error is not None and not untried:
                self._throttle.forgive(lease.slot)
            rest = self._throttle.observe(lease.slot, seen, error, self._clock.monotonic())
        finally:  # a slot that is not given back would stall its host for good
            self.frontier.done(lease, keepalive, rest, seen.status is not None)
        return error is not None and untried and self._throttle.excuses(lease.slot, error)

    def _spare(self, lease: Lease, error: FetchError) -> bool:
        """Whether a page that is about to be given up waits with its host instead."""
        if not self.frontier.has_untried(lease.slot):
            return False
        rest = self._throttle.trip(lease.slot, error, lease.attempt, self._clock.monotonic())
        if rest > 0:
            self.frontier.pause(lease.slot, rest)
        return rest > 0

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


def _monotonic(date: float | None, clock: Clock) -> float:
    """A date that is over, as monotonic seconds; minus infinity for none."""
    return -math.inf if date is None else min(date - clock.time(), 0.0) + clock.monotonic()


async def _nothing() -> None:
    """In place of seeds."""


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    """The one error to show: the first that is not the echo of another."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
