"""The writer: groups, waits no longer than it says, holds back those who are too fast."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from scraper.errors import StoreError
from scraper.page import Done, Found, Lease, Note, Outcome, Receipt, Seen
from scraper.request import Request
from scraper.stores.memory import MemoryStore
from scraper.testing import FakeClock
from scraper.writer import Writer


class SlowStore(MemoryStore):
    """Commits when it is let: ``gate`` closed, it waits."""

    def __init__(self) -> None:
        super().__init__()
        self.groups: list[int] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    async def commit(self, outcomes: Sequence[Outcome], now: float, notes: Sequence[Note] = ()) -> list[Receipt]:
        self.groups.append(len(outcomes))
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return [Receipt(outcome.lease.page, True) for outcome in outcomes]


def outcome(number: int = 1) -> Done:
    lease = Lease(number, number, Request(f"http://h.test/{number}"), "h.test", 1, 1e12)
    return Done(lease, Seen(200), Found())


async def spin() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


class Desk:
    """A writer at work, and what it committed."""

    def __init__(self, **options: Any) -> None:
        self.store = SlowStore()
        self.clock = FakeClock()
        self.committed: list[int] = []
        self.after: Callable[[], object] = lambda: None
        self.writer = Writer(self.store, self.clock, self._committed, **options)
        self.task = asyncio.ensure_future(self.writer.run())

    async def _committed(self, outcomes: Sequence[Outcome], receipts: Sequence[Receipt]) -> None:
        assert len(outcomes) == len(receipts)
        self.committed += [each.lease.page for each in outcomes]
        self.after()

    async def put(self, number: int) -> None:
        for each in range(number):
            await self.writer.put(outcome(each))


async def test_full_group_is_committed_at_once() -> None:
    desk = Desk(group=10)
    await desk.put(9)
    await spin()
    assert desk.store.groups == []
    await desk.put(1)
    await spin()
    assert desk.store.groups == [10]
    assert desk.clock.next_timer() is None
    await desk.writer.close()
    await desk.task


async def test_nothing_waits_longer_than_linger() -> None:
    desk = Desk(group=10, linger=0.5)
    for _ in range(3):
        await desk.put(1)
        desk.clock.advance(0.3)
        await desk.put(1)
        desk.clock.advance(0.19)
        await spin()
        assert desk.writer.pending == 2
        desk.clock.advance(0.01)
        await spin()
        assert desk.writer.pending == 0
    assert desk.store.groups == [2, 2, 2]
    await desk.writer.close()
    await desk.task


async def test_next_group_gathers_while_the_last_is_written() -> None:
    desk = Desk(group=4, linger=0.5, bound=100)
    desk.store.gate.clear()
    await desk.put(4)
    await spin()
    await desk.put(30)
    await spin()
    assert desk.store.groups == [4]
    assert desk.writer.pending == 34
    desk.store.gate.set()
    await spin()
    assert desk.store.groups == [4, 30], "one transaction for all that queued"
    await desk.put(1)
    desk.store.gate.clear()
    desk.clock.advance(0.5)
    await spin()
    await desk.put(1)  # its own linger counts from here, although a commit is under way
    desk.clock.advance(0.5)
    desk.store.gate.set()
    await spin()
    assert desk.store.groups == [4, 30, 1, 1]
    await desk.writer.close()
    await desk.task


async def test_slow_store_holds_back_those_who_put() -> None:
    desk = Desk(group=5, bound=10)
    desk.store.gate.clear()
    await desk.put(5)
    await spin()
    workers = [asyncio.ensure_future(desk.writer.put(outcome(number))) for number in range(40)]
    await spin()
    assert sum(worker.done() for worker in workers) == 5
    assert desk.writer.pending == 10, "what is being written counts: a kill costs it too"
    desk.store.gate.set()
    await asyncio.wait(workers)
    await desk.writer.close()
    await desk.task
    assert len(desk.committed) == 45
    assert max(desk.store.groups) <= 10


async def test_order_is_kept_and_nothing_is_lost() -> None:
    desk = Desk(group=7, bound=20)
    for number in range(500):
        await desk.writer.put(outcome(number))
        if number % 11 == 0:
            await asyncio.sleep(0)
    await desk.writer.close()
    await desk.task
    assert desk.committed == list(range(500))


async def test_flush_commits_what_waits() -> None:
    desk = Desk(group=100)
    desk.writer.flush()
    await spin()
    assert desk.store.groups == []
    await desk.put(3)
    desk.writer.flush()
    await spin()
    assert desk.store.groups == [3]
    await desk.writer.close()
    await desk.task


@pytest.mark.parametrize("waiting", [0, 3])
async def test_close_commits_what_waits_even_while_it_writes(waiting: int) -> None:
    desk = Desk(group=4)
    desk.store.gate.clear()
    await desk.put(4)
    await spin()
    await desk.put(waiting)
    closed = asyncio.ensure_future(desk.writer.close())
    await spin()
    assert not closed.done()
    desk.store.gate.set()
    await closed
    await desk.task
    assert len(desk.committed) == 4 + waiting


async def test_closing_an_idle_writer_ends_it() -> None:
    desk = Desk()
    await desk.writer.close()
    await desk.task
    assert desk.store.groups == []


async def test_what_is_counted_is_committed() -> None:
    """``pending`` stays above zero until ``committed`` has been told: the end of a crawl relies on it."""
    desk = Desk(group=1)
    seen = []
    desk.after = lambda: seen.append(desk.writer.pending)
    await desk.put(1)
    await spin()
    assert seen == [1]
    assert desk.writer.pending == 0
    await desk.writer.close()
    await desk.task


async def test_store_error_ends_the_writer() -> None:
    desk = Desk(group=1)
    desk.store.error = StoreError("disk full")
    await desk.put(1)
    with pytest.raises(StoreError, match="disk full"):
        await desk.task
    assert desk.committed == []
